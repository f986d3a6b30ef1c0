//! `scan database`: makes a database of advisories and pushes it.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufWriter, Read as _, Write as _};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail, ensure};
use flate2::Compression;
use flate2::write::GzEncoder;
use jiff::Timestamp;
use registry::{Blob, Reference};
use serde_json::json;
use tempfile::TempDir;
use zip::ZipArchive;

use super::database::{ARTIFACT, About, CONFIG, ECOSYSTEM, LAYER};
use super::osv::Advisory;
use super::subject::Ecosystem;
use crate::context::{Context, say};
use crate::image::{MANIFEST, descriptor};
use crate::results;

/// Of one advisory. The largest have some MB, of lists of versions.
const MAX_ADVISORY: u64 = 32 << 20;
/// Files that are no advisories which are named in the log.
const MAX_NAMED: usize = 20;

/// Makes a vulnerability database of advisories in the OSV format and pushes it as an OCI artifact.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// A folder with JSON files and zip archives in it, at any depth, or one such file.
    #[arg(long, required = true, value_name = "PATH")]
    from: Vec<PathBuf>,
    /// Where it goes, with a tag.
    #[arg(long, value_name = "IMAGE")]
    push: String,
    /// Digest of its manifest.
    #[arg(long, value_name = "PATH")]
    result_digest: Option<PathBuf>,
}

pub(super) async fn run(args: &Args, context: &Context) -> anyhow::Result<()> {
    let to: Reference = args.push.parse().with_context(|| format!("--push {:?}", args.push))?;
    let folder = TempDir::new().context("make a folder for the layers")?;
    let mut building = Building::new(folder.path());
    for path in &args.from {
        building.add(path).with_context(|| format!("--from {}", path.display()))?;
    }
    let (about, files) = building.finish()?;
    let config = Blob::bytes(serde_json::to_vec(&about)?);
    context.registry.push_blob(&to, &config, &context.keychain).await?;
    let mut layers = Vec::new();
    for (ecosystem, path) in files {
        let blob = Blob::file(&path).await.with_context(|| format!("read {}", path.display()))?;
        context.registry.push_blob(&to, &blob, &context.keychain).await?;
        let mut layer = descriptor(LAYER, blob.digest(), blob.size());
        layer["annotations"] = json!({ ECOSYSTEM: ecosystem.to_string() });
        layers.push(layer);
    }
    let manifest = json!({
        "schemaVersion": 2,
        "mediaType": MANIFEST,
        "artifactType": ARTIFACT,
        "config": descriptor(CONFIG, config.digest(), config.size()),
        "layers": layers,
        "annotations": { "org.opencontainers.image.created": about.modified.to_string() },
    });
    let manifest = serde_json::to_vec(&manifest)?;
    let digest = context.registry.push_manifest(&to, MANIFEST, manifest, &context.keychain).await?;
    for (ecosystem, records) in &about.ecosystems {
        say(&format!("{ecosystem}: {records} advisories"));
    }
    say(&format!("Pushed {}, as of {}", to.at(digest.clone()), about.modified));
    let Some(result) = &args.result_digest else { return Ok(()) };
    results::write(result, digest.as_str())
}

/// Layers that grow with each advisory.
pub(super) struct Building<'a> {
    folder: &'a Path,
    layers: BTreeMap<Ecosystem, Layer>,
    modified: Option<Timestamp>,
    unreadable: usize,
}

struct Layer {
    path: PathBuf,
    content: GzEncoder<BufWriter<File>>,
    records: u64,
}

impl<'a> Building<'a> {
    /// With the layers in this folder.
    pub(super) fn new(folder: &'a Path) -> Self {
        Self { folder, layers: BTreeMap::new(), modified: None, unreadable: 0 }
    }

    /// Adds a file, or all files of a folder. In order of their names, so that the same files are the same database.
    pub(super) fn add(&mut self, path: &Path) -> anyhow::Result<()> {
        let mut waiting = vec![path.to_owned()];
        while let Some(path) = waiting.pop() {
            if path.is_dir() {
                let children = path.read_dir()?.map(|child| child.map(|child| child.path()));
                let mut children = children.collect::<Result<Vec<_>, _>>()?;
                children.sort();
                waiting.extend(children.into_iter().rev());
                continue;
            }
            match path.extension().and_then(|extension| extension.to_str()) {
                Some("json") => {
                    let file = File::open(&path).with_context(|| format!("open {}", path.display()))?;
                    self.file(&path.display().to_string(), file)?;
                }
                Some("zip") => self.archive(&path).with_context(|| format!("read {}", path.display()))?,
                _ => {}
            }
        }
        Ok(())
    }

    fn archive(&mut self, path: &Path) -> anyhow::Result<()> {
        let mut archive = ZipArchive::new(File::open(path)?)?;
        for index in 0..archive.len() {
            let entry = archive.by_index(index)?;
            let Ok(name) = entry.name().map(std::borrow::Cow::into_owned) else { continue };
            if Path::new(&name).extension().is_some_and(|extension| extension == "json") {
                self.file(&name, entry)?;
            }
        }
        Ok(())
    }

    fn file(&mut self, name: &str, content: impl std::io::Read) -> anyhow::Result<()> {
        let mut bytes = Vec::new();
        content.take(MAX_ADVISORY).read_to_end(&mut bytes).with_context(|| format!("read {name}"))?;
        match Advisory::read(&bytes) {
            Ok(advisory) => self.advisory(&advisory),
            Err(error) => {
                self.unreadable += 1;
                if self.unreadable <= MAX_NAMED {
                    say(&format!("{name} is no advisory in the OSV format: {error}"));
                }
                Ok(())
            }
        }
    }

    fn advisory(&mut self, advisory: &Advisory) -> anyhow::Result<()> {
        self.modified = self.modified.max(Some(advisory.modified));
        for (ecosystem, record) in advisory.records() {
            let number = self.layers.len();
            let layer = match self.layers.entry(ecosystem) {
                std::collections::btree_map::Entry::Occupied(layer) => layer.into_mut(),
                std::collections::btree_map::Entry::Vacant(place) => {
                    let path = self.folder.join(format!("{number}.jsonl.gz"));
                    let file = File::create(&path).with_context(|| format!("make {}", path.display()))?;
                    let content = GzEncoder::new(BufWriter::new(file), Compression::best());
                    place.insert(Layer { path, content, records: 0 })
                }
            };
            serde_json::to_writer(&mut layer.content, &record)?;
            layer.content.write_all(b"\n")?;
            layer.records += 1;
        }
        Ok(())
    }

    /// What the database says of itself, and its layers.
    pub(super) fn finish(self) -> anyhow::Result<(About, Vec<(Ecosystem, PathBuf)>)> {
        if self.unreadable > 0 {
            say(&format!("{} files were no advisories", self.unreadable));
        }
        let Some(modified) = self.modified else { bail!("there is no advisory in the OSV format in it") };
        ensure!(!self.layers.is_empty(), "no advisory is about an ecosystem that is scanned");
        let mut about = About { modified, ecosystems: BTreeMap::new() };
        let mut layers = Vec::new();
        for (ecosystem, layer) in self.layers {
            layer.content.finish()?.into_inner().context("write a layer")?.sync_all()?;
            about.ecosystems.insert(ecosystem.to_string(), layer.records);
            layers.push((ecosystem, layer.path));
        }
        Ok((about, layers))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::fs;

    use zip::ZipWriter;
    use zip::write::SimpleFileOptions;

    use super::*;
    use crate::sbom::fuzz::fuzz;
    use crate::scan::database;

    fn advisory(id: &str, ecosystem: &str, name: &str) -> String {
        json!({"id": id, "modified": "2024-01-01T00:00:00Z",
            "affected": [{"package": {"ecosystem": ecosystem, "name": name},
                "ranges": [{"type": "ECOSYSTEM", "events": [{"introduced": "0"}]}]}]})
        .to_string()
    }

    #[test]
    fn folders_and_archives_become_layers_that_can_be_read() {
        let from = tempfile::tempdir().unwrap();
        fs::create_dir(from.path().join("deep")).unwrap();
        fs::write(from.path().join("deep/a.json"), advisory("A", "PyPI", "Zope.Interface")).unwrap();
        fs::write(from.path().join("broken.json"), "{").unwrap();
        fs::write(from.path().join("other.json"), advisory("O", "Hex", "x")).unwrap();
        let mut zip = ZipWriter::new(File::create(from.path().join("all.zip")).unwrap());
        for (name, content) in
            [("b.json", advisory("B", "PyPI", "requests")), ("c.json", advisory("C", "npm", "a"))]
        {
            zip.start_file(name, SimpleFileOptions::default()).unwrap();
            zip.write_all(content.as_bytes()).unwrap();
        }
        zip.finish().unwrap();

        let made = || {
            let folder = tempfile::tempdir().unwrap();
            let mut building = Building::new(folder.path());
            building.add(from.path()).unwrap();
            let (about, layers) = building.finish().unwrap();
            let contents: Vec<Vec<u8>> = layers.iter().map(|(_, path)| fs::read(path).unwrap()).collect();
            (folder, about, layers, contents)
        };
        let (_folder, about, layers, contents) = made();
        assert_eq!(about.ecosystems, [("PyPI".to_owned(), 2), ("npm".to_owned(), 1)].into());
        let names: BTreeSet<&str> = ["zope-interface", "other"].into();
        let (_, path) = layers.iter().find(|(ecosystem, _)| *ecosystem == Ecosystem::PyPi).unwrap();
        let records = database::read(File::open(path).unwrap(), &names).unwrap();
        assert_eq!(records.iter().map(|record| &*record.id).collect::<Vec<_>>(), ["A"]);
        // Byte for byte the same when made again.
        assert_eq!(made().3, contents);
    }

    #[test]
    fn nothing_is_no_database() {
        let from = tempfile::tempdir().unwrap();
        let folder = tempfile::tempdir().unwrap();
        let mut building = Building::new(folder.path());
        building.add(from.path()).unwrap();
        assert!(building.finish().unwrap_err().to_string().contains("no advisory in the OSV format"));
    }

    #[test]
    fn layers_of_strangers_never_panics() {
        let names: BTreeSet<&str> = ["a"].into();
        fuzz(&"([{\":,\\[\\]}a-z\n]{0,40}|\\{\"name\":\"a\"[,:\"a-z]{0,20}\\}\n)", |text| {
            let mut file = tempfile::tempfile().unwrap();
            let mut packed = GzEncoder::new(&mut file, Compression::fast());
            packed.write_all(text.as_bytes()).unwrap();
            packed.finish().unwrap();
            let _ = database::read(file, &names);
            Ok(())
        });
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(b"no gzip").unwrap();
        assert!(database::read(file, &names).is_err());
    }
}
