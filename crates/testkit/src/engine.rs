//! A stand-in for the pipelines engine: plays PipelineRuns to the results that a test wants, without a pod.
//!
//! ```text
//! PipelineRun ─▶ Started ─▶ TaskRuns, Running ─▶ TaskRuns end ─▶ finally ─▶ Succeeded, Failed, Cancelled, …
//!                                                                  └─ PlayedChains: chains.tekton.dev/signed
//! ```
//! ```no_run
//! # async fn test(plane: &testkit::ControlPlane, namespace: &str) -> anyhow::Result<()> {
//! use testkit::engine::{PlayedEngine, RunScript, Runs, TaskScript};
//!
//! let engine = PlayedEngine::start(plane.admin(), namespace).await?;
//! let report = r#"{"result": "FAILURE", "timestamp": "1704067200", "successes": 0, "failures": 1, "warnings": 0}"#;
//! engine.play(
//!     Runs::labelled("test.appstudio.openshift.io/scenario", "lint"),
//!     RunScript::new().task("lint", TaskScript::succeeds().result("TEST_OUTPUT", report)),
//! );
//! let run = engine.sees(&Runs::labelled("test.appstudio.openshift.io/scenario", "lint")).await?;
//! assert!(run.param("SNAPSHOT").is_some());
//! # Ok(())
//! # }
//! ```
//! Runs that no script is for succeed, and so do their tasks. It does what services can see of an engine, not what it
//! computes: tasks start all at once, `finally` after them; nothing is resolved, validated, substituted, or run out of time.

mod chains;
mod crds;
mod names;
mod next;
mod object;
mod plan;
mod script;
mod seen;
mod status;
mod view;

use kube::Client;
use kube::api::{Api, Patch, PatchParams, PostParams, ResourceExt as _};
use kube::core::DynamicObject;
use serde_json::json;

pub use self::chains::{PlayedChains, Signing};
pub use self::crds::install as install_crds;
pub use self::names::child_name;
pub use self::object::pipeline_run;
pub use self::script::{RunScript, TaskScript};
use self::seen::Record;
pub use self::seen::SeenRun;
use self::view::{Heard, View};
use crate::played::{Choice, Part, Scripts, Stage};
use crate::wait::{DEADLINE, wait_for};

/// Which PipelineRuns a script is for.
pub type Runs = Choice<DynamicObject>;

/// Plays the PipelineRuns of one namespace until it is dropped.
#[derive(Debug)]
pub struct PlayedEngine {
    pipeline_runs: Api<DynamicObject>,
    task_runs: Api<DynamicObject>,
    scripts: Scripts<DynamicObject, RunScript>,
    record: Record,
    stage: Stage,
}

impl PlayedEngine {
    /// Starts on the runs that exist and those that come, and defines the kinds of tekton.dev if nobody has.
    pub async fn start(client: Client, namespace: &str) -> anyhow::Result<Self> {
        install_crds(&client).await?;
        let (scripts, record) = (Scripts::new(RunScript::new()), Record::default());
        let pipeline_runs = Api::namespaced_with(client.clone(), namespace, &object::pipeline_runs());
        let task_runs = Api::namespaced_with(client, namespace, &object::task_runs());
        let part = Engine {
            pipeline_runs: pipeline_runs.clone(),
            task_runs: task_runs.clone(),
            scripts: scripts.clone(),
            record: record.clone(),
            view: View::default(),
            clock: fleet::Clock::system(),
        };
        let events = view::events(&pipeline_runs, &task_runs);
        let who = format!("played engine of {namespace}");
        let stage = Stage::open(who, part, events, scripts.changed()).await?;
        Ok(Self { pipeline_runs, task_runs, scripts, record, stage })
    }

    /// Plays `script` for these runs from now on, also those that are under way, instead of what was said before.
    ///
    /// Say it before a run is made, or the run may be over. Say something else to let go of one that is held.
    pub fn play(&self, runs: Runs, script: RunScript) {
        self.scripts.add(runs, script);
    }

    /// All runs that came, in that order, as they were when they did.
    pub fn seen(&self) -> Vec<SeenRun> {
        self.record.all()
    }

    /// The first of these runs, as it came. Waits for it.
    pub async fn sees(&self, runs: &Runs) -> anyhow::Result<SeenRun> {
        self.record.first(runs).await
    }

    /// The run once it is over, however that is.
    pub async fn ended(&self, name: &str) -> anyhow::Result<DynamicObject> {
        wait_for(&self.pipeline_runs, name, "its end", DEADLINE, object::is_done).await
    }

    pub fn pipeline_runs(&self) -> Api<DynamicObject> {
        self.pipeline_runs.clone()
    }

    pub fn task_runs(&self) -> Api<DynamicObject> {
        self.task_runs.clone()
    }

    /// Stops after the write in hand. Another one that is started goes on from there.
    pub async fn stop(self) {
        self.stage.close().await;
    }
}

struct Engine {
    pipeline_runs: Api<DynamicObject>,
    task_runs: Api<DynamicObject>,
    scripts: Scripts<DynamicObject, RunScript>,
    record: Record,
    view: View,
    clock: fleet::Clock,
}

impl Part for Engine {
    type Event = Heard;

    fn note(&mut self, event: Heard) -> Option<String> {
        let name = self.view.note(event)?;
        if let Some(run) = self.view.run(&name) {
            self.record.note(run);
        }
        Some(name)
    }

    fn is_ready(&self) -> bool {
        self.view.is_complete()
    }

    fn names(&self) -> Vec<String> {
        self.view.names()
    }

    async fn act(&mut self, name: &str) -> kube::Result<()> {
        let Some(run) = self.view.run(name) else { return Ok(()) };
        let seen = next::Seen { run, task_runs: self.view.task_runs_of(run) };
        let Some(write) = next::next(&seen, &self.scripts.of(run), self.clock.now()) else { return Ok(()) };
        let parameters = PatchParams::default();
        match write {
            next::Write::Metadata(metadata) => {
                let patch = Patch::Merge(json!({ "metadata": metadata }));
                self.pipeline_runs.patch(name, &parameters, &patch).await.map(drop)
            }
            next::Write::Status(status) => {
                let patch = Patch::Merge(object::status_patch(run, &status));
                self.pipeline_runs.patch_status(name, &parameters, &patch).await.map(drop)
            }
            next::Write::CreateTask(task_run) => self.create(&task_run).await,
            next::Write::CancelTask { name, spec } => {
                let patch = Patch::Merge(json!({ "spec": spec }));
                self.task_runs.patch(&name, &parameters, &patch).await.map(drop)
            }
            next::Write::TaskStatus { task_run, status } => {
                let patch = Patch::Merge(object::status_patch(task_run, &status));
                self.task_runs.patch_status(&task_run.name_any(), &parameters, &patch).await.map(drop)
            }
        }
    }
}

impl Engine {
    async fn create(&self, task_run: &DynamicObject) -> kube::Result<()> {
        let name = task_run.name_any();
        let created = self.task_runs.create(&PostParams::default(), task_run).await;
        // If it is ours its event is on its way; if it is not, nothing will come, and the test should say why.
        if let (Err(kube::Error::Api(status)), Some(other)) = (&created, self.view.task_run(&name))
            && status.is_already_exists()
            && object::controller(other) != object::controller(task_run)
        {
            eprintln!(
                "played engine: TaskRun {name} is in the way, of another run of the same name: delete it"
            );
        }
        created.map(drop)
    }
}
