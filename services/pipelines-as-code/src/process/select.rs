//! From `.tekton/` to the runs that are to start (spec section 4.4).

use fleet::controller::chain;
use std::collections::{BTreeMap, HashMap};

use fleet_api::Open;
use forge::{Change, ChangedFiles, Commit, Forge};
use kube::ResourceExt as _;
use pipelines_as_code_api::annotations::read;
use pipelines_as_code_api::events::EventReason;
use pipelines_as_code_api::pipeline_run::EventType;
use pipelines_as_code_api::repository::{Provenance, SecretReference};

use super::Case;
use super::complete::holder;
use super::stop::Stop;
use crate::definitions::{self, Definition, Definitions, Sources};
use crate::event::{Event, PullRequestChange};
use crate::matching::{self, Candidate, Facts, Match, Why};
use crate::template::{self, Assignments, Values};

/// What of `.tekton/` is meant.
pub(crate) struct Selection {
    /// With values in place of variables.
    pub(crate) definitions: Definitions,
    pub(crate) chosen: Vec<Chosen>,
    /// Runs that cannot be judged, with the reason: a bad glob, a CEL expression that fails.
    pub(crate) invalid: Vec<(String, String)>,
    /// What is to be told about the Repository's `params`.
    pub(crate) notes: Vec<template::params::Problem>,
}

/// A run to start.
pub(crate) struct Chosen {
    pub(crate) definition: Definition,
    pub(crate) event_type: EventType,
    pub(crate) cancels_in_progress: bool,
}

/// The changed files, asked for at most once.
struct Changes<'a> {
    forge: &'a dyn Forge,
    event: &'a Event,
    known: Option<ChangedFiles>,
}

impl Changes<'_> {
    async fn ask(&mut self) -> Result<(), Stop> {
        if self.known.is_some() {
            return Ok(());
        }
        let change = match (&self.event.pull_request, &self.event.commit) {
            (Some(pull), _) => Change::PullRequest(pull.number),
            (None, Some(after)) => Change::Push { before: self.event.before.clone(), after: after.clone() },
            (None, None) => return Ok(()),
        };
        self.known = Some(self.forge.changed_files(&self.event.repository, &change).await?);
        Ok(())
    }
}

/// Reads `.tekton/`, puts values in, and judges each run.
pub(crate) async fn select(case: &Case<'_>) -> Result<Selection, Stop> {
    let event = &case.complete.event;
    let sources = read_sources(case).await?;
    let mut changes = Changes { forge: case.forge, event, known: None };
    let params = &case.spec().params;
    let filters = params.iter().filter_map(|param| param.filter.as_deref());
    if sources.keys().any(template::wants_files) || filters.clone().any(template::filter_wants_files) {
        changes.ask().await?;
    }
    let secrets = secrets(case).await?;
    let (definitions, notes) = filled(case, &sources, event, changes.known.as_ref(), &secrets)?;
    if definitions.runs.is_empty() && definitions.problems.is_empty() {
        return Err(Stop::quiet(
            EventReason::RepositoryCannotLocatePipelineRun,
            "There is no PipelineRun in .tekton/ of the commit",
        ));
    }

    let namespace = case.namespace();
    let has_repository = |namespace: &str| case.parts.has_repository(namespace, &event.url);
    let (mut chosen, mut invalid) = (Vec::new(), Vec::new());
    for definition in &definitions.runs {
        let annotations = definition.run.annotations();
        let candidate = Candidate { name: &definition.name, annotations };
        let judge = |changed: Option<&ChangedFiles>| {
            let facts =
                Facts { event, payload: case.payload, changed, namespace, has_repository: &has_repository };
            matching::matches(&facts, &candidate)
        };
        let mut judgement = judge(changes.known.as_ref());
        if judgement == Match::NeedsChangedFiles {
            changes.ask().await?;
            judgement = judge(changes.known.as_ref());
        }
        match judgement {
            Match::Yes(why) => chosen.push(Chosen {
                definition: definition.clone(),
                event_type: if why == Why::Comment { EventType::OnComment } else { event.event_type },
                cancels_in_progress: matching::cancels_in_progress(&candidate, event, case.settings),
            }),
            Match::Invalid(reason) => invalid.push((definition.name.clone(), reason)),
            Match::No(_) | Match::NeedsChangedFiles => {}
        }
    }
    // A comment that a run waits for gives the run another type of event, which its variables tell of.
    if chosen.iter().any(|chosen| chosen.event_type != event.event_type) {
        let told = Event { event_type: EventType::OnComment, ..event.clone() };
        let (again, _) = filled(case, &sources, &told, changes.known.as_ref(), &secrets)?;
        for chosen in chosen.iter_mut().filter(|chosen| chosen.event_type == EventType::OnComment) {
            if let Some(same) = again.runs.iter().find(|run| run.name == chosen.definition.name) {
                chosen.definition = same.clone();
            }
        }
    }
    Ok(Selection { definitions, chosen, invalid, notes })
}

/// Files of the event's commit, or of the default branch where the Repository wants that.
async fn read_sources(case: &Case<'_>) -> Result<Sources, Stop> {
    let event = &case.complete.event;
    let settings = case.spec().settings.as_ref();
    let provenance = settings.and_then(|settings| settings.pipelinerun_provenance.as_ref());
    let (repository, commit): (_, Commit) =
        if matches!(provenance, Some(Open::Known(Provenance::DefaultBranch))) {
            let commit = case.forge.commit(&event.repository, &event.default_branch).await?;
            (event.repository.clone(), commit)
        } else {
            let commit = event.commit.clone().ok_or_else(|| {
                Stop::wrong(EventReason::RepositoryForge, "The forge does not tell which commit is meant")
            })?;
            (holder(event)?, commit)
        };
    definitions::read(case.forge, &repository, &commit).await.map_err(|error| match error {
        definitions::ReadError::Forge(error) => error.into(),
        definitions::ReadError::Invalid(problem) => {
            Stop::wrong(EventReason::PipelineRunValidationErrors, problem.to_string())
        }
        nothing @ definitions::ReadError::NoDirectory { .. } => {
            Stop::quiet(EventReason::RepositoryPipelineRunNotFound, nothing.to_string())
        }
    })
}

/// Values of the Secrets that the Repository's variables are in.
async fn secrets(case: &Case<'_>) -> Result<HashMap<(String, Option<String>), String>, Stop> {
    let mut values = HashMap::new();
    for param in case.spec().params.iter().filter(|param| param.value.is_none()) {
        let Some(reference) = &param.secret_ref else { continue };
        let found = case.parts.credentials.secret_value(case.namespace(), reference, "secret").await;
        match found {
            Ok(Some(value)) => values.insert((reference.name.clone(), reference.key.clone()), value),
            // A Warning says so, where the variable counts.
            Ok(None) => continue,
            Err(error) => return Err(Stop::later(chain(&error))),
        };
    }
    Ok(values)
}

type Filling = (Definitions, Vec<template::params::Problem>);

fn filled(
    case: &Case<'_>,
    sources: &Sources,
    event: &Event,
    changed: Option<&ChangedFiles>,
    secrets: &HashMap<(String, Option<String>), String>,
) -> Result<Filling, Stop> {
    let standard = template::standard(event, &case.clone_url(), case.namespace());
    let secret =
        |reference: &SecretReference| secrets.get(&(reference.name.clone(), reference.key.clone())).cloned();
    let params = &case.spec().params;
    let (of_repository, notes) = template::params::of(params, &secret, case.payload, changed, &standard);
    let variables: BTreeMap<String, String> = Assignments::of(event, of_repository).over(standard);
    let mut values = Values::new(variables, case.payload, changed);
    let definitions = sources
        .fill(&mut |key| values.get(key))
        .map_err(|invalid| Stop::wrong(EventReason::PipelineRunValidationErrors, invalid.to_string()))?;
    Ok((definitions, notes))
}

/// Why nothing starts: each run with what it waits for.
pub(crate) fn no_match(selection: &Selection, event: &Event) -> String {
    let runs = selection.definitions.runs.iter().map(|definition| {
        let annotations = definition.run.annotations();
        let shown =
            [read::ON_EVENT, read::ON_TARGET_BRANCH, read::ON_PATH_CHANGE, read::ON_COMMENT, read::ON_LABEL]
                .iter()
                .filter_map(|key| {
                    let name = key.as_str().rsplit('/').next()?;
                    Some(format!("{name}={}", annotations.get(key.as_str())?))
                })
                .chain(
                    annotations
                        .get(read::ON_CEL_EXPRESSION.as_str())
                        .map(|cel| format!("celexpression={cel}")),
                )
                .collect::<Vec<_>>();
        format!("{} [{}]", definition.name, shown.join(", "))
    });
    let trigger = match event.pull_request.as_ref().map(|pull| pull.change) {
        Some(PullRequestChange::Labels) => "pull_request_labeled".to_owned(),
        Some(PullRequestChange::Closed) => "pull_request_closed".to_owned(),
        _ => event.trigger.to_string(),
    };
    format!(
        "No PipelineRun matches {trigger} (event type {}) to {}: {}",
        <&str>::from(event.event_type),
        event.base.name,
        runs.collect::<Vec<_>>().join("; ")
    )
}
