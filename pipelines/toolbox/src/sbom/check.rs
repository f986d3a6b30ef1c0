//! `sbom check`: whether an image has a bill of materials, and a valid one.

use std::path::PathBuf;

use sbom::Fault;

use super::attach::MAX_SBOM;
use super::image::{Member, members};
use crate::context::{Context, say};
use crate::test_output::{self, ImagesProcessed, TestOutput};

const CHECK: &str = "sbom-json-check";
/// Where builds put it.
pub(crate) const PATH: &str = "root/buildinfo/content_manifests/sbom-cyclonedx.json";

/// Checks the bill of materials in an image, for each of its platforms.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The image, with its tag.
    #[arg(long)]
    image_url: String,
    /// Digest of the image, or of its index.
    #[arg(long)]
    image_digest: String,
    #[arg(long, value_name = "PATH")]
    result_test_output: PathBuf,
    #[arg(long, value_name = "PATH")]
    result_images_processed: Option<PathBuf>,
}

pub(super) async fn run(args: &Args, context: &Context) -> anyhow::Result<()> {
    let now = context.clock.now();
    test_output::report(&args.result_test_output, CHECK, now, async {
        let members = members(&args.image_url, &args.image_digest, context).await?;
        let digests = members.iter().map(|member| &member.manifest.digest);
        ImagesProcessed::new(&args.image_url, digests).write(args.result_images_processed.as_ref())?;
        let (mut successes, mut failures) = (0, 0);
        for member in &members {
            match fault(member, context).await? {
                None => successes += 1,
                Some(fault) => {
                    failures += 1;
                    say(&format!("{}: {fault}", member.name()));
                }
            }
        }
        Ok(TestOutput::counted(successes, failures, 0, now))
    })
    .await
}

/// What is wrong with it; `None` if nothing is.
async fn fault(member: &Member, context: &Context) -> anyhow::Result<Option<String>> {
    let Some(bytes) = member.file(PATH, MAX_SBOM, context).await? else {
        return Ok(Some(format!("the image has no file /{PATH}")));
    };
    let faults = sbom::check(&bytes);
    let lines: Vec<String> = faults.iter().map(Fault::to_string).collect();
    Ok((!lines.is_empty()).then(|| format!("/{PATH}: {}", lines.join("; "))))
}
