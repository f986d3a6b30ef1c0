//! What manifests and image configurations say (OCI image specification; Docker's are alike).

use std::collections::BTreeMap;
use std::fmt;

use serde::Deserialize;

use crate::client::Manifest;
use crate::error::Error;
use crate::reference::Digest;

/// Manifests of an index that are looked at.
const MAX_PLATFORMS: usize = 64;

/// A manifest, read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Document {
    /// One image for each of several platforms.
    Index(Vec<Descriptor>),
    Image(ImageManifest),
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ImageManifest {
    pub config: Descriptor,
    pub layers: Vec<Descriptor>,
}

/// Names some content.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Descriptor {
    pub digest: Digest,
    pub media_type: String,
    /// Bytes, as the manifest says: not to be trusted before they were counted.
    pub size: u64,
    pub annotations: BTreeMap<String, String>,
    /// Of the manifests of an index.
    pub platform: Option<Platform>,
}

/// What an image runs on. Shown as `os/architecture[/variant]`.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(default)]
pub struct Platform {
    pub os: String,
    pub architecture: String,
    pub variant: Option<String>,
}

impl Platform {
    /// Whether an index has something there that is no image, as signatures are.
    fn is_unknown(&self) -> bool {
        [&self.os, &self.architecture].iter().any(|part| part.is_empty() || *part == "unknown")
    }
}

impl fmt::Display for Platform {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.os, self.architecture)?;
        match self.variant.as_deref() {
            None | Some("") => Ok(()),
            Some(variant) => write!(f, "/{variant}"),
        }
    }
}

/// `ENTRYPOINT` and `CMD` of an image.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Program {
    pub entrypoint: Vec<String>,
    pub command: Vec<String>,
}

/// What an image runs by itself, by platform.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Image {
    pub platforms: BTreeMap<Platform, Program>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RawManifest {
    #[serde(default)]
    manifests: Option<Vec<RawDescriptor>>,
    #[serde(default)]
    config: Option<RawDescriptor>,
    #[serde(default)]
    layers: Option<Vec<RawDescriptor>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RawDescriptor {
    digest: String,
    #[serde(default)]
    media_type: String,
    #[serde(default)]
    size: u64,
    #[serde(default)]
    annotations: Option<BTreeMap<String, String>>,
    #[serde(default)]
    platform: Option<Platform>,
}

impl RawDescriptor {
    fn checked(self) -> Result<Descriptor, String> {
        Ok(Descriptor {
            digest: self
                .digest
                .parse()
                .map_err(|_| "it has a descriptor without a SHA-256 digest".to_owned())?,
            media_type: self.media_type,
            size: self.size,
            annotations: self.annotations.unwrap_or_default(),
            platform: self.platform,
        })
    }
}

#[derive(Deserialize)]
struct RawConfig {
    #[serde(flatten)]
    platform: Platform,
    #[serde(default)]
    config: Option<RawProgram>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct RawProgram {
    #[serde(default)]
    entrypoint: Option<Vec<String>>,
    #[serde(default)]
    cmd: Option<Vec<String>>,
}

impl Manifest {
    /// Reads it. What is both an index and an image, or neither, is refused: readers would not agree about it.
    pub fn document(&self) -> Result<Document, Error> {
        let invalid = |reason: &str| Error::invalid(&self.reference, reason);
        let raw: RawManifest = serde_json::from_slice(&self.bytes)
            .map_err(|error| invalid(&format!("its manifest cannot be read: {error}")))?;
        let all = |raw: Vec<RawDescriptor>| {
            raw.into_iter()
                .map(RawDescriptor::checked)
                .collect::<Result<Vec<_>, _>>()
                .map_err(|reason| invalid(&reason))
        };
        match (raw.manifests, raw.config, raw.layers) {
            (Some(manifests), None, None) => Ok(Document::Index(all(manifests)?)),
            (None, Some(config), Some(layers)) => Ok(Document::Image(ImageManifest {
                config: config.checked().map_err(|reason| invalid(&reason))?,
                layers: all(layers)?,
            })),
            _ => {
                Err(invalid(&format!("its manifest ({}) is neither an image nor an index", self.media_type)))
            }
        }
    }
}

/// Those of an index's manifests that are images, and wanted.
pub(crate) fn images(
    manifests: Vec<Descriptor>,
    is_wanted: impl Fn(&Platform) -> bool,
) -> impl Iterator<Item = (Platform, Digest)> {
    let image = move |descriptor: Descriptor| {
        let platform =
            descriptor.platform.filter(|platform| !platform.is_unknown() && is_wanted(platform))?;
        Some((platform, descriptor.digest))
    };
    manifests.into_iter().filter_map(image).take(MAX_PLATFORMS)
}

/// What an image configuration says.
pub(crate) fn program(config: &[u8]) -> Result<(Platform, Program), String> {
    let raw: RawConfig = serde_json::from_slice(config)
        .map_err(|error| format!("its configuration cannot be read: {error}"))?;
    let program = raw.config.unwrap_or_default();
    let program = Program {
        entrypoint: program.entrypoint.unwrap_or_default(),
        command: program.cmd.unwrap_or_default(),
    };
    Ok((raw.platform, program))
}
