//! Images by digest.

use registry::{Digest, InvalidReference, Reference};

/// What a build named is no image by digest.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum InvalidImage {
    #[error("{digest:?} is no digest: sha256: and 64 lower-case hexadecimal digits are expected")]
    Digest { digest: String },
    #[error(transparent)]
    Reference(#[from] InvalidReference),
}

/// The image that was pushed to `url`, at `digest`. Tag and digest of `url` are dropped: the tag is what follows the last `:` after the
/// last `/`, for a registry may have a port.
pub(crate) fn image_of(url: &str, digest: &str) -> Result<String, InvalidImage> {
    let (url, digest) = (url.trim(), digest.trim());
    let untagged = url.split_once('@').map_or(url, |(name, _)| name);
    let last = untagged.rfind('/').map_or(0, |at| at + 1);
    let repository = untagged[last..].find(':').map_or(untagged, |colon| &untagged[..last + colon]);
    if digest.parse::<Digest>().is_err() {
        let digest = digest.chars().take(MOST_SHOWN).collect();
        return Err(InvalidImage::Digest { digest });
    }
    let image = format!("{repository}@{digest}");
    image.parse::<Reference>()?;
    Ok(image)
}

/// Characters of a wrong digest that are shown.
const MOST_SHOWN: usize = 100;

/// Whether `image` is `repository[:tag]@sha256:<64 hexadecimal digits>`.
pub(crate) fn is_digest_pullspec(image: &str) -> bool {
    image.parse::<Reference>().is_ok_and(|reference| reference.digest().is_some())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rstest::rstest;

    use super::*;

    const DIGEST: &str = "sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

    #[rstest]
    #[case::tag("quay.io/org/app:v1", "quay.io/org/app")]
    #[case::port_and_tag("reg.local:5000/t/x:tag", "reg.local:5000/t/x")]
    #[case::port_without_tag("reg.local:5000/t/x", "reg.local:5000/t/x")]
    #[case::digest("quay.io/org/app@sha256:0", "quay.io/org/app")]
    #[case::tag_and_digest("quay.io/org/app:v1@sha256:0", "quay.io/org/app")]
    #[case::blanks(" quay.io/org/app:v1\n", "quay.io/org/app")]
    fn keeps_the_port_when_dropping_the_tag(#[case] url: &str, #[case] repository: &str) {
        let image = image_of(url, &format!("{DIGEST}\n")).unwrap();
        assert_eq!(image, format!("{repository}@{DIGEST}"));
        assert!(is_digest_pullspec(&image));
    }

    #[rstest]
    #[case::short("quay.io/org/app:v1", "sha256:12", "digest")]
    #[case::upper_case("quay.io/org/app:v1", &DIGEST.to_uppercase(), "digest")]
    #[case::empty("quay.io/org/app:v1", "", "digest")]
    #[case::no_repository("", DIGEST, "image reference")]
    #[case::spaces("quay.io/org/a b", DIGEST, "image reference")]
    fn refuses_what_is_no_image(#[case] url: &str, #[case] digest: &str, #[case] names: &str) {
        let error = image_of(url, digest).unwrap_err().to_string();
        assert!(error.contains(names), "{error}");
    }

    #[rstest]
    #[case::by_digest(&format!("quay.io/org/app@{DIGEST}"), true)]
    #[case::with_tag(&format!("quay.io/org/app:v1@{DIGEST}"), true)]
    #[case::by_tag("quay.io/org/app:v1", false)]
    #[case::empty("", false)]
    fn knows_images_by_digest(#[case] image: &str, #[case] expected: bool) {
        assert_eq!(is_digest_pullspec(image), expected);
    }

    proptest! {
        #[test]
        fn takes_anything(url in ".{0,200}", digest in ".{0,200}") {
            if let Ok(image) = image_of(&url, &digest) {
                prop_assert!(is_digest_pullspec(&image));
            }
        }
    }
}
