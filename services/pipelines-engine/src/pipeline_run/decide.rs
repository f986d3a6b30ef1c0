//! What to do about a PipelineRun (section 1): a pure function of what is known.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::core::v1::PersistentVolumeClaim;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{OwnerReference, Time};
use pipelines_engine_api::pipeline_run::{self, ChildStatusReference, SkippedTask};
use pipelines_engine_api::reasons::{PipelineRunReason as Reason, TamperedReason};
use pipelines_engine_api::{
    GoDuration, PipelineRun, PipelineRunStatus, PipelineSpec, PipelineTask, Provenance, ResolutionRequest,
    TaskRun, TaskSpec, custom_run, labels, task_run,
};

use super::child::{self, Parent};
use super::condition::{Counts, Wish};
use super::graph::Graph;
use super::progress::{Child, Member, Outcome, Section};
use super::resolve::{self, Fault};
use super::results::{self, Results};
use super::skip::{self, Brakes, Next};
use super::workspaces;
use crate::catalog::{self, Asker, Catalog, Failure, Found, Lookup};
use crate::condition::{self, Verdict};
use crate::config::Config;
use crate::substitution::Replacements;
use crate::substitution::pipeline::in_pipeline_task;
use crate::substitution::task::in_task;
use crate::timeouts::{self, Limits};
use crate::{family, names, params, size};

/// How soon a run is looked at again that waits for a resolver, should nobody tell when there is an answer.
const SAFETY: SignedDuration = SignedDuration::from_mins(1);

/// Why a run has not begun to run. Its end would hide it (section 6.9).
const WAITING: [Reason; 2] = [Reason::ResolvingPipelineRef, Reason::ResolvingTaskRef];

/// All that a decision depends on.
pub struct Observed<'a> {
    pub run: &'a PipelineRun,
    /// The TaskRuns and CustomRuns that this run owns.
    pub children: Vec<Child>,
    pub now: Timestamp,
    pub config: &'a Config,
    pub catalog: &'a dyn Catalog,
}

/// What is to be written, in this order: actions, metadata, status.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Decided {
    pub actions: Vec<Action>,
    /// To be added to the run's labels.
    pub labels: BTreeMap<String, String>,
    /// To be added to the run's annotations.
    pub annotations: BTreeMap<String, String>,
    /// The whole status as it should be.
    pub status: PipelineRunStatus,
    /// When to look again if nothing happens before.
    pub wake: Option<Timestamp>,
}

/// A write to another object.
#[derive(Clone, Debug, PartialEq)]
pub enum Action {
    Request(Box<ResolutionRequest>),
    Claim(Box<PersistentVolumeClaim>),
    Create(Box<TaskRun>),
    /// Tells a child to end.
    End {
        child: Child,
        message: &'static str,
    },
}

/// Decides.
pub fn decide(observed: &Observed<'_>) -> Decided {
    let mut decision = Decision::new(observed);
    if condition::is_final(&decision.out.status.conditions) {
        return decision.out;
    }
    decision.go_on();
    decision.look_for_intruders();
    match decision.excess() {
        Some(why) => too_large(observed, &why),
        None => decision.out,
    }
}

/// The end of a run that the cluster cannot store. `why` says how that was found out.
pub fn too_large(observed: &Observed<'_>, why: &str) -> Decided {
    let mut decision = Decision::new(observed);
    decision.start();
    decision.end_children(None, task_run::CANCELLED_BY_PIPELINE, custom_run::CANCELLED_BY_PIPELINE);
    // The largest part, and not needed any more: what is left has to fit.
    decision.out.status.pipeline_spec = None;
    let message = size::message("PipelineRun", decision.name, why);
    decision.ended(Verdict::False, Reason::PipelineRunTooLarge, message);
    decision.out
}

/// A decision while it is made.
struct Decision<'a> {
    observed: &'a Observed<'a>,
    run: &'a PipelineRun,
    name: &'a str,
    namespace: &'a str,
    owner: OwnerReference,
    limits: Limits,
    out: Decided,
}

/// Why the decision is complete before its end.
enum Stop {
    Fault(Fault),
    /// Something is looked up: the reason and the message to show until then.
    Waits(Reason, String),
}

impl From<Fault> for Stop {
    fn from(fault: Fault) -> Self {
        Self::Fault(fault)
    }
}

impl<'a> Decision<'a> {
    fn new(observed: &'a Observed<'a>) -> Self {
        let run = observed.run;
        let name = run.metadata.name.as_deref().unwrap_or_default();
        Self {
            observed,
            run,
            name,
            namespace: run.metadata.namespace.as_deref().unwrap_or_default(),
            owner: family::owner(run),
            limits: Limits::of(run, observed.config.defaults.timeout),
            out: Decided { status: run.status.clone().unwrap_or_default(), ..Decided::default() },
        }
    }

    fn go_on(&mut self) {
        let status = self.run.spec.status.as_str();
        if status == pipeline_run::PENDING && self.out.status.start_time.is_none() {
            let message = format!("PipelineRun {:?} is pending", self.name);
            self.running(Reason::PipelineRunPending, message);
            return;
        }
        self.start();
        if status == pipeline_run::CANCELLED {
            self.end_children(None, task_run::CANCELLED_BY_PIPELINE, custom_run::CANCELLED_BY_PIPELINE);
            self.ended(
                Verdict::False,
                Reason::Cancelled,
                format!("PipelineRun {:?} was cancelled", self.name),
            );
            return;
        }
        match self.proceed() {
            Ok(()) => {}
            Err(Stop::Fault(fault)) => self.ended(Verdict::False, fault.reason, fault.message),
            Err(Stop::Waits(reason, message)) => self.running(reason, message),
        }
        self.time_out();
        if !condition::is_final(&self.out.status.conditions) {
            self.set_wake();
        }
    }

    /// What one of its runs reported may be somebody's word.
    fn look_for_intruders(&mut self) {
        let mut entered: Vec<_> =
            self.observed.children.iter().filter(|child| child.is_tampered_with()).map(Child::name).collect();
        entered.sort_unstable();
        if !entered.is_empty() {
            let message = format!("somebody was let into pods of {}", entered.join(", "));
            condition::mark_tampered(
                &mut self.out.status.conditions,
                TamperedReason::TaskRunTampered,
                message,
                self.observed.now,
            );
        }
    }

    /// Why the run cannot be stored with its new status, if so.
    fn excess(&self) -> Option<String> {
        if self.run.status.as_ref() == Some(&self.out.status) {
            return None;
        }
        let (spec, status) = (size::of(&self.run.spec), size::of(&self.out.status));
        let all = size::of(&self.run.metadata) + spec + status;
        (all > size::MAX).then(|| size::counted(spec, status, all))
    }

    /// The run has begun: now, but not before it was made, nor after its first child.
    fn start(&mut self) {
        let created = self.run.metadata.creation_timestamp.as_ref().map(|time| time.0);
        let first_child = self.observed.children.iter().filter_map(Child::created).min();
        let status = &mut self.out.status;
        let begun = status.start_time.as_ref().map_or_else(
            || created.map_or(self.observed.now, |created| created.max(self.observed.now)),
            |time| time.0,
        );
        status.start_time = Some(Time(first_child.map_or(begun, |first| first.min(begun))));
        if pipelines_engine_api::status::succeeded(&status.conditions).is_none() {
            self.running(Reason::Started, String::new());
        }
    }

    fn proceed(&mut self) -> Result<(), Stop> {
        let spec = self.pipeline()?;
        let graph = Graph::new(&spec.tasks).map_err(|error| {
            Fault::new(
                Reason::PipelineInvalidGraph,
                format_args!(
                    "PipelineRun {}/{}'s Pipeline DAG is invalid: {error}",
                    self.namespace, self.name
                ),
            )
        })?;
        let tasks = self.members(&spec.tasks, Section::Tasks);
        let finally = self.members(&spec.finally, Section::Finally);
        if self.observed.children.is_empty() {
            self.check_tasks(&spec)?;
        }
        self.schedule(&spec, &graph, &tasks, &finally)
    }

    /// The Pipeline with everything put in: from status, or looked up, checked and put there.
    fn pipeline(&mut self) -> Result<PipelineSpec, Stop> {
        if let Some(spec) = &self.out.status.pipeline_spec {
            return Ok(spec.clone());
        }
        let asker = Asker { namespace: self.namespace, name: self.name, owner: &self.owner };
        let resolved = match resolve::find(self.run, asker, self.observed.catalog, self.observed.config)? {
            Ok(resolved) => resolved,
            Err(lookup) => {
                self.request(lookup);
                self.out.labels.insert(labels::PIPELINE.into(), self.name.to_owned());
                let message =
                    format!("PipelineRun {}/{} awaiting remote resource", self.namespace, self.name);
                return Err(Stop::Waits(Reason::ResolvingPipelineRef, message));
            }
        };
        let meta = &self.run.metadata;
        self.out.labels.extend(family::new_to(meta.labels.as_ref(), resolved.labels.clone()));
        self.out.annotations.extend(family::new_to(meta.annotations.as_ref(), resolved.annotations.clone()));
        self.out.labels.insert(labels::PIPELINE.into(), resolved.name.clone());
        let features = &self.observed.config.features;
        self.out.status.provenance = Some(Provenance {
            ref_source: resolved.source.clone(),
            feature_flags: features.provenance_in_status.then(|| features.as_provenance()),
        })
        .filter(|_| features.provenance_in_status);
        let spec = resolve::apply(self.run, resolved, self.observed.config)?;
        self.out.status.pipeline_spec = Some(spec.clone());
        Ok(spec)
    }

    fn members(&self, tasks: &[PipelineTask], section: Section) -> Vec<Member> {
        let of_task = |task: &PipelineTask| {
            let mut children: Vec<_> = self
                .observed
                .children
                .iter()
                .filter(|child| labels::PIPELINE_TASK.of(&child.meta().labels) == Some(&task.name))
                .cloned()
                .collect();
            children.sort_by(|a, b| a.name().cmp(b.name()));
            Member { task: task.clone(), section, children }
        };
        tasks.iter().map(of_task).collect()
    }

    /// Before the first child: every task that can be looked up already is there and fits.
    fn check_tasks(&mut self, spec: &PipelineSpec) -> Result<(), Stop> {
        let mut declared: BTreeMap<&str, Vec<String>> = BTreeMap::new();
        let mut waiting = None;
        for task in spec.tasks.iter().chain(&spec.finally) {
            if depends_on_results(task) {
                continue;
            }
            let of_task = match self.task_spec(task) {
                Ok(of_task) => of_task,
                Err(Stop::Waits(reason, message)) => {
                    waiting = Some(Stop::Waits(reason, message));
                    continue;
                }
                Err(fault) => return Err(fault),
            };
            self.check_params(spec, task, &of_task)?;
            workspaces::check_optional(spec, task, &of_task)
                .map_err(|fault| Fault::new(Reason::RequiredWorkspaceMarkedOptional, fault))?;
            declared.insert(&task.name, of_task.results.iter().map(|result| result.name.clone()).collect());
        }
        if let Some(waits) = waiting {
            return Err(waits);
        }
        Ok(resolve::check_results(spec, |task| declared.get(task).cloned())?)
    }

    fn check_params(
        &self,
        spec: &PipelineSpec,
        task: &PipelineTask,
        of_task: &TaskSpec,
    ) -> Result<(), Fault> {
        let mut given = task.params.clone();
        if task.task_spec.is_some() {
            given.extend(child::propagated(&given, &self.run.spec.params, &spec.params));
        }
        params::check(&of_task.params, &given).map_err(|fault| {
            let reason = match fault {
                params::Fault::Missing(_) => Reason::ParameterMissing,
                params::Fault::MissingKeys(_) => Reason::ObjectParameterMissKeys,
                _ => Reason::ParameterTypeMismatch,
            };
            Fault::new(
                reason,
                format_args!("PipelineRun {}/{}: task {:?}: {fault}", self.namespace, self.name, task.name),
            )
        })
    }

    /// The Task that `task` runs.
    fn task_spec(&mut self, task: &PipelineTask) -> Result<TaskSpec, Stop> {
        if let Some(embedded) = &task.task_spec {
            return Ok(embedded.task.clone());
        }
        let Some(reference) = &task.task_ref else {
            return Err(Fault::new(
                Reason::PipelineValidationFailed,
                format_args!("task {:?} has neither taskRef nor taskSpec", task.name),
            )
            .into());
        };
        let child = self.child_name(task);
        let asker = Asker { namespace: self.namespace, name: &child, owner: &self.owner };
        match catalog::task(self.observed.catalog, asker, reference, self.observed.config) {
            Lookup::Found(found) => {
                let Found { spec, .. } = *found;
                Ok(spec)
            }
            Lookup::Failed(failure) => {
                let reason = match failure {
                    Failure::Invalid(_) => Reason::PipelineValidationFailed,
                    Failure::NotFound(_) | Failure::Resolution(_) => Reason::CouldntGetTask,
                };
                let message = format!(
                    "Pipeline {}/{} can't be Run; it contains Tasks that don't exist: task {:?}: {failure}",
                    self.namespace, self.name, task.name
                );
                Err(Fault { reason, message }.into())
            }
            pending @ (Lookup::InProgress | Lookup::Wanted(_)) => {
                self.request(pending);
                let message =
                    format!("PipelineRun {}/{} awaiting remote resource", self.namespace, self.name);
                Err(Stop::Waits(Reason::ResolvingTaskRef, message))
            }
        }
    }

    /// Somebody looks it up, or is asked to.
    fn request<T>(&mut self, lookup: Lookup<T>) {
        self.out.wake = self.observed.now.checked_add(SAFETY).ok();
        if let Lookup::Wanted(request) = lookup {
            self.out.actions.push(Action::Request(request));
        }
    }

    fn schedule(
        &mut self,
        spec: &PipelineSpec,
        graph: &Graph,
        tasks: &[Member],
        finally: &[Member],
    ) -> Result<(), Stop> {
        let now = self.observed.now;
        let wish = match self.run.spec.status.as_str() {
            pipeline_run::CANCELLED_RUN_FINALLY => Wish::Cancel,
            pipeline_run::STOPPED_RUN_FINALLY => Wish::Stop,
            _ => Wish::None,
        };
        let start = self.out.status.start_time.as_ref().map(|time| time.0);
        let finally_start = self.out.status.finally_start_time.as_ref().map(|time| time.0);
        let brakes = Brakes {
            cancelled: wish == Wish::Cancel,
            stopped: wish == Wish::Stop,
            pipeline_timed_out: timeouts::is_over(timeouts::deadline(start, self.limits.pipeline), now),
            tasks_timed_out: timeouts::is_over(timeouts::deadline(start, self.limits.tasks), now),
            finally_timed_out: timeouts::is_over(timeouts::deadline(finally_start, self.limits.finally), now),
        };
        let results = Results::of(tasks);
        let mut next = skip::of_tasks(tasks, graph, &results, brakes);
        if wish == Wish::Cancel {
            self.end_children(
                Some(tasks),
                task_run::CANCELLED_BY_PIPELINE,
                custom_run::CANCELLED_BY_PIPELINE,
            );
        }
        if brakes.tasks_timed_out {
            self.end_children(
                Some(tasks),
                task_run::CANCELLED_BY_PIPELINE_TIMEOUT,
                custom_run::CANCELLED_BY_PIPELINE_TIMEOUT,
            );
        }
        if brakes.finally_timed_out {
            self.end_children(
                Some(finally),
                task_run::CANCELLED_BY_PIPELINE_TIMEOUT,
                custom_run::CANCELLED_BY_PIPELINE_TIMEOUT,
            );
        }
        self.check_next(tasks, &next)?;
        let is_done = |(member, next): (&Member, &Next)| member.has_finished() || next.is_skipped();
        let tasks_done = tasks.iter().zip(&next).all(is_done);
        let states = states(tasks, &next, tasks_done);
        let mut next_finally = vec![Next::Waits; finally.len()];
        if tasks_done {
            next_finally = skip::of_finally(finally, &results, &states, brakes);
            self.check_next(finally, &next_finally)?;
        }
        let mut values = results.replacements();
        if !brakes.pipeline_timed_out && self.run.metadata.deletion_timestamp.is_none() {
            self.create(spec, tasks, &mut next, &values)?;
            values.extend(states);
            let before = self.out.actions.len();
            self.create(spec, finally, &mut next_finally, &values)?;
            let first = self.out.actions.len() > before || finally.iter().any(Member::has_started);
            if first && self.out.status.finally_start_time.is_none() {
                self.out.status.finally_start_time = Some(Time(now));
            }
        }
        self.conclude(spec, wish, (tasks, &next), (finally, &next_finally), &values)
    }

    /// What cannot ever start fails the run.
    fn check_next(&self, members: &[Member], next: &[Next]) -> Result<(), Fault> {
        for (member, next) in members.iter().zip(next) {
            match next {
                Next::Impossible(missing) => {
                    return Err(Fault::new(
                        Reason::InvalidTaskResultReference,
                        format_args!(
                            "Failed to resolve task result reference for {:?} with error: invalid result reference: the task {:?} gave out no result {:?}",
                            self.name, missing.task, missing.result
                        ),
                    ));
                }
                Next::Untold { cel, why } => {
                    return Err(Fault::new(
                        Reason::CelEvaluationFailed,
                        format_args!("Error evaluating CEL of task {:?}: {cel}: {why}", member.task.name),
                    ));
                }
                Next::Started | Next::Waits | Next::Start | Next::Skip { .. } => {}
            }
        }
        Ok(())
    }

    /// Makes the runs of tasks whose time has come. One that needs something looked up first waits.
    fn create(
        &mut self,
        spec: &PipelineSpec,
        members: &[Member],
        next: &mut [Next],
        with: &Replacements,
    ) -> Result<(), Stop> {
        for (member, next) in members.iter().zip(next.iter_mut()) {
            if *next != Next::Start {
                continue;
            }
            let mut task = member.task.clone();
            in_pipeline_task(&mut task, with);
            let of_task = match self.task_spec(&task) {
                Ok(of_task) => of_task,
                Err(Stop::Waits(..)) => {
                    *next = Next::Waits;
                    continue;
                }
                Err(fault) => return Err(fault),
            };
            self.check_params(spec, &task, &of_task)?;
            if self.observed.children.is_empty()
                && !self.out.actions.iter().any(|action| matches!(action, Action::Create(_)))
            {
                let claims = workspaces::claims(&self.run.spec.workspaces, self.namespace, &self.owner);
                self.out.actions.extend(claims.into_iter().map(|claim| Action::Claim(Box::new(claim))));
            }
            let run = self.task_run(spec, task, &of_task, member.section, with)?;
            self.out.actions.push(Action::Create(Box::new(run)));
        }
        Ok(())
    }

    fn task_run(
        &self,
        spec: &PipelineSpec,
        mut task: PipelineTask,
        of_task: &TaskSpec,
        section: Section,
        with: &Replacements,
    ) -> Result<TaskRun, Fault> {
        let mut given = task.params.clone();
        let bindings = workspaces::of_task(&task, Some(of_task), &self.run.spec.workspaces, &self.owner.uid)
            .map_err(|fault| Fault::new(Reason::InvalidWorkspaceBindings, fault))?;
        if let Some(embedded) = &mut task.task_spec {
            let passed = child::propagated(&given, &self.run.spec.params, &spec.params);
            let mut with = with.clone();
            with.extend(resolve::context(self.run, self.pipeline_name()));
            for param in &passed {
                with.set_param(&param.name, &param.value);
            }
            in_task(&mut embedded.task, &with);
            let declared = |name: &str| embedded.task.params.iter().any(|spec| spec.name == name);
            given.extend(passed.into_iter().filter(|param| declared(&param.name)));
            for name in bindings.iter().map(|binding| &binding.name) {
                if !embedded.task.workspaces.iter().any(|workspace| workspace.name == *name) {
                    embedded.task.workspaces.push(pipelines_engine_api::WorkspaceDeclaration {
                        name: name.clone(),
                        ..Default::default()
                    });
                }
            }
        }
        let mut labels = self.run.metadata.labels.clone().unwrap_or_default();
        labels.extend(self.out.labels.clone());
        let mut annotations = self.run.metadata.annotations.clone().unwrap_or_default();
        annotations.extend(self.out.annotations.clone());
        let of_section = match section {
            Section::Tasks => self.limits.tasks,
            Section::Finally => self.limits.finally,
        };
        let timeout = of_section.or(self.limits.pipeline).map_or(GoDuration::ZERO, GoDuration::from);
        let parent = Parent {
            run: self.run,
            owner: &self.owner,
            labels: &labels,
            annotations: &annotations,
            managed_by: &self.observed.config.defaults.managed_by,
            timeout: &timeout.to_string(),
        };
        Ok(child::task_run(&parent, &task, section, &self.child_name(&task), given, bindings))
    }

    fn pipeline_name(&self) -> &str {
        self.out
            .labels
            .get(labels::PIPELINE.as_str())
            .map(String::as_str)
            .or_else(|| labels::PIPELINE.of(&self.run.metadata.labels))
            .unwrap_or(self.name)
    }

    /// The name that the status has for it, or the one that it would get.
    fn child_name(&self, task: &PipelineTask) -> String {
        let known =
            self.out.status.child_references.iter().find(|child| child.pipeline_task_name == task.name);
        known.map_or_else(|| names::child(self.name, &format!("-{}", task.name)), |child| child.name.clone())
    }

    fn conclude(
        &mut self,
        spec: &PipelineSpec,
        wish: Wish,
        (tasks, next): (&[Member], &[Next]),
        (finally, next_finally): (&[Member], &[Next]),
        values: &Replacements,
    ) -> Result<(), Stop> {
        let all = || tasks.iter().zip(next).chain(finally.iter().zip(next_finally));
        self.out.status.child_references = self.child_references(all(), values);
        self.out.status.skipped_tasks = all()
            .filter_map(|(member, next)| match next {
                Next::Skip { reason, when } => Some(SkippedTask {
                    name: member.task.name.clone(),
                    reason: reason.to_string(),
                    when_expressions: when.clone(),
                }),
                _ => None,
            })
            .collect();
        let counts = Counts::of(all());
        let is_last =
            finally.iter().zip(next_finally).all(|(member, next)| member.has_finished() || next.is_skipped());
        let (reason, message) = counts.condition(wish, is_last);
        if counts.incomplete > 0 {
            let waits = self.out.actions.iter().any(|action| matches!(action, Action::Request(_)));
            let starts = self.out.actions.iter().any(|action| matches!(action, Action::Create(_)));
            if waits && !starts && self.observed.children.is_empty() {
                self.running(Reason::ResolvingTaskRef, message);
            } else {
                self.running(reason, message);
            }
            return Ok(());
        }
        let members: Vec<_> = tasks.iter().chain(finally).cloned().collect();
        let verdict = match reason {
            Reason::Succeeded | Reason::Completed => Verdict::True,
            _ => Verdict::False,
        };
        match results::of_pipeline(self.name, &spec.results, &members, &Results::of(&members)) {
            Ok(results) => self.out.status.results = results,
            Err(wrong) if verdict == Verdict::True => {
                return Err(Fault::new(Reason::CouldntGetPipelineResult, wrong).into());
            }
            Err(_) => {}
        }
        self.ended(verdict, reason, message);
        Ok(())
    }

    /// In the order of the Pipeline, then of names; what is there keeps what was written about it.
    fn child_references<'m>(
        &self,
        all: impl Iterator<Item = (&'m Member, &'m Next)>,
        values: &Replacements,
    ) -> Vec<ChildStatusReference> {
        let known = &self.out.status.child_references;
        let created: Vec<_> = self
            .out
            .actions
            .iter()
            .filter_map(|action| match action {
                Action::Create(run) => Some(run),
                _ => None,
            })
            .collect();
        let mut references = Vec::new();
        for (member, _) in all {
            let new = created
                .iter()
                .filter(|run| labels::PIPELINE_TASK.of(&run.metadata.labels) == Some(&member.task.name))
                .filter_map(|run| run.metadata.name.clone());
            let mut names: Vec<_> =
                member.children.iter().map(|child| child.name().to_owned()).chain(new).collect();
            // A child that was deleted, or that the cache does not show yet.
            names.extend(
                known
                    .iter()
                    .filter(|child| child.pipeline_task_name == member.task.name)
                    .map(|child| child.name.clone()),
            );
            names.sort();
            names.dedup();
            for name in names {
                let old = known.iter().find(|child| child.name == name).cloned();
                references.push(old.unwrap_or_else(|| {
                    // What is shown is what was decided on.
                    let mut task = member.task.clone();
                    in_pipeline_task(&mut task, values);
                    ChildStatusReference {
                        api_version: "tekton.dev/v1".to_owned(),
                        kind: "TaskRun".to_owned(),
                        name,
                        display_name: task.display_name,
                        pipeline_task_name: task.name,
                        when_expressions: task.when,
                    }
                }));
            }
        }
        references
    }

    /// The whole run takes too long: everything ends at once.
    fn time_out(&mut self) {
        let start = self.out.status.start_time.as_ref().map(|time| time.0);
        let Some(limit) = self.limits.pipeline else { return };
        let Some(deadline) = timeouts::deadline(start, Some(limit)) else { return };
        if !timeouts::is_over(Some(deadline), self.observed.now) {
            return;
        }
        // A task with the same limit may be seen to have ended first, or one that was told to end before a crash. A failure
        // from before the deadline stays one.
        let is_over_for_good = condition::is_final(&self.out.status.conditions);
        if is_over_for_good && !self.observed.children.iter().any(|child| child.has_broken_off(deadline)) {
            return;
        }
        self.end_children(
            None,
            task_run::CANCELLED_BY_PIPELINE_TIMEOUT,
            custom_run::CANCELLED_BY_PIPELINE_TIMEOUT,
        );
        let waited = pipelines_engine_api::status::succeeded(&self.out.status.conditions)
            .filter(|condition| WAITING.iter().any(|reason| condition.reason == reason.to_string()))
            .map(|condition| format!(": {}", condition.message))
            .unwrap_or_default();
        let message = format!(
            "PipelineRun {:?} failed to finish within {:?}{waited}",
            self.name,
            GoDuration::from(limit).to_string()
        );
        self.ended(Verdict::False, Reason::PipelineRunTimeout, message);
    }

    /// Tells children that run to end: those of `members`, or all. Once each.
    fn end_children(
        &mut self,
        members: Option<&[Member]>,
        of_task_run: &'static str,
        of_custom_run: &'static str,
    ) {
        let all: Vec<&Child> = match members {
            Some(members) => members.iter().flat_map(|member| &member.children).collect(),
            None => self.observed.children.iter().collect(),
        };
        for child in all {
            let is_told = child.is_told_to_end()
                || self.out.actions.iter().any(
                    |action| matches!(action, Action::End { child: told, .. } if told.name() == child.name()),
                );
            if child.outcome() != Outcome::Running || is_told {
                continue;
            }
            let message = match child {
                Child::TaskRun(_) => of_task_run,
                Child::CustomRun(_) => of_custom_run,
            };
            self.out.actions.push(Action::End { child: child.clone(), message });
        }
    }

    fn running(&mut self, reason: Reason, message: String) {
        condition::set(
            &mut self.out.status.conditions,
            Verdict::Unknown,
            reason.to_string(),
            message,
            self.observed.now,
        );
    }

    fn ended(&mut self, verdict: Verdict, reason: Reason, message: String) {
        // What was to begin does not begin any more.
        if verdict == Verdict::False {
            self.out.actions.retain(|action| matches!(action, Action::End { .. }));
        }
        self.out.status.completion_time = Some(Time(self.observed.now));
        condition::set(
            &mut self.out.status.conditions,
            verdict,
            reason.to_string(),
            message,
            self.observed.now,
        );
    }

    /// The earliest limit that is still to come.
    fn set_wake(&mut self) {
        let status = &self.out.status;
        let start = status.start_time.as_ref().map(|time| time.0);
        let finally = status.finally_start_time.as_ref().map(|time| time.0);
        self.out.wake = [
            self.out.wake,
            timeouts::deadline(start, self.limits.pipeline),
            timeouts::deadline(start, self.limits.tasks).filter(|_| finally.is_none()),
            timeouts::deadline(finally, self.limits.finally),
        ]
        .into_iter()
        .flatten()
        .filter(|deadline| *deadline > self.observed.now)
        .min();
    }
}

/// Whether what the task refers to is only known when others have results.
fn depends_on_results(task: &PipelineTask) -> bool {
    let of_reference = task.task_ref.iter().flat_map(|reference| &reference.params);
    of_reference
        .into_iter()
        .any(|param| crate::substitution::references::results_in_value(&param.value).next().is_some())
}

/// `$(tasks.….status)` and `$(tasks.status)`, for `finally`.
fn states(tasks: &[Member], next: &[Next], are_done: bool) -> Replacements {
    let mut states = Replacements::default();
    for member in tasks {
        let state = match member.outcome() {
            Some(Outcome::Succeeded) => "Succeeded",
            Some(Outcome::Failed | Outcome::Cancelled) => "Failed",
            Some(Outcome::Running) | None => "None",
        };
        states.set(format!("tasks.{}.status", member.task.name), state);
    }
    let failed = |member: &Member| matches!(member.outcome(), Some(Outcome::Failed | Outcome::Cancelled));
    let all = if !are_done {
        "None"
    } else if tasks.iter().any(failed) {
        "Failed"
    } else if next.iter().any(Next::is_skipped) {
        "Completed"
    } else {
        "Succeeded"
    };
    states.set("tasks.status", all);
    states
}

#[cfg(test)]
mod tests;
