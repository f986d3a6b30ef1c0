//! What to do about a TaskRun (section 2): a pure function of what is known.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::core::v1::{
    ConfigMap, ContainerStateTerminated, LimitRange, PersistentVolumeClaim, Pod,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{OwnerReference, Time};
use pipelines_engine_api::reasons::{TamperedReason, TaskRunReason as Reason, TerminationReason};
use pipelines_engine_api::status::succeeded;
use pipelines_engine_api::task_run::{CANCELLED, TaskRunStatus};
use pipelines_engine_api::{
    GoDuration, Provenance, ResolutionRequest, TaskRun, TaskSpec, annotations, labels,
};

use super::pod::containers::Image;
use super::pod::credentials::Account;
use super::pod::volumes::Entrypoint;
use super::pod::{self, Made, Node, Plan, volumes};
use super::prepare::{self, Fault};
use super::result_log::{self, Logged};
use super::status::{self, SIDECAR};
use crate::catalog::{self, Asker, Catalog, Failure, Found, Lookup};
use crate::condition::{self, Verdict};
use crate::config::Config;
use crate::pipeline_run::workspaces;
use crate::{family, size, timeouts, validation};

/// How soon a run is looked at again whose pod waits for something that makes no event.
const SOON: Duration = Duration::from_secs(5);

/// How soon a run is looked at again that waits for a resolver, should nobody tell when there is an answer.
const SAFETY: Duration = Duration::from_mins(1);

/// How long a pod may start before its run says what its containers wait for.
const STARTING: Duration = Duration::from_secs(3);

/// Said of a pod that says nothing itself.
const PENDING: &str = "Pending";

/// Why a run is not running though it could.
const HINDRANCES: [Reason; 7] = [
    Reason::Pending,
    Reason::PullImageFailed,
    Reason::ExceededNodeResources,
    Reason::ExceededResourceQuota,
    Reason::ResolvingTaskRef,
    Reason::ResolvingStepActionRef,
    Reason::ToBeRetried,
];

/// Why a run ends though its pod has not.
const ENDED_BY_FORCE: [Reason; 4] = [
    Reason::TaskRunCancelled,
    Reason::TaskRunTimeout,
    Reason::TaskRunImagePullFailed,
    Reason::TaskRunTooLarge,
];

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
    /// The image that holds the entrypoint and nothing else.
    pub tools_image: &'a str,
}

/// What a pod needs of its surroundings. Like the catalog, it never waits.
pub trait Surroundings {
    /// The images of steps that have no command, by reference.
    fn image(&self, run: &TaskRun, reference: &str) -> Awaited<Image>;
    /// The account of the pod, and what it has for steps.
    fn account(&self, namespace: &str, service_account: &str) -> Awaited<Account>;
    fn limit_ranges(&self, namespace: &str) -> Vec<LimitRange>;
    /// How the entrypoint gets into pods of the namespace.
    fn entrypoint(&self, namespace: &str) -> Awaited<Entrypoint>;
    /// What the sidecar that collects results has printed in a pod.
    fn result_log(&self, run: &TaskRun, pod: &Pod) -> Awaited<String>;
    /// Where a claim is, that pods of one run share.
    fn place(&self, namespace: &str, claim: &str) -> Place;
}

/// Something that is looked up in the background.
#[derive(Clone, Debug, PartialEq)]
pub enum Awaited<T> {
    Ready(T),
    /// The run is looked at again when it is there.
    Later,
    /// It could not be had just now, and why. Nobody tells when it can be.
    Again(String),
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
    /// Warns the user by an Event.
    Warn {
        reason: &'static str,
        note: String,
    },
}

/// Decides.
pub fn decide(observed: &Observed<'_>) -> Decided {
    let mut decision = Decision::new(observed);
    if condition::is_final(&decision.out.status.conditions) {
        decision.stop_sidecars();
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
    // The largest part, and not needed any more: what is left has to fit.
    decision.out.status.task_spec = None;
    let message = size::message("TaskRun", decision.name, why);
    decision.end(Reason::TaskRunTooLarge, message);
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
            let before = self.hindrance();
            self.end(Reason::TaskRunCancelled, format!("{}{before}", message.trim_end()));
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
            let before = self.hindrance();
            let message =
                format!("TaskRun {:?} failed to finish within {:?}{before}", self.name, limit.to_string());
            self.fail(Reason::TaskRunTimeout, message);
            return;
        }
        let next = deadline.filter(|deadline| *deadline > self.observed.now);
        self.out.wake = [self.out.wake, next].into_iter().flatten().min();
    }

    /// Containers for debugging: whoever has one in the pod can change what steps report.
    fn look_for_intruders(&mut self) {
        for pod in &self.observed.pods {
            let Some(container) =
                pod.spec.iter().flat_map(|spec| spec.ephemeral_containers.iter().flatten()).next()
            else {
                continue;
            };
            let name = pod.metadata.name.as_deref().unwrap_or_default();
            condition::mark_tampered(
                &mut self.out.status.conditions,
                TamperedReason::EphemeralContainer,
                format!("container {:?} was put into pod {name:?}", container.name),
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

    /// What kept the run from running until now, to be put behind the words of its end, which would hide it (section 6.9).
    fn hindrance(&self) -> String {
        let hinders = |reason: &str| HINDRANCES.iter().any(|hindrance| reason == hindrance.to_string());
        succeeded(&self.out.status.conditions)
            .filter(|condition| hinders(&condition.reason) && condition.message != PENDING)
            .map(|condition| format!(": {}", condition.message))
            .unwrap_or_default()
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
        let entrypoint = self.ready(surroundings.entrypoint(self.namespace), "the entrypoint")?;
        let named = if self.run.spec.service_account_name.is_empty() {
            self.observed.config.defaults.service_account.as_str()
        } else {
            &self.run.spec.service_account_name
        };
        let account = self.ready(surroundings.account(self.namespace, named), "its account")?;
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
            tools_image: self.observed.tools_image,
            account: &account,
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
        if attempt == 0 {
            self.warn_of(named, &account);
        }
        self.unknown(Reason::Pending, PENDING.to_owned());
        Ok(())
    }

    /// Says once, when there is a pod, what it has to do without.
    fn warn_of(&mut self, named: &str, account: &Account) {
        if let Some(instead) = &account.instead {
            let note = format!(
                "namespace {:?} has no ServiceAccount {named:?}: the pod runs as {instead:?}, without the Secrets and rights of the other",
                self.namespace
            );
            self.out.actions.push(Action::Warn { reason: "DefaultAccountUsed", note });
        }
        if !account.missing.is_empty() {
            let used = account.instead.as_deref().unwrap_or(named);
            let note = format!(
                "ServiceAccount {used:?} names Secrets that do not exist: {}; steps run without them",
                account.missing.join(", ")
            );
            self.out.actions.push(Action::Warn { reason: "FailedToRetrieveSecret", note });
        }
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
        validation::task_run(self.run, None, self.observed.config)
            .into_result()
            .map_err(|errors| Fault::invalid(format_args!("the TaskRun is not valid: {errors}")))?;
        let mut source = None;
        let spec = if let Some(spec) = &self.run.spec.task_spec {
            spec.clone()
        } else if let Some(reference) = &self.run.spec.task_ref {
            match catalog::task(self.observed.catalog, asker, reference, self.observed.config) {
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
        match prepare::with_step_actions(spec, asker, self.observed.catalog, self.observed.config)? {
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
        self.look_again(SAFETY);
        let message = format!("TaskRun {}/{} awaiting remote resource", self.namespace, self.name);
        Stop::Waits(reason, message)
    }

    fn images(&mut self, spec: &TaskSpec) -> Result<BTreeMap<String, Image>, Stop> {
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
            let image = self.ready(image, &format!("the command of image {reference:?}"))?;
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
        let mut report = status::report(pod, &spec, ignores);
        if report.is_done() && result_log::is_in(pod) {
            self.out.status.steps.clone_from(&report.steps);
            match self.logged(pod, &report)? {
                Ok(logged) => report = status::report_with(pod, &spec, ignores, &logged),
                Err(fault) if report.verdict == Verdict::True => {
                    report.verdict = Verdict::False;
                    report.reason = if ignores { Reason::FailureIgnored } else { fault.reason };
                    report.message = fault.message;
                }
                // It has failed, and this is not why.
                Err(_) => {}
            }
        }
        if self.is_starting(pod, &report) {
            return Ok(());
        }
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

    /// Whether the pod does what every pod does at first, so that there is nothing to write yet beyond "Pending": in most,
    /// containers run or have ended before it would be worth a write. Where it takes longer, the run says what it waits for.
    fn is_starting(&mut self, pod: &Pod, report: &status::Report) -> bool {
        let is_told = succeeded(&self.out.status.conditions)
            .is_some_and(|condition| condition.reason == Reason::Pending.to_string());
        let created = pod.metadata.creation_timestamp.as_ref().map(|time| time.0);
        let until = timeouts::deadline(created, Some(STARTING)).filter(|until| *until > self.observed.now);
        if !is_told || until.is_none() || !report.is_starting() {
            return false;
        }
        self.out.wake = [self.out.wake, until].into_iter().flatten().min();
        true
    }

    /// The results that a sidecar hands on, when the steps of `report` have ended and it as well.
    fn logged(&mut self, pod: &Pod, report: &status::Report) -> Result<Result<Logged, Fault>, Stop> {
        let phase = pod.status.as_ref().and_then(|status| status.phase.as_deref());
        let ended = result_log::ended(pod);
        if ended.is_none() {
            if !matches!(phase, Some("Succeeded" | "Failed")) {
                let message = "Waiting until results are collected".to_owned();
                return Err(Stop::Waits(Reason::Running, message));
            }
            // It was taken away with its pod, as by an eviction.
            return Ok(Ok(Logged::default()));
        }
        if ended.is_some_and(|ended| ended.exit_code != 0) && report.verdict == Verdict::True {
            let message = format!(
                "results could not be collected: container {:?} has failed; its log says why",
                result_log::CONTAINER
            );
            return Ok(Err(Fault { reason: Reason::SidecarFailed, message }));
        }
        let log = match self.observed.surroundings.result_log(self.run, pod) {
            Awaited::Ready(log) => log,
            Awaited::Later => {
                return Err(Stop::Waits(Reason::Running, "Waiting for the log of results".to_owned()));
            }
            Awaited::Again(why) => {
                self.look_again(SOON);
                return Err(Stop::Waits(Reason::Running, format!("Waiting for the log of results: {why}")));
            }
            Awaited::Failed(message) => return Ok(Err(Fault { reason: Reason::Failed, message })),
        };
        let logged = result_log::parse(&log, self.observed.config.features.max_result_size);
        Ok(logged.map_err(|error| Fault {
            reason: Reason::TaskRunResultLargerThanAllowedLimit,
            message: format!("[User error] {error}"),
        }))
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

    /// Sidecars of a run whose pod stays: it has ended by itself, or is kept.
    fn stop_sidecars(&mut self) {
        let loses_its_pod = succeeded(&self.out.status.conditions).is_some_and(|condition| {
            let is_kept = condition.reason == Reason::TaskRunCancelled.to_string()
                && self.observed.config.features.keep_pod_on_cancel;
            !is_kept && ENDED_BY_FORCE.iter().any(|reason| condition.reason == reason.to_string())
        });
        let Some(pod) = self.pod() else { return };
        let status = pod.status.as_ref();
        if loses_its_pod || status.and_then(|status| status.phase.as_deref()) != Some("Running") {
            return;
        }
        let containers: Vec<_> = status
            .iter()
            .flat_map(|status| status.container_statuses.iter().flatten())
            .filter(|container| !container.name.starts_with(status::STEP))
            // It ends by itself, and its log is still to be read.
            .filter(|container| container.name != result_log::CONTAINER)
            .filter(|container| container.state.as_ref().is_some_and(|state| state.running.is_some()))
            .map(|container| container.name.clone())
            .collect();
        if containers.is_empty() {
            return;
        }
        let finished_at = Some(Time(self.observed.now));
        for sidecar in &mut self.out.status.sidecars {
            // Nobody looks at the pod again for the moment at which they really end.
            if let Some(running) = sidecar.running.take_if(|_| containers.contains(&sidecar.container)) {
                sidecar.terminated = Some(ContainerStateTerminated {
                    exit_code: 0,
                    reason: Some(TerminationReason::Completed.to_string()),
                    started_at: running.started_at,
                    finished_at: finished_at.clone(),
                    ..ContainerStateTerminated::default()
                });
            }
        }
        let name = pod.metadata.name.clone().unwrap_or_default();
        self.out.actions.push(Action::StopSidecars { name, containers });
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
            !matches!(
                action,
                Action::CreatePod(_) | Action::Claim(_) | Action::ConfigMap(_) | Action::Warn { .. }
            )
        });
        if ENDED_BY_FORCE.contains(&reason) {
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
            step.terminated = Some(ContainerStateTerminated {
                exit_code: 1,
                reason: Some(reason.to_string()),
                started_at,
                finished_at: Some(now.clone()),
                ..ContainerStateTerminated::default()
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

    /// What was awaited, if it is there.
    fn ready<T>(&mut self, awaited: Awaited<T>, what: &str) -> Result<T, Stop> {
        match awaited {
            Awaited::Ready(ready) => Ok(ready),
            Awaited::Later => Err(Stop::Waits(Reason::Pending, format!("Waiting for {what}"))),
            Awaited::Again(why) => {
                self.look_again(SOON);
                Err(Stop::Waits(Reason::Pending, format!("Waiting for {what}: {why}")))
            }
            Awaited::Failed(why) => Err(Fault { reason: Reason::PodCreationFailed, message: why }.into()),
        }
    }

    fn look_again(&mut self, after: Duration) {
        let at =
            SignedDuration::try_from(after).ok().and_then(|after| self.observed.now.checked_add(after).ok());
        self.out.wake = [self.out.wake, at].into_iter().flatten().min();
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
        _ if message.contains("TaskRun validation failed") => fault(Reason::TaskRunValidationFailed),
        // The namespace is going: so will the run.
        403 if message.contains("being terminated") => Refused::Transient,
        400 | 401 | 403 | 405 | 413 | 422 => fault(Reason::PodCreationFailed),
        _ => Refused::Transient,
    }
}

#[cfg(test)]
mod tests;
