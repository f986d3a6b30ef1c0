//! `apply-tags`: further tags for an image.

use std::collections::BTreeSet;

use registry::Document;

use crate::context::{Context, say};
use crate::image;

/// Label of an image that names further tags, separated by commas or white space.
const LABEL: &str = "konflux.additional-tags";

/// Gives an image further tags: those of a parameter and those that it names in its label.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[arg(long)]
    image_url: String,
    #[arg(long)]
    image_digest: String,
    /// Several are separated by white space, or follow one another; there may be none.
    #[arg(long, num_args = 0..)]
    additional_tags: Vec<String>,
}

pub async fn run(args: Args, context: &Context) -> anyhow::Result<()> {
    let reference = image::pinned(&args.image_url, &args.image_digest)?;
    let manifest = context.registry.manifest(&reference, &context.keychain).await?;
    let mut tags: BTreeSet<String> =
        args.additional_tags.iter().flat_map(|tags| tags.split_whitespace()).map(str::to_owned).collect();
    if let Document::Image(_) = manifest.document()? {
        let config = image::config(&manifest, context).await?;
        let label = config["config"]["Labels"][LABEL].as_str().unwrap_or_default();
        let is_between = |c: char| c == ',' || c.is_whitespace();
        tags.extend(label.split(is_between).filter(|tag| !tag.is_empty()).map(str::to_owned));
    }
    if tags.is_empty() {
        say("No further tags are asked for");
    }
    for tag in tags {
        let to = reference.tagged(&tag)?;
        context
            .registry
            .push_manifest(&to, &manifest.media_type, manifest.bytes.clone(), &context.keychain)
            .await?;
        say(&format!("Tagged {to}"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::image::MANIFEST;
    use crate::testing::World;

    #[tokio::test]
    async fn tags_of_the_parameter_and_of_the_label_are_set() {
        let world = World::new();
        let config = json!({"config": {"Labels": {"konflux.additional-tags": "c, d"}}}).to_string();
        let config = world.registry.push_blob("app", config.as_bytes());
        let manifest = json!({"config": {"digest": config}, "layers": []}).to_string();
        let digest = world.registry.push_manifest("app", "", MANIFEST, manifest.as_bytes());
        let digest = format!("--image-digest={digest}");
        // A parameter that is an empty list leaves the flag alone.
        world.run(&["apply-tags", "--image-url=^app:v1", &digest, "--additional-tags"]).await.unwrap();
        assert!(world.registry.manifest("app", "a").is_none());
        world
            .run(&["apply-tags", "--image-url=^app:v1", &digest, "--additional-tags", "a b", ""])
            .await
            .unwrap();
        for tag in ["a", "b", "c", "d"] {
            assert_eq!(world.registry.manifest("app", tag), Some(manifest.clone().into_bytes()), "{tag}");
        }
        let error =
            world.refused(&["apply-tags", "--image-url=^app:v1", &digest, "--additional-tags=bad/tag"]).await;
        assert!(error.contains("bad/tag"), "{error}");
    }
}
