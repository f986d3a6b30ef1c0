//! Starts a phase: bindings first, then the run (spec, section 4.4).
//!
//! ```text
//! work ─▶ commit ─▶ params, timeouts, workspace ─▶ bindings ─▶ run
//!   └────────┴──────────────┴── Refused: the phase fails, what bindings there are go
//! ```
//! Nothing is made before all that can be known is known to be right.

use fleet::{ObjectKey, Write, WriteError, patience};
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::rbac::v1::RoleBinding;
use kube::Api;
use kube::core::Status;
use release_service_api::pipeline::{Param, PipelineRef};
use release_service_api::release::{Mitigation, RoleBindings};

use super::binding::{self, Grant};
use super::observe::{Seen, Slot};
use super::params::{Source, params};
use super::revision::{Failure, Written};
use super::run::Wanted;
use super::timeouts::timeouts;
use super::work::{Work, of_catalog, param, work};
use super::workspace::{Settings, broken_patterns, workspace};
use crate::service::Context;

/// How long something outside may stand in the way, a quota or a Git server (contracts.md, section b).
const PATIENCE: SignedDuration = SignedDuration::from_mins(10);

/// Name of the Pipeline in the bundle of collectors.
const RUN_COLLECTORS: &str = "run-collectors";

/// What is to be done about collectors that have no pipeline.
const NO_COLLECTORS: &str = "there is no pipeline for collectors: the pipeline of the ReleasePlanAdmission is not \
     from Git, and release-service has neither COLLECTORS_BUNDLE nor DEFAULT_CATALOG_URL";

/// A run that is to be made now.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Due {
    pub(crate) slot: Slot,
    /// Since when it is due: after ten minutes a quota is an answer.
    pub(crate) since: Timestamp,
    /// What it gets more of than the attempt before; with what that one had: see `attempts`.
    pub(crate) mitigation: Option<Mitigation>,
    /// `spec.taskRunSpecs` of the attempt, where the mitigation changed them.
    pub(crate) task_run_specs: Option<Vec<serde_json::Value>>,
}

/// What came of it.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Started {
    /// It is there, made now or before.
    Made { run: ObjectKey, bindings: RoleBindings },
    /// It will not be made. The bindings are there and have to go.
    Refused { cause: String, bindings: RoleBindings },
}

/// Why it is to be tried again.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    #[error(transparent)]
    Write(#[from] fleet::WriteError),
    #[error("read what a run needs")]
    Read(#[source] kube::Error),
    #[error("ask {url} which commit {revision} is")]
    Revision { url: String, revision: String, source: Box<fleet::outbound::Error> },
}

/// Makes what the run needs, and the run. What is there already is adopted.
pub(crate) async fn start(context: &Context, seen: &Seen, due: &Due) -> Result<Started, Error> {
    let phase = due.slot.phase;
    let Some(work) = work(seen, phase) else {
        let cause = format!("the {phase} pipeline is not configured any more");
        return Ok(Started::Refused { cause, bindings: RoleBindings::default() });
    };
    let grants = match binding::grants(seen, &work) {
        Ok(grants) => grants,
        Err(cause) => return Ok(Started::Refused { cause, bindings: RoleBindings::default() }),
    };
    let made = match prepare(context, seen, due, &work).await {
        Ok((run, write)) => make(context, seen, due, &grants, write).await.map(|()| run),
        Err(failure) => Err(failure),
    };
    let has_waited = seen.now.duration_since(due.since) >= PATIENCE;
    match made {
        Ok(run) => Ok(Started::Made { run, bindings: binding::told(&grants) }),
        Err(Failure::Passing(error)) if !has_waited || is_ours(&error) => Err(error),
        Err(failure) => {
            let bindings = binding::told(existing(context, &grants).await?);
            Ok(Started::Refused { cause: failure.cause(), bindings })
        }
    }
}

/// The run that is to be made, all of it.
async fn prepare(
    context: &Context,
    seen: &Seen,
    due: &Due,
    work: &Work,
) -> Result<(ObjectKey, Write), Failure> {
    let args = &context.args;
    let pipeline = match &work.pipeline {
        Some(pipeline) => pipeline.clone(),
        None => {
            own_collectors(&args.collectors_bundle, &args.default_catalog_url, &args.default_catalog_revision)
                .map_err(Failure::Final)?
        }
    };
    let of_work = |cause| Failure::Final(format!("{}: {cause}", work.field));
    let source = match Written::of(&pipeline).transpose().map_err(of_work)? {
        None => None,
        Some(written) => {
            let commit = written.commit(&context.outbound, args.github_token.as_ref()).await;
            let commit = commit.map_err(|failure| match failure {
                Failure::Final(cause) => of_work(cause),
                passing @ Failure::Passing(_) => passing,
            })?;
            Some(Source { url: written.url, commit })
        }
    };
    let config = &seen.config.spec;
    for pattern in broken_patterns(config) {
        tracing::warn!(
            pattern,
            "A pattern of EmptyDirOverrides is no regular expression, and matches nothing"
        );
    }
    let settings = Settings { name: &args.workspace_name, size: &args.workspace_size, config };
    let wanted = Wanted {
        seen,
        slot: due.slot,
        work,
        params: params(seen, work, pipeline.oci_storage.as_deref(), source.as_ref())
            .map_err(Failure::Final)?,
        timeouts: timeouts(work.timeouts.as_ref(), config.default_timeouts.as_ref(), due.mitigation.as_ref())
            .map_err(of_work)?,
        workspace: workspace(settings, due.slot.phase, &pipeline).map_err(Failure::Final)?,
        task_run_specs: due.task_run_specs.as_deref().unwrap_or(&work.task_run_specs),
        commit: source.as_ref().map(|source| source.commit.as_str()),
        pipeline: &pipeline,
    };
    Ok((wanted.key(), wanted.create()))
}

/// Where collectors come from if no admission says it: a bundle if one is set, else a repository.
fn own_collectors(bundle: &str, url: &str, revision: &str) -> Result<PipelineRef, String> {
    if !bundle.is_empty() {
        let params = [("bundle", bundle), ("name", RUN_COLLECTORS), ("kind", "pipeline")];
        return Ok(PipelineRef {
            resolver: "bundles".to_owned(),
            params: params.map(param).into_iter().collect::<Vec<Param>>(),
            ..PipelineRef::default()
        });
    }
    if url.is_empty() {
        return Err(NO_COLLECTORS.to_owned());
    }
    Ok(of_catalog(url, revision))
}

async fn make(
    context: &Context,
    seen: &Seen,
    due: &Due,
    grants: &[Grant],
    run: Write,
) -> Result<(), Failure> {
    let writes = grants.iter().flat_map(|grant| &grant.writes).chain([&run]);
    for write in writes {
        if let Err(error) = context.writer.apply(std::slice::from_ref(write)).await {
            tracing::debug!(
                name = %ObjectKey::of(&*seen.release),
                attempt = due.slot.attempt,
                error = %error,
                "A run cannot be started"
            );
            return Err(match cause(&error) {
                Some(cause) => Failure::Final(cause),
                None => Failure::Passing(error.into()),
            });
        }
    }
    Ok(())
}

/// What the user is told of a write that will never be done; `None` for one that may be.
fn cause(error: &WriteError) -> Option<String> {
    match error {
        WriteError::NotLeading { .. } => None,
        WriteError::Taken { .. } => Some(format!("{error}; delete it, and release again")),
        WriteError::Refused { source: kube::Error::Api(status), .. } => {
            let hint = if is_without_namespace(status) || error.is_permanent() {
                hint(status)
            } else {
                return None;
            };
            Some(format!("{error}: {}{hint}", status.message))
        }
        WriteError::Refused { .. } => error.is_permanent().then(|| fleet::controller::chain(error)),
    }
}

/// The namespace is not there, which nothing but its return mends.
fn is_without_namespace(status: &Status) -> bool {
    let details = status.details.as_ref();
    status.code == 404 && details.is_some_and(|details| details.kind == "namespaces")
}

/// What to do, where the API server does not say it.
fn hint(status: &Status) -> &'static str {
    let details = status.details.as_ref();
    let is_terminating = details
        .is_some_and(|details| details.causes.iter().any(|cause| cause.reason == "NamespaceTerminating"));
    let is_role = details.is_some_and(|details| details.kind == "roles" || details.kind == "rolebindings");
    if is_without_namespace(status) {
        "; is it the right target of the ReleasePlan?"
    } else if is_terminating {
        "; the namespace is being deleted"
    } else if status.code == 403 && is_role {
        "; release-service gives no rights that it does not have: Secrets of collectors take the component release-collector-secrets"
    } else {
        ""
    }
}

/// Not the fault of anybody that the user could tell.
fn is_ours(error: &Error) -> bool {
    match error {
        Error::Revision { .. } => false,
        Error::Write(error) => !is_quota(error),
        Error::Read(_) => true,
    }
}

/// Forbidden, and yet not for good.
fn is_quota(error: &WriteError) -> bool {
    let WriteError::Refused { source: kube::Error::Api(status), .. } = error else { return false };
    status.code == 403 && !error.is_permanent()
}

impl Failure {
    fn cause(&self) -> String {
        match self {
            Self::Final(cause) => cause.clone(),
            Self::Passing(Error::Write(error)) => match error {
                WriteError::Refused { source: kube::Error::Api(status), .. } => {
                    format!("{error}: {}", status.message)
                }
                error => fleet::controller::chain(error),
            },
            Self::Passing(error) => fleet::controller::chain(error),
        }
    }
}

/// The bindings that are there: an earlier try may have made some.
async fn existing<'a>(context: &Context, grants: &'a [Grant]) -> Result<Vec<&'a Grant>, Error> {
    let mut existing = Vec::new();
    for grant in grants {
        let api: Api<RoleBinding> = Api::namespaced(context.client.clone(), &grant.key.namespace);
        if patience::read(|| api.get_opt(&grant.key.name)).await.map_err(Error::Read)?.is_some() {
            existing.push(grant);
        }
    }
    Ok(existing)
}

/// Name of a run: `<phase>-` and ten characters (contracts.md, section d).
pub(crate) fn run_name(release_uid: &str, slot: Slot) -> String {
    let hash = fleet::names::hash(10, &[release_uid, slot.phase.as_str(), &slot.attempt.to_string()]);
    format!("{}-{hash}", slot.phase.as_str())
}

#[cfg(test)]
mod tests {
    use rstest::rstest;
    use serde_json::{Value, json};

    use super::*;

    fn refused(code: u16, message: &str, details: Value) -> WriteError {
        let mut status = Status::failure(message, "").with_code(code);
        status.details = serde_json::from_value(details).unwrap();
        WriteError::Refused { write: "create X m/x".to_owned(), source: kube::Error::Api(status.boxed()) }
    }

    const QUOTA: &str = "pipelineruns.tekton.dev \"x\" is forbidden: exceeded quota: runs";

    #[rstest]
    #[case::invalid(refused(422, "bad", json!(null)), Some("create X m/x: bad"))]
    #[case::denied(
        refused(403, "admission webhook denied the request", json!(null)),
        Some("create X m/x: admission webhook denied the request")
    )]
    #[case::no_namespace(
        refused(404, "namespaces \"m\" not found", json!({"kind": "namespaces", "name": "m"})),
        Some("namespaces \"m\" not found; is it the right target")
    )]
    #[case::namespace_goes(
        refused(403, "unable to create", json!({"causes": [{"reason": "NamespaceTerminating"}]})),
        Some("unable to create; the namespace is being deleted")
    )]
    #[case::more_than_it_has(
        refused(403, "attempting to grant", json!({"kind": "roles"})), Some("component release-collector-secrets")
    )]
    #[case::foreign(WriteError::Taken { write: "create X m/x".to_owned() }, Some("is not ours; delete it"))]
    #[case::no_engine(refused(404, "the server could not find the requested resource", json!(null)), None)]
    #[case::gone_in_between(refused(404, "not found", json!({"kind": "pipelineruns"})), None)]
    #[case::quota(refused(403, QUOTA, json!(null)), None)]
    #[case::conflict(refused(409, "conflict", json!(null)), None)]
    #[case::webhook_away(refused(500, "failed calling webhook", json!(null)), None)]
    #[case::not_leading(WriteError::NotLeading { write: "create X m/x".to_owned() }, None)]
    fn knows_what_stays(#[case] error: WriteError, #[case] expected: Option<&str>) {
        match (cause(&error), expected) {
            (Some(cause), Some(expected)) => assert!(cause.contains(expected), "{cause}"),
            (cause, expected) => assert_eq!(cause.as_deref(), expected),
        }
    }

    #[rstest]
    #[case::quota(Error::Write(refused(403, QUOTA, json!(null))), false)]
    #[case::git_server(
        Error::Revision {
            url: "u".to_owned(),
            revision: "main".to_owned(),
            source: Box::new(fleet::outbound::Error::Busy { host: "h".to_owned() }),
        },
        false
    )]
    #[case::api_server(Error::Write(refused(500, "etcd", json!(null))), true)]
    #[case::other_leader(Error::Write(WriteError::NotLeading { write: "x".to_owned() }), true)]
    #[case::read(Error::Read(kube::Error::LinesCodecMaxLineLengthExceeded), true)]
    fn waits_for_the_platform_without_end(#[case] error: Error, #[case] expected: bool) {
        assert_eq!(is_ours(&error), expected);
    }

    #[test]
    fn tells_what_the_quota_said() {
        let failure = Failure::Passing(Error::Write(refused(403, QUOTA, json!(null))));
        assert_eq!(failure.cause(), format!("create X m/x: {QUOTA}"));
    }

    #[rstest]
    #[case::bundle("r/run-collectors@sha256:1", "https://git.example/catalog", "bundles")]
    #[case::repository("", "https://git.example/catalog", "git")]
    fn collectors_have_a_catalog_of_their_own(
        #[case] bundle: &str,
        #[case] url: &str,
        #[case] expected: &str,
    ) {
        assert_eq!(own_collectors(bundle, url, "main").unwrap().resolver, expected);
        let error = own_collectors("", "", "main").unwrap_err();
        assert!(error.contains("COLLECTORS_BUNDLE") && error.contains("DEFAULT_CATALOG_URL"), "{error}");
    }
}
