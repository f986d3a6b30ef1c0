//! Layers as a registry keeps them.

use std::fs::File;
use std::io::{self, BufReader, BufWriter, Read, Write};
use std::path::Path;

use anyhow::Context as _;
use flate2::Compression;
use flate2::write::GzEncoder;
use jiff::Timestamp;
use registry::{Blob, Digest, Document, Keychain, Reference};
use serde_json::Value;
use tempfile::{NamedTempFile, TempPath};

use crate::context::{Context, say};
use crate::hashing::Hashing;
use crate::image::{GZIP_LAYER, descriptor};

const CONFIG_LIMIT: u64 = 4 * 1024 * 1024;
const LAYER_LIMIT: u64 = 32 * 1024 * 1024 * 1024;
/// What a gzip stream begins with.
const GZIP: [u8; 2] = [0x1f, 0x8b];
/// How well layers are compressed: a fifth of the time of the default for a tenth more space.
const LEVEL: u32 = 3;

/// A layer that is ready for a registry.
#[derive(Debug)]
pub(super) struct Layer {
    pub(super) descriptor: Value,
    source: Source,
    /// The file that the source names, if it goes with this.
    _file: Option<TempPath>,
}

#[derive(Debug)]
enum Source {
    File(Blob),
    /// In the registry of the base image.
    Base(Reference, Digest),
}

/// A layer of the base image, as its registry keeps it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Known {
    /// Digest of what is in it, unpacked.
    content: String,
    repository: Reference,
    digest: Digest,
    media_type: String,
    size: u64,
}

/// The layers of a base image. None if it cannot be looked at: they can be made anew.
pub(super) async fn of_base(name: &str, digest: &str, architecture: &str, context: &Context) -> Vec<Known> {
    match look_at_base(name, digest, architecture, context).await {
        Ok(known) => known,
        Err(error) => {
            say(&format!(
                "Layers of base image {name} are compressed again, because it cannot be read: {error:#}"
            ));
            Vec::new()
        }
    }
}

async fn look_at_base(
    name: &str,
    digest: &str,
    architecture: &str,
    context: &Context,
) -> anyhow::Result<Vec<Known>> {
    let (client, keychain): (_, &Keychain) = (&context.registry, &context.keychain);
    let reference = name.parse::<Reference>()?.at(digest.parse()?);
    let mut manifest = client.manifest(&reference, keychain).await?;
    if let Document::Index(images) = manifest.document()? {
        let is_ours =
            |platform: &registry::Platform| platform.os == "linux" && platform.architecture == architecture;
        let ours = images.into_iter().find(|image| image.platform.as_ref().is_some_and(is_ours));
        let ours = ours.with_context(|| format!("it has no image for linux/{architecture}"))?;
        manifest = client.manifest(&reference.at(ours.digest), keychain).await?;
    }
    let Document::Image(image) = manifest.document()? else { return Ok(Vec::new()) };
    let config = client.blob(&reference, &image.config.digest, CONFIG_LIMIT, keychain).await?;
    let config: Value = serde_json::from_slice(&config).context("read its configuration")?;
    let contents = config["rootfs"]["diff_ids"].as_array().map(Vec::as_slice).unwrap_or_default();
    let known = image.layers.into_iter().zip(contents).map(|(layer, content)| Known {
        content: content.as_str().unwrap_or_default().to_owned(),
        repository: manifest.reference.clone(),
        digest: layer.digest,
        media_type: oci(&layer.media_type),
        size: layer.size,
    });
    Ok(known.collect())
}

/// The media type of an OCI image for a layer of Docker's.
fn oci(media_type: &str) -> String {
    match media_type {
        "application/vnd.docker.image.rootfs.diff.tar.gzip" => GZIP_LAYER.to_owned(),
        "application/vnd.docker.image.rootfs.diff.tar" => "application/vnd.oci.image.layer.v1.tar".to_owned(),
        other => other.to_owned(),
    }
}

/// A layer of the image: the base image's own where it is that one, else compressed.
pub(super) async fn prepare(
    file: &Path,
    content: &str,
    number: usize,
    known: &[Known],
) -> anyhow::Result<Layer> {
    if let Some(known) = known.get(number).filter(|known| known.content == content) {
        return Ok(Layer {
            descriptor: descriptor(&known.media_type, &known.digest, known.size),
            source: Source::Base(known.repository.clone(), known.digest.clone()),
            _file: None,
        });
    }
    // Whatever it was asked for, buildah has compressed the layers that it made itself.
    let mut begin = [0; GZIP.len()];
    if File::open(file).and_then(|mut file| file.read_exact(&mut begin)).is_ok() && begin == GZIP {
        let blob = Blob::file(file).await.with_context(|| format!("read layer {}", number + 1))?;
        let descriptor = descriptor(GZIP_LAYER, blob.digest(), blob.size());
        return Ok(Layer { descriptor, source: Source::File(blob), _file: None });
    }
    let file = file.to_owned();
    tokio::task::spawn_blocking(move || compress(&file))
        .await?
        .with_context(|| format!("compress layer {}", number + 1))
}

fn compress(file: &Path) -> anyhow::Result<Layer> {
    let mut reader = BufReader::with_capacity(1 << 20, File::open(file)?);
    let folder = file.parent().unwrap_or(Path::new("."));
    written(folder, |encoder| io::copy(&mut reader, encoder).map(drop))
}

/// Compresses what is written into a file of `folder`.
fn written(
    folder: &Path,
    write: impl FnOnce(&mut GzEncoder<Hashing<BufWriter<File>>>) -> io::Result<()>,
) -> anyhow::Result<Layer> {
    let packed = NamedTempFile::new_in(folder)?;
    let hashing = Hashing::new(BufWriter::new(packed.reopen()?));
    let mut encoder = GzEncoder::new(hashing, Compression::new(LEVEL));
    write(&mut encoder)?;
    let (mut file, digest, size) = encoder.finish()?.finish();
    file.flush()?;
    let descriptor = descriptor(GZIP_LAYER, &digest, size);
    let blob = Blob::known(packed.path(), digest, size);
    Ok(Layer { descriptor, source: Source::File(blob), _file: Some(packed.into_temp_path()) })
}

/// A layer of these files, and the digest of what is in it.
pub(super) fn of_files(
    files: &[(&Path, &str)],
    folder: &Path,
    now: Timestamp,
) -> anyhow::Result<(Layer, Digest)> {
    let mut builder = tar::Builder::new(Vec::new());
    for (file, path) in files {
        let mut content = Vec::new();
        File::open(file)
            .and_then(|mut file| file.read_to_end(&mut content))
            .with_context(|| format!("read {}", file.display()))?;
        let mut header = tar::Header::new_gnu();
        header.set_mode(0o644);
        header.set_size(content.len() as u64);
        header.set_mtime(u64::try_from(now.as_second()).unwrap_or_default());
        header.set_entry_type(tar::EntryType::Regular);
        // Without folders: those of the image stay as they are.
        builder.append_data(&mut header, path.trim_start_matches('/'), content.as_slice())?;
    }
    let content = builder.into_inner()?;
    let layer = written(folder, |encoder| encoder.write_all(&content))?;
    Ok((layer, Digest::of(&content)))
}

impl Layer {
    /// Puts it where the image goes, unless it is there.
    pub(super) async fn push(&self, to: &Reference, folder: &Path, context: &Context) -> anyhow::Result<()> {
        let (client, keychain) = (&context.registry, &context.keychain);
        match &self.source {
            Source::File(blob) => client.push_blob(to, blob, keychain).await?,
            Source::Base(from, digest) => {
                if client.has_blob(to, digest, keychain).await? {
                    return Ok(());
                }
                let copy = NamedTempFile::new_in(folder)?;
                let mut file = tokio::fs::File::from_std(copy.reopen()?);
                let size = client.blob_to(from, digest, LAYER_LIMIT, &mut file, keychain).await?;
                client.push_blob(to, &Blob::known(copy.path(), digest.clone(), size), keychain).await?;
            }
        }
        Ok(())
    }
}
