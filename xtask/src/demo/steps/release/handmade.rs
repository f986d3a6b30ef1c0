//! Somebody pushes an image from a laptop, by the very account that builds push by, and asks for it to be released.
use std::time::Instant;

use anyhow::{Context as _, ensure};
use kube::{
    Client, ResourceExt as _,
    api::{DynamicObject, PostParams},
};
use serde_json::json;

use super::{super::registry::Repository, NAMESPACE, ask, component};
use crate::{
    cluster::Cluster,
    demo::{Built, Handmade},
    ui,
};

/// Pushes the image, makes a Snapshot of it, and asks for its release; nothing on a cluster whose registry is not ours.
pub(super) async fn ask_for(
    cluster: &Cluster,
    client: &Client,
    user: &Client,
    built: &Built,
) -> anyhow::Result<Option<Handmade>> {
    let Some(repository) = Repository::of(cluster, client, &built.repository).await? else { return Ok(None) };
    // Another one than was tampered with before, to which a signature was moved: this has none.
    let digest = repository.put_changed(&built.digest, "whoever-has-a-laptop").await?;
    let image = format!("{}@{digest}", built.repository);
    ui::note(&format!("somebody pushes {image}, and asks for its release"));
    let snapshot: DynamicObject = serde_json::from_value(json!({
        "apiVersion": "appstudio.redhat.com/v1alpha1",
        "kind": "Snapshot",
        "metadata": {"generateName": "from-a-laptop-", "namespace": NAMESPACE},
        "spec": {"application": "greetings", "components": [{
            "name": component::NAME, "containerImage": image,
            "source": {"git": {"url": built.url, "revision": built.commit}},
        }]},
    }))?;
    // A team's administrator may make Snapshots; tests of it decide about promotion, and not about a release that is asked for.
    let created = component::api(user, "Snapshot").create(&PostParams::default(), &snapshot).await;
    let snapshot = created.context("create a Snapshot of the pushed image")?.name_any();
    let asked = Instant::now();
    Ok(Some(Handmade { release: ask(user, &snapshot).await?, image, asked }))
}

/// Why it was not released, as its status says. Names the image and a rule.
pub(super) fn message(release: &DynamicObject, image: &str) -> anyhow::Result<String> {
    let conditions = release.data["status"]["conditions"].as_array().into_iter().flatten();
    let failed = { conditions }.find(|condition| condition["type"] == "ManagedPipelineProcessed");
    let message = failed.and_then(|condition| condition["message"].as_str()).unwrap_or_default();
    ensure!(
        message.contains(image),
        "the message of Release {} does not name {image}: {message}",
        release.name_any()
    );
    ensure!(
        rule(message).is_some(),
        "the message of Release {} names no rule: {message}",
        release.name_any()
    );
    Ok(message.to_owned())
}

/// The first rule that a message names: two words or more with dots between them, the first of a package of rules.
pub(super) fn rule(message: &str) -> Option<String> {
    const PACKAGES: [&str; 3] = ["builtin.", "attestation_", "slsa_"];
    let words = message.split(|letter: char| !(letter.is_ascii_alphanumeric() || "._".contains(letter)));
    let mut words = words.map(|word| word.trim_matches('.'));
    words
        .find(|word| word.contains('.') && PACKAGES.iter().any(|package| word.starts_with(package)))
        .map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    fn release(message: &str) -> DynamicObject {
        let conditions: Value = json!([
            {"type": "Released", "reason": "Failed", "message": "Release processing failed"},
            {"type": "ManagedPipelineProcessed", "reason": "Failed", "message": message},
        ]);
        serde_json::from_value(json!({
            "apiVersion": "appstudio.redhat.com/v1alpha1", "kind": "Release", "metadata": {"name": "r"},
            "status": {"conditions": conditions},
        }))
        .unwrap()
    }

    #[test]
    fn message_has_to_name_rule_and_image() {
        let said = "task verify-enterprise-contract failed: r.test/a@sha256:00: builtin.image.signature_check: no signature";
        assert_eq!(message(&release(said), "r.test/a@sha256:00").unwrap(), said);
        assert_eq!(rule(said).unwrap(), "builtin.image.signature_check");
        assert!(message(&release(said), "r.test/b@sha256:00").unwrap_err().to_string().contains("r.test/b"));
        let error = message(&release("task x failed: r.test/a"), "r.test/a").unwrap_err().to_string();
        assert!(error.contains("names no rule"), "{error}");
    }
}
