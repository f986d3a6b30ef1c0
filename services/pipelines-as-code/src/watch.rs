//! Looks after the runs once they are made: whose turn it is, how they end, which of them stay.
//!
//! ```text
//! PipelineRun ─┬─▶ repository: queue ──────▶ started-runs, then state=started, no longer paused
//! Repository ──┤               history ────▶ pipelinerun_status     (all that is to be written there: one write)
//!              │               incoming ───▶ Intake, incoming-outcome
//!              │               clean_up ───▶ ended runs that are too many go
//! TaskRun ─────┴─▶ run:        closing ────▶ forge; state=completed, finalizer off
//! ```
//! All is derived from the objects, so that nothing is lost when the service is. Decisions are pure; what the forge is told is
//! told outside reconciles ([`telling`]).

pub mod clean_up;
pub mod closing;
mod ending;
pub mod history;
pub mod incoming;
pub mod queue;
mod repository;
pub(crate) mod run;
mod runs;
pub mod stores;
pub mod telling;
#[cfg(test)]
pub(crate) mod testing;

use std::collections::HashMap;
use std::sync::Arc;

use fleet::{Clock, Fleet, ObjectKey, Runner, Store, Writer};
use forge::Forge;
use futures::future::BoxFuture;
use jiff::Timestamp;
use kube::Client;
use parking_lot::Mutex;
use pipelines_as_code_api::Repository;
use pipelines_as_code_api::annotations::written::CONTROLLER_INFO;
use pipelines_as_code_api::pipeline_run::ControllerInfo;
use pipelines_engine_api::{PipelineRun, TaskRun};

use self::incoming::{Intake, Outcomes};
use self::telling::Tellings;
use crate::defaults;
use crate::settings::Settings;
use crate::stores::Repositories;

/// Forges, as the runs that were started for their events know them.
pub trait Forges: Send + Sync + 'static {
    /// A client with the credential that reports of `run` are made with.
    ///
    /// # Errors
    /// When there is no credential, or none that can be had now.
    fn for_run<'a>(
        &'a self,
        run: &'a PipelineRun,
        repository: &'a Repository,
    ) -> BoxFuture<'a, Result<Box<dyn Forge>, NoForge>>;
}

/// Why a run's forge cannot be spoken to.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{text}")]
pub struct NoForge {
    pub text: String,
    /// It may work in a moment, with nothing changed by anybody.
    pub is_transient: bool,
}

/// Settings, of which each controller that makes runs has its own.
pub trait SettingsOf: Send + Sync + 'static {
    /// Those that a run was started under, as its `controller-info` names them.
    fn of(&self, controller: &ControllerInfo) -> Arc<Settings>;
}

/// What the controllers are made of.
pub struct Parts {
    pub repositories: Repositories,
    pub pipeline_runs: Store<PipelineRun>,
    pub task_runs: Store<TaskRun>,
    pub forges: Arc<dyn Forges>,
    pub settings: Arc<dyn SettingsOf>,
    pub intake: Arc<dyn Intake>,
    pub outcomes: Outcomes,
    /// Called once for each run that ends, for metrics.
    pub run_ended: Arc<dyn Fn(&PipelineRun) + Send + Sync>,
}

/// The controllers of this part of the service, for the leader to run.
pub fn controllers(fleet: &Fleet, parts: Parts) -> Vec<Runner> {
    let (repositories, runs) = (fleet.controller("repository"), fleet.controller("pipelinerun"));
    parts.outcomes.wake_by(repositories.waker());
    let context = Arc::new(Context {
        tellings: Tellings::new(runs.waker(), fleet.clock().clone()),
        repository_waker: repositories.waker(),
        run_waker: runs.waker(),
        missing: Mutex::default(),
        client: fleet.client().clone(),
        writer: fleet.writer().clone(),
        clock: fleet.clock().clone(),
        repositories: parts.repositories,
        pipeline_runs: parts.pipeline_runs,
        task_runs: parts.task_runs,
        forges: parts.forges,
        settings: parts.settings,
        intake: parts.intake,
        outcomes: parts.outcomes,
        run_ended: parts.run_ended,
    });
    vec![repository::controller(repositories, &context), runs::controller(runs, &context)]
}

/// What the shells of the controllers share.
struct Context {
    repositories: Repositories,
    pipeline_runs: Store<PipelineRun>,
    task_runs: Store<TaskRun>,
    forges: Arc<dyn Forges>,
    settings: Arc<dyn SettingsOf>,
    intake: Arc<dyn Intake>,
    outcomes: Outcomes,
    run_ended: Arc<dyn Fn(&PipelineRun) + Send + Sync>,
    tellings: Tellings,
    repository_waker: fleet::controller::Waker,
    run_waker: fleet::controller::Waker,
    /// Since when Repositories are gone that runs wait for.
    missing: Mutex<HashMap<ObjectKey, Timestamp>>,
    client: Client,
    writer: Writer,
    clock: Clock,
}

impl Context {
    /// The settings that a run was started under.
    fn settings_of(&self, run: &PipelineRun) -> Arc<Settings> {
        let info = run::annotation(run, CONTROLLER_INFO);
        self.settings.of(&info.and_then(|info| serde_json::from_str(info).ok()).unwrap_or_default())
    }

    /// A Repository with the defaults of all.
    fn merged(&self, repository: &Repository) -> Repository {
        defaults::merged(repository, self.repositories.global().as_deref())
    }
}
