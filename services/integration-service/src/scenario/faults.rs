//! What the definition of scenarios refuses where one is new, and has to be said where an edit brought it in.

use integration_service_api::IntegrationTestScenarioSpec;
use integration_service_api::scenario::ResolverRef;
use url::Url;

/// The parameter that each run gets from us.
const SNAPSHOT: &str = "SNAPSHOT";

/// Each with the field and what to do; none if a run can be made of it.
pub(super) fn of(spec: &IntegrationTestScenarioSpec) -> Vec<String> {
    let mut faults = Vec::new();
    if spec.params.iter().any(|param| param.name == SNAPSHOT) {
        faults.push(format!(
            "spec.params: {SNAPSHOT} is added by integration-service: give yours another name"
        ));
    }
    match &spec.resolver_ref {
        None => faults.push("spec.resolverRef: is missing: say where the pipeline is".to_owned()),
        Some(resolver) if resolver.resolver.is_empty() => {
            faults.push("spec.resolverRef.resolver: is empty: name a resolver, such as git".to_owned());
        }
        Some(resolver) if resolver.resolver == ResolverRef::GIT => faults.extend(of_git(resolver)),
        Some(_) => {}
    }
    faults
}

fn of_git(resolver: &ResolverRef) -> Vec<String> {
    let value = |name: &str| {
        resolver.params.iter().find(|param| param.name == name).map(|param| param.value.as_str())
    };
    let mut faults = Vec::new();
    let [url, repo, org] = ["url", "repo", "org"].map(|name| value(name).is_some());
    let is_named_once = if url { !repo && !org } else { repo && org };
    if !is_named_once {
        faults.push("spec.resolverRef.params: git needs either url, or repo and org".to_owned());
    }
    for name in ["url", "serverURL"] {
        if value(name).is_some_and(|text| !is_https(text)) {
            faults.push(format!("spec.resolverRef.params: {name} has to be a URL that begins with https://"));
        }
    }
    if value("token").is_some_and(|text| !is_label(text)) {
        faults.push("spec.resolverRef.params: token has to be the name of a Secret".to_owned());
    }
    let blank = resolver.params.iter().filter(|param| param.value.trim() != param.value);
    faults.extend(
        blank.map(|param| {
            format!("spec.resolverRef.params: {} must not begin or end with blanks", param.name)
        }),
    );
    faults
}

fn is_https(text: &str) -> bool {
    text.starts_with("https://") && Url::parse(text).is_ok()
}

/// A DNS-1123 label.
fn is_label(text: &str) -> bool {
    let is_inner = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    (1..=63).contains(&text.len())
        && text.bytes().all(is_inner)
        && !text.starts_with('-')
        && !text.ends_with('-')
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;
    use serde_json::{Value, json};

    fn check(patch: &Value) -> Vec<String> {
        let mut spec = json!({
            "application": "shop",
            "resolverRef": {"resolver": "git", "params": [{"name": "url", "value": "https://git.example/a"}]},
        });
        json_patch::merge(&mut spec, patch);
        of(&serde_json::from_value(spec).unwrap())
    }

    fn git(params: &[(&str, &str)]) -> Value {
        let params: Vec<_> =
            params.iter().map(|(name, value)| json!({"name": name, "value": value})).collect();
        json!({"resolverRef": {"params": params}})
    }

    #[rstest]
    #[case::as_it_is(json!({}), &[])]
    #[case::organisation(git(&[("repo", "a"), ("org", "b"), ("serverURL", "https://git.example")]), &[])]
    #[case::secret(git(&[("url", "https://git.example/a"), ("token", "my-secret")]), &[])]
    #[case::other_resolver(json!({"resolverRef": {"resolver": "bundles", "params": [{"name": "url", "value": " x"}]}}), &[])]
    #[case::no_resolver(json!({"resolverRef": null}), &["is missing"])]
    #[case::empty_resolver(json!({"resolverRef": {"resolver": ""}}), &["resolver: is empty"])]
    #[case::reserved(json!({"params": [{"name": "SNAPSHOT"}]}), &["SNAPSHOT is added"])]
    #[case::nobody(git(&[("repo", "a")]), &["either url, or repo and org"])]
    #[case::twice(git(&[("url", "https://git.example/a"), ("org", "b")]), &["either url, or repo and org"])]
    #[case::http(git(&[("url", "http://git.example/a")]), &["url has to be a URL"])]
    #[case::no_host(git(&[("url", "https://")]), &["url has to be a URL"])]
    #[case::http_server(git(&[("repo", "a"), ("org", "b"), ("serverURL", "http://g")]), &["serverURL has to be"])]
    #[case::token_itself(git(&[("url", "https://git.example/a"), ("token", "ghp_X")]), &["name of a Secret"])]
    #[case::blank(git(&[("url", "https://git.example/a"), ("revision", "main ")]), &["revision must not begin or end"])]
    #[case::all_at_once(
        json!({"params": [{"name": "SNAPSHOT"}], "resolverRef": {"params": [{"name": "token", "value": "T"}]}}),
        &["SNAPSHOT is added", "either url", "name of a Secret"]
    )]
    fn says_what_is_wrong(#[case] patch: Value, #[case] expected: &[&str]) {
        let faults = check(&patch);
        assert_eq!(faults.len(), expected.len(), "{faults:#?}");
        for (fault, expected) in faults.iter().zip(expected) {
            assert!(fault.contains(expected), "{faults:#?}");
        }
    }
}
