//! Tags of attachments, and what they are attached to. Pure.

use std::collections::HashSet;

use data_encoding::HEXLOWER;

/// A SHA-256.
pub(super) type Hash = [u8; 32];

/// What is attached, by the end of its tag: by the convention of cosign, and what build pipelines do in addition.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) enum Kind {
    Sbom,
    Attestation,
    Source,
    Signature,
    Dockerfile,
    /// The list of what refers to an image, where a registry has no API for that (OCI distribution specification).
    Referrers,
}

impl Kind {
    const ALL: [Self; 6] =
        [Self::Sbom, Self::Attestation, Self::Source, Self::Signature, Self::Dockerfile, Self::Referrers];

    const fn suffix(self) -> &'static str {
        match self {
            Self::Sbom => ".sbom",
            Self::Attestation => ".att",
            Self::Source => ".src",
            Self::Signature => ".sig",
            Self::Dockerfile => ".dockerfile",
            Self::Referrers => "",
        }
    }
}

/// The tag `sha256-<hex><suffix>`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct Attachment {
    /// Digest of the image that it is attached to.
    pub(super) subject: Hash,
    pub(super) kind: Kind,
}

impl Attachment {
    /// `None` for any other tag; also for what has not the length of a digest and may be anything.
    pub(super) fn parse(tag: &str) -> Option<Self> {
        let rest = tag.strip_prefix("sha256-")?;
        let (hex, suffix) = rest.split_at_checked(64)?;
        let kind = Kind::ALL.into_iter().find(|kind| kind.suffix() == suffix)?;
        Some(Self { subject: hash(hex)?, kind })
    }

    pub(super) fn tag(self) -> String {
        format!("sha256-{}{}", HEXLOWER.encode(&self.subject), self.kind.suffix())
    }

    /// Digest of the image that it is attached to.
    pub(super) fn subject_digest(self) -> String {
        format!("sha256:{}", HEXLOWER.encode(&self.subject))
    }
}

/// Of `sha256:<hex>`.
pub(super) fn digest(text: &str) -> Option<Hash> {
    hash(text.strip_prefix("sha256:")?)
}

fn hash(hex: &str) -> Option<Hash> {
    HEXLOWER.decode(hex.as_bytes()).ok()?.try_into().ok()
}

/// What is known of a repository after all its tags were seen.
#[derive(Debug, Default)]
pub(super) struct Seen {
    digests: HashSet<Hash>,
    attachments: Vec<Attachment>,
    /// Tags `<tag>` of which there is a `<tag>.src` that is no attachment by digest: an older convention.
    named_sources: Vec<String>,
    tags: u64,
}

impl Seen {
    pub(super) fn add(&mut self, tag: &str, names: &str) {
        self.tags += 1;
        self.digests.extend(digest(names));
        if let Some(attachment) = Attachment::parse(tag) {
            self.attachments.push(attachment);
        } else if let Some(image) = tag.strip_suffix(Kind::Source.suffix()).filter(|image| !image.is_empty())
        {
            self.named_sources.push(image.to_owned());
        }
    }

    pub(super) fn tags(&self) -> u64 {
        self.tags
    }

    /// Attachments of images that no tag names. Whether they are really gone the registry has to say: a tag may have moved on, or
    /// come while the list was read.
    pub(super) fn orphans(&self) -> impl Iterator<Item = Attachment> {
        self.attachments.iter().copied().filter(|attachment| !self.digests.contains(&attachment.subject))
    }

    /// Sources by the name of a tag.
    pub(super) fn named_sources(&self) -> &[String] {
        &self.named_sources
    }

    /// Whether the source of this image is attached by digest.
    pub(super) fn has_source(&self, image: Hash) -> bool {
        self.attachments.contains(&Attachment { subject: image, kind: Kind::Source })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rstest::rstest;

    use super::*;

    const A: &str = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";
    const B: &str = "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb";

    #[rstest]
    #[case::sbom(&format!("sha256-{A}.sbom"), Some(Kind::Sbom))]
    #[case::attestation(&format!("sha256-{A}.att"), Some(Kind::Attestation))]
    #[case::source(&format!("sha256-{A}.src"), Some(Kind::Source))]
    #[case::signature(&format!("sha256-{A}.sig"), Some(Kind::Signature))]
    #[case::dockerfile(&format!("sha256-{A}.dockerfile"), Some(Kind::Dockerfile))]
    #[case::referrers(&format!("sha256-{A}"), Some(Kind::Referrers))]
    #[case::other_end(&format!("sha256-{A}.sigs"), None)]
    #[case::something_before(&format!("x-sha256-{A}.sig"), None)]
    #[case::short("sha256-abc.sig", None)]
    #[case::upper(&format!("sha256-{}.sig", A.to_uppercase()), None)]
    #[case::too_long(&format!("sha256-{A}a.sig"), None)]
    #[case::version("v1", None)]
    #[case::no_ascii("sha256-äääääääääääääääääääääääääääääääää.sig", None)]
    fn parses(#[case] tag: &str, #[case] expected: Option<Kind>) {
        let parsed = Attachment::parse(tag);
        assert_eq!(parsed.map(|attachment| attachment.kind), expected);
        assert_eq!(parsed.map(Attachment::tag).unwrap_or(tag.to_owned()), tag);
    }

    #[test]
    fn attachments_of_images_without_a_tag_are_orphans() {
        let mut seen = Seen::default();
        seen.add("v1", &format!("sha256:{A}"));
        for subject in [A, B] {
            seen.add(&format!("sha256-{subject}.sig"), "sha256:0");
        }
        let orphans: Vec<_> = seen.orphans().map(Attachment::subject_digest).collect();
        assert_eq!(orphans, [format!("sha256:{B}")]);
        assert_eq!(seen.tags(), 3);
    }

    #[test]
    fn an_attachment_can_have_attachments() {
        let mut seen = Seen::default();
        // An SBOM of something that is tagged, signed itself.
        seen.add("v1", &format!("sha256:{A}"));
        seen.add(&format!("sha256-{A}.sbom"), &format!("sha256:{B}"));
        seen.add(&format!("sha256-{B}.sig"), "sha256:0");
        assert_eq!(seen.orphans().count(), 0);
    }

    #[test]
    fn sources_by_tag_are_kept_apart() {
        let mut seen = Seen::default();
        seen.add("v1.src", "sha256:0");
        seen.add(".src", "sha256:0");
        seen.add(&format!("sha256-{A}.src"), "sha256:0");
        assert_eq!(seen.named_sources(), ["v1"]);
        assert!(seen.has_source(hash(A).unwrap()) && !seen.has_source(hash(B).unwrap()));
    }

    proptest! {
        #[test]
        fn whatever_is_parsed_is_written_the_same(tag in "(sha256-)?[0-9a-f]{60,66}(\\.[a-z]{1,5})?|\\PC{0,80}") {
            if let Some(attachment) = Attachment::parse(&tag) {
                prop_assert_eq!(attachment.tag(), tag);
            }
        }
    }
}
