//! What to do about a TaskRun (section 2): a pure function of what is known.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::core::v1::{ConfigMap, LimitRange, PersistentVolumeClaim, Pod};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{OwnerReference, Time};
use pipelines_engine_api::reasons::{TaskRunReason as Reason, TerminationReason};
use pipelines_engine_api::status::succeeded;
use pipelines_engine_api::task_run::{CANCELLED, TaskRunStatus};
use pipelines_engine_api::{
    GoDuration, Provenance, ResolutionRequest, TaskRun, TaskSpec, annotations, labels,
};

use super::pod::containers::Image;
use super::pod::credentials::Credential;
use super::pod::volumes::Entrypoint;
use super::pod::{self, Made, Node, Plan, volumes};
use super::prepare::{self, Fault};
use super::status::{self, SIDECAR};
use crate::catalog::{Asker, Catalog, Failure, Found, Lookup};
use crate::condition::{self, Verdict};
use crate::config::Config;
use crate::pipeline_run::workspaces;
use crate::{family, timeouts};

/// How soon a run is looked at again whose pod waits for something that makes no event.
const SOON: Duration = Duration::from_secs(5);

/// All that a decision depends on.
pub struct Observed<'a> {
    pub run: &'a TaskRun,
    /// The pods that this run controls.
    pub pods: Vec<Arc<Pod>>,
    pub now: Timestamp,
    pub config: &'a Config,
    pub catalog: &'a dyn Catalog,
    pub surroundings: &'a dyn Surroundings,
    /// Version of the engine.
    pub release: &'a str,
}

/// What a pod needs of its surroundings. Like the catalog, it never waits.
pub trait Surroundings {
    /// The images of steps that have no command, by reference.
    fn image(&self, run: &TaskRun, reference: &str) -> Awaited<Image>;
    /// What the account has for steps.
    fn credentials(&self, namespace: &str, service_account: &str) -> Awaited<Vec<Credential>>;
    fn limit_ranges(&self, namespace: &str) -> Vec<LimitRange>;
    /// How the entrypoint gets into pods of the namespace.
    fn entrypoint(&self, namespace: &str) -> Awaited<Entrypoint>;
    /// Where a claim is, that pods of one run share.
    fn place(&self, namespace: &str, claim: &str) -> Place;
}

/// Something that is looked up in the background.
#[derive(Clone, Debug, PartialEq)]
pub enum Awaited<T> {
    Ready(T),
    /// The run is looked at again when it is there.
    Later,
    /// It cannot be had.
    Failed(String),
}

/// Where pods that use a claim may go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    Anywhere,
    On(Node),
    /// Another pod that uses it has no node yet: this one waits for it.
    Undecided,
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
    pub status: TaskRunStatus,
    /// When to look again if nothing happens before.
    pub wake: Option<Timestamp>,
}

/// A write to another object.
#[derive(Clone, Debug, PartialEq)]
pub enum Action {
    Request(Box<ResolutionRequest>),
    Claim(Box<PersistentVolumeClaim>),
    ConfigMap(Box<ConfigMap>),
    CreatePod(Box<Pod>),
    /// Ends what runs of the run.
    DeletePod {
        name: String,
    },
    /// Ends what runs, and keeps the pod.
    CancelPod {
        name: String,
    },
    /// Lets the first step begin.
    Release {
        name: String,
    },
    /// Swaps the images of these containers, so that they end.
    StopSidecars {
        name: String,
        containers: Vec<String>,
    },
}

/// Decides.
pub fn decide(observed: &Observed<'_>) -> Decided {
    let mut decision = Decision::new(observed);
    if condition::is_final(&decision.out.status.conditions) {
        decision.stop_sidecars();
    } else {
        decision.go_on();
    }
    decision.out
}

struct Decision<'a> {
    observed: &'a Observed<'a>,
    run: &'a TaskRun,
    name: &'a str,
    namespace: &'a str,
    owner: OwnerReference,
    out: Decided,
}

/// Why the decision is complete before its end.
enum Stop {
    /// The attempt has failed.
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
            out: Decided { status: run.status.clone().unwrap_or_default(), ..Decided::default() },
        }
    }

    fn go_on(&mut self) {
        self.start();
        if self.run.spec.status == CANCELLED {
            let message = format!("TaskRun {:?} was cancelled. {}", self.name, self.run.spec.status_message);
            self.end(Reason::TaskRunCancelled, message.trim_end().to_owned());
            return;
        }
        let deadline = self.deadline();
        // What has ended in time counts, however late it is looked at.
        let pod = self.pod().cloned();
        let reported = match &pod {
            Some(pod) => self.follow(pod),
            None if timeouts::is_over(deadline, self.observed.now) => Ok(()),
            None => self.begin(),
        };
        match reported {
            Ok(()) => {}
            Err(Stop::Fault(fault)) => self.fail(fault.reason, fault.message),
            Err(Stop::Waits(reason, message)) => self.unknown(reason, message),
        }
        if condition::is_final(&self.out.status.conditions) || self.is_to_be_retried() {
            return;
        }
        if timeouts::is_over(deadline, self.observed.now) {
            let limit = self.timeout();
            let before = succeeded(&self.out.status.conditions)
                .filter(|condition| condition.reason == Reason::PullImageFailed.to_string())
                .map(|condition| format!(": {}", condition.message))
                .unwrap_or_default();
            let message =
                format!("TaskRun {:?} failed to finish within {:?}{before}", self.name, limit.to_string());
            self.fail(Reason::TaskRunTimeout, message);
            return;
        }
        let next = deadline.filter(|deadline| *deadline > self.observed.now);
        self.out.wake = [self.out.wake, next].into_iter().flatten().min();
    }

    fn start(&mut self) {
        let created = self.run.metadata.creation_timestamp.as_ref().map(|time| time.0);
        let now = self.observed.now;
        if self.out.status.start_time.is_none() {
            self.out.status.start_time = Some(Time(created.map_or(now, |created| created.max(now))));
        }
        if succeeded(&self.out.status.conditions).is_none() {
            self.unknown(Reason::Started, String::new());
        }
    }

    fn timeout(&self) -> GoDuration {
        timeouts::of_attempt(self.run, self.observed.config.defaults.timeout)
    }

    fn deadline(&self) -> Option<Timestamp> {
        let start = self.out.status.start_time.as_ref().map(|time| time.0);
        timeouts::deadline(start, self.timeout().limit())
    }

    /// The pod of this attempt.
    fn pod(&self) -> Option<&'a Arc<Pod>> {
        let archived = |pod: &Pod| {
            let earlier = &self.out.status.retries_status;
            earlier.iter().any(|attempt| Some(&attempt.pod_name) == pod.metadata.name.as_ref())
        };
        let mut own = self.observed.pods.iter().filter(|pod| !archived(pod));
        let named = &self.out.status.pod_name;
        if named.is_empty() { own.next() } else { own.find(|pod| pod.metadata.name.as_ref() == Some(named)) }
    }

    /// There is no pod: makes it.
    fn begin(&mut self) -> Result<(), Stop> {
        if !self.out.status.pod_name.is_empty() {
            return self.lost();
        }
        if self.run.metadata.deletion_timestamp.is_some() {
            return Ok(());
        }
        let spec = self.task()?;
        let bindings = prepare::bindings(self.run, &spec, self.observed.config);
        prepare::check(self.run, &spec, &bindings)?;
        let workspaces = volumes::workspaces(&spec.workspaces, &bindings, &self.owner.uid);
        let applied = prepare::apply(self.run, self.task_name(), spec, &workspaces);
        self.out.status.task_spec = Some(applied.clone());
        let attempt = self.out.status.retries_status.len();
        let spec = prepare::for_attempt(applied, attempt);

        let surroundings = self.observed.surroundings;
        let entrypoint = ready(surroundings.entrypoint(self.namespace), "the entrypoint")?;
        let account = if self.run.spec.service_account_name.is_empty() {
            self.observed.config.defaults.service_account.as_str()
        } else {
            &self.run.spec.service_account_name
        };
        let credentials = if self.observed.config.features.disable_credentials {
            Vec::new()
        } else {
            ready(surroundings.credentials(self.namespace, account), "credentials of its account")?
        };
        let images = self.images(&spec)?;
        let node = self.node(&workspaces)?;
        let limit_ranges = surroundings.limit_ranges(self.namespace);
        let Made { pod, config_map } = pod::make(&Plan {
            run: self.run,
            spec: &spec,
            attempt,
            config: self.observed.config,
            workspaces: &workspaces,
            entrypoint: &entrypoint,
            release: self.observed.release,
            credentials: &credentials,
            limit_ranges: &limit_ranges,
            images: &images,
            node: node.as_ref(),
        })?;
        let claims = workspaces::claims(&bindings, self.namespace, &self.owner);
        let mut pod = pod;
        if let Some(labels) = &mut pod.metadata.labels {
            labels.extend(self.out.labels.clone());
        }
        self.out.actions.extend(claims.into_iter().map(|claim| Action::Claim(Box::new(claim))));
        self.out.actions.extend(config_map.map(|config_map| Action::ConfigMap(Box::new(config_map))));
        self.out.status.pod_name = pod.metadata.name.clone().unwrap_or_default();
        self.out.actions.push(Action::CreatePod(Box::new(pod)));
        self.unknown(Reason::Pending, "Pending".to_owned());
        Ok(())
    }

    /// The pod was there and is gone. Before a step has begun it is made again; after that the attempt has failed.
    fn lost(&mut self) -> Result<(), Stop> {
        let has_begun =
            self.out.status.steps.iter().any(|step| step.running.is_some() || step.terminated.is_some());
        let name = self.out.status.pod_name.clone();
        if has_begun {
            let message = format!("pod {name:?} of TaskRun {:?} was deleted while it ran", self.name);
            return Err(Fault { reason: Reason::Failed, message }.into());
        }
        self.out.status.pod_name.clear();
        self.out.status.steps.clear();
        self.begin()
    }

    /// The Task: from status, inline, by name, or by a resolver; with StepActions in place.
    fn task(&mut self) -> Result<TaskSpec, Stop> {
        if let Some(spec) = &self.out.status.task_spec {
            return Ok(spec.clone());
        }
        let owner = self.owner.clone();
        let asker = Asker { namespace: self.namespace, name: self.name, owner: &owner };
        let features = &self.observed.config.features;
        let mut source = None;
        let spec = if let Some(spec) = &self.run.spec.task_spec {
            spec.clone()
        } else if let Some(reference) = &self.run.spec.task_ref {
            match self.observed.catalog.task(asker, reference) {
                Lookup::Found(found) => {
                    let Found { spec, labels, annotations, source: from, .. } = *found;
                    self.bring(labels, annotations);
                    source = from;
                    spec
                }
                Lookup::Failed(failure) => {
                    let reason = match failure {
                        Failure::Invalid(_) => Reason::TaskValidationFailed,
                        Failure::NotFound(_) | Failure::Resolution(_) => Reason::TaskRunResolutionFailed,
                    };
                    return Err(Fault { reason, message: failure.to_string() }.into());
                }
                pending => return Err(self.wait_for(pending, Reason::ResolvingTaskRef)),
            }
        } else {
            let message = "[User error] expected exactly one, got neither: spec.taskRef, spec.taskSpec";
            return Err(Fault { reason: Reason::TaskRunValidationFailed, message: message.to_owned() }.into());
        };
        if features.provenance_in_status {
            self.out.status.provenance =
                Some(Provenance { ref_source: source, feature_flags: Some(features.as_provenance()) });
        }
        match prepare::with_step_actions(spec, asker, self.observed.catalog)? {
            Ok(spec) => Ok(spec),
            Err(pending) => Err(self.wait_for(pending, Reason::ResolvingStepActionRef)),
        }
    }

    /// Labels and annotations of the Task that the run does not have itself.
    fn bring(&mut self, labels: BTreeMap<String, String>, annotations: BTreeMap<String, String>) {
        let meta = &self.run.metadata;
        self.out.labels.extend(family::new_to(meta.labels.as_ref(), labels));
        let handed_on = family::new_to(meta.annotations.as_ref(), annotations);
        self.out.annotations.extend(handed_on.filter(|(key, _)| !family::is_private(key)));
    }

    fn wait_for<T>(&mut self, lookup: Lookup<T>, reason: Reason) -> Stop {
        if let Lookup::Wanted(request) = lookup {
            self.out.actions.push(Action::Request(request));
        }
        let message = format!("TaskRun {}/{} awaiting remote resource", self.namespace, self.name);
        Stop::Waits(reason, message)
    }

    fn images(&self, spec: &TaskSpec) -> Result<BTreeMap<String, Image>, Stop> {
        let of_template = spec.step_template.as_ref();
        let has_command = |step: &pipelines_engine_api::Step| {
            !step.script.is_empty()
                || !step.command.is_empty()
                || of_template.is_some_and(|template| !template.command.is_empty())
        };
        let mut images = BTreeMap::new();
        for step in spec.steps.iter().filter(|step| !has_command(step)) {
            let reference = if step.image.is_empty() {
                of_template.map(|template| template.image.clone()).unwrap_or_default()
            } else {
                step.image.clone()
            };
            let image = self.observed.surroundings.image(self.run, &reference);
            let image = ready(image, &format!("the command of image {reference:?}"))?;
            images.insert(reference, image);
        }
        Ok(images)
    }

    /// Where the pod has to go for the claims that it shares with others.
    fn node(&mut self, workspaces: &[volumes::Workspace]) -> Result<Option<Node>, Stop> {
        if !self.observed.config.features.coschedule {
            return Ok(None);
        }
        let mut chosen: Option<Node> = None;
        for workspace in workspaces {
            let Some(claim) = &workspace.volume.persistent_volume_claim else { continue };
            match self.observed.surroundings.place(self.namespace, &claim.claim_name) {
                Place::Anywhere => {}
                Place::On(node) => {
                    if chosen.as_ref().is_none_or(|other| node.is_required && !other.is_required) {
                        chosen = Some(node);
                    }
                }
                Place::Undecided => {
                    self.look_again(SOON);
                    let message = format!(
                        "Waiting until another pod that uses claim {:?} has a node",
                        claim.claim_name
                    );
                    return Err(Stop::Waits(Reason::Pending, message));
                }
            }
        }
        Ok(chosen)
    }

    fn task_name(&self) -> &str {
        labels::TASK
            .of(&self.run.metadata.labels)
            .or_else(|| self.run.spec.task_ref.as_ref().map(|reference| reference.name.as_str()))
            .unwrap_or_default()
    }

    /// There is a pod: says what it says.
    fn follow(&mut self, pod: &Pod) -> Result<(), Stop> {
        let name = pod.metadata.name.clone().unwrap_or_default();
        self.out.status.pod_name.clone_from(&name);
        if self.out.status.task_spec.is_none() {
            // The status was lost between the pod and its record.
            let spec = self.task()?;
            let bindings = prepare::bindings(self.run, &spec, self.observed.config);
            let workspaces = volumes::workspaces(&spec.workspaces, &bindings, &self.owner.uid);
            self.out.status.task_spec = Some(prepare::apply(self.run, self.task_name(), spec, &workspaces));
        }
        let spec = self.out.status.task_spec.clone().unwrap_or_default();
        let ignores =
            annotations::PIPELINE_TASK_ON_ERROR.of(&self.run.metadata.annotations) == Some("continue");
        let report = status::report(pod, &spec, ignores);
        self.out.status.steps.clone_from(&report.steps);
        self.out.status.sidecars.clone_from(&report.sidecars);
        match report.verdict {
            Verdict::True => {
                self.out.status.results.clone_from(&report.results);
                self.done(Verdict::True, report.reason, report.message, report.completion);
                self.stop_sidecars();
            }
            Verdict::False => {
                let results = report.results.clone();
                let completion = report.completion;
                self.fail_at(report.reason, report.message, completion);
                if !self.is_to_be_retried() {
                    self.out.status.results = results;
                    self.stop_sidecars();
                }
            }
            Verdict::Unknown => {
                if report.reason == Reason::PullImageFailed {
                    self.check_pull(pod, &report.message)?;
                }
                self.unknown(report.reason, report.message);
                if is_ready_to_begin(pod) {
                    self.out.actions.push(Action::Release { name });
                }
            }
        }
        Ok(())
    }

    /// An image that cannot be pulled ends the run when the configured time is over.
    fn check_pull(&mut self, pod: &Pod, message: &str) -> Result<(), Stop> {
        let patience = self.observed.config.defaults.image_pull_backoff;
        let is_backing_off = ["ImagePullBackOff", "InvalidImageName"].iter().any(|reason| waits(pod, reason));
        if !is_backing_off {
            return Ok(());
        }
        let since = pod
            .status
            .iter()
            .flat_map(|status| status.conditions.iter().flatten())
            .filter(|condition| {
                ["Initialized", "PodReadyToStartContainers"].contains(&condition.type_.as_str())
                    && condition.status == "True"
            })
            .filter_map(|condition| condition.last_transition_time.as_ref())
            .map(|time| time.0)
            .max();
        let deadline = timeouts::deadline(
            since.or(pod.metadata.creation_timestamp.as_ref().map(|t| t.0)),
            Some(patience),
        );
        if patience.is_zero()
            || waits(pod, "InvalidImageName")
            || timeouts::is_over(deadline, self.observed.now)
        {
            let message = format!("the TaskRun {:?} failed to pull an image: {message}", self.name);
            return Err(Fault { reason: Reason::TaskRunImagePullFailed, message }.into());
        }
        self.out.wake = [self.out.wake, deadline].into_iter().flatten().min();
        Ok(())
    }

    /// Sidecars of a run that has ended by itself.
    fn stop_sidecars(&mut self) {
        let ended_by_force = succeeded(&self.out.status.conditions).is_some_and(|condition| {
            let reasons = [Reason::TaskRunCancelled, Reason::TaskRunTimeout, Reason::TaskRunImagePullFailed];
            reasons.iter().any(|reason| condition.reason == reason.to_string())
        });
        let Some(pod) = self.pod() else { return };
        let status = pod.status.as_ref();
        if ended_by_force || status.and_then(|status| status.phase.as_deref()) != Some("Running") {
            return;
        }
        let containers: Vec<_> = status
            .iter()
            .flat_map(|status| status.container_statuses.iter().flatten())
            .filter(|container| !container.name.starts_with(status::STEP))
            .filter(|container| container.state.as_ref().is_some_and(|state| state.running.is_some()))
            .map(|container| container.name.clone())
            .collect();
        if !containers.is_empty() {
            let name = pod.metadata.name.clone().unwrap_or_default();
            self.out.actions.push(Action::StopSidecars { name, containers });
        }
    }

    fn fail(&mut self, reason: Reason, message: String) {
        self.fail_at(reason, message, None);
    }

    /// The attempt has failed: another one, or the end.
    fn fail_at(&mut self, reason: Reason, message: String, completion: Option<Timestamp>) {
        let attempts = i64::try_from(self.out.status.retries_status.len()).unwrap_or(i64::MAX);
        self.end_at(reason, message.clone(), completion);
        if attempts >= self.run.spec.retries {
            return;
        }
        let status = &mut self.out.status;
        let mut archived = status.clone();
        archived.retries_status = Vec::new();
        archived.task_spec = None;
        archived.provenance = None;
        status.retries_status.push(archived);
        status.start_time = None;
        status.completion_time = None;
        status.pod_name.clear();
        status.results = Vec::new();
        status.steps = Vec::new();
        status.sidecars = Vec::new();
        self.unknown(Reason::ToBeRetried, message);
        self.out.wake = Some(self.observed.now);
    }

    fn is_to_be_retried(&self) -> bool {
        succeeded(&self.out.status.conditions)
            .is_some_and(|condition| condition.reason == Reason::ToBeRetried.to_string())
            && self.out.status.start_time.is_none()
    }

    fn end(&mut self, reason: Reason, message: String) {
        self.end_at(reason, message, None);
    }

    /// Ends the run: also what runs of it.
    fn end_at(&mut self, reason: Reason, message: String, completion: Option<Timestamp>) {
        self.out.actions.retain(|action| {
            !matches!(action, Action::CreatePod(_) | Action::Claim(_) | Action::ConfigMap(_))
        });
        let by_force = [Reason::TaskRunCancelled, Reason::TaskRunTimeout, Reason::TaskRunImagePullFailed]
            .contains(&reason);
        if by_force {
            if let Some(name) = self.pod().and_then(|pod| pod.metadata.name.clone()) {
                let keeps =
                    reason == Reason::TaskRunCancelled && self.observed.config.features.keep_pod_on_cancel;
                self.out.actions.push(if keeps {
                    Action::CancelPod { name }
                } else {
                    Action::DeletePod { name }
                });
            }
            self.end_steps(reason);
        }
        self.done(Verdict::False, reason, message, completion);
    }

    /// Steps that did not end by themselves are shown as ended.
    fn end_steps(&mut self, reason: Reason) {
        let now = Time(self.observed.now);
        for step in &mut self.out.status.steps {
            if step.terminated.is_some() {
                continue;
            }
            let started_at = step.running.take().and_then(|running| running.started_at);
            step.waiting = None;
            step.terminated = Some(k8s_openapi::api::core::v1::ContainerStateTerminated {
                exit_code: 1,
                reason: Some(reason.to_string()),
                started_at,
                finished_at: Some(now.clone()),
                ..Default::default()
            });
            step.termination_reason = match reason {
                Reason::TaskRunCancelled => TerminationReason::TaskRunCancelled.to_string(),
                Reason::TaskRunTimeout => TerminationReason::TaskRunTimeout.to_string(),
                other => other.to_string(),
            };
        }
    }

    fn done(&mut self, verdict: Verdict, reason: Reason, message: String, completion: Option<Timestamp>) {
        self.out.status.completion_time = Some(Time(completion.unwrap_or(self.observed.now)));
        condition::set(
            &mut self.out.status.conditions,
            verdict,
            reason.to_string(),
            message,
            self.observed.now,
        );
    }

    fn unknown(&mut self, reason: Reason, message: String) {
        condition::set(
            &mut self.out.status.conditions,
            Verdict::Unknown,
            reason.to_string(),
            message,
            self.observed.now,
        );
    }

    fn look_again(&mut self, after: Duration) {
        let at =
            SignedDuration::try_from(after).ok().and_then(|after| self.observed.now.checked_add(after).ok());
        self.out.wake = [self.out.wake, at].into_iter().flatten().min();
    }
}

/// What was awaited, if it is there.
fn ready<T>(awaited: Awaited<T>, what: &str) -> Result<T, Stop> {
    match awaited {
        Awaited::Ready(ready) => Ok(ready),
        Awaited::Later => Err(Stop::Waits(Reason::Pending, format!("Waiting for {what}"))),
        Awaited::Failed(why) => Err(Fault { reason: Reason::PodCreationFailed, message: why }.into()),
    }
}

/// Whether the first step waits to be told, and everything beside it is ready (or has ended).
fn is_ready_to_begin(pod: &Pod) -> bool {
    let is_told = annotations::READY.of(&pod.metadata.annotations).is_some();
    let Some(status) = &pod.status else { return false };
    let others: Vec<_> = status
        .container_statuses
        .iter()
        .flatten()
        .filter(|container| !container.name.starts_with(status::STEP))
        .collect();
    let expected = pod
        .spec
        .iter()
        .flat_map(|spec| &spec.containers)
        .filter(|container| container.name.starts_with(SIDECAR))
        .count();
    let is_up = |container: &&k8s_openapi::api::core::v1::ContainerStatus| {
        let state = container.state.as_ref();
        container.ready && state.is_some_and(|state| state.running.is_some())
            || state.is_some_and(|state| state.terminated.is_some())
    };
    !is_told
        && status.phase.as_deref() == Some("Running")
        && others.len() >= expected
        && others.iter().all(is_up)
}

fn waits(pod: &Pod, reason: &str) -> bool {
    let Some(status) = &pod.status else { return false };
    let all = status.init_container_statuses.iter().chain(&status.container_statuses).flatten();
    all.filter_map(|container| container.state.as_ref()?.waiting.as_ref()?.reason.as_deref())
        .any(|waiting| waiting == reason)
}

/// What an answer of the API server to a pod makes of its run (step 8).
#[derive(Clone, Debug, PartialEq)]
pub enum Refused {
    /// Again, after this long: the condition to show until then, and whether the run has not started then.
    Again { reason: Reason, message: String, after: Duration, unstarts: bool },
    /// For ever.
    Fault(Fault),
    /// Neither: the ordinary back-off of errors.
    Transient,
}

/// Reads the refusal of a pod: HTTP code and message.
pub fn refused(code: u16, message: &str) -> Refused {
    let fault = |reason: Reason| Refused::Fault(Fault { reason, message: message.to_owned() });
    match code {
        409 if message.contains("resourcequotas") => Refused::Again {
            reason: Reason::Pending,
            message: message.to_owned(),
            after: Duration::from_secs(1),
            unstarts: false,
        },
        403 if message.contains("exceeded quota") => Refused::Again {
            reason: Reason::ExceededResourceQuota,
            message: format!("TaskRun Pod exceeded available resources: {message}"),
            after: Duration::from_mins(1),
            unstarts: true,
        },
        403 if message.contains("violates PodSecurity")
            || message.contains("security context constraint") =>
        {
            fault(Reason::PodAdmissionFailed)
        }
        // The namespace is going: so will the run.
        403 if message.contains("being terminated") => Refused::Transient,
        400 | 401 | 403 | 405 | 413 | 422 => fault(Reason::PodCreationFailed),
        _ => Refused::Transient,
    }
}

#[cfg(test)]
mod tests;
