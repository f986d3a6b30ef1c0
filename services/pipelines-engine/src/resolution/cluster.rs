//! The resolver `cluster`: objects of other namespaces.

use std::time::Duration;

use kube::Resource as _;
use kube::api::{Api, ApiResource, DynamicObject};
use pipelines_engine_api::annotations::LAST_APPLIED;
use pipelines_engine_api::annotations::resolution::{CONTENT_TYPE, NAME, NAMESPACE};
use pipelines_engine_api::{Pipeline, RefSource, StepAction, Task};
use serde_json::json;
use sha2::{Digest as _, Sha256};

use super::answer::{Failure, MAX_DATA, Resource, YAML};
use super::params::Params;
use super::settings::ClusterSettings;

/// Of the call to the API server.
pub(super) const LIMIT: Duration = Duration::from_secs(10);

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ClusterQuestion {
    kind: Kind,
    namespace: String,
    name: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, strum::EnumString, strum::Display)]
#[strum(serialize_all = "lowercase")]
enum Kind {
    Task,
    Pipeline,
    StepAction,
}

impl Kind {
    fn resource(self) -> ApiResource {
        match self {
            Self::Task => ApiResource::erase::<Task>(&()),
            Self::Pipeline => ApiResource::erase::<Pipeline>(&()),
            Self::StepAction => ApiResource::erase::<StepAction>(&()),
        }
    }
}

impl ClusterQuestion {
    pub(super) fn parse(params: Params<'_>, settings: &ClusterSettings) -> Result<Self, String> {
        let kind = params.or("kind", &settings.kind, "default-kind")?;
        let kind = kind
            .to_ascii_lowercase()
            .parse()
            .map_err(|_| format!("param \"kind\": {kind:?} is none of task, pipeline, stepaction"))?;
        let name = params.required("name")?.to_owned();
        let namespace = params.or("namespace", &settings.namespace, "default-namespace")?;
        for (param, value) in [("name", &name), ("namespace", &namespace)] {
            // It becomes part of a path.
            if !is_name(value) {
                return Err(format!("param {param:?}: {value:?} cannot be the name of an object"));
            }
        }
        check(&namespace, settings)?;
        Ok(Self { kind, namespace, name })
    }

    pub(super) async fn resolve(&self, client: &kube::Client) -> Result<Resource, Failure> {
        let Self { kind, namespace, name } = self;
        let resource = kind.resource();
        let api: Api<DynamicObject> = Api::namespaced_with(client.clone(), namespace, &resource);
        let found = api.get_opt(name).await.map_err(|error| {
            Failure::transient(format!("{kind} {name:?} of namespace {namespace:?} cannot be read: {error}"))
        })?;
        let object = found.ok_or_else(|| {
            Failure::Permanent(format!("there is no {kind} {name:?} in namespace {namespace:?}"))
        })?;
        resolved(&object, &resource, *kind)
    }
}

/// DNS subdomains: what the API server takes for names.
fn is_name(text: &str) -> bool {
    let is_character = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"-.".contains(&byte);
    text.len() <= 253
        && text.bytes().all(is_character)
        && !text.starts_with(['-', '.'])
        && !text.contains("..")
}

/// Whether objects of a namespace may be used by all.
fn check(namespace: &str, settings: &ClusterSettings) -> Result<(), String> {
    let refused = |by: &str| {
        Err(format!(
            "namespace {namespace:?} may not be read: it is {by} of ConfigMap \"cluster-resolver-config\""
        ))
    };
    let (allowed, blocked) = (&settings.allowed, &settings.blocked);
    if blocked.contains(namespace) {
        return refused("in blocked-namespaces");
    }
    if allowed.contains(namespace) || allowed.contains("*") {
        return Ok(());
    }
    if blocked.contains("*") || !allowed.is_empty() {
        return refused("not in allowed-namespaces");
    }
    Ok(())
}

/// The object as everybody may see it, always in the same words, so that its digest tells whether it has changed.
fn resolved(object: &DynamicObject, resource: &ApiResource, kind: Kind) -> Result<Resource, Failure> {
    let metadata = object.meta();
    let (name, namespace) = (&metadata.name, &metadata.namespace);
    let mut notes = metadata.annotations.clone().unwrap_or_default();
    notes.remove(LAST_APPLIED.as_str());
    let canonical = json!({
        "apiVersion": resource.api_version,
        "kind": resource.kind,
        "metadata": {
            "name": name, "namespace": namespace, "uid": metadata.uid, "labels": metadata.labels, "annotations": notes,
        },
        "spec": object.data.get("spec"),
    });
    let data = canonical.to_string().into_bytes();
    if data.len() as u64 > MAX_DATA {
        return Err(Failure::Permanent(format!("{kind} {name:?} is larger than {MAX_DATA} bytes")));
    }
    let text = |text: &Option<String>| text.clone().unwrap_or_default();
    let (name, namespace) = (text(name), text(namespace));
    let uri = format!(
        "/apis/{}/namespaces/{namespace}/{kind}/{name}@{}",
        resource.api_version,
        text(&metadata.uid)
    );
    let digest = data_encoding::HEXLOWER.encode(&Sha256::digest(&data));
    Ok(Resource {
        data,
        source: RefSource { uri, digest: [("sha256".to_owned(), digest)].into(), entry_point: String::new() },
        annotations: [(CONTENT_TYPE, YAML.to_owned()), (NAME, name), (NAMESPACE, namespace)]
            .map(|(key, value)| (key.as_str().to_owned(), value))
            .into(),
    })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use pipelines_engine_api::Param;
    use rstest::rstest;

    use super::*;

    fn set(names: &[&str]) -> BTreeSet<String> {
        names.iter().map(|name| (*name).to_owned()).collect()
    }

    #[rstest]
    #[case::nothing_said(&[], &[], true)]
    #[case::blocked(&[], &["shared"], false)]
    #[case::blocked_and_allowed(&["shared"], &["shared"], false)]
    #[case::allowed(&["shared"], &["*"], true)]
    #[case::all_blocked(&[], &["*"], false)]
    #[case::others_allowed(&["other"], &[], false)]
    #[case::all_allowed(&["*"], &["other"], true)]
    fn reads_namespaces_that_may_be_read(
        #[case] allowed: &[&str],
        #[case] blocked: &[&str],
        #[case] expected: bool,
    ) {
        let settings =
            ClusterSettings { allowed: set(allowed), blocked: set(blocked), ..ClusterSettings::default() };
        assert_eq!(check("shared", &settings).is_ok(), expected);
    }

    fn parse(params: &[(&str, &str)]) -> Result<ClusterQuestion, String> {
        let params: Vec<_> = params.iter().map(|(name, value)| Param::new(*name, *value)).collect();
        ClusterQuestion::parse(Params::new(&params), &ClusterSettings::default())
    }

    #[test]
    fn takes_names_only() {
        assert!(parse(&[("name", "build"), ("namespace", "shared")]).is_ok());
        for (name, namespace) in
            [("../secrets", "shared"), ("build", "a/b"), ("", "shared"), ("a?b", "shared")]
        {
            assert!(parse(&[("name", name), ("namespace", namespace)]).is_err(), "{namespace}/{name}");
        }
        let error = parse(&[("name", "a"), ("namespace", "b"), ("kind", "secret")]).unwrap_err();
        assert!(error.contains("stepaction"), "{error}");
        let error = parse(&[("name", "a")]).unwrap_err();
        assert!(error.contains("default-namespace"), "{error}");
    }

    #[test]
    fn digests_what_matters() {
        let object = |version: &str, steps: &str| -> DynamicObject {
            serde_json::from_value(json!({
                "apiVersion": "tekton.dev/v1", "kind": "Task",
                "metadata": {
                    "name": "build", "namespace": "shared", "uid": "u", "resourceVersion": version,
                    "managedFields": [{"manager": version}],
                    "annotations": {"kubectl.kubernetes.io/last-applied-configuration": version, "a": "b"},
                },
                "spec": {"steps": [{"image": steps}]},
            }))
            .unwrap()
        };
        let resolve = |object| resolved(&object, &Kind::Task.resource(), Kind::Task).unwrap();
        let found = resolve(object("1", "a"));
        assert_eq!(found.source.uri, "/apis/tekton.dev/v1/namespaces/shared/task/build@u");
        assert_eq!(found, resolve(object("2", "a")));
        assert_ne!(found.source.digest, resolve(object("1", "b")).source.digest);
    }
}
