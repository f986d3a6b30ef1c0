//! `clamav-scan`: looks for malware in an image with ClamAV.

use std::collections::HashMap;
use std::fs::{self, File};
use std::io::{self, BufReader, Read};
use std::path::{Component, Path, PathBuf};

use anyhow::{Context as _, bail, ensure};
use flate2::bufread::MultiGzDecoder;
use registry::{Descriptor, Document, Reference};
use tempfile::{NamedTempFile, TempDir};

use crate::archive::{self, Limits};
use crate::context::{Context, bound, say};
use crate::program::Program;
use crate::sbom::image::{Member, members};
use crate::test_output::{self, ImagesProcessed, Outcome, TestOutput};

const LAYER_LIMIT: u64 = 32 * 1024 * 1024 * 1024;
const IMAGE_LIMIT: u64 = 128 * 1024 * 1024 * 1024;
const MAX_FILES: usize = 5_000_000;
/// Beginning of a file name that says that a layer takes a file away.
const WHITEOUT: &str = ".wh.";
/// Said of a folder: all that is in it below.
const OPAQUE: &str = ".wh..wh..opq";
const GZIP: [u8; 2] = [0x1f, 0x8b];
const ZSTANDARD: [u8; 4] = [0x28, 0xb5, 0x2f, 0xfd];

/// Looks for malware in an image.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[arg(long)]
    image_url: String,
    #[arg(long)]
    image_digest: String,
    /// Folder with signatures.
    #[arg(long, value_name = "DIR")]
    database: Option<PathBuf>,
    /// Image with signatures, as `artifact create` makes one of a folder.
    #[arg(long, env = "CLAMAV_DATABASE", value_name = "IMAGE")]
    database_image: Option<String>,
    #[arg(long, value_name = "PATH")]
    result_test_output: PathBuf,
    #[arg(long, value_name = "PATH")]
    result_images_processed: PathBuf,
}

pub async fn run(args: Args, context: &Context) -> anyhow::Result<()> {
    let now = context.clock.now();
    let check = async {
        let members = members(&args.image_url, &args.image_digest, context).await?;
        let digests = members.iter().map(|member| &member.manifest.digest);
        ImagesProcessed::new(&args.image_url, digests).write(Some(&args.result_images_processed))?;
        let signatures = tempfile::tempdir().context("create a folder for signatures")?;
        let database = database(&args, signatures.path(), context).await.context("get the signatures")?;
        let folder = tempfile::tempdir().context("create a folder for the image")?;
        let mut trees = Vec::new();
        for (number, member) in members.iter().enumerate() {
            trees.push(unpack(member, &folder.path().join(number.to_string()), context).await?);
        }
        let found = scan(&database, &folder).await?;
        let outputs = members.iter().zip(&trees).enumerate().map(|(number, (member, tree))| {
            let prefix = folder.path().join(number.to_string());
            let infected: Vec<_> = found
                .iter()
                .filter_map(|(file, signature)| {
                    Some((tree.path(file.strip_prefix(&prefix).ok()?)?, signature))
                })
                .collect();
            for (path, signature) in &infected {
                say(&format!("{}: /{}: {signature}", member.name(), path.display()));
            }
            say(&format!("{}: {} files looked at, {} infected", member.name(), tree.count(), infected.len()));
            judged(&infected, now)
        });
        Ok(TestOutput::aggregate(outputs).unwrap_or_else(|| TestOutput::new(Outcome::Success, now)))
    };
    test_output::report(&args.result_test_output, "clamav-scan", now, check).await
}

fn judged(infected: &[(&Path, &String)], now: jiff::Timestamp) -> TestOutput {
    let count = infected.len() as u64;
    let output = TestOutput::counted(u64::from(count == 0), count, 0, now);
    match infected.first() {
        None => output,
        Some((path, signature)) => {
            output.note(format!("{count} infected files, as /{} ({signature}).", path.display()))
        }
    }
}

/// The folder with signatures.
async fn database(args: &Args, folder: &Path, context: &Context) -> anyhow::Result<PathBuf> {
    if let Some(database) = bound(args.database.clone()) {
        return Ok(database);
    }
    let image = args.database_image.as_deref().filter(|image| !image.is_empty());
    let image: Reference = image.context("neither --database nor --database-image names any")?.parse()?;
    let manifest = context.registry.manifest(&image, &context.keychain).await?;
    let Document::Image(document) = manifest.document()? else {
        bail!("{image} is an index of several images")
    };
    for layer in &document.layers {
        let packed = download(&manifest.reference, layer, context).await?;
        archive::unpack(packed.path(), folder, Limits::default())?;
    }
    say(&format!("Signatures: {}", manifest.reference));
    Ok(folder.to_owned())
}

async fn download(image: &Reference, layer: &Descriptor, context: &Context) -> anyhow::Result<NamedTempFile> {
    let packed = NamedTempFile::new().context("create a file for a layer")?;
    let mut file = tokio::fs::File::from_std(packed.reopen()?);
    context.registry.blob_to(image, &layer.digest, LAYER_LIMIT, &mut file, &context.keychain).await?;
    Ok(packed)
}

async fn unpack(member: &Member, folder: &Path, context: &Context) -> anyhow::Result<Tree> {
    let mut tree = Tree::new(folder)?;
    let Document::Image(document) = member.manifest.document()? else { return Ok(tree) };
    for layer in &document.layers {
        let packed = download(&member.manifest.reference, layer, context).await?;
        let unpacked = reader(packed.reopen()?).and_then(|reader| tree.add(reader));
        unpacked.with_context(|| format!("unpack layer {}", layer.digest))?;
    }
    Ok(tree)
}

fn reader(file: File) -> anyhow::Result<Box<dyn Read>> {
    let mut file = BufReader::with_capacity(256 * 1024, file);
    let begin = io::BufRead::fill_buf(&mut file)?;
    ensure!(!begin.starts_with(&ZSTANDARD), "it is compressed by Zstandard, which is not supported");
    if begin.starts_with(&GZIP) { Ok(Box::new(MultiGzDecoder::new(file))) } else { Ok(Box::new(file)) }
}

/// Infected files, and what was found in each.
async fn scan(database: &Path, folder: &TempDir) -> anyhow::Result<Vec<(PathBuf, String)>> {
    let mut argument = std::ffi::OsString::from("--database=");
    argument.push(database);
    let ended = Program::new("clamscan")
        .args(["--recursive", "--infected", "--no-summary", "--stdout"])
        // Larger ones would be passed over in silence.
        .args(["--max-filesize=2000M", "--max-scansize=4000M"])
        .arg(argument)
        .arg(folder.path())
        .capture()
        .run()
        .await?;
    match ended.code {
        Some(0 | 1) => Ok(infected(&ended.text())),
        _ => bail!("{}", ended.success().err().map_or_else(String::new, |error| error.to_string())),
    }
}

/// Lines `<path>: <signature> FOUND`.
fn infected(output: &str) -> Vec<(PathBuf, String)> {
    let found = |line: &str| {
        let (path, signature) = line.strip_suffix(" FOUND")?.rsplit_once(": ")?;
        Some((PathBuf::from(path), signature.to_owned()))
    };
    output.lines().filter_map(found).collect()
}

/// The files of an image. Each is kept under a number: names in layers may be anything.
struct Tree {
    folder: PathBuf,
    numbers: HashMap<PathBuf, usize>,
    names: HashMap<usize, PathBuf>,
    bytes: u64,
    next: usize,
}

impl Tree {
    fn new(folder: &Path) -> anyhow::Result<Self> {
        fs::create_dir_all(folder)?;
        Ok(Self {
            folder: folder.to_owned(),
            numbers: HashMap::new(),
            names: HashMap::new(),
            bytes: 0,
            next: 0,
        })
    }

    /// Puts a layer over those before.
    fn add(&mut self, layer: impl Read) -> anyhow::Result<()> {
        for entry in tar::Archive::new(layer).entries()? {
            let mut entry = entry?;
            let path = plain(&entry.path()?);
            let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
            let parent = path.parent().unwrap_or(Path::new(""));
            if name == OPAQUE {
                let parent = parent.to_owned();
                self.remove(|other| other != parent && other.starts_with(&parent));
            } else if let Some(name) = name.strip_prefix(WHITEOUT) {
                let gone = parent.join(name);
                self.remove(|other| other.starts_with(&gone));
            } else if entry.header().entry_type().is_file() {
                self.bytes = self.bytes.saturating_add(entry.size());
                self.next += 1;
                ensure!(
                    self.bytes <= IMAGE_LIMIT && self.next <= MAX_FILES,
                    "the image is larger than {IMAGE_LIMIT} bytes or {MAX_FILES} files"
                );
                self.remove(|other| other == path);
                let size = entry.size();
                let mut file = File::create_new(self.folder.join(self.next.to_string()))?;
                io::copy(&mut (&mut entry).take(size), &mut file)?;
                self.numbers.insert(path.clone(), self.next);
                self.names.insert(self.next, path);
            }
        }
        Ok(())
    }

    fn remove(&mut self, is_gone: impl Fn(&Path) -> bool) {
        self.numbers.retain(|path, number| {
            let stays = !is_gone(path);
            if !stays {
                self.names.remove(number);
                // What cannot be removed is scanned as well.
                let _ = fs::remove_file(self.folder.join(number.to_string()));
            }
            stays
        });
    }

    fn path(&self, file: &Path) -> Option<&Path> {
        self.names.get(&file.to_str()?.parse().ok()?).map(PathBuf::as_path)
    }

    fn count(&self) -> usize {
        self.names.len()
    }
}

/// Without all that is no name.
fn plain(path: &Path) -> PathBuf {
    path.components().filter(|part| matches!(part, Component::Normal(_))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn layer(files: &[(&str, &str)]) -> Vec<u8> {
        let mut builder = tar::Builder::new(Vec::new());
        for (name, content) in files {
            let mut header = tar::Header::new_gnu();
            header.set_size(content.len() as u64);
            header.set_mode(0o644);
            builder.append_data(&mut header, name, content.as_bytes()).unwrap();
        }
        builder.into_inner().unwrap()
    }

    #[test]
    fn later_layers_cover_earlier_ones() {
        let folder = tempfile::tempdir().unwrap();
        let mut tree = Tree::new(folder.path()).unwrap();
        tree.add(
            &layer(&[("a", "1"), ("dir/b", "2"), ("dir/c", "3"), ("opaque/d", "4"), ("gone/e", "5")])[..],
        )
        .unwrap();
        let second =
            [("a", "new"), ("dir/.wh.b", ""), ("opaque/.wh..wh..opq", ""), (".wh.gone", ""), ("./f", "6")];
        tree.add(&layer(&second)[..]).unwrap();
        let mut found: Vec<_> = tree
            .names
            .iter()
            .map(|(number, path)| {
                let content = fs::read_to_string(folder.path().join(number.to_string())).unwrap();
                (path.display().to_string(), content)
            })
            .collect();
        found.sort();
        let expected = [("a", "new"), ("dir/c", "3"), ("f", "6")];
        assert_eq!(found, expected.map(|(path, content)| (path.to_owned(), content.to_owned())));
        assert_eq!(folder.path().read_dir().unwrap().count(), 3);
    }

    #[test]
    fn reads_what_the_scanner_found() {
        let output =
            "/tmp/x/0/12: Eicar-Test-Signature FOUND\n/tmp/x/0/3: a: b FOUND\nLibClamAV Warning: x\n";
        let found = infected(output);
        assert_eq!(found[0], (PathBuf::from("/tmp/x/0/12"), "Eicar-Test-Signature".to_owned()));
        assert_eq!(found.len(), 2);
        let now = "2024-03-01T12:00:00Z".parse().unwrap();
        let output = judged(&[(Path::new("bin/evil"), &found[0].1)], now);
        assert_eq!((output.result, output.failures), (Outcome::Failure, 1));
        assert!(output.note.contains("/bin/evil (Eicar-Test-Signature)"), "{}", output.note);
        assert_eq!(judged(&[], now).result, Outcome::Success);
    }
}
