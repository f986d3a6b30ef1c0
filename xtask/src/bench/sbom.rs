//! `cargo xtask bench sbom`: what listing an image's packages costs.
//!
//! The image is made of this machine's own files: programs, libraries and texts as Debian packs them, in three layers.
use std::{
    fs::{self, File},
    io::{self, BufWriter, Write as _},
    path::{Path, PathBuf},
    process::Stdio,
    time::{Duration, Instant},
};

use anyhow::Context as _;
use data_encoding::HEXLOWER;
use flate2::{Compression, write::GzEncoder};
use serde_json::json;
use sha2::{Digest as _, Sha256};
use tempfile::TempDir;
use tokio::process::Command;

use super::{
    process::status_of,
    release,
    table::Table,
    units::{mebibytes, median, precise, time},
};
use crate::{program::interruptible, ui};

const LAYERS: usize = 3;
/// Runs, of which the middle one counts.
const RUNS: usize = 5;
/// What says that packages are there comes first, then what takes space.
const FILES: [&str; 7] = [
    "/var/lib/dpkg/status",
    "/usr/lib/os-release",
    "/usr/bin",
    "/usr/local/lib",
    "/usr/lib/python3",
    "/usr/share/java",
    "/usr/lib",
];

/// Measures how long listing the packages of an image takes, and how much memory.
#[derive(Debug, clap::Args)]
pub(super) struct SbomArgs {
    /// Measure this binary instead of a release build of this checkout.
    #[arg(long, value_name = "FILE")]
    binary: Option<PathBuf>,
    /// Size of the image, unpacked, in MB.
    #[arg(long, default_value_t = 300, value_name = "MB")]
    megabytes: u64,
}

pub(super) async fn run(args: SbomArgs) -> anyhow::Result<()> {
    let table = interruptible(async {
        let binary = match &args.binary {
            Some(binary) => binary
                .canonicalize()
                .with_context(|| format!("--binary {}: is there such a file?", binary.display()))?,
            None => release("toolbox").await?,
        };
        let folder = TempDir::new().context("make a folder for the image")?;
        let step = ui::step(format!("an image of {} MB", args.megabytes));
        let image = Image::write(folder.path(), args.megabytes * 1_000_000)?;
        step.done();
        measure(&binary, folder.path(), &image).await
    })
    .await?;
    ui::answer(&table.to_string());
    Ok(())
}

/// What was made.
struct Image {
    files: usize,
    bytes: u64,
    packed: u64,
}

async fn measure(binary: &Path, layout: &Path, image: &Image) -> anyhow::Result<Table> {
    let mut runs = Vec::new();
    for _ in 0..RUNS {
        runs.push(list(binary, layout).await?);
    }
    let times: Vec<Duration> = runs.iter().map(|(took, _)| *took).collect();
    let memory = runs.iter().map(|(_, memory)| *memory).max().unwrap_or_default();
    let list = fs::read(layout.join("sbom.json")).context("read the list that was written")?;
    let list: serde_json::Value = serde_json::from_slice(&list).context("read the list that was written")?;
    let packages = list["components"].as_array().map_or(0, Vec::len);
    let mut table = Table::new("SBOM of an image");
    let what =
        format!("{} files, {}, packed {}", image.files, mebibytes(image.bytes), mebibytes(image.packed));
    table.row("the image", "", what);
    table.row("packages found", "", packages.to_string());
    table.row("time", "≤ 5 s for 300 MB", time(median(&times)));
    let rate = precise(image.bytes) / median(&times).as_secs_f64() / 1e6;
    table.row("… of the image a second", "", format!("{rate:.0} MB"));
    table.row("most memory", "≤ 200 MiB", mebibytes(memory));
    Ok(table)
}

/// Runs the program; how long it took, and the most memory that it had.
async fn list(binary: &Path, layout: &Path) -> anyhow::Result<(Duration, u64)> {
    let began = Instant::now();
    let mut child = Command::new(binary)
        .args([
            "sbom",
            "generate",
            "--cyclonedx=sbom.json",
            "--spdx=spdx.json",
            "--purls=purls.json",
            "--layout=.",
        ])
        .current_dir(layout)
        .env_clear()
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .with_context(|| format!("start {}", binary.display()))?;
    let pid = child.id().and_then(|id| i32::try_from(id).ok()).context("the program has a process id")?;
    let mut memory = 0;
    loop {
        // The most that it ever had; gone once it has ended.
        memory = status_of(pid, "VmHWM:").unwrap_or(memory);
        tokio::select! {
            status = child.wait() => {
                let status = status?;
                anyhow::ensure!(status.success(), "{} sbom generate: {status}", binary.display());
                return Ok((began.elapsed(), memory));
            }
            () = tokio::time::sleep(Duration::from_millis(2)) => {}
        }
    }
}

impl Image {
    /// Writes an OCI layout with files of this machine, until it has so many bytes.
    fn write(layout: &Path, bytes: u64) -> anyhow::Result<Self> {
        fs::create_dir_all(layout.join("blobs/sha256"))?;
        let (files, found) = files(bytes)?;
        anyhow::ensure!(found >= bytes, "this machine's /usr has {found} bytes only: --megabytes");
        let (mut layers, mut packed, mut rest) = (Vec::new(), 0, &files[..]);
        for number in 1..=LAYERS {
            let mut size = 0;
            let until = found / LAYERS as u64;
            let end = rest.iter().position(|(_, bytes)| {
                size += bytes;
                size >= until && number < LAYERS
            });
            let (layer, behind) = rest.split_at(end.map_or(rest.len(), |end| end + 1));
            rest = behind;
            let path = layout.join("layer.tmp");
            pack(&path, layer)?;
            packed += path.metadata()?.len();
            layers.push(json!({ "digest": keep(layout, &path)? }));
        }
        let path = layout.join("manifest.tmp");
        fs::write(&path, json!({ "schemaVersion": 2, "layers": layers }).to_string())?;
        let index = json!({ "schemaVersion": 2, "manifests": [{ "digest": keep(layout, &path)? }] });
        fs::write(layout.join("index.json"), index.to_string())?;
        Ok(Self { files: files.len(), bytes: found, packed })
    }
}

/// Files and their sizes, and the sum of these.
fn files(bytes: u64) -> anyhow::Result<(Vec<(PathBuf, u64)>, u64)> {
    let (mut files, mut found) = (Vec::new(), 0);
    let mut waiting: Vec<PathBuf> = FILES.iter().rev().map(PathBuf::from).collect();
    while let Some(path) = waiting.pop() {
        let Ok(metadata) = path.symlink_metadata() else { continue };
        if metadata.is_dir() {
            let children = path.read_dir().with_context(|| format!("read {}", path.display()))?;
            let mut children = children.map(|child| Ok(child?.path())).collect::<io::Result<Vec<_>>>()?;
            children.sort();
            waiting.extend(children.into_iter().rev());
        } else if metadata.is_file() && found < bytes {
            found += metadata.len();
            files.push((path, metadata.len()));
        }
    }
    Ok((files, found))
}

fn pack(to: &Path, files: &[(PathBuf, u64)]) -> anyhow::Result<()> {
    let file = BufWriter::new(File::create(to)?);
    let mut layer = tar::Builder::new(GzEncoder::new(file, Compression::default()));
    for (path, _) in files {
        let name = path.strip_prefix("/").unwrap_or(path);
        layer.append_path_with_name(path, name).with_context(|| format!("pack {}", path.display()))?;
    }
    layer.into_inner()?.finish()?.flush()?;
    Ok(())
}

/// Moves a file to where the layout has it, and returns its digest.
fn keep(layout: &Path, path: &Path) -> anyhow::Result<String> {
    let mut hash = Sha256::new();
    io::copy(&mut File::open(path)?, &mut hash)?;
    let hash = HEXLOWER.encode(&hash.finalize());
    fs::rename(path, layout.join("blobs/sha256").join(&hash))?;
    Ok(format!("sha256:{hash}"))
}
