//! A pod's phase and conditions, computed from its containers as the kubelet computes them.

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{ContainerStatus, Pod, PodCondition, PodSpec, PodStatus};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use sha2::{Digest as _, Sha256};

use super::containers::{exit_code, has_never_run, is_restarted, is_sidecar, is_terminated, running};

/// Phase and conditions that follow from the statuses of the containers.
pub(super) fn conclude(pod: &Pod, spec: &PodSpec, mut status: PodStatus, now: Timestamp) -> PodStatus {
    let phase = phase(spec, &status);
    status.phase = Some(phase.to_owned());
    let over = match phase {
        "Succeeded" => Some("PodCompleted"),
        "Failed" => Some("PodFailed"),
        _ => None,
    };
    let incomplete = unfinished_inits(spec, &status);
    if incomplete.is_empty() {
        set(&mut status, "Initialized", true, over.filter(|_| phase == "Succeeded"), "", now);
    } else {
        let message = format!("containers with incomplete status: [{}]", incomplete.join(" "));
        set(&mut status, "Initialized", false, Some("ContainersNotInitialized"), &message, now);
    }
    let unready: Vec<String> = spec
        .containers
        .iter()
        .map(|container| container.name.clone())
        .filter(|name| find(status.container_statuses.as_deref(), name).is_none_or(|found| !found.ready))
        .collect();
    let message = format!("containers with unready status: [{}]", unready.join(" "));
    for type_ in ["ContainersReady", "Ready"] {
        match over {
            Some(reason) => set(&mut status, type_, false, Some(reason), "", now),
            None if unready.is_empty() => set(&mut status, type_, true, None, "", now),
            None => set(&mut status, type_, false, Some("ContainersNotReady"), &message, now),
        }
    }
    let mut containers = status.container_statuses.iter().chain(&status.init_container_statuses).flatten();
    if status.pod_ip.is_none() && containers.any(|container| !has_never_run(container)) {
        status.pod_ip = Some(address(pod));
    }
    status
}

/// Sets a condition; its transition time moves only with its status.
pub(super) fn set(
    status: &mut PodStatus,
    type_: &str,
    is_true: bool,
    reason: Option<&str>,
    message: &str,
    now: Timestamp,
) {
    let conditions = status.conditions.get_or_insert_default();
    let index = conditions.iter().position(|condition| condition.type_ == type_).unwrap_or_else(|| {
        conditions.push(PodCondition { type_: type_.to_owned(), ..PodCondition::default() });
        conditions.len() - 1
    });
    let condition = &mut conditions[index];
    let truth = if is_true { "True" } else { "False" };
    if condition.status != truth {
        truth.clone_into(&mut condition.status);
        condition.last_transition_time = Some(Time(now));
    }
    condition.reason = reason.map(ToOwned::to_owned);
    condition.message = Some(message.to_owned()).filter(|message| !message.is_empty());
}

fn phase(spec: &PodSpec, status: &PodStatus) -> &'static str {
    let inits = status.init_container_statuses.as_deref().unwrap_or_default();
    if inits.iter().any(|init| exit_code(init).is_some_and(|code| code != 0) && !is_restarted(spec, init)) {
        return "Failed";
    }
    let containers = status.container_statuses.as_deref().unwrap_or_default();
    if !unfinished_inits(spec, status).is_empty() || containers.iter().any(has_never_run) {
        return "Pending";
    }
    let is_over = |container: &ContainerStatus| is_terminated(container) && !is_restarted(spec, container);
    if !containers.iter().all(is_over) || inits.iter().any(|init| running(init).is_some()) {
        return "Running";
    }
    if containers.iter().all(|container| exit_code(container) == Some(0)) { "Succeeded" } else { "Failed" }
}

/// Init containers that have not succeeded, sidecars that have not started.
fn unfinished_inits(spec: &PodSpec, status: &PodStatus) -> Vec<String> {
    let inits = spec.init_containers.as_deref().unwrap_or_default();
    let is_finished = |name: &str, is_sidecar: bool| {
        find(status.init_container_statuses.as_deref(), name).is_some_and(|found| {
            if is_sidecar {
                found.started == Some(true) || is_terminated(found)
            } else {
                exit_code(found) == Some(0)
            }
        })
    };
    let unfinished = inits.iter().filter(|init| !is_finished(&init.name, is_sidecar(init)));
    unfinished.map(|init| init.name.clone()).collect()
}

pub(super) fn find<'a>(statuses: Option<&'a [ContainerStatus]>, name: &str) -> Option<&'a ContainerStatus> {
    statuses.unwrap_or_default().iter().find(|status| status.name == name)
}

/// An address of the network for benchmarks (RFC 2544), the same for the same pod.
fn address(pod: &Pod) -> String {
    let hash = Sha256::digest(pod.metadata.uid.as_deref().unwrap_or_default());
    format!("198.18.{}.{}", hash[0], hash[1])
}
