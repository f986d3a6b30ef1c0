//! The single removals. What is gone already counts as removed.

use fleet::{MetadataPatch, ObjectKey, Write, WriteError, patience};
use k8s_openapi::api::rbac::v1::{Role, RoleBinding};
use kube::{Api, Resource, ResourceExt as _};
use pipelines_engine_api::PipelineRun;
use release_service_api::{Release, finalizers, labels};

use super::super::start::Error;
use crate::service::Context;

/// How often a removal is tried at once if others write to the same run: chains and results do so when it ends.
const TRIES: usize = 4;

/// Removes a binding of this Release by name, and the Role that it gives.
pub(crate) async fn remove_binding(
    context: &Context,
    release: &Release,
    key: &ObjectKey,
) -> Result<(), Error> {
    let bindings: Api<RoleBinding> = Api::namespaced(context.client.clone(), &key.namespace);
    let Some(binding) = read(patience::read(|| bindings.get_opt(&key.name)).await, key)? else {
        return Ok(());
    };
    // The status can be written by the pipeline's account: only what we made for this Release is touched.
    if !is_of(&binding, release) {
        return Ok(());
    }
    remove(context, &binding).await?;
    if binding.role_ref.kind == "Role" {
        let roles: Api<Role> = Api::namespaced(context.client.clone(), &key.namespace);
        let role = read(patience::read(|| roles.get_opt(&binding.role_ref.name)).await, key)?;
        if let Some(role) = role.filter(|role| is_of(role, release)) {
            remove(context, &role).await?;
        }
    }
    Ok(())
}

/// Removes this very object. What the API server refuses for good is logged: the sweep tries it again, and nothing else waits for it.
pub(crate) async fn remove<K: Resource<DynamicType = ()>>(
    context: &Context,
    object: &K,
) -> Result<(), Error> {
    match context.writer.apply(&[Write::delete(object)]).await {
        Err(error) if is_refused(&error) => {
            tracing::warn!(
                object = %ObjectKey::of(object),
                kind = %K::kind(&()),
                error = fleet::controller::chain(&error),
                "A binding of a Release stays for now"
            );
            Ok(())
        }
        other => Ok(other?),
    }
}

/// Takes our finalizer from a run and leaves all else as it is: the patch holds the version that was read, so that what others take
/// off at the same time does not come back.
pub(crate) async fn let_go(context: &Context, run: &PipelineRun) -> Result<(), Error> {
    let patch =
        |run: &PipelineRun| MetadataPatch::of(run).without_finalizer(finalizers::RELEASE).into_write();
    let key = ObjectKey::of(run);
    let runs: Api<PipelineRun> = Api::namespaced(context.client.clone(), &key.namespace);
    let mut write = patch(run);
    for attempt in 1.. {
        let Some(due) = write else { break };
        match context.writer.apply(&[due]).await {
            Ok(()) => break,
            Err(WriteError::Refused { source: kube::Error::Api(status), .. }) if status.is_not_found() => {
                break;
            }
            Err(WriteError::Refused { source: kube::Error::Api(status), .. })
                if status.is_conflict() && attempt < TRIES => {}
            Err(error) if is_refused(&error) => {
                let error = fleet::controller::chain(&error);
                tracing::warn!(pipeline_run = %key, error, "Our finalizer cannot be taken from a run");
                break;
            }
            Err(error) => return Err(error.into()),
        }
        let found = patience::read(|| runs.get_opt(&key.name)).await.map_err(Error::Read)?;
        let found = found.filter(|found| found.metadata.uid == run.metadata.uid);
        write = found.as_ref().and_then(patch);
    }
    Ok(())
}

/// What was read; nothing where it may not be read, for then nothing can be done about it either.
fn read<K>(answer: Result<Option<K>, kube::Error>, key: &ObjectKey) -> Result<Option<K>, Error> {
    match answer {
        Err(kube::Error::Api(status)) if status.code == 403 => {
            tracing::warn!(object = %key, error = status.message, "A binding of a Release cannot be read");
            Ok(None)
        }
        other => other.map_err(Error::Read),
    }
}

/// Asking again would not help. An expired token is not meant.
fn is_refused(error: &WriteError) -> bool {
    let is_unauthorized = matches!(
        error,
        WriteError::Refused { source: kube::Error::Api(status), .. } if status.code == 401
    );
    error.is_permanent() && !is_unauthorized
}

/// By its labels, or by its owner, as of those that the original made.
fn is_of<K: Resource<DynamicType = ()>>(object: &K, release: &Release) -> bool {
    let (meta, key) = (object.meta(), ObjectKey::of(release));
    let is_labelled = labels::NAME.of(&meta.labels) == Some(&key.name)
        && labels::NAMESPACE.of(&meta.labels) == Some(&key.namespace);
    let is_owned =
        object.owner_references().iter().any(|owner| Some(&owner.uid) == release.metadata.uid.as_ref());
    is_labelled || is_owned
}

#[cfg(test)]
mod tests {
    use super::*;
    use kube::core::Status;
    use rstest::rstest;
    use serde_json::{Value, json};

    #[rstest]
    #[case::by_labels(&json!({"labels": {"release.appstudio.openshift.io/name": "r", "release.appstudio.openshift.io/namespace": "t"}}), true)]
    #[case::by_owner(&json!({"ownerReferences": [{"apiVersion": "v1", "kind": "Release", "name": "r", "uid": "u"}]}), true)]
    #[case::of_another_namespace(&json!({"labels": {"release.appstudio.openshift.io/name": "r", "release.appstudio.openshift.io/namespace": "x"}}), false)]
    #[case::somebody_elses(&json!({}), false)]
    fn touches_only_what_is_of_the_release(#[case] metadata: &Value, #[case] expected: bool) {
        let release: Release = serde_json::from_value(json!({
            "apiVersion": "appstudio.redhat.com/v1alpha1", "kind": "Release",
            "metadata": {"name": "r", "namespace": "t", "uid": "u"},
            "spec": {"snapshot": "s", "releasePlan": "p"},
        }))
        .unwrap();
        let binding: RoleBinding = serde_json::from_value(json!({
            "metadata": metadata,
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "x"},
        }))
        .unwrap();
        assert_eq!(is_of(&binding, &release), expected);
    }

    #[rstest]
    #[case::forbidden(403, true)]
    #[case::expired_token(401, false)]
    #[case::away(503, false)]
    fn goes_on_where_asking_again_does_not_help(#[case] code: u16, #[case] expected: bool) {
        let source = kube::Error::Api(Status::failure("no", "").with_code(code).boxed());
        let error = WriteError::Refused { write: "delete".to_owned(), source };
        assert_eq!(is_refused(&error), expected);
    }
}
