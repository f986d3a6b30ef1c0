//! The chosen runs, from their definition to the API server and the forge.

use fleet::ObjectKey;
use fleet::controller::chain;
use futures::future::join_all;
use kube::api::{Patch, PatchParams};
use kube::{Api, ResourceExt as _};
use pipelines_as_code_api::events::EventReason;
use pipelines_as_code_api::pipeline_run::GitProvider;
use pipelines_as_code_api::{annotations, labels};
use pipelines_engine_api::PipelineRun;
use serde_json::json;

use super::create::{self, NotMade};
use super::select::{Chosen, Selection};
use super::stop::Stop;
use super::{Case, Outcome, Verdict};
use crate::cancel::Scope;
use crate::report::console::Console;
use crate::report::{self, Subject};
use crate::runs::{self, Making};
use crate::watch::run::created_at;

/// A run as it is to be made.
struct Planned<'a> {
    chosen: &'a Chosen,
    making: Making<'a>,
    run: PipelineRun,
    /// Its name if another's run has its own.
    alternative: String,
}

/// Makes the runs of an event, in the order of their names. One that cannot be made keeps no other from starting; what may
/// work later is told of last, when all others are there.
pub(super) async fn launch(case: &Case<'_>, selection: Selection) -> Result<Vec<Outcome>, Stop> {
    let resolved = resolve(case, &selection).await?;
    let (clone_url, uid) = (case.clone_url(), case.repository.uid().unwrap_or_default());
    let name = |chosen: &Chosen| runs::name(case.delivery, &uid, &chosen.definition.name);
    let usable = resolved.iter().filter(|(_, run)| run.is_ok());
    let mut order: Vec<String> =
        usable.map(|(chosen, _)| format!("{}/{}", case.namespace(), name(chosen))).collect();
    order.sort();

    let console = Console::new(case.settings, Some(case.repository));
    let (mut outcomes, mut planned) = (Vec::new(), Vec::new());
    for (chosen, resolved) in resolved {
        let original = &chosen.definition.name;
        let resolved = match resolved {
            Ok(run) => run,
            Err(text) => {
                outcomes.push(unusable(case, original, &text).await?);
                continue;
            }
        };
        let making = Making {
            event: case.event(),
            repository: case.repository,
            delivery: case.delivery,
            clone_url: &clone_url,
            commit_title: case.complete.title(),
            commit_url: &case.complete.url,
            settings: case.settings,
            controller_info: &case.parts.controller,
            order: &order,
            event_type: chosen.event_type,
            log_url: console.run(case.namespace(), &name(chosen)),
            traceparent: case.traceparent,
        };
        let run = runs::make(&making, &chosen.definition, resolved);
        let alternative = runs::alternative_name(case.delivery, &uid, original);
        planned.push(Planned { chosen, making, run, alternative });
    }
    planned.sort_by_key(|planned| planned.run.name_any());

    let (mut made, mut later) = (Vec::new(), None);
    for (index, planned) in planned.iter().enumerate() {
        match Box::pin(make(case, planned, index == 0)).await {
            Ok(name) => made.push(name),
            Err(Ended::Refused(text)) => outcomes.push(not_started(case, planned, &text).await?),
            Err(Ended::Stop(stop)) => later = Some(stop),
        }
    }
    if let Some(stop) = later {
        return Err(stop);
    }
    if !made.is_empty() {
        let text = format!("Started {}", made.join(", "));
        outcomes.insert(0, Outcome { result: Verdict::Started, text, runs: made });
    }
    Ok(outcomes)
}

/// Puts the Pipeline and the Tasks into each run.
async fn resolve<'a>(
    case: &Case<'_>,
    selection: &'a Selection,
) -> Result<Vec<(&'a Chosen, Result<PipelineRun, String>)>, Stop> {
    let references = case.parts.remote.of_event(case.forge, case.event(), case.settings);
    let asked = selection.chosen.iter().map(|chosen| {
        // On the heap: a run is a large type.
        let run = Box::pin(references.resolve(&selection.definitions, &chosen.definition.run));
        async move { (chosen, run.await) }
    });
    let mut all = Vec::new();
    for (chosen, run) in join_all(asked).await {
        let run = match run {
            Ok(run) => Ok(run),
            Err(error) if error.is_transient() => return Err(Stop::later(chain(&error))),
            Err(error) => Err(chain(&error)),
        };
        all.push((chosen, run));
    }
    Ok(all)
}

/// How an attempt to make a run ended early.
enum Ended {
    /// The API server will not have it.
    Refused(String),
    Stop(Stop),
}

impl From<Stop> for Ended {
    fn from(stop: Stop) -> Self {
        Self::Stop(stop)
    }
}

/// Makes a run with all that belongs to it, and returns its name. The first one takes the place of what was said before there
/// were runs.
async fn make(case: &Case<'_>, planned: &Planned<'_>, is_first: bool) -> Result<String, Ended> {
    let has_checks = case.event().installation.is_some();
    let key = ObjectKey::of(&planned.run);
    // An earlier attempt made it, and may have told of it.
    let is_known = case.parts.runs.get(&key).is_some();
    let replaces = replaced(case, planned, is_first, is_known);
    // Where a status is not tied to the run, it is said that it starts before it can have ended.
    if !has_checks && !is_known {
        case.report(&beginning(case, planned, &planned.run, replaces.as_deref())).await?;
    }
    // Runs are cleaned up when they have ended, which this one may have since.
    let was_made = case.made_before.iter().find(|name| [&key.name, &planned.alternative].contains(name));
    if let Some(name) = was_made
        && is_gone(case, name).await?
    {
        return Ok(name.clone());
    }
    let run = match create::run(&case.parts.client, &planned.run, &planned.alternative).await {
        Ok(run) => run,
        Err(NotMade::Later { text }) if !case.is_late() => {
            return Err(Stop::later(format!("PipelineRun {key} cannot be made: {text}")).into());
        }
        Err(NotMade::Later { text } | NotMade::Refused(text)) => return Err(Ended::Refused(text)),
    };
    case.parts.runs.written(run.clone());
    let name = run.name_any();
    case.made.lock().push(name.clone());
    git_auth(case, planned, &run).await?;
    if has_checks && annotations::written::CHECK_RUN_ID.of(&run.metadata.annotations).is_none() {
        let reported = case.report(&beginning(case, planned, &run, replaces.as_deref())).await?;
        if let Some(check_run) = reported.check_run {
            keep_check_run(case, &run, check_run).await?;
        }
    }
    if planned.chosen.cancels_in_progress {
        take_place_of_others(case, planned, &run).await?;
    }
    Ok(name)
}

/// Whether a run that was made is there no more.
async fn is_gone(case: &Case<'_>, name: &str) -> Result<bool, Stop> {
    let api: Api<PipelineRun> = Api::namespaced(case.parts.client.clone(), case.namespace());
    let found = api.get_metadata_opt(name).await;
    let found = found
        .map_err(|error| Stop::later(format!("PipelineRun {name} cannot be read: {}", chain(&error))))?;
    Ok(found.is_none())
}

/// The credentials that the run's own steps read the repository with.
async fn git_auth(case: &Case<'_>, planned: &Planned<'_>, run: &PipelineRun) -> Result<(), Stop> {
    let Some(git) = case.git.filter(|_| case.settings.secret_auto_create) else { return Ok(()) };
    let secret = runs::git_auth_secret(&planned.making, run, &git.token, &git.user)
        .map_err(|error| Stop::wrong(EventReason::RepositorySecretValidation, error.to_string()))?;
    create::git_auth(&case.parts.client, &secret).await
}

/// What the beginning takes the place of at the forge: what was said of the event as a whole, which only a comment leads on from
/// (that it waits for approval), or else the check run that an earlier attempt made and had no answer about.
fn replaced(case: &Case<'_>, planned: &Planned<'_>, is_first: bool, is_known: bool) -> Option<String> {
    let application = case.settings.application_name.as_str();
    if is_first && case.event().comment.is_some() {
        return Some(application.to_owned());
    }
    is_known.then(|| report::context(application, Some(&planned.chosen.definition.name)))
}

/// That the run goes on, or waits.
fn beginning(
    case: &Case<'_>,
    planned: &Planned<'_>,
    run: &PipelineRun,
    replaces: Option<&str>,
) -> forge::Report {
    let key = ObjectKey::of(run);
    let details = annotations::written::LOG_URL.of(&run.metadata.annotations);
    let subject = subject(case);
    let subject = Subject {
        original: Some(&planned.chosen.definition.name),
        run: Some(&key),
        // Without a console, the commit.
        details_url: details.or(subject.details_url),
        replaces,
        ..subject
    };
    if runs::is_paused(run) { report::queued(&subject) } else { report::started(&subject, None) }
}

/// Says which check run of GitHub goes on with the run's end.
async fn keep_check_run(case: &Case<'_>, run: &PipelineRun, check_run: u64) -> Result<(), Stop> {
    let id = check_run.to_string();
    let body = json!({"metadata": {
        "uid": run.metadata.uid,
        "labels": {labels::CHECK_RUN_ID.as_str(): id},
        "annotations": {annotations::written::CHECK_RUN_ID.as_str(): id},
    }});
    let api: Api<PipelineRun> = Api::namespaced(case.parts.client.clone(), case.namespace());
    match api.patch(&run.name_any(), &PatchParams::default(), &Patch::Merge(&body)).await {
        Ok(patched) => {
            case.parts.runs.written(patched);
            Ok(())
        }
        // Gone already: nobody will ask for it.
        Err(kube::Error::Api(status)) if status.is_not_found() || status.is_conflict() => Ok(()),
        Err(error) => {
            let error = chain(&error);
            Err(Stop::later(format!("PipelineRun {} cannot be given its check run: {error}", run.name_any())))
        }
    }
}

/// Ends what goes on under the same name for the same branch or pull request.
async fn take_place_of_others(case: &Case<'_>, planned: &Planned<'_>, run: &PipelineRun) -> Result<(), Stop> {
    let (name, repository) = (run.name_any(), ObjectKey::of(case.repository));
    let scope = Scope {
        repository: &repository,
        cause: case.cause(),
        original: Some(&planned.chosen.definition.name),
        before: Some((created_at(run), &name)),
    };
    let ended = case.end(&scope).await?;
    if !ended.is_empty() {
        let note = format!("{name} takes the place of {} (cancel-in-progress)", ended.join(", "));
        case.tell_normal(EventReason::RepositoryCancelled, note).await;
    }
    Ok(())
}

/// What a report about the event as a whole is about.
pub(super) fn subject<'a>(case: &'a Case<'_>) -> Subject<'a> {
    let is_gitlab = case.event().provider == GitProvider::GitLab;
    Subject {
        application: &case.settings.application_name,
        details_url: Some(case.complete.url.as_str()).filter(|url| !url.is_empty()),
        source_project: case.event().head.repository_id.filter(|_| is_gitlab),
        ..Subject::default()
    }
}

/// The run's definition cannot be used: a Task is not found.
async fn unusable(case: &Case<'_>, original: &str, text: &str) -> Result<Outcome, Stop> {
    let text = format!("PipelineRun {original}: {text}");
    case.warn(EventReason::FailedToResolvePipelineRunMetadata, &*text).await;
    let subject = Subject { original: Some(original), ..subject(case) };
    case.report(&report::failed_to_validate(&subject, &text)).await?;
    Ok(Outcome { result: Verdict::Failed, text, runs: Vec::new() })
}

/// The API server will not have the run.
async fn not_started(case: &Case<'_>, planned: &Planned<'_>, text: &str) -> Result<Outcome, Stop> {
    let original = planned.chosen.definition.name.as_str();
    let text = format!("PipelineRun {original} cannot be created: {text}");
    case.warn(EventReason::RepositoryPipelineRun, &*text).await;
    let subject = Subject { original: Some(original), ..subject(case) };
    case.report(&report::not_started(&subject, &text)).await?;
    Ok(Outcome { result: Verdict::Failed, text, runs: Vec::new() })
}
