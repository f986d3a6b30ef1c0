//! Images, as far as rules look into them: manifest, configuration, parent, files.

mod document;
mod files;
mod flights;
mod library;
mod syntax;

use std::collections::BTreeMap;

use bytes::Bytes;
use registry::{Digest, Manifest, Reference};
use serde_json::{Map, Value};

pub use library::{Library, NamedBy, Unavailable};

pub(crate) use document::{Descriptor, Document, is_index};
pub(crate) use files::{Wanted, read as read_files};
pub(crate) use flights::Flights;
pub(crate) use syntax::faults;

use document::ImageConfig;

/// Bytes of a configuration.
const LARGEST_CONFIG: u64 = 4 * 1024 * 1024;

/// Label of bundles of the Operator Lifecycle Manager: the folder with their manifests.
const OLM_MANIFESTS: &str = "operators.operatorframework.io.bundle.manifests.v1";
const VENDOR: &str = "vendor";
const RED_HAT: &str = "Red Hat, Inc.";
/// Where Red Hat's images say what is in them.
const CONTENT_MANIFESTS: &str = "root/buildinfo/content_manifests";

/// What rules see of an image beside its signatures.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Facts {
    /// Member `config` of the configuration: labels, environment, command.
    pub(crate) config: Option<Map<String, Value>>,
    pub(crate) parent: Option<Parent>,
    pub(crate) files: BTreeMap<String, Value>,
}

/// The image that an image was built on.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Parent {
    pub(crate) reference: Reference,
    pub(crate) config: Map<String, Value>,
}

/// The manifests that an index lists; `None` for what is no index.
pub(crate) fn manifests(manifest: &Manifest) -> Option<Vec<Descriptor>> {
    Document::parse(manifest).ok()?.manifests().map(<[_]>::to_vec)
}

/// Reads what rules look at. An error says what could not be read: rules that look for it would find nothing to refuse.
/// That the parent cannot be read is only logged: the image does not say the truth about it anyway, if it does not want to.
pub(crate) async fn facts(library: &Library, manifest: &Manifest) -> Result<Facts, String> {
    let image = &manifest.reference;
    let document = Document::parse(manifest).map_err(|error| error.to_string())?;
    let Some(descriptor) = document.config() else { return Ok(Facts::default()) };
    let own = config(library, image, descriptor, NamedBy::User).await?;
    let parent = match document.parent() {
        None => None,
        Some(parent) => {
            let found = self::parent(library, parent.clone(), &own).await;
            found.inspect_err(|reason| tracing::debug!(%image, %parent, reason, "Parent cannot be read")).ok()
        }
    };
    let wanted = wanted(&own);
    let files = if wanted.is_empty() {
        BTreeMap::new()
    } else {
        let read = read_files(library, image, document.layers(), wanted).await;
        read.map_err(|error| format!("its files cannot be read: {error}"))?
    };
    Ok(Facts { config: own.config, parent, files })
}

/// The configuration of an image. Other artifacts have none that is of interest, whatever they have in its place.
async fn config(
    library: &Library,
    image: &Reference,
    descriptor: &Descriptor,
    by: NamedBy,
) -> Result<ImageConfig, String> {
    let is_image = descriptor.is_image_config();
    let digest: Digest = match descriptor.digest.parse() {
        Ok(digest) => digest,
        Err(_) if !is_image => return Ok(ImageConfig::default()),
        Err(error) => return Err(format!("its configuration has no digest: {error}")),
    };
    let fetched: Result<Bytes, _> = library.blob(image, &digest, LARGEST_CONFIG, by).await;
    let bytes = fetched.map_err(|error| format!("its configuration cannot be read: {error}"))?;
    match ImageConfig::parse(&bytes) {
        Err(_) if !is_image => Ok(ImageConfig::default()),
        parsed => parsed.map_err(|error| error.to_string()),
    }
}

/// The configuration of the parent; of an index that of the image for the child's platform.
async fn parent(library: &Library, reference: Reference, child: &ImageConfig) -> Result<Parent, String> {
    let read = async |reference: &Reference| {
        let manifest =
            library.manifest(reference, NamedBy::Content).await.map_err(|error| error.to_string())?;
        Document::parse(&manifest).map_err(|error| error.to_string())
    };
    let mut document = read(&reference).await?;
    if let Some(manifests) = document.manifests() {
        let fits = |listed: &&Descriptor| {
            let platform = listed.platform.as_ref();
            platform.is_some_and(|found| found.architecture == child.architecture && found.os == child.os)
        };
        let fitting = manifests.iter().find(fits).ok_or("it has no image for the platform of its child")?;
        let digest: Digest = fitting.digest.parse().map_err(|_| "its index is malformed".to_owned())?;
        document = read(&reference.at(digest)).await?;
    }
    let descriptor = document.config().ok_or("it is an index within an index")?;
    let config = config(library, &reference, descriptor, NamedBy::Content).await?;
    Ok(Parent { reference, config: config.config.unwrap_or_default() })
}

/// The files that rules look into, by what an image's labels say.
fn wanted(config: &ImageConfig) -> Wanted {
    let of_red_hat = (config.label(VENDOR) == Some(RED_HAT)).then_some(CONTENT_MANIFESTS);
    Wanted::in_folders(config.label(OLM_MANIFESTS).into_iter().chain(of_red_hat))
}

/// Reads a manifest in all ways that there are.
#[cfg(test)]
pub(crate) fn try_all(manifest: &Manifest) {
    if let Ok(document) = Document::parse(manifest) {
        let _ = (document.parent(), document.image_manifest(""), document.image_index(""));
    }
    let _ = Descriptor::of(manifest).value();
    let config = ImageConfig::parse(&Bytes::from(manifest.bytes.clone())).unwrap_or_default();
    let _ = wanted(&config);
}
