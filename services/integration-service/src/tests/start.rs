//! Starts scenarios: what they need first, then the run.

use std::sync::Arc;

use application_service_api::Application;
use fleet::{ObjectKey, TraceContext, Wake, Write, WriteError};
use image_controller_api::names::INTEGRATION_RUNNER;
use integration_service_api::status::TestStatus;
use jiff::SignedDuration;
use kube::ResourceExt as _;
use pipelines_engine_api::PipelineRun;

use super::Error;
use super::definition::{self, Definition};
use super::due::{Due, Fate};
use super::observe::{Found, Seen};
use super::run::{Wanted, names};
use crate::environments::ephemeral::{self, Asked, RunsIn, Step};
use crate::service::Context;

/// How long a scenario waits for room in a quota (contracts.md, section b).
const QUOTA_PATIENCE: SignedDuration = SignedDuration::from_mins(10);

/// What came of starting a scenario.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Started {
    Running {
        run: String,
    },
    /// Its environment is being made.
    Preparing {
        details: String,
        wake: Wake,
    },
    /// Its pipeline is being fetched.
    Waiting {
        wake: Wake,
    },
    /// It will never run as it is.
    Ended {
        status: TestStatus,
        details: String,
        /// What is to be cleaned up.
        writes: Vec<Write>,
    },
}

/// Starts those that are due. One that fails holds up no other: its error comes back beside what came of the others.
pub(super) async fn all(context: &Context, seen: &Seen) -> (Vec<(String, Started)>, Option<Error>) {
    let Found::There(application) = &seen.application else { return (Vec::new(), None) };
    let (mut started, mut failure) = (Vec::new(), None);
    for (name, fate) in seen.fates() {
        let Fate::Start(due) = fate else { continue };
        match one(context, seen, application, &due).await {
            Ok(outcome) => started.push((name, outcome)),
            Err(error) => failure = Some(error),
        }
    }
    (started, failure)
}

async fn one(
    context: &Context,
    seen: &Seen,
    application: &Arc<Application>,
    due: &Due,
) -> Result<Started, Error> {
    let environment = match environment(context, seen, application, due).await? {
        Ok(environment) => environment,
        Err(otherwise) => return Ok(otherwise),
    };
    let definition = match Box::pin(definition::find(context, seen, due)).await? {
        None => None,
        Some(Definition::Found(run)) => Some(run),
        Some(Definition::Waiting { wake }) => return Ok(Started::Waiting { wake }),
        Some(Definition::Failed { why }) => return Ok(invalid(why)),
    };
    run(context, seen, due, environment.as_ref(), definition.as_deref()).await
}

/// Where it is to run, if it needs an environment; what comes of it instead, if that is not there.
async fn environment(
    context: &Context,
    seen: &Seen,
    application: &Arc<Application>,
    due: &Due,
) -> Result<Result<Option<RunsIn>, Started>, Error> {
    let asked = Asked {
        application,
        snapshot: &seen.snapshot,
        scenario: &due.scenario,
        attempt: due.attempt,
        since: due.preparing_since,
    };
    let Some(mut of_environment) = ephemeral::observe(context, &asked).await.map_err(Error::Read)? else {
        return Ok(Ok(None));
    };
    let mut step = ephemeral::decide(&of_environment);
    if let Step::Waiting { writes, .. } = &step
        && let Err(error) = context.writer.apply(writes).await
    {
        if !is_final(&error, seen, due) {
            return Err(error.into());
        }
        of_environment.refused = Some(reason(&error));
        step = ephemeral::decide(&of_environment);
    }
    step.measure(&of_environment, &context.metrics);
    Ok(match step {
        Step::Ready(runs_in) => Ok(Some(runs_in)),
        Step::Waiting { details, wake, .. } => Err(Started::Preparing { details, wake }),
        Step::Failed { status, details, writes } => Err(Started::Ended { status, details, writes }),
    })
}

async fn run(
    context: &Context,
    seen: &Seen,
    due: &Due,
    environment: Option<&RunsIn>,
    definition: Option<&PipelineRun>,
) -> Result<Started, Error> {
    let wanted = Wanted {
        snapshot: &seen.snapshot,
        scenario: &due.scenario,
        attempt: due.attempt,
        environment,
        definition,
        timeouts: context.args.tests.timeouts(&due.scenario),
        service_account: context.args.integration_runner.then_some(INTEGRATION_RUNNER),
        trace: TraceContext::observed(&*seen.snapshot),
    };
    if let Err(error) = context.writer.apply(&[wanted.create()]).await {
        return refused(error, seen, due);
    }
    measure(context, seen, due, environment.is_some());
    Ok(Started::Running { run: made(context, seen, due) })
}

fn refused(error: WriteError, seen: &Seen, due: &Due) -> Result<Started, Error> {
    if is_final(&error, seen, due) {
        return Ok(invalid(format!("The test run could not be created: {}", reason(&error))));
    }
    Err(error.into())
}

/// Whether another try is of no use, or there were enough.
fn is_final(error: &WriteError, seen: &Seen, due: &Due) -> bool {
    let has_waited = seen.now.duration_since(due.since) >= QUOTA_PATIENCE;
    error.is_permanent() || (is_quota(error) && has_waited)
}

fn invalid(details: String) -> Started {
    Started::Ended { status: TestStatus::TestInvalid, details, writes: Vec::new() }
}

/// Forbidden, and yet not for good.
fn is_quota(error: &WriteError) -> bool {
    let WriteError::Refused { source: kube::Error::Api(status), .. } = error else { return false };
    status.code == 403 && !error.is_permanent()
}

/// What the API server says.
fn reason(error: &WriteError) -> String {
    match error {
        WriteError::Refused { source: kube::Error::Api(status), .. } => status.message.clone(),
        other => fleet::controller::chain(other),
    }
}

/// The name under which the run was made, or found.
fn made(context: &Context, seen: &Seen, due: &Due) -> String {
    let [name, alternative] = names(&seen.snapshot, &due.scenario.name_any(), due.attempt);
    let found = context.stores.tests.get(&ObjectKey::of(&*seen.snapshot).sibling(&alternative));
    if found.is_some() { alternative } else { name }
}

fn measure(context: &Context, seen: &Seen, due: &Due, is_in_environment: bool) {
    let (metrics, now) = (&context.metrics, context.clock.now());
    metrics.run_created();
    // A rerun would count the time until somebody asked for it.
    match (due.attempt, is_in_environment) {
        (0, false) => metrics.run_started(&seen.snapshot, now),
        (0, true) => metrics.run_started_in_environment(&seen.snapshot, now),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use kube::core::Status;
    use rstest::rstest;

    #[rstest]
    #[case::quota(403, "pipelineruns.tekton.dev \"a\" is forbidden: exceeded quota: runs", true)]
    #[case::no_right(403, "cannot create resource", false)]
    #[case::conflict(409, "exceeded quota", false)]
    fn knows_quotas(#[case] code: u16, #[case] message: &str, #[case] expected: bool) {
        let source = kube::Error::Api(Status::failure(message, "").with_code(code).boxed());
        let error = WriteError::Refused { write: "create".to_owned(), source };
        assert_eq!(is_quota(&error), expected);
        assert_eq!(reason(&error), message);
    }
}
