//! `artifact`: hands files from one task to the next through the registry, by their digest.
//!
//! What lies on a volume between two tasks can be changed by anybody who may run a pod beside it. An artifact cannot: it is
//! `oci:<repository>@sha256:<digest of the archive>`, a result of the task that made it, and is checked before it is unpacked.

use std::path::{Path, PathBuf};
use std::str::FromStr;

use anyhow::{Context as _, bail, ensure};
use registry::{Blob, Digest, Reference};
use serde_json::json;
use tempfile::NamedTempFile;
use tokio::fs::File;

use crate::archive::{self, Limits, Packed};
use crate::context::{Context, say};
use crate::image::{EXPIRES_AFTER, GZIP_LAYER, NewImage, descriptor};
use crate::results;

/// Of a compressed archive.
const MAX_ARCHIVE: u64 = 16 * 1024 * 1024 * 1024;

/// Hands files from one task to the next.
#[derive(Debug, clap::Subcommand)]
pub enum Command {
    /// Puts folders into the registry.
    Create(Create),
    /// Gets folders from the registry.
    Use(Use),
}

#[derive(Debug, clap::Args)]
pub struct Create {
    /// Repository, and the tag that keeps the artifacts from being collected as garbage.
    #[arg(long, value_name = "REPOSITORY[:TAG]")]
    store: Reference,
    /// When the tag may go, as `5d`. Empty: never.
    #[arg(long, default_value = "", value_name = "AGE")]
    expires_after: String,
    /// Which folder, and the file that gets the name of its artifact. A folder that is not there gets an empty name.
    #[arg(required = true, value_name = "RESULT=FOLDER")]
    artifacts: Vec<Pair>,
}

#[derive(Debug, clap::Args)]
pub struct Use {
    /// Which artifact, and the folder that it is unpacked to. Nothing is done for an empty artifact.
    #[arg(required = true, value_name = "ARTIFACT=FOLDER")]
    artifacts: Vec<Pair>,
}

/// `name=folder`.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Pair {
    name: String,
    folder: PathBuf,
}

impl FromStr for Pair {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text.split_once('=') {
            Some((name, folder)) if !folder.is_empty() => {
                Ok(Self { name: name.to_owned(), folder: folder.into() })
            }
            _ => Err("expected two parts with = between them"),
        }
    }
}

pub async fn run(command: Command, context: &Context) -> anyhow::Result<()> {
    match command {
        Command::Create(args) => create(args, context).await,
        Command::Use(args) => {
            for Pair { name, folder } in &args.artifacts {
                fetch(name, folder, context).await.with_context(|| format!("artifact {name}"))?;
            }
            Ok(())
        }
    }
}

async fn create(args: Create, context: &Context) -> anyhow::Result<()> {
    // As an image, because registries look for an age in images only.
    let mut image = NewImage::default();
    if !args.expires_after.is_empty() {
        image.label(EXPIRES_AFTER, &args.expires_after);
    }
    let mut count = 0;
    for Pair { name: result, folder } in &args.artifacts {
        if !folder.is_dir() {
            say(&format!("{} is not there: no artifact", folder.display()));
            results::write(Path::new(result), "")?;
            continue;
        }
        let (blob, unpacked) = upload(&args.store, folder, context)
            .await
            .with_context(|| format!("make an artifact of {}", folder.display()))?;
        let title = folder.file_name().map(|name| name.to_string_lossy().into_owned());
        let mut layer = descriptor(GZIP_LAYER, blob.digest(), blob.size());
        layer["annotations"] = json!({"org.opencontainers.image.title": title.unwrap_or_default()});
        image.layer(layer, &unpacked);
        count += 1;
        results::write(Path::new(result), &format!("oci:{}@{}", args.store.name(), blob.digest()))?;
    }
    if count > 0 {
        image.push(&args.store, context).await.context("tag the artifacts")?;
    }
    Ok(())
}

async fn upload(store: &Reference, folder: &Path, context: &Context) -> anyhow::Result<(Blob, Digest)> {
    let outward = crate::links::outward(folder)?;
    if let Some(link) = outward.first() {
        bail!("{link} leads out of the folder; whoever uses the artifact would refuse it");
    }
    let archive = NamedTempFile::new().context("create a file for the archive")?;
    let Packed { count, content: unpacked, blob } = archive::pack(folder, archive.path())?;
    context.registry.push_blob(store, &blob, &context.keychain).await?;
    say(&format!(
        "{} ({count} files, {} bytes compressed) is oci:{}@{}",
        folder.display(),
        blob.size(),
        store.name(),
        blob.digest()
    ));
    Ok((blob, unpacked))
}

async fn fetch(artifact: &str, folder: &Path, context: &Context) -> anyhow::Result<()> {
    if artifact.is_empty() {
        say(&format!("No artifact for {}", folder.display()));
        return Ok(());
    }
    let (reference, digest) = parse(artifact)?;
    // Where the folder will be there is room for the archive, too.
    let volume = folder.parent().filter(|parent| parent.is_dir()).unwrap_or(Path::new("."));
    let archive = NamedTempFile::new_in(volume).context("create a file for the archive")?;
    let mut file = File::from_std(archive.reopen()?);
    let size =
        context.registry.blob_to(&reference, &digest, MAX_ARCHIVE, &mut file, &context.keychain).await?;
    drop(file);
    archive::unpack(archive.path(), folder, Limits::default())?;
    say(&format!("{artifact} ({size} bytes compressed) is in {}", folder.display()));
    Ok(())
}

fn parse(artifact: &str) -> anyhow::Result<(Reference, Digest)> {
    let reference = artifact.strip_prefix("oci:").context("it does not begin with oci:")?;
    let reference: Reference = reference.parse()?;
    ensure!(reference.tag().is_none(), "it has a tag: what a tag leads to can change");
    let digest = reference.digest().context("it has no digest")?.clone();
    Ok((reference, digest))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{World, read};

    #[test]
    fn an_artifact_names_its_content() {
        let digest = Digest::of(b"");
        let (reference, found) = parse(&format!("oci:registry.example/app@{digest}")).unwrap();
        assert_eq!((reference.name().as_str(), found), ("registry.example/app", digest.clone()));
        for bad in [
            format!("registry.example/app@{digest}"),
            "oci:registry.example/app:v1".to_owned(),
            format!("oci:registry.example/app:v1@{digest}"),
            "file:/etc".to_owned(),
        ] {
            assert!(parse(&bad).is_err(), "{bad}");
        }
        assert_eq!(
            format!("oci:a/b@{digest}=/x").parse(),
            Ok(Pair { name: format!("oci:a/b@{digest}"), folder: "/x".into() })
        );
        assert_eq!("=/x".parse(), Ok(Pair { name: String::new(), folder: "/x".into() }));
        assert!("x".parse::<Pair>().is_err() && "x=".parse::<Pair>().is_err());
    }

    #[tokio::test]
    async fn a_folder_comes_out_of_the_registry_as_it_went_in() {
        let world = World::new();
        world.write("source/dir/file", "content");
        world.write("deps/one", "1");
        let create = [
            "artifact",
            "create",
            "--store=^org/app:v1.git",
            "--expires-after=5d",
            "@results/SOURCE=@source",
            "@results/DEPS=@deps",
            "@results/NONE=@missing",
        ];
        world.run(&create).await.unwrap();
        let source = world.result("SOURCE");
        assert!(source.starts_with(&format!("oci:{}@sha256:", world.image("org/app"))), "{source}");
        assert_eq!(world.result("NONE"), "");
        let manifest = world.manifest("org/app", "v1.git");
        assert_eq!(manifest["annotations"]["quay.expires-after"], "5d");
        assert!(source.ends_with(manifest["layers"][0]["digest"].as_str().unwrap()));

        let (deps, none) = (world.result("DEPS"), world.result("NONE"));
        let pairs = [format!("{source}=@a/b"), format!("{deps}=@c"), format!("{none}=@d")];
        let mut flags = vec!["artifact", "use"];
        flags.extend(pairs.iter().map(String::as_str));
        world.run(&flags).await.unwrap();
        assert_eq!(read(&world.path("a/b/dir/file")), "content");
        assert_eq!(read(&world.path("c/one")), "1");
        assert!(!world.path("d").exists());

        // Whoever may write to the registry cannot change what is used.
        let digest = source.rsplit_once('@').unwrap().1;
        world.registry.corrupt_blob("org/app", digest, b"evil");
        let error = world.refused(&["artifact", "use", &format!("{source}=@e")]).await;
        assert!(error.contains("sent something else for blob"), "{error}");
        assert!(!world.path("e").exists());

        std::os::unix::fs::symlink("/etc", world.path("source/link")).unwrap();
        let error = world.refused(&create).await;
        assert!(error.contains("link -> /etc leads out"), "{error}");
    }
}
