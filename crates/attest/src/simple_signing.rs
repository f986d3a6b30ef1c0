//! Payloads of image signatures: "simple signing", the form of containers/image that cosign took over.

use registry::Digest;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// What kind of document the payload is.
const KIND: &str = "cosign container image signature";

/// What is signed of an image.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Payload {
    critical: Critical,
    #[serde(default)]
    optional: Option<Map<String, Value>>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Critical {
    identity: Identity,
    image: Image,
    #[serde(rename = "type")]
    kind: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Identity {
    docker_reference: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Image {
    docker_manifest_digest: String,
}

/// Why a payload says nothing about an image.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadPayload {
    #[error("the payload of the signature cannot be read: {0}")]
    Unreadable(String),
    #[error("the payload of the signature is a {0:?}, not a {KIND:?}")]
    Kind(String),
    #[error("the signature is for {found}, not for {wanted}")]
    OtherImage { found: String, wanted: Digest },
}

impl Payload {
    /// What is signed of the image with this manifest in `repository`: always the same bytes.
    pub fn for_image(repository: &str, manifest: &Digest) -> Vec<u8> {
        let payload = Self {
            critical: Critical {
                identity: Identity { docker_reference: repository.to_owned() },
                image: Image { docker_manifest_digest: manifest.to_string() },
                kind: KIND.to_owned(),
            },
            optional: None,
        };
        serde_json::to_vec(&payload).expect("strings are JSON")
    }

    pub fn parse(bytes: &[u8]) -> Result<Self, BadPayload> {
        let payload: Self =
            serde_json::from_slice(bytes).map_err(|error| BadPayload::Unreadable(error.to_string()))?;
        if payload.critical.kind == KIND {
            Ok(payload)
        } else {
            Err(BadPayload::Kind(payload.critical.kind.chars().take(100).collect()))
        }
    }

    /// Whether it is about the image with this manifest. In which repository that is does not matter: copies stay valid.
    pub fn claims(&self, manifest: &Digest) -> Result<(), BadPayload> {
        let found = &self.critical.image.docker_manifest_digest;
        if found == manifest.as_str() {
            return Ok(());
        }
        Err(BadPayload::OtherImage { found: found.chars().take(100).collect(), wanted: manifest.clone() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn is_what_cosign_signs() {
        let digest = Digest::of(b"manifest");
        let bytes = Payload::for_image("registry.example/org/app", &digest);
        let expected = format!(
            r#"{{"critical":{{"identity":{{"docker-reference":"registry.example/org/app"}},"image":{{"docker-manifest-digest":"{digest}"}},"type":"cosign container image signature"}},"optional":null}}"#
        );
        assert_eq!(String::from_utf8(bytes.clone()).unwrap(), expected);
        let payload = Payload::parse(&bytes).unwrap();
        payload.claims(&digest).unwrap();
        let error = payload.claims(&Digest::of(b"other")).unwrap_err().to_string();
        assert!(error.contains(digest.as_str()), "{error}");
    }

    #[test]
    fn is_nothing_else() {
        for text in ["", "{}", "null", r#"{"critical":null}"#] {
            assert!(matches!(Payload::parse(text.as_bytes()), Err(BadPayload::Unreadable(_))), "{text}");
        }
        let bytes = Payload::for_image("app", &Digest::of(b""));
        let other = String::from_utf8(bytes).unwrap().replace(KIND, "atomic container signature");
        assert!(matches!(Payload::parse(other.as_bytes()), Err(BadPayload::Kind(_))));
    }
}
