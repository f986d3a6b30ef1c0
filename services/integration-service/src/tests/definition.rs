//! Scenarios whose reference resolves to a whole `PipelineRun` (annex, L3: `resourceKind: pipelinerun`). A resolver of the engine
//! fetches it, as it fetches pipelines.
//!
//! ```text
//! ResolutionRequest made ─▶ resolver ─▶ its data: the YAML of a run, from which ours is made
//! ```

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use fleet::{ObjectKey, Wake, Write};
use integration_service_api::IntegrationTestScenario;
use integration_service_api::labels;
use integration_service_api::scenario::ResourceKind;
use jiff::{SignedDuration, Timestamp};
use kube::core::ObjectMeta;
use kube::{Api, Resource as _, ResourceExt as _};
use pipelines_engine_api::labels::RESOLVER_TYPE;
use pipelines_engine_api::status::succeeded;
use pipelines_engine_api::{PipelineRun, ResolutionRequest, ResolutionRequestSpec};

use super::Error;
use super::due::Due;
use super::observe::Seen;
use super::run::{names, params};
use crate::service::Context;

/// How often to look: requests are not watched, for few scenarios need one.
const LOOK_AGAIN: Duration = Duration::from_secs(2);

/// How long a request may go without an answer (contracts.md, decision 28).
const PATIENCE: SignedDuration = SignedDuration::from_mins(30);

/// What a reference has come to.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Definition {
    Found(Box<PipelineRun>),
    Waiting { wake: Wake },
    Failed { why: String },
}

/// `None` if the scenario names a pipeline, which the engine fetches itself.
pub(super) async fn find(context: &Context, seen: &Seen, due: &Due) -> Result<Option<Definition>, Error> {
    let is_run = |reference: &integration_service_api::scenario::ResolverRef| {
        reference.resource_kind.as_ref().is_some_and(|kind| kind.is(&ResourceKind::PipelineRun))
    };
    if !due.scenario.spec.resolver_ref.as_ref().is_some_and(is_run) {
        return Ok(None);
    }
    let request = request(seen, &due.scenario, due.attempt);
    let key = ObjectKey::of(&request);
    let api: Api<ResolutionRequest> = Api::namespaced(context.client.clone(), &key.namespace);
    let Some(found) = api.get_opt(&key.name).await.map_err(Error::Read)? else {
        context.writer.apply(&[Write::create(&request)]).await?;
        return Ok(Some(Definition::Waiting { wake: Wake::After(LOOK_AGAIN) }));
    };
    Ok(Some(read(&found, due.since, seen.now)))
}

/// It goes with the Snapshot, like the run.
fn request(seen: &Seen, scenario: &IntegrationTestScenario, attempt: u32) -> ResolutionRequest {
    let [name, _] = names(&seen.snapshot, &scenario.name_any(), attempt);
    let reference = scenario.spec.resolver_ref.clone().unwrap_or_default();
    let entries = [
        (RESOLVER_TYPE, reference.resolver.clone()),
        (labels::SNAPSHOT, seen.snapshot.name_any()),
        (labels::SCENARIO, scenario.name_any()),
    ];
    ResolutionRequest {
        metadata: ObjectMeta {
            name: Some(name),
            namespace: seen.snapshot.namespace(),
            labels: Some(entries.into_iter().map(|(key, value)| (key.into(), value)).collect()),
            owner_references: seen.snapshot.controller_owner_ref(&()).map(|owner| vec![owner]),
            ..ObjectMeta::default()
        },
        spec: ResolutionRequestSpec { params: params(reference.params), ..ResolutionRequestSpec::default() },
        status: None,
    }
}

fn read(request: &ResolutionRequest, since: Timestamp, now: Timestamp) -> Definition {
    let status = request.status.clone().unwrap_or_default();
    match succeeded(&status.conditions).map(|condition| (condition.status.as_str(), condition)) {
        Some(("True", _)) => match decode(&status.data) {
            Ok(run) => Definition::Found(Box::new(run)),
            Err(why) => Definition::Failed {
                why: format!("What resolverRef of the scenario leads to is no PipelineRun: {why}"),
            },
        },
        Some(("False", condition)) => Definition::Failed {
            why: format!("resolverRef of the scenario cannot be resolved: {}", condition.message),
        },
        _ if now.duration_since(since) >= PATIENCE => Definition::Failed {
            why: format!(
                "No resolver answered for resolverRef of the scenario for {} minutes",
                PATIENCE.as_mins()
            ),
        },
        _ => Definition::Waiting { wake: Wake::After(LOOK_AGAIN) },
    }
}

fn decode(data: &str) -> Result<PipelineRun, String> {
    let bytes = STANDARD.decode(data).map_err(|error| error.to_string())?;
    let text = String::from_utf8(bytes).map_err(|error| error.to_string())?;
    tekton::decode::lenient(&text).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;
    use serde_json::{Value, json};

    const RUN: &str =
        "apiVersion: tekton.dev/v1\nkind: PipelineRun\nmetadata: {name: a}\nspec: {pipelineRef: {name: p}}\n";

    fn request(status: &Value) -> ResolutionRequest {
        serde_json::from_value(json!({"metadata": {"name": "r"}, "spec": {}, "status": status})).unwrap()
    }

    fn answered(text: &str) -> Value {
        json!({"conditions": [{"type": "Succeeded", "status": "True"}], "data": STANDARD.encode(text)})
    }

    fn at(minutes: i64) -> Timestamp {
        Timestamp::from_second(minutes * 60).unwrap()
    }

    #[test]
    fn finds_the_run() {
        let Definition::Found(run) = read(&request(&answered(RUN)), at(0), at(0)) else {
            panic!("not found")
        };
        assert_eq!(run.spec.pipeline_ref.unwrap().name, "p");
    }

    #[rstest]
    #[case::no_yaml(answered(":"), 0, "What resolverRef of the scenario leads to is no PipelineRun")]
    #[case::a_pipeline(
        answered("apiVersion: tekton.dev/v1\nkind: Pipeline\nmetadata: {name: a}\nspec: {}\n"),
        0,
        "What resolverRef of the scenario leads to is no PipelineRun"
    )]
    #[case::no_base64(
        json!({"conditions": [{"type": "Succeeded", "status": "True"}], "data": "§"}), 0,
        "What resolverRef of the scenario leads to is no PipelineRun"
    )]
    #[case::refused(
        json!({"conditions": [{"type": "Succeeded", "status": "False", "message": "no such branch"}]}), 0,
        "resolverRef of the scenario cannot be resolved: no such branch"
    )]
    #[case::no_answer(json!({}), 30, "No resolver answered for resolverRef of the scenario for 30 minutes")]
    fn ends_with_a_reason(#[case] status: Value, #[case] minutes: i64, #[case] expected: &str) {
        match read(&request(&status), at(0), at(minutes)) {
            Definition::Failed { why } => assert!(why.starts_with(expected), "{why}"),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn waits_for_the_resolver() {
        let waiting = Definition::Waiting { wake: Wake::After(LOOK_AGAIN) };
        assert_eq!(read(&request(&json!({})), at(0), at(29)), waiting);
    }
}
