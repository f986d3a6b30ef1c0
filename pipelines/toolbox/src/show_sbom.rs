//! `show-sbom`: writes the SBOM of an image to the log, from which the user interface reads it.

use std::time::Duration;

use anyhow::{Context as _, bail};
use registry::{Attached, Document, Reference};

use crate::context::{Context, say};

const TRIES: u32 = 5;
const PAUSE: Duration = Duration::from_secs(2);
const LIMIT: u64 = 64 * 1024 * 1024;

/// Shows the SBOM that is attached to an image.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[arg(long)]
    image_url: String,
    /// Which of the images of an index.
    #[arg(long, default_value = "linux/amd64")]
    platform: String,
}

pub async fn run(args: Args, context: &Context) -> anyhow::Result<()> {
    let reference: Reference = args.image_url.parse().context("--image-url")?;
    let mut number = 1;
    loop {
        match sbom(&reference, &args.platform, context).await {
            Ok(sbom) => {
                say(&sbom);
                return Ok(());
            }
            // A registry shows what was pushed a moment ago late at times.
            Err(error) if number < TRIES => eprintln!("toolbox: try {number} of {TRIES}: {error:#}"),
            Err(error) => return Err(error.context(format!("find the SBOM of {reference}"))),
        }
        tokio::time::sleep(PAUSE).await;
        number += 1;
    }
}

/// The SBOM of the platform's image, or of all images together.
async fn sbom(reference: &Reference, platform: &str, context: &Context) -> anyhow::Result<String> {
    let (client, keychain) = (&context.registry, &context.keychain);
    let manifest = client.manifest(reference, keychain).await?;
    let mut candidates = vec![manifest.digest.clone()];
    if let Document::Index(images) = manifest.document()? {
        let wanted = images
            .into_iter()
            .filter(|image| image.platform.as_ref().is_some_and(|one| one.to_string().starts_with(platform)));
        candidates = wanted.map(|image| image.digest).chain(candidates).collect();
    }
    for digest in candidates {
        let attached = match client.manifest(&Attached::Sbom.reference(reference, &digest), keychain).await {
            Err(registry::Error::NotFound { .. }) => continue,
            found => found?,
        };
        let Document::Image(image) = attached.document()? else { continue };
        let layer = image.layers.first().context("what is attached as SBOM is empty")?;
        let sbom = client.blob(&attached.reference, &layer.digest, LIMIT, keychain).await?;
        return String::from_utf8(sbom).context("what is attached as SBOM is no text");
    }
    bail!("no SBOM is attached to the image")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::image::MANIFEST;
    use crate::testing::World;

    #[tokio::test]
    async fn finds_the_sbom_of_the_platform_or_of_all() {
        let world = World::new();
        let context = world.context();
        let reference: Reference = world.image("app:v1").parse().unwrap();
        let platforms: [(&str, &[&str], &[&str]); 2] =
            [("linux/amd64", &["/a"], &[]), ("linux/arm64", &["/a"], &[])];
        let index = world.registry.push_image("app", "v1", &platforms);
        let attach = |digest: &str, text: &str| {
            let layer = world.registry.push_blob("app", text.as_bytes());
            let manifest = json!({"config": {"digest": layer}, "layers": [{"digest": layer}]}).to_string();
            let tag = Attached::Sbom.tag(&digest.parse().unwrap());
            world.registry.push_manifest("app", &tag, MANIFEST, manifest.as_bytes());
        };
        let error = sbom(&reference, "linux/amd64", &context).await.unwrap_err().to_string();
        assert_eq!(error, "no SBOM is attached to the image");
        attach(&index, "of all");
        assert_eq!(sbom(&reference, "linux/amd64", &context).await.unwrap(), "of all");
        let amd64 = world.manifest("app", "v1")["manifests"][0]["digest"].as_str().unwrap().to_owned();
        attach(&amd64, "of amd64");
        assert_eq!(sbom(&reference, "linux/amd64", &context).await.unwrap(), "of amd64");
        assert_eq!(sbom(&reference, "linux/arm64", &context).await.unwrap(), "of all");
    }
}
