//! What cannot be judged by looking at one Repository: whether another one has its URL. Everything else is in the schema too, and
//! is said here in the words that clients know (spec section 2.3; contracts.md, decision 18).

use fleet::ObjectKey;
use fleet::webhook::{Review, Verdict, Webhooks};
use kube::ResourceExt as _;
use pipelines_as_code_api::Repository;
use url::Url;

use crate::stores::{BY_URL, Repositories, url_key};

/// Where Repositories are checked.
pub const PATH: &str = "/validate-pipelinesascode-tekton-dev-v1alpha1-repository";

/// The webhooks of this service.
pub fn webhooks(repositories: &Repositories) -> Webhooks {
    let repositories = repositories.clone();
    Webhooks::new().validate::<Repository>(PATH, move |review| {
        let with_url = |url: &str| repositories.store.indexed(BY_URL, &url_key(url));
        let others = |url: &str| with_url(url).iter().map(|other| ObjectKey::of(&**other)).collect();
        validate(review, &repositories.global, &others)
    })
}

/// `global` is the Repository that needs no URL; `others` finds those that have one.
fn validate(
    review: &Review<Repository>,
    global: &ObjectKey,
    others: &dyn Fn(&str) -> Vec<ObjectKey>,
) -> Verdict {
    let Some(repository) = &review.object else { return Verdict::Allow };
    let key = ObjectKey::new(review.namespace.clone().unwrap_or_default(), repository.name_any());
    let old = review.old_object.as_ref().map(|old| &old.spec.spec);
    // What is stored already was allowed once, and its history has to be written.
    let url = repository.spec.spec.url.as_deref().unwrap_or_default();
    if old.is_none_or(|old| old.url != repository.spec.spec.url)
        && let Err(message) = check_url(url, &key, global, others)
    {
        return Verdict::deny(message);
    }
    let limit = repository.spec.spec.concurrency_limit;
    if limit.is_some_and(|limit| limit <= 0) && old.is_none_or(|old| old.concurrency_limit != limit) {
        return Verdict::deny("spec.concurrency_limit: concurrency limit must be greater than 0, such as 1");
    }
    Verdict::Allow
}

/// build-service tells these refusals from others by the words that they begin with.
fn check_url(
    url: &str,
    key: &ObjectKey,
    global: &ObjectKey,
    others: &dyn Fn(&str) -> Vec<ObjectKey>,
) -> Result<(), String> {
    if url.is_empty() {
        return if key == global {
            Ok(())
        } else {
            Err("failed to validate url: spec.url: must be set, such as https://git.example.com/team/app"
                .to_owned())
        };
    }
    let is_of_web = |url: &Url| matches!(url.scheme(), "http" | "https") && url.has_host();
    if !Url::parse(url).is_ok_and(|url| is_of_web(&url)) {
        return Err(format!(
            "failed to validate url: spec.url {url:?}: must be an absolute URL with the https or http scheme, \
             such as https://git.example.com/team/app"
        ));
    }
    // Whose it is, is nobody's business.
    if others(url).iter().any(|other| other != key) {
        return Err(format!(
            "repository already exists with URL {url:?}: spec.url has to be unique in the cluster"
        ));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use fleet::webhook::Operation;
    use kube::core::{GroupVersionKind, GroupVersionResource};
    use rstest::rstest;
    use serde_json::{Value, json};

    fn repository(spec: &Value) -> Repository {
        serde_json::from_value(json!({"metadata": {"name": "app", "namespace": "team"}, "spec": spec}))
            .unwrap()
    }

    fn review(namespace: &str, object: &Value, old: Option<&Value>) -> Review<Repository> {
        Review {
            operation: if old.is_some() { Operation::Update } else { Operation::Create },
            kind: GroupVersionKind::gvk("pipelinesascode.tekton.dev", "v1alpha1", "Repository"),
            resource: GroupVersionResource::gvr("pipelinesascode.tekton.dev", "v1alpha1", "repositories"),
            sub_resource: None,
            namespace: Some(namespace.to_owned()),
            name: "app".to_owned(),
            object: Some(repository(object)),
            old_object: old.map(repository),
            user: Default::default(),
            dry_run: false,
        }
    }

    /// `team/app` is there and has the URL `https://git.test/team/app`.
    fn check(review: &Review<Repository>) -> Verdict {
        let others = |url: &str| {
            if url == "https://git.test/team/app" { vec![ObjectKey::new("team", "app")] } else { vec![] }
        };
        validate(review, &ObjectKey::new("pipelines-as-code", "app"), &others)
    }

    #[rstest]
    #[case::new("team", json!({"url": "https://git.test/team/new", "concurrency_limit": 1}))]
    #[case::itself("team", json!({"url": "https://git.test/team/app"}))]
    #[case::the_global_one("pipelines-as-code", json!({"concurrency_limit": 5}))]
    fn allows(#[case] namespace: &str, #[case] spec: Value) {
        assert_eq!(check(&review(namespace, &spec, None)), Verdict::Allow);
    }

    #[rstest]
    #[case::taken("other", json!({"url": "https://git.test/team/app"}), "repository already exist")]
    #[case::no_url("team", json!({}), "failed to validate url")]
    #[case::empty("team", json!({"url": ""}), "failed to validate url")]
    #[case::no_scheme("team", json!({"url": "git.test/team/app"}), "failed to validate url")]
    #[case::not_of_the_web("team", json!({"url": "ssh://git.test/team/app"}), "failed to validate url")]
    #[case::no_host("team", json!({"url": "https://"}), "failed to validate url")]
    #[case::no_runs("team", json!({"url": "https://git.test/a/b", "concurrency_limit": 0}), "spec.concurrency_limit")]
    fn refuses(#[case] namespace: &str, #[case] spec: Value, #[case] begins: &str) {
        let Verdict::Deny { message } = check(&review(namespace, &spec, None)) else { panic!("allowed") };
        assert!(message.starts_with(begins), "{message}");
    }

    #[rstest]
    #[case::a_duplicate(json!({"url": "https://git.test/team/app"}))]
    #[case::no_url(json!({}))]
    #[case::no_runs(json!({"url": "https://git.test/a/b", "concurrency_limit": 0}))]
    fn what_is_stored_can_be_written_to(#[case] spec: Value) {
        assert_eq!(check(&review("other", &spec, Some(&spec))), Verdict::Allow);
    }

    #[test]
    fn a_changed_url_is_checked() {
        let (old, new) =
            (json!({"url": "https://git.test/a/b"}), json!({"url": "https://git.test/team/app"}));
        assert!(matches!(check(&review("other", &new, Some(&old))), Verdict::Deny { .. }));
    }
}
