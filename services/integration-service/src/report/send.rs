//! Says it at the forge.

use std::sync::Arc;

use fleet::{Fleet, ObjectKey, Store, outbound};
use forge::comment_once;
use kube::api::ListParams;
use kube::{Api, Client};
use pipelines_as_code_api::Repository;
use pipelines_engine_api::TaskRun;

use super::git::{Apps, Connection, Error, Gits, key_of};
use super::lanes::Lanes;
use super::links::Links;
use super::message::{Destination, Message, Round, Way};
use super::options::Options;
use super::telling::{Done, Sink};
use super::text;
use crate::metrics::Metrics;

/// Label of a TaskRun: its PipelineRun.
const PIPELINE_RUN: &str = "tekton.dev/pipelineRun";

/// TaskRuns of one run that are read.
const MOST_TASK_RUNS: u32 = 500;

/// Name of the one status of all scenarios, where there are too many of them.
const ALL: &str = "all integration tests";

/// Carries reports to forges. Cheap to clone; one per process.
#[derive(Clone)]
pub(crate) struct Sender {
    client: Client,
    gits: Gits,
    lanes: Lanes,
    links: Arc<Links>,
    console: Arc<str>,
}

impl Sender {
    pub(crate) fn new(
        fleet: &Fleet,
        outbound: &outbound::Client,
        repositories: &Store<Repository>,
        options: &Options,
        metrics: &Metrics,
    ) -> Self {
        let apps = Apps::new(fleet, outbound, options, metrics);
        Self {
            client: fleet.client().clone(),
            gits: Gits::new(fleet.client(), outbound, repositories, apps),
            lanes: Lanes::default(),
            links: Arc::new(Links::new(options)),
            console: options.console_name.as_str().into(),
        }
    }

    /// To ask the forge of a pull request something.
    pub(crate) async fn connect(
        &self,
        namespace: &str,
        destination: &Destination,
    ) -> Result<Connection, Error> {
        self.gits.connect(namespace, destination).await
    }

    /// Says all that is to be said of something in `namespace`, as long as that `is_current`.
    pub(crate) async fn tell(
        &self,
        namespace: &str,
        rounds: Vec<Round>,
        sink: &Sink,
        is_current: impl Fn() -> bool + Send,
    ) {
        for round in &rounds {
            let Ok(destination) = &round.destination else { continue };
            let Some(_lane) = self.lanes.take(key_of(namespace, &destination.repo_url)).await else { return };
            if !is_current() {
                return;
            }
            // It is as large as all calls to forges together.
            Box::pin(self.tell_one(namespace, destination, round, sink)).await;
        }
    }

    async fn tell_one(&self, namespace: &str, destination: &Destination, round: &Round, sink: &Sink) {
        let connection = match self.connect(namespace, destination).await {
            Ok(connection) => connection,
            Err(error) => return settle(round.messages.iter(), Err(error), sink),
        };
        if round.overview.is_some() {
            let said = self.say_all(&connection, destination, round).await;
            return settle(round.messages.iter(), self.judge(said, &connection, destination), sink);
        }
        for (at, message) in round.messages.iter().enumerate() {
            let said = self.say(namespace, &connection, destination, round, message).await;
            let said = self.judge(said, &connection, destination);
            if matches!(said, Ok(()) | Err(Error::Forge(forge::Error::Invalid { .. }))) {
                settle(std::iter::once(message), said, sink);
            } else {
                // The others fare no better.
                return settle(round.messages[at..].iter(), said, sink);
            }
        }
    }

    /// A token that was kept may have been taken back since: the next try has a new one.
    fn judge(
        &self,
        said: Result<(), Error>,
        connection: &Connection,
        destination: &Destination,
    ) -> Result<(), Error> {
        match said {
            Err(Error::Forge(forge::Error::Unauthorized { .. })) if connection.is_kept => {
                self.gits.forget(destination, &connection.repository);
                Err(Error::TokenEnded)
            }
            said => said,
        }
    }

    /// One scenario.
    async fn say(
        &self,
        namespace: &str,
        connection: &Connection,
        destination: &Destination,
        round: &Round,
        message: &Message,
    ) -> Result<(), Error> {
        let task_runs = match &message.run {
            Some(run) if text::shows_tasks(message) => self.task_runs(namespace, run).await?,
            _ => Vec::new(),
        };
        let body = text::body(namespace, message, &task_runs, &self.links);
        let url = message.run.as_ref().map(|run| self.links.run(namespace, run));
        let report = text::report(&self.console, round, destination.way, message, body, url);
        self.send(connection, destination, round, message, &report).await
    }

    /// All scenarios at once.
    async fn say_all(
        &self,
        connection: &Connection,
        destination: &Destination,
        round: &Round,
    ) -> Result<(), Error> {
        let (Some(scenarios), Some(first)) = (&round.overview, round.messages.first()) else { return Ok(()) };
        let (status, table) = text::overview(scenarios);
        let all = Message {
            scenario: ALL.to_owned(),
            status,
            details: String::new(),
            is_optional: false,
            run: None,
            started_at: None,
            completed_at: None,
            ..first.clone()
        };
        let report = text::report(&self.console, round, destination.way, &all, table, None);
        self.send(connection, destination, round, &all, &report).await
    }

    async fn send(
        &self,
        connection: &Connection,
        destination: &Destination,
        round: &Round,
        message: &Message,
        report: &forge::Report,
    ) -> Result<(), Error> {
        let Connection { forge, repository, before, .. } = connection;
        let announced = forge.announce(repository, &destination.commit, report, *before).await;
        let Way::Token { pull_request, .. } = destination.way else { return Ok(announced?) };
        let comment = pull_request.zip(text::comment(report, round, message));
        match (announced, comment) {
            (Ok(()), Some((number, comment))) => {
                comment_once(&**forge, repository, number, &comment.mark, &comment.text).await?;
                Ok(())
            }
            // Commits of forks may be out of reach of the token; what the pull request shows is not.
            (Err(denied), Some((number, comment))) if denied.is_denial() => {
                match comment_once(&**forge, repository, number, &comment.mark, &comment.text).await {
                    Err(error) if !error.is_transient() => Err(denied.into()),
                    said => Ok(said?),
                }
            }
            // How it ends will be said by a comment.
            (Err(denied), None) if denied.is_denial() && pull_request.is_some() => Ok(()),
            (announced, _) => Ok(announced?),
        }
    }

    async fn task_runs(&self, namespace: &str, run: &str) -> Result<Vec<TaskRun>, Error> {
        let api: Api<TaskRun> = Api::namespaced(self.client.clone(), namespace);
        let asked = ListParams::default().labels(&format!("{PIPELINE_RUN}={run}")).limit(MOST_TASK_RUNS);
        match api.list(&asked).await {
            Ok(found) => Ok(found.items),
            // No such kind, any more.
            Err(kube::Error::Api(status)) if status.is_not_found() => Ok(Vec::new()),
            Err(source) => {
                Err(Error::TaskRuns { run: ObjectKey::new(namespace, run), source: Box::new(source) })
            }
        }
    }
}

/// Notes of these messages that they were said, are given up, or have to wait.
fn settle<'a>(messages: impl Iterator<Item = &'a Message>, said: Result<(), Error>, sink: &Sink) {
    let failure = match said {
        Ok(()) => None,
        Err(error) if error.is_transient() => {
            return sink.later(&fleet::controller::chain(&error), error.retry_at());
        }
        Err(error) => Some(fleet::controller::chain(&error)),
    };
    for message in messages {
        let (keys, updated) = (message.keys.clone(), message.updated.clone());
        sink.done(Done { keys, updated, failure: failure.clone() });
    }
}
