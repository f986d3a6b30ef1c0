//! `preflight`: whether an image could be certified, by what its manifest and configuration say.

use std::path::PathBuf;

use anyhow::Context as _;
use registry::{Document, Reference};
use serde_json::{Value, json};

use crate::context::{Context, say};
use crate::sbom::image as members;
use crate::test_output::Outcome;
use crate::{image, results};

const MAX_LAYERS: usize = 40;
const LABELS: [&str; 6] = ["name", "vendor", "version", "release", "summary", "description"];

/// Checks what a certification asks of an image.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[arg(long)]
    image_url: String,
    #[arg(long, value_name = "PATH")]
    result_test_output: PathBuf,
}

pub async fn run(args: Args, context: &Context) -> anyhow::Result<()> {
    let now = context.clock.now().as_second();
    let (result, note, counts) = match check(&args.image_url, context).await {
        Ok(findings) => {
            let failures = findings.iter().filter(|(_, is_fine)| !is_fine).count();
            let counts = (findings.len() - failures, failures);
            let result = if failures == 0 { Outcome::Success } else { Outcome::Failure };
            (result, "For details, check Tekton task log.".to_owned(), counts)
        }
        Err(error) => {
            eprintln!("toolbox: {error:#}");
            (Outcome::Error, format!("Task preflight failed: {error:#}").chars().take(300).collect(), (0, 0))
        }
    };
    // Without a namespace and with seconds: what reads this task's result knows it so (build-pipelines spec, 4).
    let output = json!({
        "result": result, "timestamp": now.to_string(), "note": note,
        "successes": counts.0, "failures": counts.1, "warnings": 0,
    });
    say(&output.to_string());
    results::write(&args.result_test_output, &output.to_string())
}

/// What was looked at, and whether it is as it should be.
async fn check(image_url: &str, context: &Context) -> anyhow::Result<Vec<(String, bool)>> {
    let reference: Reference = image_url.parse().context("--image-url")?;
    let manifest = context.registry.manifest(&reference, &context.keychain).await?;
    let mut findings =
        vec![("has a unique tag".to_owned(), reference.tag().is_some_and(|tag| tag != "latest"))];
    for member in members::members(image_url, manifest.digest.as_str(), context).await? {
        let Document::Image(document) = member.manifest.document()? else { continue };
        let config = image::config(&member.manifest, context).await?;
        let found = of_image(&config, document.layers.len());
        findings
            .extend(found.into_iter().map(|(what, is_fine)| (format!("{}: {what}", member.name()), is_fine)));
    }
    for (what, is_fine) in &findings {
        say(&format!("{} {what}", if *is_fine { "PASS" } else { "FAIL" }));
    }
    Ok(findings)
}

fn of_image(config: &Value, layers: usize) -> Vec<(String, bool)> {
    let config = &config["config"];
    let user = config["User"].as_str().unwrap_or_default();
    let user = user.split(':').next().unwrap_or_default();
    let mut found = vec![
        (format!("has at most {MAX_LAYERS} layers"), layers <= MAX_LAYERS),
        ("does not run as root".to_owned(), !["", "0", "root"].contains(&user)),
    ];
    let has = |label: &&str| config["Labels"][*label].as_str().is_some_and(|value| !value.is_empty());
    found.extend(LABELS.iter().map(|label| (format!("has the label {label}"), has(label))));
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn looks_at_layers_user_and_labels() {
        let labels: serde_json::Map<_, _> =
            LABELS.iter().map(|label| ((*label).to_owned(), json!("x"))).collect();
        let good = json!({"config": {"User": "1001:0", "Labels": labels}});
        assert!(of_image(&good, 40).iter().all(|(_, is_fine)| *is_fine));
        let failed = |config: &Value, layers| -> Vec<String> {
            let found = of_image(config, layers).into_iter().filter(|(_, is_fine)| !is_fine);
            found.map(|(what, _)| what).collect()
        };
        assert_eq!(failed(&good, 41), ["has at most 40 layers"]);
        for user in ["", "root", "0:0"] {
            let config = json!({"config": {"User": user, "Labels": labels}});
            assert_eq!(failed(&config, 1), ["does not run as root"], "{user}");
        }
        assert_eq!(failed(&json!({}), 1).len(), 7);
    }
}
