//! `deprecated-image-check`: whether what an image stands on is still maintained, as a catalog says.

use std::collections::BTreeSet;
use std::path::PathBuf;

use anyhow::Context as _;
use fleet::outbound::{Request, Url};
use futures::{StreamExt as _, TryStreamExt as _};
use registry::{Attached, Document, Reference};
use serde::Deserialize;
use serde_json::Value;

use crate::context::{Context, say};
use crate::image;
use crate::test_output::{self, ImagesProcessed, Outcome, TestOutput};

const TOGETHER: usize = 3;
const SBOM_LIMIT: u64 = 64 * 1024 * 1024;
/// What a catalog says of a repository is short.
const ANSWER_LIMIT: u64 = 1024 * 1024;
const DEPRECATED: &str = "Deprecated";

/// Checks whether base images are still maintained.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Base images, one per line. Those that the SBOM of the image names are added.
    #[arg(long, default_value = "")]
    base_images_digests: String,
    #[arg(long)]
    image_url: String,
    #[arg(long)]
    image_digest: String,
    /// Of the original task. The rule is built in here.
    #[arg(long, default_value = "/project/repository/")]
    policy_dir: PathBuf,
    #[arg(long, default_value = "required_checks")]
    policy_namespace: String,
    /// Address of a catalog with the API of the Red Hat Ecosystem Catalog. Empty: nothing is asked, and the check is skipped.
    #[arg(
        long,
        env = "DEPRECATED_IMAGE_CATALOG",
        default_value = "https://catalog.redhat.com/api/containers/v1",
        value_name = "URL"
    )]
    catalog: String,
    #[arg(long, value_name = "PATH")]
    result_test_output: PathBuf,
    #[arg(long, value_name = "PATH")]
    result_images_processed: Option<PathBuf>,
}

/// What a catalog says of a repository.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Verdict {
    Maintained,
    Deprecated,
    Unknown,
    /// It could not be asked.
    Failed(String),
}

#[derive(Deserialize)]
struct Answer {
    #[serde(default)]
    release_categories: Vec<String>,
}

pub async fn run(args: Args, context: &Context) -> anyhow::Result<()> {
    let now = context.clock.now();
    ImagesProcessed::new(&args.image_url, [&args.image_digest])
        .write(args.result_images_processed.as_ref())?;
    let check = async {
        if args.catalog.is_empty() {
            return Ok(TestOutput::new(Outcome::Skipped, now).note("No catalog of images is configured."));
        }
        say(&format!(
            "Rule {}: a repository of the release category {DEPRECATED} is a failure (nothing of {} is read)",
            args.policy_namespace,
            args.policy_dir.display()
        ));
        let images = repositories(&args, context).await?;
        let catalog = Url::parse(&args.catalog).context("--catalog")?;
        let verdicts = images.into_iter().map(async |image| {
            let verdict = ask(&catalog, &image, context)
                .await
                .unwrap_or_else(|error| Verdict::Failed(format!("{error:#}")));
            anyhow::Ok((image, verdict))
        });
        let verdicts: Vec<_> = futures::stream::iter(verdicts).buffered(TOGETHER).try_collect().await?;
        Ok(judged(&verdicts, now))
    };
    test_output::report(&args.result_test_output, "deprecated-image-check", now, check).await
}

/// Repositories of all base images, each once.
async fn repositories(args: &Args, context: &Context) -> anyhow::Result<BTreeSet<(String, String)>> {
    let mut names: Vec<String> =
        args.base_images_digests.split_whitespace().map(|line| line.replace(":<none>", "")).collect();
    names.extend(of_sbom(args, context).await?);
    names
        .iter()
        .map(|name| {
            let reference: Reference = name.parse()?;
            Ok((reference.registry().to_owned(), reference.repository().to_owned()))
        })
        .collect()
}

/// Base images that the attached SBOM names; none if there is no SBOM.
async fn of_sbom(args: &Args, context: &Context) -> anyhow::Result<Vec<String>> {
    let image = image::pinned(&args.image_url, &args.image_digest)?;
    let digest = image.digest().context("--image-digest")?;
    let (client, keychain) = (&context.registry, &context.keychain);
    let attached = match client.manifest(&Attached::Sbom.reference(&image, digest), keychain).await {
        Err(registry::Error::NotFound { .. }) => return Ok(Vec::new()),
        attached => attached.context("read the SBOM of the image")?,
    };
    let Document::Image(document) = attached.document()? else { return Ok(Vec::new()) };
    let Some(layer) = document.layers.first() else { return Ok(Vec::new()) };
    let sbom = client.blob(&image, &layer.digest, SBOM_LIMIT, keychain).await?;
    Ok(base_images(&serde_json::from_slice(&sbom).context("read the SBOM of the image")?))
}

/// Components of a CycloneDX SBOM that are base or builder images.
fn base_images(sbom: &Value) -> Vec<String> {
    let list = |value: &Value| value.as_array().cloned().unwrap_or_default();
    let is_base = |component: &Value| {
        list(&component["properties"]).iter().any(|property| {
            let name = property["name"].as_str().unwrap_or_default();
            ["konflux:container:is_base_image", "konflux:container:is_builder_image:for_stage"]
                .contains(&name)
        })
    };
    let components = list(&sbom["formulation"]).into_iter().flat_map(|formula| list(&formula["components"]));
    let bases = components.filter(is_base);
    bases.filter_map(|component| component["name"].as_str().map(str::to_owned)).collect()
}

async fn ask(catalog: &Url, image: &(String, String), context: &Context) -> anyhow::Result<Verdict> {
    // The same images are served under two names, of which the catalog knows one.
    let registry = if image.0 == "registry.redhat.io" { "registry.access.redhat.com" } else { &image.0 };
    let mut address = catalog.clone();
    address
        .path_segments_mut()
        .map_err(|()| anyhow::anyhow!("--catalog is no address"))?
        .pop_if_empty()
        .extend(["repositories", "registry", registry, "repository", &image.1]);
    let answer = context.outbound.fetch(Request::get(address).limit(ANSWER_LIMIT)).await?;
    if answer.status().as_u16() == 404 {
        return Ok(Verdict::Unknown);
    }
    let answer: Answer = answer.success()?.json()?;
    let is_deprecated = answer.release_categories.iter().any(|category| category == DEPRECATED);
    Ok(if is_deprecated { Verdict::Deprecated } else { Verdict::Maintained })
}

fn judged(verdicts: &[((String, String), Verdict)], now: jiff::Timestamp) -> TestOutput {
    let (mut successes, mut failures, mut warnings, mut errors) = (0, 0, 0, Vec::new());
    for ((registry, repository), verdict) in verdicts {
        let said = match verdict {
            Verdict::Maintained => {
                successes += 1;
                "is maintained"
            }
            Verdict::Deprecated => {
                failures += 1;
                "is deprecated: use a successor"
            }
            Verdict::Unknown => {
                warnings += 1;
                "is unknown to the catalog"
            }
            Verdict::Failed(error) => {
                errors.push(error.as_str());
                "could not be looked up"
            }
        };
        say(&format!("{registry}/{repository} {said}"));
    }
    let output = TestOutput::counted(successes, failures, warnings, now);
    match errors.first() {
        None => output,
        Some(error) => {
            let note = format!(
                "Task deprecated-image-check failed: {} images could not be looked up, as: {error}",
                errors.len()
            );
            TestOutput { result: Outcome::Error, ..output.note(note) }
        }
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;
    use serde_json::json;

    use super::*;
    use crate::testing::{Web, World};

    fn failed() -> Verdict {
        Verdict::Failed("HTTP 500".to_owned())
    }

    #[rstest]
    #[case::nothing(&[], Outcome::Success, [0, 0, 0])]
    #[case::maintained(&[Verdict::Maintained], Outcome::Success, [1, 0, 0])]
    #[case::unknown(&[Verdict::Maintained, Verdict::Unknown], Outcome::Warning, [1, 0, 1])]
    #[case::deprecated(&[Verdict::Unknown, Verdict::Deprecated], Outcome::Failure, [0, 1, 1])]
    #[case::error(&[Verdict::Deprecated, failed()], Outcome::Error, [0, 1, 0])]
    fn the_worst_decides(#[case] verdicts: &[Verdict], #[case] expected: Outcome, #[case] counts: [u64; 3]) {
        let verdicts: Vec<_> = verdicts
            .iter()
            .map(|verdict| (("r.example".to_owned(), "a".to_owned()), verdict.clone()))
            .collect();
        let output = judged(&verdicts, "2024-03-01T12:00:00Z".parse().unwrap());
        assert_eq!(output.result, expected);
        assert_eq!([output.successes, output.failures, output.warnings], counts);
    }

    #[test]
    fn finds_base_images_in_an_sbom() {
        let image = |name: &str, property: &str| json!({"name": name, "properties": [{"name": property, "value": "x"}]});
        let sbom = json!({"formulation": [{"components": [
            image("a.example/a", "konflux:container:is_base_image"),
            image("b.example/b", "konflux:container:is_builder_image:for_stage"),
            image("c.example/c", "other"), {"name": "d"},
        ]}, {}]});
        assert_eq!(base_images(&sbom), ["a.example/a", "b.example/b"]);
        assert_eq!(base_images(&json!([])), [] as [&str; 0]);
    }

    async fn check(world: &World, catalog: &str, images: &str) -> Value {
        let flags = [
            "deprecated-image-check",
            "--image-url=^app:v1",
            &format!("--image-digest={}", registry::Digest::of(b"")),
            &format!("--catalog={catalog}"),
            &format!("--base-images-digests={images}"),
            "--result-test-output=@results/TEST_OUTPUT",
            "--result-images-processed=@results/IMAGES_PROCESSED",
        ];
        world.run(&flags).await.unwrap();
        world.output()
    }

    #[tokio::test]
    async fn asks_the_catalog_once_for_each_repository() {
        let world = World::new();
        let path = "/v1/repositories/registry/registry.access.redhat.com/repository/ubi8%2Fold";
        let web = Web::start(&[(path, br#"{"release_categories": ["Deprecated"]}"#)]).await;
        let catalog = format!("{}/v1", web.origin);
        let digest = registry::Digest::of(b"");
        let images = format!(
            "registry.redhat.io/ubi8/old:1@{digest}\nregistry.redhat.io/ubi8/old:<none>@{digest}\nr.example/b:1@{digest}\n"
        );
        let output = check(&world, &catalog, &images).await;
        assert_eq!(
            (&output["result"], &output["failures"], &output["warnings"]),
            (&json!("FAILURE"), &json!(1), &json!(1))
        );
        assert_eq!(check(&world, &catalog, "").await["result"], "SUCCESS");
        assert_eq!(check(&world, "", &images).await["result"], "SKIPPED");
        let output = check(&world, "http://127.0.0.1:1/", &images).await;
        assert_eq!(output["result"], "ERROR");
        assert!(output["note"].as_str().unwrap().contains("2 images could not be looked up"), "{output}");
    }
}
