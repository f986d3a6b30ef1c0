//! `cargo xtask images index`: one tag for several architectures.
//!
//! The release workflow builds on a machine of each architecture (`images --tag v1.2.3-amd64`, `… -arm64`) and joins the
//! results here (`images --tag v1.2.3 index amd64 arm64`).
use anyhow::Context as _;
use serde_json::{Value, json};

use super::{Options, build, layer, record};
use crate::ui;

const INDEX_TYPE: &str = "application/vnd.oci.image.index.v1+json";

#[derive(Clone, Debug, clap::Args)]
pub struct IndexArgs {
    /// Architectures to join, in the words of OCI. Each image's tag is `<--tag>-<architecture>`.
    #[arg(required = true, value_name = "ARCHITECTURE")]
    architectures: Vec<String>,
}

/// Pushes an index for each service whose images are there.
pub async fn make(args: IndexArgs, options: &Options) -> anyhow::Result<record::Images> {
    let tag = options.tag.as_deref().context("an index needs --tag, the tag without architecture")?;
    let registry = options.registry.resolve(&options.cluster).await?;
    let client = registry.client()?;
    let mut images = record::Images { registry: registry.prefix.clone(), ..record::Images::default() };
    for service in build::image_names().await? {
        let step = ui::step(format!("{service}:{tag}"));
        let mut parts = Vec::new();
        for architecture in &args.architectures {
            let part = client.connect(&service, &format!("{tag}-{architecture}")).await?;
            parts.push((architecture.as_str(), client.pull_manifest(&part).await?));
        }
        let index = serde_json::to_vec(&index(&parts))?;
        let digest = layer::digest(&index);
        client.push_manifest(&client.connect(&service, tag).await?, index, INDEX_TYPE).await?;
        let reference = client.name_by_digest(&service, &digest);
        let image = record::Image { reference, tag: tag.to_owned(), architecture: "index".to_owned() };
        images.images.insert(service, image);
        step.done();
    }
    // Now that their images have one name for all architectures.
    super::push_bundles(options, &registry, &client, &mut images).await?;
    Ok(images)
}

fn index(parts: &[(&str, Vec<u8>)]) -> Value {
    let manifests: Vec<Value> = parts
        .iter()
        .map(|(architecture, manifest)| {
            json!({
                "mediaType": super::image::MANIFEST_TYPE,
                "digest": layer::digest(manifest),
                "size": manifest.len(),
                "platform": {"architecture": architecture, "os": "linux"},
            })
        })
        .collect();
    json!({"schemaVersion": 2, "mediaType": INDEX_TYPE, "manifests": manifests})
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_each_architecture_by_digest() {
        let index = index(&[("amd64", b"{}".to_vec()), ("arm64", b"{ }".to_vec())]);
        assert_eq!(index["manifests"][1]["platform"]["architecture"], "arm64");
        assert_eq!(index["manifests"][1]["digest"], layer::digest(b"{ }"));
        assert_ne!(index["manifests"][0]["digest"], index["manifests"][1]["digest"]);
    }
}
