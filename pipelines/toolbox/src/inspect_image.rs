//! `inspect-image`: what an image stands on, as its annotations say.

use std::path::PathBuf;

use anyhow::Context as _;
use registry::{Document, Reference};
use serde_json::Value;

use crate::context::Context;
use crate::test_output::{self, TestOutput};
use crate::{image, results};

const NAME: &str = "org.opencontainers.image.base.name";
const DIGEST: &str = "org.opencontainers.image.base.digest";

/// Says what an image stands on.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[arg(long)]
    image_url: String,
    #[arg(long)]
    image_digest: String,
    /// Base image by its digest.
    #[arg(long, value_name = "PATH")]
    result_base_image: PathBuf,
    /// Its repository.
    #[arg(long, value_name = "PATH")]
    result_base_image_repository: PathBuf,
    #[arg(long, value_name = "PATH")]
    result_test_output: PathBuf,
}

pub async fn run(args: Args, context: &Context) -> anyhow::Result<()> {
    let now = context.clock.now();
    let check = async {
        let base = base(&args, context).await?;
        let (base, repository) = base.map_or_else(Default::default, |base| (base.to_string(), base.name()));
        results::write(&args.result_base_image, &base)?;
        results::write(&args.result_base_image_repository, &repository)?;
        let note = if base.is_empty() {
            "The image names no base image.".to_owned()
        } else {
            format!("Base image: {base}")
        };
        Ok(TestOutput::counted(1, 0, 0, now).note(note))
    };
    test_output::report(&args.result_test_output, "inspect-image", now, check).await
}

/// Of the first image of an index: all stand on the same one.
async fn base(args: &Args, context: &Context) -> anyhow::Result<Option<Reference>> {
    let reference = image::pinned(&args.image_url, &args.image_digest)?;
    let mut manifest = context.registry.manifest(&reference, &context.keychain).await?;
    if let Document::Index(images) = manifest.document()? {
        let is_amd64 = |platform: &registry::Platform| platform.architecture == "amd64";
        let chosen = images.iter().find(|image| image.platform.as_ref().is_some_and(is_amd64));
        let chosen = chosen.or_else(|| images.first()).context("the index has no image")?;
        manifest = context.registry.manifest(&reference.at(chosen.digest.clone()), &context.keychain).await?;
    }
    let read: Value = serde_json::from_slice(&manifest.bytes)?;
    let annotation = |name: &str| read["annotations"][name].as_str().filter(|value| !value.is_empty());
    let Some(name) = annotation(NAME) else { return Ok(None) };
    let base: Reference = name.parse().with_context(|| format!("annotation {NAME}"))?;
    match annotation(DIGEST) {
        Some(digest) => Ok(Some(base.at(digest.parse().with_context(|| format!("annotation {DIGEST}"))?))),
        None => Ok(Some(base)),
    }
}

#[cfg(test)]
mod tests {
    use registry::Digest;
    use serde_json::json;

    use super::*;
    use crate::image::MANIFEST;
    use crate::testing::World;

    #[tokio::test]
    async fn says_what_the_annotations_say() {
        let world = World::new();
        let inspect = async |annotations: Value| {
            let manifest = json!({"config": {"digest": Digest::of(b"").as_str()}, "layers": [], "annotations": annotations});
            let digest = world.registry.push_manifest("app", "", MANIFEST, manifest.to_string().as_bytes());
            let digest = format!("--image-digest={digest}");
            let flags = [
                "inspect-image",
                "--image-url=^app:v1",
                &digest,
                "--result-base-image=@results/BASE_IMAGE",
                "--result-base-image-repository=@results/BASE_IMAGE_REPOSITORY",
                "--result-test-output=@results/TEST_OUTPUT",
            ];
            world.run(&flags).await.unwrap();
            (
                world.result("BASE_IMAGE"),
                world.result("BASE_IMAGE_REPOSITORY"),
                world.output()["result"].clone(),
            )
        };
        let digest = Digest::of(b"base");
        let both = inspect(json!({NAME: "r.example/base:1", DIGEST: digest.as_str()})).await;
        assert_eq!(both, (format!("r.example/base@{digest}"), "r.example/base".to_owned(), json!("SUCCESS")));
        assert_eq!(inspect(json!({})).await, (String::new(), String::new(), json!("SUCCESS")));
        // Also what went wrong is a result.
        assert_eq!(inspect(json!({NAME: "R.example/BASE"})).await.2, json!("ERROR"));
    }
}
