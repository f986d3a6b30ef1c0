//! Images that an image was built from.

use std::collections::BTreeSet;
use std::str::FromStr;

use crate::package::Purl;

/// An image of a `FROM` line, by the digest that the build used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BaseImage {
    /// `host/path`, without tag and digest.
    pub repository: String,
    /// `sha256:<hex>`.
    pub digest: String,
    /// What it was to the build.
    pub stages: BTreeSet<Stage>,
}

/// What an image was to a build.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Stage {
    /// The last stage stands on it, so that its content is in the image.
    Base,
    /// The stage with this number, from 0, was built on it.
    Builder(u32),
}

impl Stage {
    /// Name and value of the property that says so: policies read them.
    pub fn property(self) -> (&'static str, String) {
        match self {
            Self::Base => ("konflux:container:is_base_image", "true".to_owned()),
            Self::Builder(stage) => ("konflux:container:is_builder_image:for_stage", stage.to_string()),
        }
    }

    /// Reads a property. `None` if it is about something else.
    pub fn of_property(name: &str, value: &str) -> Option<Self> {
        match name {
            "konflux:container:is_base_image" if value == "true" => Some(Self::Base),
            "konflux:container:is_builder_image:for_stage" => value.parse().ok().map(Self::Builder),
            _ => None,
        }
    }
}

/// Why something is no base image.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{given:?} is no base image: {reason}")]
pub struct BadBaseImage {
    given: String,
    reason: &'static str,
}

impl FromStr for BaseImage {
    type Err = BadBaseImage;

    /// Takes a line of the result BASE_IMAGES_DIGESTS, `name[:tag]@sha256:<hex>`; the tag may be `<none>`.
    fn from_str(text: &str) -> Result<Self, BadBaseImage> {
        let bad = |reason| BadBaseImage { given: text.chars().take(200).collect(), reason };
        let (name, digest) = text.trim().rsplit_once('@').ok_or_else(|| bad("it has no digest"))?;
        let hex = digest.strip_prefix("sha256:").ok_or_else(|| bad("its digest is not SHA-256"))?;
        if hex.len() != 64 || !hex.bytes().all(|c| matches!(c, b'0'..=b'9' | b'a'..=b'f')) {
            return Err(bad("its digest is not 64 lowercase hexadecimal digits"));
        }
        let repository = match name.rsplit_once(':') {
            // A colon before a slash is a port's.
            Some((repository, tag)) if !tag.contains('/') => repository,
            _ => name,
        };
        let plain = |c: char| c.is_ascii_alphanumeric() || "./-_:[]".contains(c);
        if repository.is_empty() || repository.ends_with('/') || !repository.chars().all(plain) {
            return Err(bad("its name is not host/path"));
        }
        Ok(Self { repository: repository.to_owned(), digest: digest.to_owned(), stages: BTreeSet::new() })
    }
}

impl BaseImage {
    /// Whether the build would find the same content under both.
    pub(crate) fn is_same(&self, other: &Self) -> bool {
        (&self.repository, &self.digest) == (&other.repository, &other.digest)
    }

    /// `pkg:oci/<last part of the name>@sha256:<hex>?repository_url=<repository>`, its slashes escaped.
    pub fn purl(&self) -> String {
        let name = self.repository.rsplit('/').next().unwrap_or(&self.repository);
        let purl = Purl::new("oci", name.to_owned()).and_then(|mut purl| {
            purl.with_version(self.digest.clone())?;
            purl.add_qualifier("repository_url", self.repository.clone())?;
            Ok(purl.to_string())
        });
        // A repository's last part is never empty: see `from_str`.
        purl.unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    const HEX: &str = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";

    #[rstest]
    #[case::tagged("quay.io/org/app:v1", "quay.io/org/app")]
    #[case::port("registry:5000/app", "registry:5000/app")]
    #[case::port_and_tag("registry:5000/app:v1", "registry:5000/app")]
    #[case::no_tag_known("quay.io/org/app:<none>", "quay.io/org/app")]
    fn tags_are_dropped(#[case] name: &str, #[case] repository: &str) {
        let image: BaseImage = format!("{name}@sha256:{HEX}\n").parse().unwrap();
        assert_eq!(image.repository, repository);
    }

    #[test]
    fn package_urls_name_repository_and_digest() {
        let image: BaseImage = format!("quay.io/org/app:v1@sha256:{HEX}").parse().unwrap();
        let purl: Purl = image.purl().parse().unwrap();
        assert_eq!((purl.name(), purl.version()), ("app", Some(&*image.digest)));
        assert_eq!(purl.qualifiers()["repository_url"], "quay.io/org/app");
    }

    #[rstest]
    #[case("scratch", "no digest")]
    #[case("a@sha512:00", "not SHA-256")]
    #[case("a@sha256:00", "64 lowercase")]
    #[case(&format!("@sha256:{HEX}"), "host/path")]
    #[case(&format!("a b@sha256:{HEX}"), "host/path")]
    fn others_are_refused_with_the_reason(#[case] given: &str, #[case] reason: &str) {
        let error = given.parse::<BaseImage>().unwrap_err().to_string();
        assert!(error.contains(reason), "{error}");
    }
}
