//! The images that a build stands on, by digest.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::Context as _;
use futures::{StreamExt as _, TryStreamExt as _};
use registry::Reference;
use serde::{Deserialize, Serialize};

use super::dockerfile::Dockerfile;
use crate::context::{Context, say};

/// Images that are asked for at once.
const TOGETHER: usize = 3;

/// A base image, for the SBOM.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BaseImage {
    /// Number of the stage that stands on it.
    pub stage: usize,
    /// With its tag, without its digest.
    pub name: String,
    pub digest: String,
    /// Whether the built image stands on it; others only helped to build it.
    pub is_final: bool,
}

/// What the images' names lead to now, by their names as the Dockerfile has them, completed.
pub(super) async fn resolve(
    images: BTreeSet<String>,
    context: &Context,
) -> anyhow::Result<BTreeMap<String, Reference>> {
    let resolved = futures::stream::iter(images).map(async |name| {
        let reference: Reference = name.parse()?;
        let digest = if let Some(digest) = reference.digest() {
            digest.clone()
        } else {
            let manifest = context.registry.manifest(&reference, &context.keychain).await;
            manifest.with_context(|| format!("find base image {name}"))?.digest
        };
        anyhow::Ok((name, reference.at(digest)))
    });
    resolved.buffer_unordered(TOGETHER).try_collect().await
}

/// `name:tag@digest` of a base image, with `<none>` for a tag that it does not have.
fn line(reference: &Reference, pinned: &Reference) -> String {
    let digest = pinned.digest().map(ToString::to_string).unwrap_or_default();
    format!("{}:{}@{digest}", reference.name(), reference.tag().unwrap_or("<none>"))
}

/// Result `BASE_IMAGES_DIGESTS`: a line for each `FROM`, in order.
pub(super) fn lines(dockerfile: &Dockerfile, target: usize, pinned: &BTreeMap<String, Reference>) -> String {
    let lines = dockerfile.bases(target).filter_map(|(_, reference)| {
        let pinned = pinned.get(&reference.to_string())?;
        Some(line(reference, pinned) + "\n")
    });
    lines.collect()
}

/// What the SBOM says of the base images.
pub(super) fn described(
    dockerfile: &Dockerfile,
    target: usize,
    pinned: &BTreeMap<String, Reference>,
) -> Vec<BaseImage> {
    let last = dockerfile.final_base(target);
    let images = dockerfile.bases(target).filter_map(|(stage, reference)| {
        let digest = pinned.get(&reference.to_string())?.digest()?.to_string();
        let name = match reference.tag() {
            Some(tag) => format!("{}:{tag}", reference.name()),
            None => reference.name(),
        };
        Some(BaseImage { stage, name, digest, is_final: last == Some(stage) })
    });
    images.collect()
}

/// Shows what the build stands on.
pub(super) fn show(images: &[BaseImage]) {
    for image in images {
        say(&format!("Stage {} stands on {}@{}", image.stage, image.name, image.digest));
    }
}

#[cfg(test)]
mod tests {
    use registry::Digest;

    use super::*;
    use crate::build::expand::Variables;

    #[test]
    fn has_a_line_for_each_from_and_one_final_image() {
        let digest = Digest::of(b"");
        let text = format!(
            "FROM a.example/a:1 AS one\nFROM scratch AS none\nFROM b.example/b@{digest}\nFROM a.example/a:1 AS again\nFROM again"
        );
        let dockerfile = Dockerfile::parse(&text, &Variables::new()).unwrap();
        let pinned = dockerfile
            .images(4)
            .into_iter()
            .map(|name| (name.clone(), name.parse::<Reference>().unwrap().at(digest.clone())))
            .collect();
        let expected = [
            format!("a.example/a:1@{digest}\n"),
            format!("b.example/b:<none>@{digest}\n"),
            format!("a.example/a:1@{digest}\n"),
        ];
        assert_eq!(lines(&dockerfile, 4, &pinned), expected.concat());
        let described = described(&dockerfile, 4, &pinned);
        let shown: Vec<_> =
            described.iter().map(|image| (image.stage, image.name.as_str(), image.is_final)).collect();
        assert_eq!(
            shown,
            [(0, "a.example/a:1", false), (2, "b.example/b", false), (3, "a.example/a:1", true)]
        );
    }
}
