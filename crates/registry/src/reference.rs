//! Names of images.

use std::fmt;
use std::str::FromStr;

use sha2::{Digest as _, Sha256};

/// Where images are whose name begins with no registry.
const DEFAULT_REGISTRY: &str = "docker.io";
/// Who serves the API of [`DEFAULT_REGISTRY`].
const DEFAULT_HOST: &str = "registry-1.docker.io";
const TAG_RULE: &str = "a tag has up to 128 letters, digits, and _ . - after the first";
/// Longest name of registry and repository together.
const MAX_NAME: usize = 255;

/// The SHA-256 of some content: `sha256:` and 64 lower-case hexadecimal digits.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Digest(String);

impl Digest {
    pub fn of(content: &[u8]) -> Self {
        Self::from_hash(Sha256::new_with_prefix(content))
    }

    pub fn from_hash(hash: Sha256) -> Self {
        Self(format!("sha256:{}", data_encoding::HEXLOWER.encode(&hash.finalize())))
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Without the name of the algorithm.
    pub fn hex(&self) -> &str {
        self.0.trim_start_matches("sha256:")
    }
}

impl FromStr for Digest {
    type Err = InvalidReference;

    fn from_str(text: &str) -> Result<Self, InvalidReference> {
        let is_hex = |byte: u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
        match text.strip_prefix("sha256:") {
            Some(hex) if hex.len() == 64 && hex.bytes().all(is_hex) => Ok(Self(text.to_owned())),
            _ => Err(invalid(text, "a digest is sha256: and 64 lower-case hexadecimal digits")),
        }
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// `[registry/]repository[:tag][@digest]`, complete: `busybox` is `docker.io/library/busybox:latest`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Reference {
    registry: String,
    repository: String,
    tag: Option<String>,
    digest: Option<Digest>,
}

/// What is no name of an image.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is no image reference: {why}; an example is registry.example/org/app:v1")]
pub struct InvalidReference {
    text: String,
    why: &'static str,
}

fn invalid(text: &str, why: &'static str) -> InvalidReference {
    InvalidReference { text: text.chars().take(MAX_NAME).collect(), why }
}

impl Reference {
    /// Host, and port if there is one.
    pub fn registry(&self) -> &str {
        &self.registry
    }

    /// Path within the registry.
    pub fn repository(&self) -> &str {
        &self.repository
    }

    pub fn tag(&self) -> Option<&str> {
        self.tag.as_deref()
    }

    pub fn digest(&self) -> Option<&Digest> {
        self.digest.as_ref()
    }

    /// Registry and repository.
    pub fn name(&self) -> String {
        format!("{}/{}", self.registry, self.repository)
    }

    /// The same repository, at this content.
    #[must_use]
    pub fn at(&self, digest: Digest) -> Self {
        Self { tag: None, digest: Some(digest), ..self.clone() }
    }

    /// The same repository, by this tag.
    pub fn tagged(&self, tag: &str) -> Result<Self, InvalidReference> {
        if !is_tag(tag) {
            return Err(invalid(tag, TAG_RULE));
        }
        Ok(Self { tag: Some(tag.to_owned()), digest: None, ..self.clone() })
    }

    /// Who serves the registry's API.
    pub(crate) fn host(&self) -> &str {
        if self.registry == DEFAULT_REGISTRY { DEFAULT_HOST } else { &self.registry }
    }

    /// What a manifest is asked by: the digest, where there is one.
    pub(crate) fn version(&self) -> &str {
        self.digest.as_ref().map_or_else(|| self.tag.as_deref().unwrap_or("latest"), Digest::as_str)
    }
}

impl FromStr for Reference {
    type Err = InvalidReference;

    fn from_str(text: &str) -> Result<Self, InvalidReference> {
        let (rest, digest) = match text.split_once('@') {
            Some((rest, digest)) => {
                (rest, Some(digest.parse::<Digest>().map_err(|error| invalid(text, error.why))?))
            }
            None => (text, None),
        };
        let (first, path) = match rest.split_once('/') {
            Some((first, path)) if first.contains(['.', ':']) || first == "localhost" => (Some(first), path),
            _ => (None, rest),
        };
        let (path, tag) = match path.split_once(':') {
            Some((path, tag)) => (path, Some(tag)),
            None => (path, None),
        };
        let registry = canonical_registry(first.unwrap_or(DEFAULT_REGISTRY));
        if !is_registry(&registry) {
            return Err(invalid(text, "the registry is a host name, and :port"));
        }
        let repository = if registry == DEFAULT_REGISTRY && !path.contains('/') {
            format!("library/{path}")
        } else {
            path.to_owned()
        };
        if !repository.split('/').all(is_component) || registry.len() + repository.len() > MAX_NAME {
            return Err(invalid(
                text,
                "a repository is made of lower-case letters, digits, and . _ - / between them",
            ));
        }
        if tag.is_some_and(|tag| !is_tag(tag)) {
            return Err(invalid(text, TAG_RULE));
        }
        let tag = match (tag, &digest) {
            (None, None) => Some("latest".to_owned()),
            (tag, _) => tag.map(str::to_owned),
        };
        Ok(Self { registry, repository, tag, digest })
    }
}

impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.registry, self.repository)?;
        if let Some(tag) = &self.tag {
            write!(f, ":{tag}")?;
        }
        self.digest.as_ref().map_or(Ok(()), |digest| write!(f, "@{digest}"))
    }
}

/// One name for a registry that has several.
pub(crate) fn canonical_registry(host: &str) -> String {
    let host = host.to_ascii_lowercase();
    if [DEFAULT_HOST, "index.docker.io"].contains(&host.as_str()) {
        DEFAULT_REGISTRY.to_owned()
    } else {
        host
    }
}

fn is_registry(host: &str) -> bool {
    let (name, port) = match host.rsplit_once(':') {
        Some((name, port)) if !port.contains(']') => (name, Some(port)),
        _ => (host, None),
    };
    let is_name = |name: &str| {
        let inner = name.strip_prefix('[').and_then(|name| name.strip_suffix(']'));
        match inner {
            Some(address) => address.parse::<std::net::Ipv6Addr>().is_ok(),
            None => name.split('.').all(|label| {
                label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
                    && !label.is_empty()
                    && !label.starts_with('-')
            }),
        }
    };
    is_name(name) && port.is_none_or(|port| port.parse::<u16>().is_ok())
}

/// Lower-case letters and digits, with separators between them.
fn is_component(text: &str) -> bool {
    let is_word = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    let bytes = text.as_bytes();
    bytes.first().is_some_and(|byte| is_word(*byte))
        && bytes.last().is_some_and(|byte| is_word(*byte))
        && bytes.iter().all(|byte| is_word(*byte) || b"._-".contains(byte))
        && !text.contains("..")
}

fn is_tag(text: &str) -> bool {
    let is_word = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    let bytes = text.as_bytes();
    bytes.len() <= 128
        && bytes.first().is_some_and(|byte| is_word(*byte))
        && bytes.iter().all(|byte| is_word(*byte) || b".-".contains(byte))
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    const HEX: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

    #[rstest]
    #[case::short("busybox", "docker.io/library/busybox:latest")]
    #[case::with_organisation("org/app", "docker.io/org/app:latest")]
    #[case::other_names_of_the_default("index.docker.io/library/busybox:1", "docker.io/library/busybox:1")]
    #[case::registry("registry.example/app", "registry.example/app:latest")]
    #[case::port("localhost:5000/a/b:v1", "localhost:5000/a/b:v1")]
    #[case::localhost("localhost/app", "localhost/app:latest")]
    #[case::upper_case_host("Registry.Example/app", "registry.example/app:latest")]
    #[case::ipv6("[::1]:5000/app", "[::1]:5000/app:latest")]
    #[case::separators("registry.example/a.b_c__d--e", "registry.example/a.b_c__d--e:latest")]
    fn completes(#[case] text: &str, #[case] expected: &str) {
        assert_eq!(text.parse::<Reference>().unwrap().to_string(), expected);
    }

    #[test]
    fn a_digest_needs_no_tag_and_wins_over_one() {
        let reference: Reference = format!("registry.example/app@sha256:{HEX}").parse().unwrap();
        assert_eq!(reference.to_string(), format!("registry.example/app@sha256:{HEX}"));
        let reference: Reference = format!("registry.example/app:v1@sha256:{HEX}").parse().unwrap();
        assert_eq!(reference.version(), format!("sha256:{HEX}"));
        assert_eq!(Digest::of(b"").hex(), HEX);
    }

    #[test]
    fn a_tag_takes_the_place_of_tag_and_digest() {
        let reference: Reference = format!("registry.example/app:v1@sha256:{HEX}").parse().unwrap();
        assert_eq!(reference.tagged("v2").unwrap().to_string(), "registry.example/app:v2");
        assert!(reference.tagged("a b").is_err() && reference.tagged("").is_err());
    }

    #[rstest]
    #[case::empty("")]
    #[case::upper_case("registry.example/App")]
    #[case::no_repository("registry.example/")]
    #[case::parent("registry.example/../app")]
    #[case::separator_at_an_end("registry.example/app-")]
    #[case::tag("app:")]
    #[case::long_tag(&format!("app:{}", "a".repeat(129)))]
    #[case::short_digest("app@sha256:abc")]
    #[case::other_algorithm("app@md5:d41d8cd98f00b204e9800998ecf8427e")]
    #[case::port("registry.example:99999/app")]
    #[case::userinfo("user@registry.example/app")]
    #[case::query("registry.example/app?x")]
    #[case::space("registry.example/a b")]
    #[case::option("-registry.example/app")]
    #[case::address("https://registry.example/app")]
    fn refuses(#[case] text: &str) {
        let error = text.parse::<Reference>().unwrap_err().to_string();
        assert!(error.contains(&format!("{text:?}")), "{error}");
    }
}
