//! Bundles: images with a layer for each file, or with archives of files.

use futures::{StreamExt as _, TryStreamExt as _};
use registry::{Client, Descriptor, Document, Keychain, Reference};

use super::archive::{self, Space};
use super::error::Error;
use super::{MAX_FILES, is_wanted};

/// Annotation of a layer: path of the file that it is.
pub(crate) const TITLE: &str = "org.opencontainers.image.title";
/// Annotation of a layer that is a folder, packed (ORAS).
const UNPACK: &str = "io.deis.oras.content.unpack";
/// Layers of files that are fetched at once.
const TOGETHER: usize = 4;

/// The URL by digest, and the files.
pub(super) async fn fetch(
    url: &str,
    reference: &Reference,
    limit: u64,
    registry: &Client,
    keychain: &Keychain,
) -> Result<(String, Vec<(String, Vec<u8>)>), Error> {
    let failed = |error: registry::Error| {
        let is_transient = error.is_transient();
        Error::unreachable(url, error.to_string(), is_transient)
    };
    let wrong = |why: String| Error::unreachable(url, why, false);
    let manifest = registry.manifest(reference, keychain).await.map_err(failed)?;
    let Document::Image(image) = manifest.document().map_err(failed)? else {
        return Err(wrong("it is an index of images, not a bundle".to_owned()));
    };
    if image.layers.len() > MAX_FILES {
        return Err(wrong(format!("it has more than {MAX_FILES} layers")));
    }
    let wanted: Vec<(&Descriptor, Form)> =
        image.layers.iter().filter_map(|layer| Some((layer, form(layer)?))).collect();
    let stated = wanted.iter().fold(0_u64, |sum, (layer, _)| sum.saturating_add(layer.size));
    if stated > limit {
        return Err(wrong(format!("it has more than {limit} bytes")));
    }
    let fetches: Vec<_> = wanted
        .iter()
        .map(|(layer, _)| registry.blob(&manifest.reference, &layer.digest, layer.size, keychain))
        .collect();
    let contents = futures::stream::iter(fetches).buffered(TOGETHER).try_collect::<Vec<_>>();
    let contents = contents.await.map_err(failed)?;
    let mut space = Space::new(limit);
    let mut files = Vec::new();
    for ((_, form), content) in wanted.iter().zip(contents) {
        match form {
            Form::File(path) => {
                space.take(content.len() as u64).map_err(|why| Error::content(url, path, why))?;
                files.push((path.clone(), content));
            }
            Form::Archive => {
                let unpacked = archive::tar(&content, "", &mut space);
                files.extend(unpacked.map_err(|why| wrong(format!("one of its layers: {why}")))?);
            }
        }
    }
    let tag = reference.tag().map(|tag| format!(":{tag}")).unwrap_or_default();
    Ok((format!("oci::{}{tag}@{}", reference.name(), manifest.digest), files))
}

enum Form {
    /// With its path.
    File(String),
    Archive,
}

/// How a layer holds files, if it holds any that are wanted.
fn form(layer: &Descriptor) -> Option<Form> {
    let is_packed = layer.annotations.get(UNPACK).is_some_and(|unpack| unpack == "true")
        || layer.media_type.contains(".tar");
    if is_packed {
        return Some(Form::Archive);
    }
    let path = layer.annotations.get(TITLE)?.trim_start_matches("./").trim_start_matches('/');
    // No path is ever written to, but errors show it, and a fetched copy has it.
    (git::is_path(path) && is_wanted(path)).then(|| Form::File(path.to_owned()))
}
