//! `source-build`: an image of the sources that an image was made of.

use std::path::{Path, PathBuf};

use anyhow::Context as _;
use registry::{Attached, Blob, Digest, Document, Reference};
use serde::Serialize;
use serde_json::Value;
use tempfile::NamedTempFile;

use crate::archive::{self, Packed};
use crate::context::{Context, bound, say};
use crate::image::{self, GZIP_LAYER, NewImage, descriptor};
use crate::results;

const LAYER_LIMIT: u64 = 16 * 1024 * 1024 * 1024;

/// Publishes the sources of an image beside it.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The image, with its tag.
    #[arg(long)]
    binary_image: String,
    /// Base images, one per line; the last is what the image stands on.
    #[arg(long, default_value = "")]
    base_images: String,
    /// The checkout.
    #[arg(long, value_name = "DIR")]
    source: PathBuf,
    /// What `prefetch` has written.
    #[arg(long, value_name = "DIR")]
    cachi2: Option<PathBuf>,
    /// Registries, or repositories of them, whose base images have sources that are taken over. Separated by commas.
    #[arg(long, env = "SOURCE_REGISTRY_ALLOWLIST", default_value = "", value_name = "LIST")]
    registry_allowlist: String,
    /// Gets the same as `--result-build-result`, for the summary.
    #[arg(long, value_name = "FILE")]
    result_file: Option<PathBuf>,
    #[arg(long, value_name = "PATH")]
    result_build_result: PathBuf,
    #[arg(long, value_name = "PATH")]
    result_source_image_url: PathBuf,
    #[arg(long, value_name = "PATH")]
    result_source_image_digest: PathBuf,
}

/// Result `BUILD_RESULT`.
#[derive(Debug, Default, Serialize)]
struct BuildResult {
    status: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    message: Option<String>,
    dependencies_included: bool,
    base_image_source_included: bool,
    image_url: String,
    image_digest: String,
}

pub async fn run(args: Args, context: &Context) -> anyhow::Result<()> {
    let (result, failure) = match publish(&args, context).await {
        Ok(result) => (result, None),
        Err(error) => {
            let message = Some(format!("{error:#}").chars().take(300).collect());
            (BuildResult { status: "failure", message, ..BuildResult::default() }, Some(error))
        }
    };
    let text = serde_json::to_string(&result)?;
    say(&text);
    if let Some(file) = &args.result_file {
        std::fs::write(file, &text).with_context(|| format!("write {}", file.display()))?;
    }
    results::write(&args.result_build_result, &text)?;
    results::write(&args.result_source_image_url, &result.image_url)?;
    results::write(&args.result_source_image_digest, &result.image_digest)?;
    failure.map_or(Ok(()), Err)
}

async fn publish(args: &Args, context: &Context) -> anyhow::Result<BuildResult> {
    let binary: Reference = args.binary_image.parse().context("--binary-image")?;
    let manifest = context.registry.manifest(&binary, &context.keychain).await.context("find the image")?;
    let to = Attached::Source.reference(&binary, &manifest.digest);
    let mut image = NewImage::default();
    let inherited =
        inherit(args, &to, &mut image, context).await.context("take over sources of the base image")?;
    add(&args.source, "the sources", &to, &mut image, context).await?;
    let dependencies = bound(args.cachi2.clone()).map(|folder| folder.join("output/deps"));
    let dependencies = dependencies.filter(|folder| folder.is_dir());
    if let Some(folder) = &dependencies {
        add(folder, "dependencies", &to, &mut image, context).await?;
    }
    let digest = image.push(&to, context).await?;
    say(&format!("Pushed {to} as {digest}"));
    Ok(BuildResult {
        status: "success",
        message: None,
        dependencies_included: dependencies.is_some(),
        base_image_source_included: inherited,
        image_url: to.to_string(),
        image_digest: digest.to_string(),
    })
}

/// Adds a folder as a layer.
async fn add(
    folder: &Path,
    what: &str,
    to: &Reference,
    image: &mut NewImage,
    context: &Context,
) -> anyhow::Result<()> {
    let packed = NamedTempFile::new().context("create a file for the sources")?;
    let Packed { count, content: unpacked, blob } =
        archive::pack(folder, packed.path()).with_context(|| format!("pack {}", folder.display()))?;
    context.registry.push_blob(to, &blob, &context.keychain).await?;
    image.layer(descriptor(GZIP_LAYER, blob.digest(), blob.size()), &unpacked);
    say(&format!("Added {what}: {count} files"));
    Ok(())
}

/// Takes over the layers of the base image's own source image, if it has one that may be taken.
async fn inherit(
    args: &Args,
    to: &Reference,
    image: &mut NewImage,
    context: &Context,
) -> anyhow::Result<bool> {
    let Some(base) = args.base_images.split_whitespace().last() else { return Ok(false) };
    let base: Reference = base.replace(":<none>", "").parse().context("--base-images")?;
    let (Some(digest), true) = (base.digest(), is_listed(&args.registry_allowlist, &base)) else {
        say(&format!("Sources of {} are not taken over: its registry is not listed", base.name()));
        return Ok(false);
    };
    let (client, keychain) = (&context.registry, &context.keychain);
    let source = match client.manifest(&Attached::Source.reference(&base, digest), keychain).await {
        Err(registry::Error::NotFound { .. }) => {
            say(&format!("{} has no source image", base.name()));
            return Ok(false);
        }
        found => found?,
    };
    let Document::Image(document) = source.document()? else { return Ok(false) };
    let config: Value = image::config(&source, context).await?;
    let unpacked = config["rootfs"]["diff_ids"].as_array().cloned().unwrap_or_default();
    for (layer, unpacked) in document.layers.into_iter().zip(unpacked) {
        let unpacked: Digest = unpacked.as_str().unwrap_or_default().parse()?;
        if !client.has_blob(to, &layer.digest, keychain).await? {
            let copy = NamedTempFile::new().context("create a file for a layer")?;
            let mut file = tokio::fs::File::from_std(copy.reopen()?);
            let size = client.blob_to(&base, &layer.digest, LAYER_LIMIT, &mut file, keychain).await?;
            client.push_blob(to, &Blob::known(copy.path(), layer.digest.clone(), size), keychain).await?;
        }
        image.layer(descriptor(&layer.media_type, &layer.digest, layer.size), &unpacked);
    }
    Ok(true)
}

/// Whether an image is in one of the listed registries or repositories.
fn is_listed(list: &str, image: &Reference) -> bool {
    let name = image.name();
    list.split([',', ' ', '\n']).map(str::trim).filter(|entry| !entry.is_empty()).any(|entry| {
        let rest = name.strip_prefix(entry.trim_end_matches('/'));
        rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::testing::{World, read};

    #[test]
    fn a_registry_is_listed_by_whole_names() {
        let image: Reference = "r.example/org/base:1".parse().unwrap();
        for list in ["r.example", "r.example/org", "x.example, r.example/org/base", "r.example/"] {
            assert!(is_listed(list, &image), "{list}");
        }
        for list in ["", "r.example/or", "r.examp", "org"] {
            assert!(!is_listed(list, &image), "{list}");
        }
    }

    #[tokio::test]
    async fn sources_lie_beside_the_image() {
        let world = World::new();
        let digest = world.registry.push_image("app", "v1", &[("linux/amd64", &["/app"], &[])]);
        world.write("source/main.rs", "fn main() {}");
        world.write("cachi2/output/deps/pip/x", "x");
        // The base image, whose sources are there.
        let base = world.registry.push_image("base", "1", &[("linux/amd64", &["/base"], &[])]);
        let layer = world.registry.push_blob("base", b"sources of base");
        let content = Digest::of(b"content").to_string();
        let config = world
            .registry
            .push_blob("base", json!({"rootfs": {"diff_ids": [content]}}).to_string().as_bytes());
        let manifest = json!({"config": {"digest": config}, "layers": [{"digest": layer, "size": 15}]});
        let tag = Attached::Source.tag(&base.parse().unwrap());
        world.registry.push_manifest("base", &tag, crate::image::MANIFEST, manifest.to_string().as_bytes());
        let bases = format!("--base-images=r.example/other:1@{base}\n{}@{base}\n", world.image("base:1"));
        let list = format!("--registry-allowlist={}", world.registry.address());
        let flags = [
            "source-build",
            "--binary-image=^app:v1",
            &bases,
            "--source=@source",
            "--cachi2=@cachi2",
            &list,
            "--result-file=@source_build_result.json",
            "--result-build-result=@results/BUILD_RESULT",
            "--result-source-image-url=@results/URL",
            "--result-source-image-digest=@results/DIGEST",
        ];
        world.run(&flags).await.unwrap();
        let result: Value = serde_json::from_str(&world.result("BUILD_RESULT")).unwrap();
        let url = world.image(&format!("app:sha256-{}.src", digest.trim_start_matches("sha256:")));
        let expected = json!({
            "status": "success", "dependencies_included": true, "base_image_source_included": true,
            "image_url": url, "image_digest": world.result("DIGEST"),
        });
        assert_eq!(result, expected);
        assert_eq!(read(&world.path("source_build_result.json")), world.result("BUILD_RESULT"));
        let pushed = world.manifest("app", &world.result("DIGEST"));
        assert_eq!(pushed["layers"].as_array().unwrap().len(), 3);
        assert_eq!(world.blob("app", &pushed["layers"][0]["digest"]), b"sources of base");

        let mut flags = flags;
        flags[1] = "--binary-image=^none:v1";
        let error = world.refused(&flags).await;
        assert!(error.contains("find the image"), "{error}");
        assert!(world.result("BUILD_RESULT").contains("failure"), "{}", world.result("BUILD_RESULT"));
    }
}
