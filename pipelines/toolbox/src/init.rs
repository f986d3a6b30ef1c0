//! `init`: whether there is something to build.

use std::path::PathBuf;

use anyhow::Context as _;
use registry::Reference;

use crate::context::{Context, say};
use crate::results;

/// Decides whether the image is built.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Where the image goes.
    #[arg(long)]
    image_url: String,
    /// Builds also if the image is there.
    #[arg(long, default_value = "false")]
    rebuild: String,
    /// Anything but `false` skips the checks.
    #[arg(long, default_value = "false")]
    skip_checks: String,
    #[arg(long, value_name = "PATH")]
    result_build: PathBuf,
}

pub async fn run(args: Args, context: &Context) -> anyhow::Result<()> {
    let is_asked_for = args.rebuild == "true" || args.skip_checks == "false";
    let builds = is_asked_for || !is_there(&args.image_url, context).await?;
    say(&if builds {
        format!("Builds {}", args.image_url)
    } else {
        format!(
            "{} is there and checks are skipped: builds nothing; rebuild=true builds anyway",
            args.image_url
        )
    });
    results::write(&args.result_build, if builds { "true" } else { "false" })
}

/// What cannot be looked at counts as missing: building it anew costs time, not building it a release.
async fn is_there(image: &str, context: &Context) -> anyhow::Result<bool> {
    let reference: Reference = image.parse().context("--image-url")?;
    match context.registry.manifest(&reference, &context.keychain).await {
        Ok(_) => Ok(true),
        Err(error) => {
            say(&format!("Not there yet: {error}"));
            Ok(false)
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::testing::World;

    async fn builds(world: &World, rebuild: &str, skip_checks: &str) -> String {
        let (rebuild, skip) = (format!("--rebuild={rebuild}"), format!("--skip-checks={skip_checks}"));
        let flags = ["init", "--image-url=^app:v1", &rebuild, &skip, "--result-build=@results/build"];
        world.run(&flags).await.unwrap();
        world.result("build")
    }

    #[tokio::test]
    async fn builds_unless_the_image_is_there_and_checks_are_skipped() {
        let world = World::new();
        assert_eq!(builds(&world, "false", "true").await, "true", "there is no image");
        world.registry.push_image("app", "v1", &[("linux/amd64", &["/app"], &[])]);
        assert_eq!(builds(&world, "false", "true").await, "false");
        assert_eq!(builds(&world, "true", "true").await, "true");
        assert_eq!(builds(&world, "false", "false").await, "true", "checks want an image");
        assert_eq!(builds(&world, "false", "yes").await, "false", "anything but false skips");
    }
}
