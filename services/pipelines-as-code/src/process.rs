//! One delivery, from what happened at a forge to runs, statuses and an outcome.
//!
//! ```text
//! Work ─▶ complete    what the event does not tell is asked of the forge
//!      ─▶ authorize   may whoever did this start something?
//!      ─▶ cancel      `/cancel` ends here
//!      ─▶ select      .tekton/ is read, filled in, and matched
//!      ─▶ launch      remote tasks, runs, their Secrets; statuses at the forge; what they replace is cancelled
//! ```
//! A delivery may be processed any number of times: names are made of its id, so what is there already is found, and what is
//! missing is added. The first failure that may pass ends the attempt.

mod complete;
mod create;
mod launch;
mod outcome;
mod select;
mod stop;

use std::sync::Arc;
use std::time::Duration;

use fleet::controller::chain;
use fleet::{Clock, Event as Told, ObjectKey, Secret, Store, Write, Writer};
use forge::Forge;
use jiff::{SignedDuration, Timestamp};
use kube::{Client, ResourceExt as _};
use parking_lot::Mutex;
use pipelines_as_code_api::events::EventReason;
use pipelines_as_code_api::pipeline_run::{ControllerInfo, EventType};
use pipelines_as_code_api::{IncomingOutcome, Repository, RepositorySpec};
use pipelines_engine_api::PipelineRun;

use crate::authorize::{self, Verdict as Permission};
use crate::cancel::{self, Cause, Scope};
use crate::comment::Command;
use crate::credentials::Credentials;
use crate::event::{self, Event, Payload, PullRequestChange, Trigger};
use crate::report::comment::{Comment, Strategy};
use crate::settings::{self, Settings};
use crate::stores::{BY_URL, Repositories, url_key};
use crate::watch::incoming::Outcomes;
use crate::{defaults, remote, report};

pub use outcome::{Outcome, Processed, Verdict};

use complete::Complete;
use select::Selection;
use stop::Stop;

/// What was tried, in Events.
const ACTION: &str = "ProcessDelivery";

/// How long what the cluster does not take is tried again before it counts as refused (spec section 8).
const PATIENCE: SignedDuration = SignedDuration::from_mins(10);

/// A verified delivery for one Repository.
pub struct Work {
    /// The forge's name for the delivery, of which those of runs are made.
    pub delivery: String,
    pub received_at: Timestamp,
    pub event: Event,
    pub payload: Payload,
    pub repository: Arc<Repository>,
    pub forge: Box<dyn Forge>,
    /// What the run's own steps reach the repository by.
    pub git: Option<GitAccess>,
    /// The W3C trace context that it came with.
    pub traceparent: Option<String>,
    /// Names of the runs that an earlier try has made. They may be gone by now, and are not made again.
    pub made: Vec<String>,
}

/// A credential for Git.
pub struct GitAccess {
    pub token: Secret<String>,
    pub user: String,
}

/// Processes deliveries. Cheap to clone.
#[derive(Clone)]
pub struct Processor(Arc<Parts>);

/// What the steps share.
pub struct Parts {
    pub client: Client,
    /// For Events, and for patches that any replica may make.
    pub writer: Writer,
    pub repositories: Repositories,
    pub runs: Store<PipelineRun>,
    pub settings: settings::Current,
    pub credentials: Credentials,
    pub remote: remote::Resolver,
    pub controller: ControllerInfo,
    pub incoming: Outcomes,
    pub clock: Clock,
}

impl Parts {
    /// Whether a Repository of this namespace has this URL.
    fn has_repository(&self, namespace: &str, url: &str) -> bool {
        let found = self.repositories.store.indexed(BY_URL, &url_key(url));
        found.iter().any(|repository| repository.metadata.namespace.as_deref() == Some(namespace))
    }
}

/// One delivery while it is processed.
struct Case<'a> {
    parts: &'a Parts,
    delivery: &'a str,
    received_at: Timestamp,
    complete: &'a Complete,
    payload: &'a Payload,
    /// With what the fleet's own Repository adds.
    repository: &'a Repository,
    settings: &'a Settings,
    forge: &'a dyn Forge,
    git: Option<&'a GitAccess>,
    traceparent: Option<&'a str>,
    made_before: &'a [String],
    /// By this try, or found.
    made: Mutex<Vec<String>>,
}

impl Case<'_> {
    fn event(&self) -> &Event {
        &self.complete.event
    }

    fn spec(&self) -> &RepositorySpec {
        &self.repository.spec.spec
    }

    fn namespace(&self) -> &str {
        self.repository.metadata.namespace.as_deref().unwrap_or_default()
    }

    /// Where Git clones the repository from.
    fn clone_url(&self) -> String {
        self.forge.clone_url(&self.event().repository)
    }

    /// Whether what the cluster did not take until now is as good as refused.
    fn is_late(&self) -> bool {
        self.parts.clock.now().duration_since(self.received_at) > PATIENCE
    }

    /// Tells the team, beside its Repository.
    async fn tell(&self, event: Told) {
        // Events are a courtesy: the writer logs what it cannot publish.
        let _ = Box::pin(self.parts.writer.apply(&[Write::Event(event)])).await;
    }

    async fn tell_normal(&self, reason: impl Into<&'static str>, note: impl Into<String>) {
        self.tell(Told::normal(self.repository, reason.into(), ACTION, note)).await;
    }

    async fn warn(&self, reason: impl Into<&'static str>, note: impl Into<String>) {
        self.tell(Told::warning(self.repository, reason.into(), ACTION, note)).await;
    }
}

impl Processor {
    pub fn new(parts: Parts) -> Self {
        Self(Arc::new(parts))
    }

    /// Does all that a delivery asks for, as far as it is not done yet.
    pub async fn process(&self, work: Work) -> Processed {
        let parts = &*self.0;
        let global = parts.repositories.global();
        let repository = defaults::merged(&work.repository, global.as_deref());
        let settings = parts.settings.get();
        let event = work.event.clone();
        let (complete, completed) = match complete::complete(&*work.forge, work.event).await {
            Ok(complete) => (complete, Ok(())),
            // As far as it is known, so that it can be said to whom it may concern.
            Err(stop) => (Complete::unasked(event), Err(stop)),
        };
        let shared = complete.event.cause();
        let case = Case {
            parts,
            delivery: shared.as_deref().unwrap_or(&work.delivery),
            received_at: work.received_at,
            complete: &complete,
            payload: &work.payload,
            repository: &repository,
            settings: &settings,
            forge: &*work.forge,
            git: work.git.as_ref(),
            traceparent: work.traceparent.as_deref(),
            made_before: &work.made,
            made: Mutex::default(),
        };
        let ended = match completed {
            Ok(()) => case.run().await,
            Err(stop) => Err(stop),
        };
        let processed = match ended {
            Ok(outcomes) => Processed::Done(outcomes),
            Err(stop) => case.stopped(stop).await,
        };
        case.note_incoming(&processed);
        processed
    }
}

impl Case<'_> {
    /// All steps, in order.
    async fn run(&self) -> Result<Vec<Outcome>, Stop> {
        let event = self.event();
        let asked_for_by_name =
            event.comment.is_some() || event.incoming.is_some() || event.rerun_of.is_some();
        if !asked_for_by_name && event::asks_for_no_runs(&self.complete.message) {
            return Err(Stop::quiet(EventReason::RepositorySkipped, "The commit's message asks for no runs"));
        }
        // What nobody meant for us is not worth asking who said it, unless a run waits for such words.
        let is_talk = event.event_type == EventType::NoOpsComment;
        if !is_talk {
            self.authorize().await?;
        }
        if let Some(Command::Cancel(original)) = event.command() {
            return Ok(vec![self.cancel(original.as_deref()).await?]);
        }
        let selection = select::select(self).await?;
        self.tell_problems(&selection).await;
        if selection.chosen.is_empty() {
            return self.nothing_chosen(&selection);
        }
        if is_talk {
            self.authorize().await?;
        }
        if self.is_of_open_pull_request().await? {
            return Err(Stop::quiet(
                EventReason::RepositorySkipped,
                "The commit is the head of an open pull request, whose own event starts its runs \
                 (skip-push-event-for-pr-commits)",
            ));
        }
        Box::pin(launch::launch(self, selection)).await
    }

    async fn authorize(&self) -> Result<(), Stop> {
        let event = self.event();
        if event.trigger == Trigger::Push && event.comment.is_none() {
            return Ok(());
        }
        let of_repository = self.spec().settings.as_ref();
        let asked = self.complete.pull_request.as_ref();
        let permission = authorize::authorize(self.forge, event, asked, of_repository, self.settings).await?;
        let Permission::Denied { reason, text } = permission else { return Ok(()) };
        let is_closed =
            event.pull_request.as_ref().is_some_and(|pull| pull.change != PullRequestChange::Commits);
        // Nobody waits for an answer to what is no commit, or to words that are no command.
        if is_closed || event.event_type == EventType::NoOpsComment {
            return Err(Stop::Quiet { reason, text });
        }
        Err(Stop::Pending { reason, text })
    }

    async fn cancel(&self, original: Option<&str>) -> Result<Outcome, Stop> {
        let key = ObjectKey::of(self.repository);
        let scope = Scope { repository: &key, cause: self.cause(), original, before: None };
        let runs = self.end(&scope).await?;
        let meant = original.map_or_else(String::new, |original| format!(" of {original}"));
        let (text, result) = if runs.is_empty() {
            (format!("No run{meant} goes on that could be cancelled"), Verdict::Skipped)
        } else {
            (format!("Cancelled: {}", runs.join(", ")), Verdict::Cancelled)
        };
        self.tell_normal(EventReason::RepositoryCancelled, &*text).await;
        Ok(Outcome { result, text, runs })
    }

    /// What the runs of an event like this one were started for.
    fn cause(&self) -> Cause<'_> {
        let event = self.event();
        match (&event.pull_request, &event.commit) {
            (Some(pull), _) => Cause::PullRequest(pull.number),
            // A comment on a commit is about that commit; a push takes the place of earlier ones.
            (None, Some(commit)) if event.comment.is_some() => Cause::Commit(commit.as_str()),
            (None, _) => Cause::Branch(&event.base.name),
        }
    }

    /// Ends runs, and returns their names.
    async fn end(&self, scope: &Scope<'_>) -> Result<Vec<String>, Stop> {
        let runs = cancel::running(&self.parts.runs, scope);
        let ended = cancel::cancel(&self.parts.writer, &runs).await;
        ended.map_err(|error| Stop::later(format!("Runs cannot be cancelled: {}", chain(&error))))?;
        Ok(runs.iter().map(|run| run.name_any()).collect())
    }

    /// Problems that do not keep other runs from starting.
    async fn tell_problems(&self, selection: &Selection) {
        for problem in &selection.notes {
            let reason = <&str>::from(problem.reason);
            self.tell(Told::normal(self.repository, reason, ACTION, &*problem.text)).await;
        }
        for (name, reason) in &selection.invalid {
            self.warn(EventReason::RepositoryFailedToMatch, format!("PipelineRun {name}: {reason}")).await;
        }
        for problem in &selection.definitions.problems {
            self.warn(EventReason::PipelineRunValidationErrors, problem.to_string()).await;
        }
    }

    /// Without a run to start: whether something is wrong, or nothing was meant.
    fn nothing_chosen(&self, selection: &Selection) -> Result<Vec<Outcome>, Stop> {
        let event = self.event();
        let problems: Vec<String> = selection.definitions.problems.iter().map(ToString::to_string).collect();
        if !problems.is_empty() && event.comment.is_none() {
            return Err(Stop::wrong(EventReason::PipelineRunValidationErrors, problems.join("\n")));
        }
        if event.incoming.is_some() {
            return Err(Stop::wrong(
                EventReason::RepositoryCannotLocatePipelineRunForIncomingEvent,
                select::no_match(selection, event),
            ));
        }
        Err(Stop::quiet(EventReason::RepositoryNoMatch, select::no_match(selection, event)))
    }

    /// Whether a pull request's own event is about the pushed commit. A push to the default branch, or of a tag, is one for
    /// itself, and the forge is not asked.
    async fn is_of_open_pull_request(&self) -> Result<bool, Stop> {
        let event = self.event();
        let branch = event.head.name.strip_prefix("refs/heads/");
        let is_push = event.trigger == Trigger::Push && event.comment.is_none() && event.incoming.is_none();
        let may_be = branch.is_some_and(|branch| branch != event.default_branch);
        if !self.settings.skip_push_event_for_pr_commits || !is_push || event.rerun_of.is_some() || !may_be {
            return Ok(false);
        }
        let Some(commit) = &event.commit else { return Ok(false) };
        Ok(!self.forge.pull_requests_of(&event.repository, commit).await?.is_empty())
    }

    /// Tells whom it concerns that nothing was started.
    async fn stopped(&self, stop: Stop) -> Processed {
        let (result, text, report) = match stop {
            Stop::Later { text, not_before } => return self.later(text, not_before),
            Stop::Quiet { reason, text } => {
                self.tell_normal(reason, &*text).await;
                (Verdict::Skipped, text, None)
            }
            Stop::Wrong { reason, text } => {
                self.warn(reason, &*text).await;
                let report = report::failed_to_validate(&launch::subject(self), &text);
                (Verdict::Failed, text, Some(report))
            }
            Stop::Pending { reason, text } => {
                self.warn(reason, &*text).await;
                let user = &self.event().sender.login;
                let trigger = <&str>::from(self.event().event_type).replace(['_', '-'], " ");
                let report = report::pending_approval(&launch::subject(self), user, &trigger);
                (Verdict::Waiting, text, Some(report))
            }
        };
        if let Some(report) = report
            && let Err(Stop::Later { text, not_before }) = self.say(&report).await
        {
            return self.later(text, not_before);
        }
        Processed::Done(vec![Outcome { result, text, runs: Vec::new() }])
    }

    /// What failed for now is tried again, not before the forge wants it.
    fn later(&self, reason: String, not_before: Option<Timestamp>) -> Processed {
        let wait = not_before.map(|at| at.duration_since(self.parts.clock.now()));
        let after = wait.and_then(|wait| Duration::try_from(wait).ok());
        Processed::Retry { reason, after, made: self.made.lock().clone() }
    }

    /// Says something of the event as a whole: at the commit, and on the pull request, where people look. At GitLab a fork's commit
    /// shows no status of ours at all. The check runs of a GitHub App are seen on the pull request by themselves.
    async fn say(&self, report: &forge::Report) -> Result<(), Stop> {
        self.report(report).await?;
        let event = self.event();
        let Some(pull) = event.pull_request.as_ref().filter(|_| event.installation.is_none()) else {
            return Ok(());
        };
        let strategy = Strategy::of(self.spec().settings.as_ref(), event.provider);
        let uid = self.repository.uid().unwrap_or_default();
        let Some(comment) = Comment::of(report, strategy, &uid) else { return Ok(()) };
        match comment.send(self.forge, &event.repository, pull.number).await {
            Ok(()) => Ok(()),
            Err(error) if error.is_transient() => Err(error.into()),
            Err(error) => {
                self.warn(EventReason::RepositoryCreateStatus, chain(&error)).await;
                Ok(())
            }
        }
    }

    /// Says something at the event's commit. A forge that will not have it is a Warning, and nothing more.
    async fn report(&self, report: &forge::Report) -> Result<forge::Reported, Stop> {
        let event = self.event();
        let Some(commit) = &event.commit else { return Ok(forge::Reported::default()) };
        match self.forge.report(&event.repository, commit, report).await {
            Ok(reported) => Ok(reported),
            Err(error) if error.is_transient() => Err(error.into()),
            Err(error) => {
                self.warn(EventReason::RepositoryCreateStatus, chain(&error)).await;
                Ok(forge::Reported::default())
            }
        }
    }

    /// Whoever asked by an annotation of the Repository is told there.
    fn note_incoming(&self, processed: &Processed) {
        let Processed::Done(outcomes) = processed else { return };
        if self.event().incoming.is_none() {
            return;
        }
        let run = outcomes.iter().find_map(|outcome| outcome.runs.first().cloned());
        let message = if run.is_some() { None } else { outcomes.first().map(|outcome| outcome.text.clone()) };
        let key = ObjectKey::of(self.repository);
        let outcome = IncomingOutcome { id: self.delivery.to_owned(), pipeline_run: run, message };
        self.parts.incoming.know(key, outcome);
    }
}
