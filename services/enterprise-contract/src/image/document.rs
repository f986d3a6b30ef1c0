//! Manifests, indexes and configurations as rules see them: each field that the specification of OCI knows, under its name.

use bytes::Bytes;
use registry::{Digest, Manifest, Reference};
use serde::Deserialize;
use serde_json::{Map, Value, json};

/// Annotations of a manifest that name the image that it was built on.
const BASE_NAME: &str = "org.opencontainers.image.base.name";
const BASE_DIGEST: &str = "org.opencontainers.image.base.digest";

/// Media types of manifests that list other manifests.
const INDEXES: [&str; 2] =
    ["application/vnd.oci.image.index.v1+json", "application/vnd.docker.distribution.manifest.list.v2+json"];
/// Media types of what `config` of a manifest names, if it configures containers.
const CONFIGS: [&str; 2] =
    ["application/vnd.oci.image.config.v1+json", "application/vnd.docker.container.image.v1+json"];

/// The manifest of an image, or an index of several, as it was pushed.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct Document {
    schema_version: u64,
    media_type: Option<String>,
    config: Option<Descriptor>,
    layers: Option<Vec<Descriptor>>,
    manifests: Option<Vec<Descriptor>>,
    annotations: Option<Map<String, Value>>,
    subject: Option<Descriptor>,
}

/// Names some content. What says nothing about a field that rules expect has it empty.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct Descriptor {
    pub(crate) media_type: String,
    pub(crate) size: u64,
    pub(crate) digest: String,
    data: Option<String>,
    urls: Option<Vec<String>>,
    annotations: Option<Map<String, Value>>,
    artifact_type: Option<String>,
    pub(crate) platform: Option<Platform>,
}

#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default)]
pub(crate) struct Platform {
    pub(crate) architecture: String,
    pub(crate) os: String,
    #[serde(rename = "os.version")]
    os_version: Option<String>,
    #[serde(rename = "os.features")]
    os_features: Option<Vec<String>>,
    pub(crate) variant: Option<String>,
}

/// What a manifest is, when it is neither image nor index, or both.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub(crate) struct Unreadable(String);

impl Document {
    pub(crate) fn parse(manifest: &Manifest) -> Result<Self, Unreadable> {
        let document: Self = serde_json::from_slice(&manifest.bytes).map_err(|error| {
            Unreadable(format!("{}: its manifest is malformed: {error}", manifest.reference))
        })?;
        // Who pushes both has readers that see different images.
        match (&document.manifests, &document.layers, &document.config) {
            (Some(_), None, None) | (None, Some(_), Some(_)) => Ok(document),
            _ => Err(Unreadable(format!(
                "{}: its manifest is neither an image nor an index of images",
                manifest.reference
            ))),
        }
    }

    /// The manifests of an index; `None` for an image.
    pub(crate) fn manifests(&self) -> Option<&[Descriptor]> {
        self.manifests.as_deref()
    }

    /// From the lowest up.
    pub(crate) fn layers(&self) -> &[Descriptor] {
        self.layers.as_deref().unwrap_or_default()
    }

    pub(crate) fn config(&self) -> Option<&Descriptor> {
        self.config.as_ref()
    }

    /// The image that this was built on, if it is known by its digest.
    pub(crate) fn parent(&self) -> Option<Reference> {
        let text = |key| self.annotations.as_ref()?.get(key)?.as_str();
        let name: Reference = text(BASE_NAME)?.parse().ok()?;
        let digest = text(BASE_DIGEST).and_then(|digest| digest.parse::<Digest>().ok());
        digest.or_else(|| name.digest().cloned()).map(|digest| name.at(digest))
    }

    /// `{schemaVersion, mediaType, config, layers, annotations, subject?}`.
    pub(crate) fn image_manifest(&self, served_as: &str) -> Option<Value> {
        let layers: Vec<Value> = self.layers.as_ref()?.iter().map(Descriptor::value).collect();
        let mut value = self.common(served_as);
        value.insert("config".to_owned(), self.config.as_ref()?.value());
        value.insert("layers".to_owned(), layers.into());
        Some(value.into())
    }

    /// `{schemaVersion, mediaType, manifests, annotations, subject?}`.
    pub(crate) fn image_index(&self, served_as: &str) -> Option<Value> {
        let manifests: Vec<Value> = self.manifests.as_ref()?.iter().map(Descriptor::value).collect();
        let mut value = self.common(served_as);
        value.insert("manifests".to_owned(), manifests.into());
        Some(value.into())
    }

    fn common(&self, served_as: &str) -> Map<String, Value> {
        let mut value = Map::new();
        value.insert("schemaVersion".to_owned(), self.schema_version.into());
        value.insert("mediaType".to_owned(), self.media_type.as_deref().unwrap_or(served_as).into());
        value.insert("annotations".to_owned(), self.annotations.clone().unwrap_or_default().into());
        if let Some(subject) = &self.subject {
            value.insert("subject".to_owned(), subject.value());
        }
        value
    }
}

impl Descriptor {
    /// What a registry says of a manifest without its content.
    pub(crate) fn of(manifest: &Manifest) -> Self {
        let said = serde_json::from_slice::<Document>(&manifest.bytes).unwrap_or_default();
        Self {
            media_type: said.media_type.unwrap_or_else(|| manifest.media_type.clone()),
            size: manifest.bytes.len() as u64,
            digest: manifest.digest.to_string(),
            annotations: said.annotations,
            ..Self::default()
        }
    }

    /// Whether it configures containers, in contrast to what other artifacts have there.
    pub(crate) fn is_image_config(&self) -> bool {
        CONFIGS.contains(&self.media_type.as_str())
    }

    pub(crate) fn value(&self) -> Value {
        let mut value = json!({
            "mediaType": self.media_type,
            "size": self.size,
            "digest": self.digest,
            "data": self.data.as_deref().unwrap_or_default(),
            "urls": self.urls.as_deref().unwrap_or_default(),
            "annotations": self.annotations.clone().unwrap_or_default(),
            "artifactType": self.artifact_type.as_deref().unwrap_or_default(),
        });
        if let Some(platform) = &self.platform {
            value["platform"] = json!({
                "architecture": platform.architecture,
                "os": platform.os,
                "os.version": platform.os_version.as_deref().unwrap_or_default(),
                "os.features": platform.os_features.as_deref().unwrap_or_default(),
                "variant": platform.variant.as_deref().unwrap_or_default(),
            });
        }
        value
    }
}

/// Whether a media type is that of an index.
pub(crate) fn is_index(media_type: &str) -> bool {
    INDEXES.contains(&media_type)
}

/// What of an image's configuration matters here.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default)]
pub(crate) struct ImageConfig {
    pub(crate) architecture: String,
    pub(crate) os: String,
    /// `Labels`, `Env`, `Cmd` and so on: what rules see.
    pub(crate) config: Option<Map<String, Value>>,
}

impl ImageConfig {
    pub(crate) fn parse(bytes: &Bytes) -> Result<Self, Unreadable> {
        serde_json::from_slice(bytes)
            .map_err(|error| Unreadable(format!("the configuration of the image is malformed: {error}")))
    }

    pub(crate) fn label(&self, name: &str) -> Option<&str> {
        self.config.as_ref()?.get("Labels")?.get(name)?.as_str()
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    fn manifest(content: &Value) -> Manifest {
        let bytes = content.to_string().into_bytes();
        let digest = Digest::of(&bytes);
        let reference: Reference = "registry.example/app:v1".parse().unwrap();
        Manifest {
            reference: reference.at(digest.clone()),
            digest,
            media_type: "application/vnd.oci.image.manifest.v1+json".to_owned(),
            bytes,
        }
    }

    fn image(annotations: &Value) -> Document {
        let content = json!({"schemaVersion": 2, "config": {"digest": "sha256:c"}, "layers": [], "annotations": annotations});
        Document::parse(&manifest(&content)).unwrap()
    }

    #[test]
    fn shows_a_manifest_with_all_fields() {
        let content = json!({
            "schemaVersion": 2,
            "config": {"mediaType": CONFIGS[0], "digest": "sha256:c", "size": 2},
            "layers": [{"mediaType": "m", "digest": "sha256:l", "size": 3, "annotations": {"a": "b"}}],
            "subject": {"digest": "sha256:s"},
        });
        let manifest = manifest(&content);
        let shown = Document::parse(&manifest).unwrap().image_manifest(&manifest.media_type).unwrap();
        insta::assert_json_snapshot!(shown);
        assert_eq!(Document::parse(&manifest).unwrap().image_index(""), None);
    }

    #[test]
    fn shows_an_index_with_platforms() {
        let content = json!({"schemaVersion": 2, "mediaType": INDEXES[0], "manifests": [
            {"mediaType": "m", "digest": "sha256:a", "size": 1, "platform": {"os": "linux", "architecture": "arm64"}},
        ]});
        let document = Document::parse(&manifest(&content)).unwrap();
        insta::assert_json_snapshot!(document.image_index("").unwrap());
        assert_eq!(document.image_manifest(""), None);
    }

    #[rstest]
    #[case::nothing(json!({}))]
    #[case::both(json!({"manifests": [], "layers": [], "config": {}}))]
    #[case::no_object(json!([]))]
    #[case::image_without_config(json!({"layers": []}))]
    #[case::size_below_zero(json!({"layers": [{"size": -1}], "config": {}}))]
    fn refuses(#[case] content: Value) {
        Document::parse(&manifest(&content)).unwrap_err();
    }

    #[rstest]
    #[case::none(json!({}), None)]
    #[case::without_digest(json!({BASE_NAME: "registry.example/base:1"}), None)]
    #[case::with_digest(json!({BASE_NAME: "registry.example/base:1", BASE_DIGEST: Digest::of(b"").as_str()}), Some("registry.example/base"))]
    #[case::digest_in_the_name(json!({BASE_NAME: format!("registry.example/base@{}", Digest::of(b""))}), Some("registry.example/base"))]
    #[case::no_name(json!({BASE_NAME: "://", BASE_DIGEST: Digest::of(b"").as_str()}), None)]
    fn finds_the_parent(#[case] annotations: Value, #[case] expected: Option<&str>) {
        let parent = image(&annotations).parent().map(|parent| parent.to_string());
        assert_eq!(parent, expected.map(|name| format!("{name}@{}", Digest::of(b""))));
    }
}
