//! What comes next about a pod: a pure function of the pod and its script.

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Container, ContainerStatus, Pod, PodSpec, PodStatus};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use super::conditions::{conclude, set};
use super::containers::{
    SIGKILL, SIGTERM, back_off, end, exit_code, is_restarted, is_sidecar, is_terminated, is_waiting,
    run_with_image, running, start, waiting,
};
use super::script::{Exit, Fate, PodScript};

/// The address of the node (RFC 5737, for documentation).
const HOST_IP: &str = "192.0.2.1";

/// One request.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Write {
    /// As the scheduler.
    Bind,
    Status(Box<PodStatus>),
    /// Asks for the pod's end, as somebody else would.
    Delete,
    /// Takes the pod away: it has stopped.
    Remove,
}

/// The next thing to do; `None` when somebody else has to do something first.
pub(super) fn next(pod: &Pod, script: &PodScript, now: Timestamp) -> Option<Write> {
    let spec = pod.spec.as_ref()?;
    let before = pod.status.clone().unwrap_or_default();
    let kubelet = Kubelet { pod, spec, script, now };
    let after = if pod.metadata.deletion_timestamp.is_some() {
        if script.fate == Fate::NodeLost || pod.metadata.deletion_grace_period_seconds == Some(0) {
            return None;
        }
        if !is_anything_running(&before) {
            return Some(Write::Remove);
        }
        kubelet.stopped(before.clone())
    } else if matches!(before.phase.as_deref(), Some("Succeeded" | "Failed")) {
        return None;
    } else if spec.node_name.is_none() {
        let Fate::Unschedulable { message } = &script.fate else { return Some(Write::Bind) };
        let mut after = before.clone();
        set(&mut after, "PodScheduled", false, Some("Unschedulable"), message, now);
        after
    } else if before.start_time.is_none() {
        kubelet.admitted(before.clone())
    } else {
        match &script.fate {
            Fate::NodeLost if has_started(&before) => {
                let after = kubelet.unreachable(before.clone());
                if after == before {
                    return Some(Write::Delete);
                }
                after
            }
            Fate::Evicted { message } if has_started(&before) => kubelet.evicted(before.clone(), message),
            _ => kubelet.advanced(before.clone()),
        }
    };
    (after != before).then(|| Write::Status(Box::new(after)))
}

#[derive(Clone, Copy)]
struct Kubelet<'a> {
    pod: &'a Pod,
    spec: &'a PodSpec,
    script: &'a PodScript,
    now: Timestamp,
}

impl Kubelet<'_> {
    /// The pod has come to this node.
    fn admitted(self, mut status: PodStatus) -> PodStatus {
        let inits = self.spec.init_containers.as_deref().unwrap_or_default();
        let reason = if inits.is_empty() { "ContainerCreating" } else { "PodInitializing" };
        let all = |containers: &[Container]| -> Vec<ContainerStatus> {
            containers.iter().map(|container| waiting(container, reason)).collect()
        };
        let mut containers = all(&self.spec.containers);
        // The order that kubelets report: not that of the spec.
        containers.sort_by(|a, b| a.name.cmp(&b.name));
        status.container_statuses = Some(containers);
        status.init_container_statuses = Some(all(inits)).filter(|inits| !inits.is_empty());
        status.start_time = Some(Time(self.now));
        status.host_ip = Some(HOST_IP.to_owned());
        set(&mut status, "PodReadyToStartContainers", true, None, "", self.now);
        conclude(self.pod, self.spec, status, self.now)
    }

    /// One step on: init containers first, then those that wait, then those that end.
    fn advanced(self, mut status: PodStatus) -> PodStatus {
        let mut inits = status.init_container_statuses.take().unwrap_or_default();
        let mut containers = status.container_statuses.take().unwrap_or_default();
        if !self.advance_inits(&mut inits) {
            let before = containers.clone();
            self.advance_containers(&mut containers);
            if containers == before {
                self.end_sidecars(&mut inits, &containers);
            }
        }
        status.init_container_statuses = Some(inits).filter(|inits| !inits.is_empty());
        status.container_statuses = Some(containers);
        conclude(self.pod, self.spec, status, self.now)
    }

    /// Whether there was, or is, something to do or to wait for before the containers proper.
    fn advance_inits(self, inits: &mut [ContainerStatus]) -> bool {
        for (container, status) in self.spec.init_containers.iter().flatten().zip(inits) {
            if is_waiting(status) {
                self.start(status);
                return true;
            }
            if is_sidecar(container) {
                continue;
            }
            match exit_code(status) {
                Some(0) => continue,
                Some(_) if is_restarted(self.spec, status) => back_off(status),
                Some(_) => {}
                None => {
                    if let Some(exit) = self.exit(status) {
                        end(status, &exit, self.pod, self.now);
                    }
                }
            }
            return true;
        }
        false
    }

    fn advance_containers(self, containers: &mut [ContainerStatus]) {
        let before = containers.to_vec();
        for status in containers.iter_mut().filter(|status| is_waiting(status)) {
            self.start(status);
        }
        if containers != before {
            return;
        }
        for status in containers.iter_mut().filter(|status| running(status).is_some()) {
            let image = self.image(&status.name);
            if image != status.image {
                run_with_image(status, image, self.pod, self.now);
            }
        }
        if containers != before {
            return;
        }
        let first =
            containers.iter().filter(|status| self.exit(status).is_some()).map(|s| self.turn(s)).min();
        for status in containers.iter_mut() {
            if Some(self.turn(status)) != first || !self.is_let_go(&status.name) {
                continue;
            }
            if let Some(exit) = self.exit(status) {
                end(status, &exit, self.pod, self.now);
            }
        }
        if containers != before {
            return;
        }
        for status in containers.iter_mut() {
            if is_terminated(status) && is_restarted(self.spec, status) {
                back_off(status);
            }
            if running(status).is_some() {
                status.ready = self.script.of(&status.name).is_ready;
            }
        }
    }

    /// Native sidecars end, with success, when all others have.
    fn end_sidecars(self, inits: &mut [ContainerStatus], containers: &[ContainerStatus]) {
        let is_over = |status: &ContainerStatus| is_terminated(status) && !is_restarted(self.spec, status);
        if !containers.iter().all(is_over) {
            return;
        }
        for status in inits.iter_mut().filter(|status| running(status).is_some()) {
            end(status, &Exit::new(0), self.pod, self.now);
        }
    }

    fn start(self, status: &mut ContainerStatus) {
        let script = self.script.of(&status.name);
        start(status, &script.start, script.is_ready, self.pod, self.now);
    }

    /// How a container that runs will end; `None` if nothing says that it does.
    fn exit(self, status: &ContainerStatus) -> Option<Exit> {
        running(status)?;
        let attempt = usize::try_from(status.restart_count).unwrap_or_default();
        if attempt > 0 && self.spec.restart_policy.as_deref() == Some("Never") {
            // Only another image makes such a container start again. Whoever changes it wants it to end.
            return Some(Exit::new(0));
        }
        self.script.of(&status.name).exits.get(attempt).cloned()
    }

    fn turn(self, status: &ContainerStatus) -> usize {
        if self.script.one_after_another {
            let mut names = self.spec.containers.iter().map(|container| container.name.as_str());
            return names.position(|name| name == status.name).unwrap_or_default();
        }
        self.script.of(&status.name).turn
    }

    fn is_let_go(self, name: &str) -> bool {
        let script = self.script.of(name);
        let annotations = self.pod.metadata.annotations.as_ref();
        script.awaited_annotation.as_ref().is_none_or(|key| {
            annotations.and_then(|annotations| annotations.get(key)).is_some_and(|value| !value.is_empty())
        })
    }

    fn image(&self, name: &str) -> &str {
        let container = self.spec.containers.iter().find(|container| container.name == name);
        container.and_then(|container| container.image.as_deref()).unwrap_or_default()
    }

    /// What runs is ended, because the pod is being deleted.
    fn stopped(self, status: PodStatus) -> PodStatus {
        conclude(self.pod, self.spec, self.all_ended(status, SIGTERM), self.now)
    }

    fn evicted(self, status: PodStatus, message: &str) -> PodStatus {
        let ended = self.all_ended(status, SIGKILL);
        let mut after = conclude(self.pod, self.spec, ended, self.now);
        after.phase = Some("Failed".to_owned());
        after.reason = Some("Evicted".to_owned());
        after.message = Some(message.to_owned());
        set(&mut after, "DisruptionTarget", true, Some("TerminationByKubelet"), message, self.now);
        after
    }

    /// As the node controller leaves the pods of a node that it does not hear of.
    fn unreachable(self, mut status: PodStatus) -> PodStatus {
        let message = "Taint manager: deleting due to NoExecute taint";
        set(&mut status, "Ready", false, None, "", self.now);
        set(&mut status, "DisruptionTarget", true, Some("DeletionByTaintManager"), message, self.now);
        status
    }

    fn all_ended(self, mut status: PodStatus, code: i32) -> PodStatus {
        let all = status.container_statuses.iter_mut().chain(&mut status.init_container_statuses).flatten();
        for container in all.filter(|container| running(container).is_some()) {
            end(container, &Exit::new(code), self.pod, self.now);
        }
        status
    }
}

/// Whether all containers proper have been started.
fn has_started(status: &PodStatus) -> bool {
    let containers = status.container_statuses.as_deref().unwrap_or_default();
    !containers.is_empty() && !containers.iter().any(is_waiting)
}

fn is_anything_running(status: &PodStatus) -> bool {
    let mut all = status.container_statuses.iter().chain(&status.init_container_statuses).flatten();
    all.any(|container| running(container).is_some())
}

#[cfg(test)]
mod tests;
