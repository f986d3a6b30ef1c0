//! Whether a request may be served at all.

use internal_services_api::InternalRequest;
use kube::ResourceExt as _;
use release_service_api::pipeline::PipelineRef;

use super::wanted::service_account;
use crate::settings::Settings;

/// Parameter of the resolver `git`: the repository.
const URL: &str = "url";

/// Why the request is rejected, by what it says and what is allowed; `None` if it is served.
pub(super) fn refusal(
    request: &InternalRequest,
    settings: &Settings,
    allowed_accounts: &[String],
) -> Option<String> {
    let namespace = request.namespace().unwrap_or_default();
    let spec = &request.spec;
    settings
        .refuses(&namespace, spec.request.as_deref())
        .or_else(|| {
            let is_one = spec.request.is_some() != spec.pipeline.is_some();
            (!is_one).then(|| "exactly one of spec.request and spec.pipeline must be given".to_owned())
        })
        .or_else(|| {
            let pipeline = spec.pipeline.as_ref().filter(|pipeline| !pipeline.pipeline.task_run_specs.is_empty());
            pipeline.map(|_| "spec.pipeline.taskRunSpecs cannot be used here: leave it out".to_owned())
        })
        .or_else(|| {
            let reference = &spec.pipeline.as_ref()?.pipeline.pipeline_ref;
            (reference.resolver == PipelineRef::GIT).then(|| refused_url(reference, settings)).flatten()
        })
        .or_else(|| {
            let account = service_account(spec)?;
            let is_allowed = allowed_accounts.iter().any(|allowed| allowed.trim() == account);
            (!is_allowed).then(|| {
                format!("spec.serviceAccount: runs of requests may not use account '{account}' (--allowed-service-accounts)")
            })
        })
}

/// Each of its URLs counts: which one the resolver takes is not ours to guess.
fn refused_url(reference: &PipelineRef, settings: &Settings) -> Option<String> {
    let mut urls = reference.params.iter().filter(|param| param.name == URL).peekable();
    if urls.peek().is_none() {
        return settings.refuses_url("");
    }
    urls.find_map(|url| settings.refuses_url(&url.value))
}

#[cfg(test)]
mod tests {
    use rstest::rstest;
    use serde_json::{Value, json};

    use super::*;

    fn git(urls: &[&str]) -> Value {
        let params: Vec<_> = urls.iter().map(|url| json!({"name": "url", "value": url})).collect();
        json!({"pipeline": {"pipelineRef": {"resolver": "git", "params": params}}})
    }

    const GOOD: &str = "https://git.example/good";
    const BAD: &str = "https://git.example/bad";

    #[rstest]
    #[case::fine(json!({"request": "sign"}), &["managed"], None)]
    #[case::not_allowed(json!({"request": "sign"}), &[], Some("the internal request namespace (managed) is not in the allow list"))]
    #[case::neither(json!({}), &["managed"], Some("exactly one of"))]
    #[case::both(json!({"request": "sign", "pipeline": {}}), &["managed"], Some("exactly one of"))]
    #[case::good_url(git(&[GOOD]), &["managed"], None)]
    #[case::bad_url(git(&[BAD]), &["managed"], Some("(https://git.example/bad) is not in the list of allowed urls (https://git.example/good)"))]
    #[case::one_of_two(git(&[GOOD, BAD]), &["managed"], Some("not in the list of allowed urls"))]
    #[case::no_url(git(&[]), &["managed"], Some("not in the list of allowed urls"))]
    #[case::other_resolver(
        json!({"pipeline": {"pipelineRef": {"resolver": "bundles", "params": [{"name": "url", "value": BAD}]}}}), &["managed"], None
    )]
    #[case::account(json!({"request": "sign", "serviceAccount": "signer"}), &["managed"], None)]
    #[case::other_account(json!({"request": "sign", "serviceAccount": "admin"}), &["managed"], Some("may not use account 'admin'"))]
    #[case::other_account_of_pipeline(
        json!({"pipeline": {"pipelineRef": {"resolver": "hub"}, "serviceAccountName": "admin"}}), &["managed"], Some("account 'admin'")
    )]
    #[case::accounts_of_tasks(
        json!({"pipeline": {"pipelineRef": {"resolver": "hub"}, "taskRunSpecs": [{"serviceAccountName": "admin"}]}}), &["managed"],
        Some("taskRunSpecs")
    )]
    fn is_given(#[case] spec: Value, #[case] allow_list: &[&str], #[case] expected: Option<&str>) {
        let config = json!({"metadata": {"name": "config"},
            "spec": {"allowList": allow_list, "allowedGitResolverURLs": [GOOD]}});
        let settings = Settings::of(Some(&serde_json::from_value(config).unwrap()));
        let request: InternalRequest =
            serde_json::from_value(json!({"metadata": {"name": "r", "namespace": "managed"}, "spec": spec}))
                .unwrap();
        let refusal = refusal(&request, &settings, &["signer".to_owned()]);
        match expected {
            None => assert_eq!(refusal, None),
            Some(words) => {
                let refusal = refusal.unwrap();
                assert!(refusal.contains(words), "{refusal}");
            }
        }
    }
}
