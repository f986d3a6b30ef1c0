//! Server-side apply of rendered objects, and errors that say which field of which file is wrong.
use std::{
    fmt,
    time::{Duration, Instant},
};

use anyhow::{Context as _, anyhow};
use kube::{
    Api, Client, Discovery,
    api::{DynamicObject, Patch, PatchParams, ValidationDirective},
    core::{Status, response::StatusCause},
    discovery::Scope,
};
use tokio::time::sleep;

use super::Object;

/// Owner of the fields that we set. Also the name under which `kubectl apply --server-side` can take over from us.
pub const FIELD_MANAGER: &str = "konflux-deploy";

/// How long the API server may take to hear of a quota that is counted.
const COUNTING: Duration = Duration::from_secs(30);
const POLL: Duration = Duration::from_millis(200);

/// Applies objects to one cluster, whose kinds it knows.
pub struct Applier {
    client: Client,
    kinds: Discovery,
    force: bool,
}

/// What applying did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    Created,
    Changed,
    Unchanged,
}

/// How often each outcome happened. Prints `3 created, 1 changed`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    pub created: usize,
    pub changed: usize,
    pub unchanged: usize,
}

impl Applier {
    /// Asks the cluster for its kinds. With `force`, fields that others have set are taken over.
    pub async fn discover(client: Client, force: bool) -> anyhow::Result<Self> {
        let kinds = Discovery::new(client.clone()).run().await;
        let kinds = kinds
            .context("ask the cluster which kinds it has: is it up, and is the kubeconfig the right one?")?;
        Ok(Self { client, kinds, force })
    }

    /// Applies all in order and stops at the first error. `progress` is told each object before it is applied.
    pub async fn apply_all(&self, objects: &[Object], progress: impl Fn(&str)) -> anyhow::Result<Tally> {
        let mut tally = Tally::default();
        for object in objects {
            progress(&object.to_string());
            match self.apply(object).await? {
                Outcome::Created => tally.created += 1,
                Outcome::Changed => tally.changed += 1,
                Outcome::Unchanged => tally.unchanged += 1,
            }
        }
        Ok(tally)
    }

    pub async fn apply(&self, object: &Object) -> anyhow::Result<Outcome> {
        let api = self.api(object)?;
        let before = api.get_metadata_opt(object.name()).await.with_context(|| format!("read {object}"))?;
        let parameters = PatchParams {
            force: self.force,
            field_manager: Some(FIELD_MANAGER.to_owned()),
            field_validation: Some(ValidationDirective::Strict),
            ..PatchParams::default()
        };
        let until = Instant::now() + COUNTING;
        let after = loop {
            match api.patch(object.name(), &parameters, &Patch::Apply(&object.content)).await {
                Ok(after) => break after,
                Err(error) if is_uncounted(&error) && Instant::now() < until => sleep(POLL).await,
                Err(error) => return Err(refusal(object, error)),
            }
        };
        Ok(match before {
            None => Outcome::Created,
            Some(before) if before.metadata.resource_version == after.metadata.resource_version => {
                Outcome::Unchanged
            }
            Some(_) => Outcome::Changed,
        })
    }

    /// Access to the kind of this object, in its namespace.
    pub fn api(&self, object: &Object) -> anyhow::Result<Api<DynamicObject>> {
        let gvk = object.gvk();
        let (resource, capabilities) = self.kinds.resolve_gvk(&gvk).ok_or_else(|| {
            anyhow!(
                "{object}: the cluster knows no kind {} in {}: if it is one of ours, add its folder below \
                 deploy/kustomize/crds to the overlay; if not, install what brings it, or leave out what uses it",
                gvk.kind,
                gvk.api_version(),
            )
        })?;
        match (capabilities.scope, object.namespace()) {
            (Scope::Cluster, None) => Ok(Api::all_with(self.client.clone(), &resource)),
            (Scope::Namespaced, Some(namespace)) => {
                Ok(Api::namespaced_with(self.client.clone(), namespace, &resource))
            }
            (Scope::Cluster, Some(_)) => {
                Err(anyhow!("{object}: metadata.namespace is set, but a {} has none", gvk.kind))
            }
            (Scope::Namespaced, None) => Err(anyhow!(
                "{object}: metadata.namespace is missing: set it there, or `namespace:` in the overlay"
            )),
        }
    }
}

/// The API server has not yet heard how much of a quota is used, though that is written down already.
fn is_uncounted(error: &kube::Error) -> bool {
    matches!(error, kube::Error::Api(status) if status.code == 403 && status.message.contains("status unknown for quota"))
}

/// The error for the user when the API server refuses an object.
fn refusal(object: &Object, error: kube::Error) -> anyhow::Error {
    match error {
        kube::Error::Api(status) => anyhow!("{object}: {}", explained(&status)),
        other => anyhow::Error::new(other).context(format!("apply {object}")),
    }
}

/// The API server's answer, with every field on a line of its own.
fn explained(status: &Status) -> String {
    let causes: &[StatusCause] = status.details.as_ref().map_or(&[], |details| &details.causes);
    let fields = causes.iter().map(|cause| match cause.field.as_str() {
        "" => format!("\n  {}", cause.message),
        field => format!("\n  {}: {}", field.trim_start_matches('.'), cause.message),
    });
    if status.is_conflict() && !causes.is_empty() {
        return format!(
            "others have set fields that the overlay sets, too.{}\nTake the fields out of the overlay, or take them \
             over with --force-conflicts.",
            fields.collect::<String>()
        );
    }
    if status.is_invalid() && !causes.is_empty() {
        return format!("refused.{}", fields.collect::<String>());
    }
    if status.is_forbidden() {
        return format!(
            "{}\nDeploying takes an administrator of the cluster: which user does the kubeconfig name?",
            status.message
        );
    }
    status.message.clone()
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let parts = [(self.created, "created"), (self.changed, "changed"), (self.unchanged, "unchanged")];
        let parts: Vec<_> = parts
            .iter()
            .filter(|(count, _)| *count > 0)
            .map(|(count, what)| format!("{count} {what}"))
            .collect();
        f.write_str(&parts.join(", "))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn status(code: u16, reason: &str, causes: &serde_json::Value) -> Status {
        let details = json!({"causes": causes});
        serde_json::from_value(json!({"code": code, "reason": reason, "message": "text", "details": details}))
            .unwrap()
    }

    #[test]
    fn conflict_names_field_owner_and_ways_out() {
        let cause = json!([{"field": ".spec.replicas", "message": "conflict with \"kubectl\"", "reason": "FieldManagerConflict"}]);
        let text = explained(&status(409, "Conflict", &cause));
        assert!(text.contains("\n  spec.replicas: conflict with \"kubectl\""), "{text}");
        assert!(text.contains("--force-conflicts"), "{text}");
    }

    #[test]
    fn a_quota_that_nobody_counts_yet_is_waited_for() {
        let refused = |message: &str| {
            let status = json!({"code": 403, "reason": "Forbidden", "message": message});
            kube::Error::Api(Box::new(serde_json::from_value(status).unwrap()))
        };
        assert!(is_uncounted(&refused(
            "\"a\" is forbidden: status unknown for quota: q, resources: count/as.example.com"
        )));
        assert!(!is_uncounted(&refused("\"a\" is forbidden: exceeded quota: q")));
    }

    #[test]
    fn invalid_object_names_each_field() {
        let causes =
            json!([{"field": "spec.a", "message": "too long"}, {"field": "spec.b", "message": "required"}]);
        assert_eq!(
            explained(&status(422, "Invalid", &causes)),
            "refused.\n  spec.a: too long\n  spec.b: required"
        );
    }

    #[test]
    fn other_answers_are_passed_on() {
        assert_eq!(explained(&status(400, "BadRequest", &json!([]))), "text");
        assert!(explained(&status(403, "Forbidden", &json!([]))).contains("kubeconfig"));
    }

    #[test]
    fn tally_says_only_what_happened() {
        assert_eq!(Tally { created: 2, changed: 0, unchanged: 1 }.to_string(), "2 created, 1 unchanged");
    }
}
