//! The pod of a TaskRun (section 2.1).
//!
//! ```text
//! pod
//! ├─ step-<name> …     one container per step; each waits for the one before (`command`)
//! ├─ sidecar-<name> …
//! └─ volumes           /workspace /tekton/{home,results,steps,run/<i>,creds,bin,scripts,downward}, credentials,
//!                      those of the Task, the pod template and the workspaces (`volumes`)
//! ```

pub mod command;
pub mod containers;
pub mod credentials;
pub mod resources;
pub mod scripts;
mod template;
pub mod volumes;

use std::collections::{BTreeMap, BTreeSet};

use k8s_openapi::api::core::v1::{
    Affinity, Capabilities, ConfigMap, Container, EnvVar, LimitRange, NodeAffinity, NodeSelector,
    NodeSelectorRequirement, NodeSelectorTerm, Pod, PodSpec, PreferredSchedulingTerm, SeccompProfile,
    SecurityContext, Volume, VolumeMount,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use pipelines_engine_api::reasons::TaskRunReason;
use pipelines_engine_api::{PodTemplate, TaskRun, TaskSpec, annotations, labels};

use self::command::Common;
use self::containers::Image;
use self::credentials::Account;
use self::scripts::Scripts;
use self::volumes::{Entrypoint, Workspace};
use super::prepare::{Fault, step_name};
use super::result_log;
use crate::config::{Config, ResultsFrom};
use crate::timeouts;
use crate::{family, names, pod_template};

/// The longest that a pod can be given, in seconds.
const NO_DEADLINE: i64 = 2_147_483_647;

/// All that a pod is made of.
pub struct Plan<'a> {
    pub run: &'a TaskRun,
    /// With everything put in, for this attempt.
    pub spec: &'a TaskSpec,
    /// From 0.
    pub attempt: usize,
    pub config: &'a Config,
    pub workspaces: &'a [Workspace],
    pub entrypoint: &'a Entrypoint,
    /// Version of the engine, for an annotation.
    pub release: &'a str,
    /// Whom the pod runs as, and what that account has for steps.
    pub account: &'a Account,
    /// Of the namespace.
    pub limit_ranges: &'a [LimitRange],
    /// Images of steps without a command, by the reference in the Task.
    pub images: &'a BTreeMap<String, Image>,
    /// The image that holds the entrypoint and nothing else.
    pub tools_image: &'a str,
    /// Where another pod of the run has the same claim.
    pub node: Option<&'a Node>,
}

/// The node that a claim is on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Node {
    /// Its `metadata.name`, which is what pods say where they are; its host name may be another one.
    pub name: String,
    /// A pod there still uses the claim: no other node will do.
    pub is_required: bool,
}

/// What is to be created: the ConfigMap first.
#[derive(Clone, Debug, PartialEq)]
pub struct Made {
    pub pod: Pod,
    pub config_map: Option<ConfigMap>,
}

/// Whether the first step has to be told when to begin.
pub fn waits_for_sidecars(spec: &TaskSpec, config: &Config) -> bool {
    let has_others = !spec.sidecars.is_empty() || config.features.injected_sidecars;
    has_others && config.features.await_sidecar_readiness
}

/// Makes the pod.
pub fn make(plan: &Plan<'_>) -> Result<Made, Fault> {
    let Plan { run, spec, config, .. } = plan;
    let name = names::pod(run.metadata.name.as_deref().unwrap_or_default(), plan.attempt);
    let namespace = run.metadata.namespace.as_deref().unwrap_or_default();
    let owner = family::owner(*run);
    let template = pod_template::merge(run.spec.pod_template.as_ref(), config.defaults.pod_template.as_ref())
        .unwrap_or_default();
    let waits = waits_for_sidecars(spec, config);

    let flags = credentials::flags(&plan.account.credentials, config.features.require_known_hosts)
        .map_err(|fault| Fault { reason: TaskRunReason::PodCreationFailed, message: fault.to_string() })?;
    let collector = match config.features.results_from {
        ResultsFrom::TerminationMessage => None,
        ResultsFrom::SidecarLogs => {
            result_log::container(spec, plan.tools_image, config.features.max_result_size)
        }
    };
    let common = Common {
        waits_for_sidecars: waits,
        results_from_logs: collector.is_some(),
        breakpoint_on_failure: false,
        credentials: flags,
        links: spec.steps.iter().enumerate().map(|(index, step)| step_name(step, index)).collect(),
    };
    let mut scripts = Scripts::default();
    let mut steps = Vec::with_capacity(spec.steps.len());
    for index in 0..spec.steps.len() {
        steps.push(containers::step(index, spec, &common, &mut scripts, plan.images)?);
    }
    let mut sidecars: Vec<_> = spec
        .sidecars
        .iter()
        .enumerate()
        .map(|(index, sidecar)| containers::sidecar(index, sidecar, &mut scripts))
        .collect();

    let mut volumes = Volumes::default();
    mount_all(plan, &common, &mut volumes, &mut steps);
    let delivery = scripts.deliver(&name, namespace, &owner);
    if let Some(delivery) = &delivery {
        volumes.add(delivery.volume.clone());
        for container in steps.iter_mut().chain(&mut sidecars) {
            add_mount(container, delivery.mount.clone());
        }
    }
    mount_workspaces(plan, &mut volumes, &mut steps, &mut sidecars);
    for volume in spec.volumes.iter().chain(&template.volumes) {
        volumes.add(volume.clone());
    }
    let volumes = volumes.finish()?;

    sidecars.extend(collector.map(|container| Container {
        security_context: config.features.set_security_context.then(restricted),
        ..container
    }));
    add_environment(&template, config, steps.iter_mut().chain(&mut sidecars));
    set_resources(plan, &mut steps, &mut sidecars);
    resources::check(steps.iter().chain(&sidecars)).map_err(Fault::invalid)?;

    let mut annotations = run.metadata.annotations.clone().unwrap_or_default();
    annotations.retain(|key, _| key != annotations::LAST_APPLIED.as_str());
    annotations.insert(annotations::RELEASE.into(), plan.release.to_owned());
    if !waits {
        annotations.insert(annotations::READY.into(), annotations::READY_VALUE.to_owned());
    }
    let (config_map, of_scripts) = delivery.map(|d| (d.config_map, d.annotations)).unwrap_or_default();
    annotations.extend(of_scripts);
    let mut all_labels = run.metadata.labels.clone().unwrap_or_default();
    all_labels.insert(labels::TASK_RUN.into(), run.metadata.name.clone().unwrap_or_default());
    all_labels.entry(labels::MANAGED_BY.into()).or_insert_with(|| config.defaults.managed_by.clone());

    let init_containers = match plan.entrypoint {
        Entrypoint::InitContainer { image } => {
            let mut init = vec![prepare(image, config)];
            resources::fill(&mut init, &config.defaults.container_resources);
            Some(init)
        }
        Entrypoint::ImageVolume { .. } | Entrypoint::ConfigMap { .. } => None,
    };
    let timeout = timeouts::of_attempt(run, config.defaults.timeout);
    let pod = Pod {
        metadata: ObjectMeta {
            name: Some(name),
            namespace: run.metadata.namespace.clone(),
            labels: Some(all_labels),
            annotations: Some(annotations),
            owner_references: Some(vec![owner]),
            ..ObjectMeta::default()
        },
        spec: Some(PodSpec {
            restart_policy: Some("Never".to_owned()),
            init_containers,
            containers: steps.into_iter().chain(sidecars).collect(),
            volumes: Some(volumes),
            service_account_name: account_of(run, plan.account),
            automount_service_account_token: token(&template, plan.account),
            active_deadline_seconds: Some(deadline(timeout)),
            affinity: with_node(template.affinity.clone(), plan.node),
            ..from_template(template)
        }),
        status: None,
    };
    Ok(Made { pod, config_map })
}

/// Whom the pod runs as.
fn account_of(run: &TaskRun, account: &Account) -> Option<String> {
    let name = account.instead.as_ref().unwrap_or(&run.spec.service_account_name);
    Some(name.clone()).filter(|name| !name.is_empty())
}

/// Whether the pod gets a token for the API server. The run's template says so, and otherwise the account (`None`), as ever: what
/// a step calls nobody knows before it runs. Only an account that nobody has chosen is nobody's way to the API server.
fn token(template: &PodTemplate, account: &Account) -> Option<bool> {
    template.automount_service_account_token.or_else(|| account.instead.is_some().then_some(false))
}

/// One and a half times the timeout: the engine ends the run before, and the kubelet if there is no engine.
fn deadline(timeout: pipelines_engine_api::GoDuration) -> i64 {
    timeout.limit().map_or(NO_DEADLINE, |limit| {
        let seconds = limit.as_secs().saturating_mul(3) / 2;
        i64::try_from(seconds).unwrap_or(NO_DEADLINE).clamp(1, NO_DEADLINE)
    })
}

fn from_template(template: PodTemplate) -> PodSpec {
    fn filled<T>(list: Vec<T>) -> Option<Vec<T>> {
        Some(list).filter(|list| !list.is_empty())
    }
    PodSpec {
        node_selector: Some(template.node_selector).filter(|map| !map.is_empty()),
        tolerations: filled(template.tolerations),
        security_context: template.security_context,
        runtime_class_name: template.runtime_class_name,
        dns_policy: template.dns_policy,
        dns_config: template.dns_config,
        // Tasks find services of their namespace by environment variables (contracts.md).
        enable_service_links: template.enable_service_links,
        priority_class_name: template.priority_class_name,
        scheduler_name: Some(template.scheduler_name).filter(|name| !name.is_empty()),
        image_pull_secrets: filled(template.image_pull_secrets),
        host_aliases: filled(template.host_aliases),
        host_network: template.host_network.then_some(true),
        topology_spread_constraints: filled(template.topology_spread_constraints),
        ..PodSpec::default()
    }
}

/// Volumes of a pod, each once.
#[derive(Default)]
struct Volumes {
    all: Vec<Volume>,
}

impl Volumes {
    fn add(&mut self, volume: Volume) {
        if !self.all.contains(&volume) {
            self.all.push(volume);
        }
    }

    /// Two volumes of one name are an error: one of them would silently not be there.
    fn finish(self) -> Result<Vec<Volume>, Fault> {
        let mut seen = BTreeSet::new();
        match self.all.iter().find(|volume| !seen.insert(volume.name.as_str())) {
            Some(twice) => Err(Fault {
                reason: TaskRunReason::PodCreationFailed,
                message: format!("[User error] multiple volumes with same name {:?}", twice.name),
            }),
            None => Ok(self.all),
        }
    }
}

/// The engine's own volumes, in all steps.
fn mount_all(plan: &Plan<'_>, common: &Common, volumes: &mut Volumes, steps: &mut [Container]) {
    let count = steps.len();
    let features = &plan.config.features;
    let (bin, bin_mount) = volumes::bin(plan.entrypoint);
    volumes.add(bin);
    let implicit = volumes::implicit();
    for (volume, _) in &implicit {
        volumes.add(volume.clone());
    }
    volumes.add(volumes::steps());
    volumes::run(count).for_each(|volume| volumes.add(volume));
    let secrets =
        credentials::volumes(&plan.account.credentials, plan.run.metadata.uid.as_deref().unwrap_or_default());
    for (volume, _) in &secrets {
        volumes.add(volume.clone());
    }
    let downward = (common.waits_for_sidecars || features.keep_pod_on_cancel)
        .then(|| volumes::downward(features.keep_pod_on_cancel));
    if let Some((volume, _)) = &downward {
        volumes.add(volume.clone());
    }
    for (index, step) in steps.iter_mut().enumerate() {
        let (creds, creds_mount) = volumes::credentials(index);
        volumes.add(creds);
        add_mount(step, bin_mount.clone());
        add_mount(step, volumes::steps_mount(index));
        volumes::run_mounts(index, count).for_each(|mount| add_mount(step, mount));
        add_mount(step, creds_mount);
        for (_, mount) in &secrets {
            add_mount(step, mount.clone());
        }
        if let Some((_, mount)) = downward.as_ref().filter(|_| index == 0 || features.keep_pod_on_cancel) {
            add_mount(step, mount.clone());
        }
        for (_, mount) in &implicit {
            add_mount(step, mount.clone());
        }
    }
}

/// Adds a mount unless the container has one at the same path.
fn add_mount(container: &mut Container, mount: VolumeMount) {
    let cleaned = |path: &str| path.trim_end_matches('/').to_owned();
    let mounts = container.volume_mounts.get_or_insert_default();
    if !mounts.iter().any(|other| cleaned(&other.mount_path) == cleaned(&mount.mount_path)) {
        mounts.push(mount);
    }
}

/// Workspaces are in all steps and sidecars, unless some of them name it: then in those only.
fn mount_workspaces(
    plan: &Plan<'_>,
    volumes: &mut Volumes,
    steps: &mut [Container],
    sidecars: &mut [Container],
) {
    for workspace in plan.workspaces {
        volumes.add(workspace.volume.clone());
        let of_steps = plan.spec.steps.iter().map(|step| &step.workspaces);
        let of_sidecars = plan.spec.sidecars.iter().map(|sidecar| &sidecar.workspaces);
        let usages: Vec<_> = of_steps
            .chain(of_sidecars)
            .map(|usages| usages.iter().find(|usage| usage.name == workspace.name))
            .collect();
        let is_isolated = usages.iter().any(Option::is_some);
        for (container, usage) in steps.iter_mut().chain(&mut *sidecars).zip(usages) {
            let mut mount = workspace.mount.clone();
            match usage {
                Some(usage) if !usage.mount_path.is_empty() => mount.mount_path.clone_from(&usage.mount_path),
                None if is_isolated => continue,
                _ => {}
            }
            add_mount(container, mount);
        }
    }
}

/// Variables of the pod template come last, and so win; those that the configuration forbids are left out.
fn add_environment<'a>(
    template: &PodTemplate,
    config: &Config,
    containers: impl Iterator<Item = &'a mut Container>,
) {
    let allowed: Vec<EnvVar> = template
        .env
        .iter()
        .filter(|variable| !config.defaults.forbidden_env.contains(&variable.name))
        .cloned()
        .collect();
    if allowed.is_empty() {
        return;
    }
    for container in containers {
        let env = container.env.get_or_insert_default();
        env.retain(|variable| !allowed.iter().any(|over| over.name == variable.name));
        env.extend(allowed.iter().cloned());
    }
}

fn set_resources(plan: &Plan<'_>, steps: &mut [Container], sidecars: &mut [Container]) {
    let spec = &plan.run.spec;
    resources::override_steps(steps, &spec.step_specs, super::status::STEP);
    resources::override_steps(sidecars, &spec.sidecar_specs, super::status::SIDECAR);
    if let Some(whole) = &spec.compute_resources {
        resources::share(steps, whole);
    }
    let defaults = &plan.config.defaults.container_resources;
    resources::fill(steps, defaults);
    resources::fill(sidecars, defaults);
    resources::limit(steps, plan.limit_ranges);
}

/// Copies the entrypoint, where it comes by an init container.
fn prepare(image: &str, config: &Config) -> Container {
    Container {
        name: "prepare".to_owned(),
        image: Some(image.to_owned()),
        working_dir: Some("/".to_owned()),
        command: Some(
            ["/entrypoint", "init", "/entrypoint", command::ENTRYPOINT].map(str::to_owned).to_vec(),
        ),
        volume_mounts: Some(vec![volumes::mount("tekton-internal-bin", "/tekton/bin", false)]),
        security_context: config.features.set_security_context.then(restricted),
        ..Container::default()
    }
}

/// What Pod Security "restricted" asks for.
fn restricted() -> SecurityContext {
    SecurityContext {
        allow_privilege_escalation: Some(false),
        capabilities: Some(Capabilities { drop: Some(vec!["ALL".to_owned()]), add: None }),
        run_as_non_root: Some(true),
        seccomp_profile: Some(SeccompProfile { type_: "RuntimeDefault".to_owned(), localhost_profile: None }),
        ..SecurityContext::default()
    }
}

/// Adds the node of a shared claim to what the template asks for.
fn with_node(affinity: Option<Affinity>, node: Option<&Node>) -> Option<Affinity> {
    let Some(node) = node else { return affinity };
    let mut affinity = affinity.unwrap_or_default();
    let is_it = NodeSelectorRequirement {
        key: "metadata.name".to_owned(),
        operator: "In".to_owned(),
        values: Some(vec![node.name.clone()]),
    };
    let of_node: &mut NodeAffinity = affinity.node_affinity.get_or_insert_default();
    if node.is_required {
        let required = of_node
            .required_during_scheduling_ignored_during_execution
            .get_or_insert_with(|| NodeSelector { node_selector_terms: Vec::new() });
        // Terms are alternatives: each of them has to have it.
        if required.node_selector_terms.is_empty() {
            required.node_selector_terms.push(NodeSelectorTerm::default());
        }
        for term in &mut required.node_selector_terms {
            term.match_fields.get_or_insert_default().push(is_it.clone());
        }
    } else {
        of_node.preferred_during_scheduling_ignored_during_execution.get_or_insert_default().push(
            PreferredSchedulingTerm {
                preference: NodeSelectorTerm { match_fields: Some(vec![is_it]), match_expressions: None },
                weight: 100,
            },
        );
    }
    Some(affinity)
}

#[cfg(test)]
mod tests;
