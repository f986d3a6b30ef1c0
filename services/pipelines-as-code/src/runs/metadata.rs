//! Labels and annotations of a run (spec section 3).

use std::collections::BTreeMap;

use fleet::TraceContext;
use fleet_api::{AnnotationKey, LabelKey, keys};
use kube::api::ObjectMeta;
use pipelines_as_code_api::annotations::{self, written};
use pipelines_as_code_api::labels;
use pipelines_as_code_api::pipeline_run::{GitProvider, RecordSummary, State};
use serde::Serialize;

use super::Making;
use super::label::label_value;
use crate::event::Event;

/// Puts in all that is said of a run when it is made, beside what its file says. The file does not speak for us.
pub(super) fn write(metadata: &mut ObjectMeta, making: &Making<'_>, original: &str) {
    let mut labels = metadata.labels.take().unwrap_or_default();
    labels.retain(|key, _| SOMETIMES_LABELS.iter().all(|ours| ours.as_str() != key));
    let mut annotations = metadata.annotations.take().unwrap_or_default();
    annotations.retain(|key, _| SOMETIMES.iter().all(|ours| ours.as_str() != key));

    let state = if making.is_limited() { State::Queued } else { State::Started };
    labels.extend(own_labels(making, original, state));
    annotations.extend(own_annotations(making, original, state));
    metadata.labels = Some(labels);
    metadata.annotations = Some(annotations);
    TraceContext::annotate_pipeline_run(making.traceparent.and_then(TraceContext::parse), metadata);
}

/// Labels that are not on each run: a file's own would be believed.
const SOMETIMES_LABELS: [LabelKey; 2] = [labels::PULL_REQUEST, labels::CHECK_RUN_ID];

/// Annotations that are not on each run.
const SOMETIMES: [AnnotationKey; 11] = [
    written::PULL_REQUEST,
    written::CHECK_RUN_ID,
    written::GIT_AUTH_SECRET,
    written::LOG_URL,
    written::EXECUTION_ORDER,
    written::INSTALLATION_ID,
    written::GHE_URL,
    written::SOURCE_PROJECT_ID,
    written::TARGET_PROJECT_ID,
    keys::TRACEPARENT,
    keys::RECORDED_UID,
];

fn own_labels(making: &Making<'_>, original: &str, state: State) -> BTreeMap<String, String> {
    let of_event = BTreeMap::from([
        (labels::URL_ORG, organisation(making.event)),
        (labels::URL_REPOSITORY, making.event.repository.name().to_owned()),
        (labels::SHA, commit(making.event)),
        (labels::REPOSITORY, name(making).to_owned()),
        (labels::EVENT_TYPE, event_type(making).to_owned()),
        (labels::ORIGINAL_PIPELINE_RUN, original.to_owned()),
        (labels::STATE, <&str>::from(state).to_owned()),
        (labels::VERSION, env!("CARGO_PKG_VERSION").to_owned()),
        (labels::MANAGED_BY, labels::MANAGED_BY_US.to_owned()),
    ]);
    let number = pull_request(making.event).map(|number| (labels::PULL_REQUEST, number.to_string()));
    let all: BTreeMap<LabelKey, String> = of_event.into_iter().chain(number).collect();
    all.into_iter().map(|(key, value)| (key.into(), label_value(&value))).collect()
}

fn own_annotations(making: &Making<'_>, original: &str, state: State) -> BTreeMap<String, String> {
    let event = making.event;
    let always = [
        (written::URL_ORG, organisation(event)),
        (written::URL_REPOSITORY, event.repository.name().to_owned()),
        (written::SHA, commit(event)),
        (written::REPOSITORY, name(making).to_owned()),
        (written::EVENT_TYPE, event_type(making).to_owned()),
        (written::ORIGINAL_PIPELINE_RUN, original.to_owned()),
        (written::STATE, <&str>::from(state).to_owned()),
        (written::SHA_TITLE, making.commit_title.to_owned()),
        (written::SHA_URL, making.commit_url.to_owned()),
        (written::REPO_URL, event.url.clone()),
        (written::SENDER, event.sender.login.clone()),
        (written::BRANCH, event.base.name.clone()),
        (written::SOURCE_BRANCH, event.head.name.clone()),
        (written::GIT_PROVIDER, <&str>::from(event.provider).to_owned()),
        (written::CONTROLLER_INFO, json(making.controller_info)),
        (annotations::RECORD_SUMMARY, json(&record_summary(making))),
        (keys::CAUSE, making.delivery.to_owned()),
    ];
    let is_enterprise = event.provider == GitProvider::GitHubEnterprise;
    let is_github = is_enterprise || event.provider == GitProvider::GitHub;
    let is_gitlab = event.provider == GitProvider::GitLab;
    let number = |number: Option<u64>| number.map(|number| number.to_string());
    let projects = |project: Option<u64>| number(project.filter(|_| is_gitlab));
    let sometimes = [
        (written::PULL_REQUEST, number(pull_request(event))),
        (written::GIT_AUTH_SECRET, making.git_auth_name(original)),
        (written::LOG_URL, making.log_url.clone()),
        (written::EXECUTION_ORDER, making.is_limited().then(|| making.order.join(","))),
        (written::INSTALLATION_ID, number(event.installation.filter(|_| is_github))),
        (written::GHE_URL, is_enterprise.then(|| event.server.clone())),
        (written::SOURCE_PROJECT_ID, projects(event.head.repository_id)),
        (written::TARGET_PROJECT_ID, projects(event.base.repository_id.or(event.repository_id))),
    ];
    let sometimes = sometimes.into_iter().filter_map(|(key, value)| Some((key, value?)));
    let all: Vec<(AnnotationKey, String)> = always.into_iter().chain(sometimes).collect();
    all.into_iter().map(|(key, value)| (key.into(), value)).collect()
}

/// Owner of the repository as one word: groups at GitLab are within each other, and people's own at Bitbucket begin with `~`.
pub(super) fn organisation(event: &Event) -> String {
    event.repository.owner().trim_start_matches('~').replace('/', "-")
}

pub(super) fn commit(event: &Event) -> String {
    event.commit.as_ref().map(ToString::to_string).unwrap_or_default()
}

/// Of the Repository.
fn name<'a>(making: &Making<'a>) -> &'a str {
    making.repository.metadata.name.as_deref().unwrap_or_default()
}

fn event_type(making: &Making<'_>) -> &'static str {
    making.event_type.into()
}

fn pull_request(event: &Event) -> Option<u64> {
    event.pull_request.as_ref().map(|pull_request| pull_request.number).filter(|number| *number != 0)
}

fn record_summary(making: &Making<'_>) -> RecordSummary {
    RecordSummary {
        repo: making.event.repository.name().to_owned(),
        commit: commit(making.event),
        event_type: event_type(making).to_owned(),
        pull_request_id: pull_request(making.event),
    }
}

fn json(value: &impl Serialize) -> String {
    serde_json::to_string(value).unwrap_or_default()
}
