//! Tells the forge how a run does: looks up what is to say, says it, and tries again (spec section 4.11).

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use fleet::ObjectKey;
use forge::{Annotation, Forge, Verdict};
use k8s_openapi::api::core::v1::{Pod, Secret};
use kube::api::LogParams;
use kube::{Api, Client, ResourceExt as _};
use pipelines_as_code_api::Repository;
use pipelines_as_code_api::annotations::written as annotations;
use pipelines_engine_api::PipelineRun;
use pipelines_engine_api::pipeline_run::{CANCELLED, CANCELLED_RUN_FINALLY, STOPPED_RUN_FINALLY};
use tokio::time::{sleep, timeout};

use super::telling::Told;
use super::{Context, run};
use crate::report::comment::{Comment, Strategy};
use crate::report::console::{self, Console};
use crate::report::failure::{self, Failed, Failure, SecretValue};
use crate::report::mask::Values;
use crate::report::{self, End, Subject, tasks};
use crate::settings::Settings;

/// Pauses between attempts (spec section 4.11).
const PAUSES: [Duration; 3] = [Duration::from_secs(1), Duration::from_secs(3), Duration::from_secs(5)];

/// A forge that names a time to come back at is waited for, but no longer than this.
const LONGEST_PAUSE: Duration = Duration::from_mins(1);

/// How often, and at which distance, the number of a check run is looked for, that the beginning is told under.
const CHECK_RUN_TRIES: usize = 30;
const CHECK_RUN_PAUSE: Duration = Duration::from_secs(1);

/// Of one call to the API server.
const LIMIT: Duration = Duration::from_secs(30);

/// Bytes of a log that are read.
const MAX_LOG: i64 = 1024 * 1024;

/// Lines that are read beyond those that are shown: some say nothing.
const SLACK: usize = 10;

/// Why a forge cannot be told of a run.
#[derive(Debug, thiserror::Error)]
enum Error {
    #[error("{0}")]
    NoForge(#[from] super::NoForge),
    #[error("{0}")]
    Forge(#[from] forge::Error),
    #[error("the Repository is gone, and with it the way to the forge")]
    NoRepository,
    #[error("spec.url of Repository {0} and annotation {key} of the run name no commit", key = annotations::SHA)]
    NoCommit(ObjectKey),
}

impl Error {
    /// How long to wait at least. `None`: trying again makes no sense.
    fn pause(&self, context: &Context) -> Option<Duration> {
        match self {
            Self::NoForge(error) if error.is_transient => Some(Duration::ZERO),
            Self::NoForge(_) | Self::NoRepository | Self::NoCommit(_) => None,
            Self::Forge(error) => {
                let wait = error.retry_at().map(|at| at.duration_since(context.clock.now()));
                Some(
                    wait.and_then(|wait| Duration::try_from(wait).ok())
                        .unwrap_or_default()
                        .min(LONGEST_PAUSE),
                )
            }
        }
    }
}

/// Tells that a run goes on now. Best effort: its end will be told in any case.
pub(super) async fn tell_beginning(context: Arc<Context>, run: ObjectKey) -> Option<Told> {
    let run = reported(&context, &run).await?;
    let (settings, repository) = surroundings(&context, &run);
    let details_url = console::of_run(&Console::new(&settings, repository.as_ref()), &run);
    let key = ObjectKey::of(&*run);
    let subject = subject(&settings, &run, &key, details_url.as_deref());
    let report = report::started(&subject, Some(context.clock.now()));
    if let Err(error) = send(&context, &run, repository.as_ref(), &report, None).await {
        tracing::warn!(run = %key, error = fleet::controller::chain(&error), "The forge does not know that a run has begun");
    }
    None
}

/// The run, once that it waited was told: what is told last stays. `None` if there is nothing to tell any more.
async fn reported(context: &Context, key: &ObjectKey) -> Option<Arc<PipelineRun>> {
    for _ in 0..CHECK_RUN_TRIES {
        let run = context.pipeline_runs.get(key).filter(|run| !run::is_done(run))?;
        // Others are told before they are made.
        if !run::is_of_app(&run) || run::check_run(&run).is_some() {
            return Some(run);
        }
        sleep(CHECK_RUN_PAUSE).await;
    }
    None
}

/// Tells how a run has ended, with pauses where that does not work.
pub(super) async fn tell_end(context: Arc<Context>, run: Arc<PipelineRun>) -> Option<Told> {
    let (settings, repository) = surroundings(&context, &run);
    let repository = repository.as_ref();
    let console = Console::new(&settings, repository);
    let details_url = console::of_run(&console, &run);
    let key = ObjectKey::of(&*run);
    let task_run = |name: &str| context.task_runs.get(&key.sibling(name));
    let url = |task: &str, task_run: &_| console.task(&key.namespace, &key.name, task, task_run);
    let verdict = verdict(&run);
    let tasks = tasks::of(&run, &task_run, &url);
    let failed = if verdict == Verdict::Failure { failure::failed(&run, &task_run) } else { Vec::new() };
    let (failures, places) = look_into(&context.client, &settings, &run, failed).await;
    let subject = subject(&settings, &run, &key, details_url.as_deref());
    let end = End {
        verdict,
        message: run::condition(&run).map(|condition| condition.message.as_str()).unwrap_or_default(),
        tasks: &tasks,
        failures: &failures,
        annotations: places,
        started_at: run::started_at(&run),
        completed_at: run::completed_at(&run).or_else(|| Some(context.clock.now())),
    };
    let report = report::finished(&subject, end);
    let comment = comment(&run, repository, &report);
    let mut pauses = PAUSES.into_iter();
    let error = loop {
        let Err(error) = send(&context, &run, repository, &report, comment.as_ref()).await else {
            break None;
        };
        let text = fleet::controller::chain(&error);
        tracing::warn!(run = %key, error = text, "The forge could not be told how a run has ended");
        match error.pause(&context).zip(pauses.next()) {
            Some((asked, pause)) => sleep(pause.max(asked)).await,
            None => break Some(text),
        }
    };
    Some(Told { at: context.clock.now(), failures: failures.into(), error })
}

/// The settings that the run was started under, and its Repository.
fn surroundings(context: &Context, run: &PipelineRun) -> (Arc<Settings>, Option<Repository>) {
    let repository = run::repository(run).and_then(|key| context.repositories.get(&key));
    let repository = repository.map(|repository| context.merged(&repository));
    (context.settings_of(run), repository)
}

fn subject<'a>(
    settings: &'a Settings,
    run: &'a PipelineRun,
    key: &'a ObjectKey,
    details_url: Option<&'a str>,
) -> Subject<'a> {
    Subject {
        application: &settings.application_name,
        original: run::original(run),
        run: Some(key),
        details_url,
        check_run: run::check_run(run),
        replaces: None,
        source_project: run::annotation(run, annotations::SOURCE_PROJECT_ID).and_then(|id| id.parse().ok()),
    }
}

/// How a run has ended.
pub(super) fn verdict(run: &PipelineRun) -> Verdict {
    let Some(condition) = run::condition(run) else {
        return if run::is_being_deleted(run) { Verdict::Cancelled } else { Verdict::Neutral };
    };
    let was_stopped = condition.reason == "Cancelled"
        || [CANCELLED, CANCELLED_RUN_FINALLY, STOPPED_RUN_FINALLY].contains(&run.spec.status.as_str());
    match condition.status.as_str() {
        "True" => Verdict::Success,
        "False" if was_stopped => Verdict::Cancelled,
        "False" => Verdict::Failure,
        // Deleted before it ended.
        _ => Verdict::Cancelled,
    }
}

/// What is said on the pull request. GitHub's check runs say it all by themselves.
fn comment(
    run: &PipelineRun,
    repository: Option<&Repository>,
    report: &forge::Report,
) -> Option<(u64, Comment)> {
    let number = run::pull_request(run).filter(|_| !run::is_of_app(run))?;
    let repository = repository?;
    let strategy = Strategy::of(repository.spec.spec.settings.as_ref(), run::provider(run)?);
    let comment = Comment::of(report, strategy, &repository.uid().unwrap_or_default())?;
    Some((number, comment))
}

async fn send(
    context: &Context,
    run: &PipelineRun,
    repository: Option<&Repository>,
    report: &forge::Report,
    comment: Option<&(u64, Comment)>,
) -> Result<(), Error> {
    let repository = repository.ok_or(Error::NoRepository)?;
    let no_commit = || Error::NoCommit(ObjectKey::of(repository));
    let place = place(repository.spec.spec.url.as_deref().unwrap_or_default()).ok_or_else(no_commit)?;
    let commit =
        run::annotation(run, annotations::SHA).and_then(|sha| sha.parse().ok()).ok_or_else(no_commit)?;
    let forge: Box<dyn Forge> = context.forges.for_run(run, repository).await?;
    forge.report(&place, &commit, report).await?;
    if let Some((number, comment)) = comment {
        comment.send(&*forge, &place, *number).await?;
    }
    Ok(())
}

/// The repository that a Repository watches. What the run says of it does not count: anybody in its namespace may write that, and
/// an App may report on other people's repositories too.
fn place(url: &str) -> Option<forge::Repository> {
    let url: url::Url = url.parse().ok()?;
    let path = url.path().trim_matches('/');
    let parts: Vec<&str> = path.strip_suffix(".git").unwrap_or(path).split('/').collect();
    let repository = match parts.as_slice() {
        // Bitbucket Server.
        ["projects", owner, "repos", name, ..] => forge::Repository::new(owner, name),
        ["users", owner, "repos", name, ..] => forge::Repository::new(&format!("~{owner}"), name),
        // At GitLab groups have groups.
        [group @ .., name] => forge::Repository::new(&group.join("/"), name),
        [] => return None,
    };
    repository.ok()
}

/// Why tasks failed, by their logs, and what those say of files.
async fn look_into(
    client: &Client,
    settings: &Settings,
    run: &PipelineRun,
    failed: Vec<Failed>,
) -> (Vec<Failure>, Vec<Annotation>) {
    let namespace = run.namespace().unwrap_or_default();
    let finds_places = settings.error_detection && run::is_of_app(run);
    if failed.is_empty() {
        return (Vec::new(), Vec::new());
    }
    let wants_logs = settings.error_log_snippet || finds_places;
    let secrets = if wants_logs { secrets(client, &namespace, &failed).await } else { Secrets::default() };
    let snippet = settings.error_log_snippet_lines.saturating_add(SLACK);
    // All, where the places may be anywhere.
    let lines = if finds_places {
        settings.error_detection_max_lines.map(|lines| lines.max(snippet))
    } else {
        Some(snippet)
    };
    let (mut failures, mut places) = (Vec::new(), Vec::new());
    for task in failed {
        let may_show =
            wants_logs && task.secrets.iter().all(|secret| !secrets.unread.contains(&secret.secret));
        let log = if may_show { log(client, &namespace, &task, lines).await } else { None };
        if let Some(log) = log.as_deref().filter(|_| finds_places) {
            let found = failure::places(
                log,
                &secrets.values,
                &settings.error_detection_regexp,
                settings.error_detection_max_lines,
            );
            places.extend(found);
        }
        let shown = log.as_deref().filter(|_| settings.error_log_snippet);
        failures.push(failure::explain(task, shown, &secrets.values, settings.error_log_snippet_lines));
    }
    (failures, places)
}

/// What logs may contain and nobody may read.
#[derive(Default)]
struct Secrets {
    values: Values,
    /// Names of Secrets that could not be read: what is in logs of their steps must not be shown.
    unread: Vec<String>,
}

async fn secrets(client: &Client, namespace: &str, failed: &[Failed]) -> Secrets {
    let mut wanted: BTreeMap<&str, Vec<&SecretValue>> = BTreeMap::new();
    for value in failed.iter().flat_map(|task| &task.secrets) {
        wanted.entry(&value.secret).or_default().push(value);
    }
    let api: Api<Secret> = Api::namespaced(client.clone(), namespace);
    let (mut found, mut unread) = (Vec::new(), Vec::new());
    for (name, values) in wanted {
        match timeout(LIMIT, api.get_opt(name)).await {
            Ok(Ok(Some(secret))) => {
                let data = secret.data.unwrap_or_default();
                let is_wanted = |key: &str| {
                    values.iter().any(|value| value.key.as_deref().is_none_or(|wanted| wanted == key))
                };
                found.extend(data.into_iter().filter(|(key, _)| is_wanted(key)).map(|(_, value)| value.0));
            }
            // It need not be there, so it may never have been.
            Ok(Ok(None)) if values.iter().all(|value| value.is_optional) => {}
            Ok(Err(error)) => {
                tracing::warn!(
                    namespace,
                    name,
                    error = fleet::controller::chain(&error),
                    "A Secret cannot be read, so logs that may show it are not"
                );
                unread.push(name.to_owned());
            }
            Ok(Ok(None)) | Err(_) => unread.push(name.to_owned()),
        }
    }
    Secrets { values: Values::new(found.iter().map(Vec::as_slice)), unread }
}

/// The last lines of the containers of a task that failed. `None` where there are none.
async fn log(client: &Client, namespace: &str, task: &Failed, lines: Option<usize>) -> Option<String> {
    if task.pod.is_empty() {
        return None;
    }
    let pods: Api<Pod> = Api::namespaced(client.clone(), namespace);
    let mut text = String::new();
    for container in &task.containers {
        let params = LogParams {
            container: Some(container.clone()),
            tail_lines: lines.and_then(|lines| i64::try_from(lines).ok()),
            limit_bytes: Some(MAX_LOG),
            ..LogParams::default()
        };
        match timeout(LIMIT, pods.logs(&task.pod, &params)).await {
            Ok(Ok(log)) => {
                text.push_str(log.trim_end());
                text.push('\n');
            }
            Ok(Err(error)) => {
                tracing::info!(
                    namespace,
                    pod = task.pod,
                    error = fleet::controller::chain(&error),
                    "A log cannot be read"
                );
            }
            Err(_) => tracing::info!(namespace, pod = task.pod, "A log cannot be read in time"),
        }
    }
    Some(text).filter(|text| !text.trim().is_empty())
}

#[cfg(test)]
mod tests;
