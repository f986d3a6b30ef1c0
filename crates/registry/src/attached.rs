//! What is attached to an image by a tag beside it, by cosign's convention: `sha256-<hex of the manifest>.<kind>`.

use crate::reference::{Digest, Reference};

/// What may be attached.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Attached {
    Signature,
    Attestation,
    Sbom,
    /// An image of the sources that an image was made of (Konflux's own).
    Source,
}

impl Attached {
    fn suffix(self) -> &'static str {
        match self {
            Self::Signature => "sig",
            Self::Attestation => "att",
            Self::Sbom => "sbom",
            Self::Source => "src",
        }
    }

    /// The tag under which this is, for the image with this manifest.
    pub fn tag(self, manifest: &Digest) -> String {
        format!("sha256-{}.{}", manifest.hex(), self.suffix())
    }

    /// Where this is, for the image with this manifest in `repository`.
    pub fn reference(self, repository: &Reference, manifest: &Digest) -> Reference {
        repository.tagged(&self.tag(manifest)).expect("hexadecimal digits and a suffix are a tag")
    }

    /// To which manifest a tag attaches what; `None` for all other tags.
    pub fn parse(tag: &str) -> Option<(Self, Digest)> {
        let (digest, suffix) = tag.split_once('.')?;
        let digest = digest.strip_prefix("sha256-").and_then(|hex| format!("sha256:{hex}").parse().ok())?;
        let kinds = [Self::Signature, Self::Attestation, Self::Sbom, Self::Source];
        kinds.into_iter().find(|kind| kind.suffix() == suffix).map(|kind| (kind, digest))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tag_names_the_manifest_and_what_is_attached() {
        let digest = Digest::of(b"manifest");
        for kind in [Attached::Signature, Attached::Attestation, Attached::Sbom, Attached::Source] {
            assert_eq!(Attached::parse(&kind.tag(&digest)), Some((kind, digest.clone())));
        }
        let repository: Reference = "registry.example/app:v1".parse().unwrap();
        let sbom = Attached::Sbom.reference(&repository, &digest).to_string();
        assert_eq!(sbom, format!("registry.example/app:sha256-{}.sbom", digest.hex()));
        for other in ["v1.0.sig", "sha256-abc.sig", &format!("sha256-{}.old", digest.hex()), "latest"] {
            assert_eq!(Attached::parse(other), None, "{other}");
        }
    }
}
