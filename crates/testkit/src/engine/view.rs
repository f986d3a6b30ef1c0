//! The runs of a namespace and their TaskRuns, as watches tell of them.

use futures::{Stream, StreamExt as _, stream};
use kube::api::{Api, ResourceExt as _};
use kube::core::DynamicObject;
use kube::runtime::WatchStreamExt as _;
use kube::runtime::watcher::{self, Event, watcher};

use super::object::{self, PIPELINE_RUN};
use crate::played::Store;

/// An event of one of the two watches.
#[derive(Debug)]
pub(super) enum Heard {
    Run(Event<DynamicObject>),
    Task(Event<DynamicObject>),
}

pub(super) fn events(
    pipeline_runs: &Api<DynamicObject>,
    task_runs: &Api<DynamicObject>,
) -> impl Stream<Item = Result<Heard, watcher::Error>> + Send + use<> {
    let watch = |api: &Api<DynamicObject>| watcher(api.clone(), watcher::Config::default()).default_backoff();
    let runs = watch(pipeline_runs).map(|event| event.map(Heard::Run));
    let tasks = watch(task_runs).map(|event| event.map(Heard::Task));
    stream::select(runs, tasks)
}

#[derive(Debug, Default)]
pub(super) struct View {
    runs: Store<DynamicObject>,
    task_runs: Store<DynamicObject>,
}

impl View {
    /// Takes note of an event; returns the name of the run that it is about.
    pub(super) fn note(&mut self, heard: Heard) -> Option<String> {
        match heard {
            Heard::Run(event) => self.runs.note(event, |run| Some(run.name_any())),
            Heard::Task(event) => {
                self.task_runs.note(event, |task_run| task_run.labels().get(PIPELINE_RUN).cloned())
            }
        }
    }

    pub(super) fn is_complete(&self) -> bool {
        self.runs.is_complete() && self.task_runs.is_complete()
    }

    pub(super) fn names(&self) -> Vec<String> {
        self.runs.names()
    }

    pub(super) fn run(&self, name: &str) -> Option<&DynamicObject> {
        self.runs.get(name)
    }

    pub(super) fn task_run(&self, name: &str) -> Option<&DynamicObject> {
        self.task_runs.get(name)
    }

    /// The TaskRuns that the run controls.
    pub(super) fn task_runs_of(&self, run: &DynamicObject) -> Vec<&DynamicObject> {
        let is_its = |task_run: &&DynamicObject| object::controller(task_run) == run.metadata.uid.as_deref();
        self.task_runs.all().filter(is_its).collect()
    }
}
