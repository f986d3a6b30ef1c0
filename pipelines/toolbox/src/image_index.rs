//! `image-index`: one name for the images of several platforms.

use std::path::PathBuf;

use anyhow::{Context as _, bail, ensure};
use registry::{Digest, Document, Manifest, Reference};
use serde_json::{Value, json};

use crate::context::{Context, Flag, say};
use crate::image::{self, EXPIRES_AFTER, descriptor};
use crate::results;

const INDEX: &str = "application/vnd.oci.image.index.v1+json";

/// Makes an index of images, unless there is only one and none is wanted.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Where the index goes.
    #[arg(long)]
    image: String,
    /// Images by their digests, in the repository of the index. Several are separated by white space.
    #[arg(long, num_args = 0..)]
    images: Vec<String>,
    /// Makes an index also of a single image.
    #[arg(long, default_value = "true", value_name = "BOOL")]
    always_build_index: Flag,
    #[arg(long, default_value = "")]
    commit_sha: String,
    #[arg(long, default_value = "")]
    image_expires_after: String,
    #[arg(long, value_name = "PATH")]
    result_image_url: PathBuf,
    #[arg(long, value_name = "PATH")]
    result_image_digest: PathBuf,
    #[arg(long, value_name = "PATH")]
    result_image_ref: Option<PathBuf>,
    #[arg(long, value_name = "PATH")]
    result_images: Option<PathBuf>,
}

pub async fn run(args: Args, context: &Context) -> anyhow::Result<()> {
    let to: Reference = args.image.parse().context("--image")?;
    let images: Vec<Reference> = args
        .images
        .iter()
        .flat_map(|images| images.split_whitespace())
        .map(|image| image.parse().context("--images"))
        .collect::<anyhow::Result<_>>()?;
    for image in &images {
        ensure!(image.digest().is_some(), "{image} has no digest: what its tag leads to can change");
        ensure!(
            image.name() == to.name(),
            "{image} is not in the repository of the index, {}: a registry would refuse it",
            to.name()
        );
    }
    let (digest, url) = match (&images[..], args.always_build_index.0) {
        ([], _) => bail!("--images names none"),
        ([only], false) => {
            say("There is one image and no index is wanted: its own name is the result");
            let digest = only.digest().context("--images")?.clone();
            // With the tag that it was built with, if that is told.
            (digest, only.tag().map_or_else(|| args.image.clone(), |tag| format!("{}:{tag}", only.name())))
        }
        (_, false) => bail!(
            "there are {} images, of which only an index can be made: ALWAYS_BUILD_INDEX is false",
            images.len()
        ),
        (_, true) => (push(&to, &images, &args, context).await?, args.image.clone()),
    };
    let members: Vec<_> = images.iter().map(|image| pinned(image).to_string()).collect();
    results::write(&args.result_image_url, &url)?;
    results::write(&args.result_image_digest, digest.as_str())?;
    if let Some(path) = &args.result_image_ref {
        results::write(path, &to.at(digest).to_string())?;
    }
    match &args.result_images {
        Some(path) => results::write(path, &members.join(",")),
        None => Ok(()),
    }
}

/// Without its tag.
fn pinned(image: &Reference) -> Reference {
    image.digest().map_or_else(|| image.clone(), |digest| image.at(digest.clone()))
}

async fn push(
    to: &Reference,
    images: &[Reference],
    args: &Args,
    context: &Context,
) -> anyhow::Result<Digest> {
    let (client, keychain) = (&context.registry, &context.keychain);
    let mut entries: Vec<Value> = Vec::new();
    for image in images {
        let manifest = client.manifest(&pinned(image), keychain).await?;
        match manifest.document()? {
            Document::Image(_) => entries.push(entry(&manifest, context).await?),
            // What is itself an index of a matrix build.
            Document::Index(_) => {
                let index: Value = serde_json::from_slice(&manifest.bytes)?;
                entries.extend(index["manifests"].as_array().cloned().unwrap_or_default());
            }
        }
    }
    let mut annotations = serde_json::Map::new();
    if !args.commit_sha.is_empty() {
        annotations.insert("org.opencontainers.image.revision".to_owned(), args.commit_sha.clone().into());
    }
    if !args.image_expires_after.is_empty() {
        annotations.insert(EXPIRES_AFTER.to_owned(), args.image_expires_after.clone().into());
    }
    let mut index = json!({"schemaVersion": 2, "mediaType": INDEX, "manifests": entries});
    if !annotations.is_empty() {
        index["annotations"] = annotations.into();
    }
    let digest = client.push_manifest(to, INDEX, index.to_string(), keychain).await?;
    say(&format!("Pushed {to}, an index of {} images, as {digest}", entries.len()));
    Ok(digest)
}

/// What an index says of an image: with its platform, which only its configuration knows.
async fn entry(manifest: &Manifest, context: &Context) -> anyhow::Result<Value> {
    let config = image::config(manifest, context).await?;
    let mut platform = json!({"os": config["os"], "architecture": config["architecture"]});
    if let Some(variant) = config["variant"].as_str().filter(|variant| !variant.is_empty()) {
        platform["variant"] = variant.into();
    }
    let mut entry = descriptor(&manifest.media_type, &manifest.digest, manifest.bytes.len() as u64);
    entry["platform"] = platform;
    Ok(entry)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::World;

    async fn index(world: &World, images: &[String], always: &str) -> anyhow::Result<()> {
        let always = format!("--always-build-index={always}");
        let images: Vec<_> = images.iter().map(|image| format!("--images={image}")).collect();
        let mut flags = vec![
            "image-index",
            "--image=^app:v1",
            "--commit-sha=abc",
            "--image-expires-after=5d",
            &always,
            "--result-image-url=@results/IMAGE_URL",
            "--result-image-digest=@results/IMAGE_DIGEST",
            "--result-image-ref=@results/IMAGE_REF",
            "--result-images=@results/IMAGES",
        ];
        flags.extend(images.iter().map(String::as_str));
        world.run(&flags).await
    }

    fn images(world: &World) -> Vec<String> {
        let push = |platform: &str| {
            world.registry.push_image(
                "app",
                platform.trim_start_matches("linux/"),
                &[(platform, &["/app"], &[])],
            )
        };
        let digests = [push("linux/amd64"), push("linux/arm64")];
        digests.map(|digest| world.image(&format!("app@{digest}"))).into()
    }

    #[tokio::test]
    async fn an_index_names_the_image_of_each_platform() {
        let world = World::new();
        let images = images(&world);
        index(&world, &[images.join(" ")], "true").await.unwrap();
        let pushed = world.manifest("app", "v1");
        let platforms: Vec<_> =
            pushed["manifests"].as_array().unwrap().iter().map(|entry| entry["platform"].clone()).collect();
        let platform = |architecture: &str| json!({"os": "linux", "architecture": architecture});
        assert_eq!(platforms, [platform("amd64"), platform("arm64")]);
        assert_eq!(pushed["annotations"]["org.opencontainers.image.revision"], "abc");
        let digest = world.result("IMAGE_DIGEST");
        assert_eq!(world.manifest("app", &digest), pushed);
        assert_eq!(world.result("IMAGE_REF"), world.image(&format!("app@{digest}")));
        assert_eq!(world.result("IMAGES"), images.join(","));
    }

    #[tokio::test]
    async fn one_image_may_stand_for_itself() {
        let world = World::new();
        let images = images(&world);
        index(&world, &images[..1], "false").await.unwrap();
        assert!(images[0].ends_with(&world.result("IMAGE_DIGEST")));
        assert_eq!(world.result("IMAGE_URL"), world.image("app:v1"));
        assert!(world.registry.manifest("app", "v1").is_none());
        let error = format!("{:#}", index(&world, &images, "false").await.unwrap_err());
        assert!(error.contains("ALWAYS_BUILD_INDEX"), "{error}");
        let error = format!("{:#}", index(&world, &[world.image("app:amd64")], "true").await.unwrap_err());
        assert!(error.contains("has no digest"), "{error}");
        let error = format!("{:#}", index(&world, &[String::new()], "true").await.unwrap_err());
        assert!(error.contains("names none"), "{error}");
        let other = images[0].replace("app@", "other@");
        let error = format!("{:#}", index(&world, &[other], "true").await.unwrap_err());
        assert!(error.contains("not in the repository of the index"), "{error}");
    }
}
