//! The states of one container, as a kubelet with containerd reports them.

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{
    Container, ContainerState, ContainerStateRunning, ContainerStateTerminated, ContainerStateWaiting,
    ContainerStatus, Pod, PodSpec,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use sha2::{Digest as _, Sha256};

use super::script::{Exit, Start};

/// The most that a kubelet keeps of the termination message of a container, and of those of a pod together. Bytes.
const MESSAGE: usize = 4 << 10;
const MESSAGES: usize = 12 << 10;

/// A container that the kubelet has heard of.
pub(super) fn waiting(container: &Container, reason: &str) -> ContainerStatus {
    ContainerStatus {
        name: container.name.clone(),
        image: container.image.clone().unwrap_or_default(),
        started: Some(false),
        state: Some(wait_state(reason, None)),
        ..ContainerStatus::default()
    }
}

/// What comes next for a container that waits: it runs, or waits for another reason.
pub(super) fn start(status: &mut ContainerStatus, start: &Start, is_ready: bool, pod: &Pod, now: Timestamp) {
    let reason = wait_reason(status).unwrap_or_default();
    let next = match start {
        Start::Starts => return run(status, is_ready, pod, now),
        Start::Waits { reason, message } => wait_state(reason, Some(message.clone())),
        Start::CannotPull { message } if matches!(reason, "ErrImagePull" | "ImagePullBackOff") => {
            let backing_off = format!("Back-off pulling image \"{}\": ErrImagePull: {message}", status.image);
            wait_state("ImagePullBackOff", Some(backing_off))
        }
        Start::CannotPull { message } => wait_state("ErrImagePull", Some(message.clone())),
    };
    status.state = Some(next);
}

fn run(status: &mut ContainerStatus, is_ready: bool, pod: &Pod, now: Timestamp) {
    if last_end(status).is_some() {
        status.restart_count += 1;
    }
    status.image_id = image_id(&status.image);
    status.container_id = Some(container_id(pod, status));
    status.started = Some(true);
    status.ready = is_ready;
    let running = ContainerStateRunning { started_at: Some(Time(now)) };
    status.state = Some(ContainerState { running: Some(running), ..ContainerState::default() });
}

/// Stops a container that runs and starts it with another image: for a kubelet one step, so the API never has it as
/// terminated, and would not let it run again if it had.
pub(super) fn run_with_image(status: &mut ContainerStatus, image: &str, pod: &Pod, now: Timestamp) {
    end(status, &Exit::new(SIGTERM), pod, now);
    status.last_state = status.state.take();
    image.clone_into(&mut status.image);
    run(status, true, pod, now);
}

/// The code of a process that SIGTERM ends: 128 + 15.
pub(super) const SIGTERM: i32 = 143;
/// That of one that SIGKILL ends: 128 + 9.
pub(super) const SIGKILL: i32 = 137;

/// Ends a container that runs.
pub(super) fn end(status: &mut ContainerStatus, exit: &Exit, pod: &Pod, now: Timestamp) {
    let terminated = ContainerStateTerminated {
        container_id: status.container_id.clone(),
        exit_code: exit.code,
        finished_at: Some(Time(now)),
        message: Some(cut(&exit.message, pod).to_owned()).filter(|message| !message.is_empty()),
        reason: Some(exit.reason.clone()),
        signal: None,
        started_at: running(status).and_then(|running| running.started_at.clone()),
    };
    status.started = Some(false);
    status.ready = false;
    status.state = Some(ContainerState { terminated: Some(terminated), ..ContainerState::default() });
}

/// A container that has ended waits to be started again.
pub(super) fn back_off(status: &mut ContainerStatus) {
    let message = format!("back-off 10s restarting failed container={}", status.name);
    status.last_state = status.state.replace(wait_state("CrashLoopBackOff", Some(message)));
}

fn wait_state(reason: &str, message: Option<String>) -> ContainerState {
    let waiting = ContainerStateWaiting { reason: Some(reason.to_owned()), message };
    ContainerState { waiting: Some(waiting), ..ContainerState::default() }
}

fn wait_reason(status: &ContainerStatus) -> Option<&str> {
    status.state.as_ref()?.waiting.as_ref()?.reason.as_deref()
}

pub(super) fn is_waiting(status: &ContainerStatus) -> bool {
    status.state.as_ref().is_some_and(|state| state.waiting.is_some())
}

pub(super) fn running(status: &ContainerStatus) -> Option<&ContainerStateRunning> {
    status.state.as_ref()?.running.as_ref()
}

pub(super) fn is_terminated(status: &ContainerStatus) -> bool {
    exit_code(status).is_some()
}

pub(super) fn exit_code(status: &ContainerStatus) -> Option<i32> {
    Some(status.state.as_ref()?.terminated.as_ref()?.exit_code)
}

pub(super) fn has_never_run(status: &ContainerStatus) -> bool {
    is_waiting(status) && last_end(status).is_none()
}

fn last_end(status: &ContainerStatus) -> Option<&ContainerStateTerminated> {
    status.last_state.as_ref()?.terminated.as_ref()
}

/// Whether a container that has ended is started again. Native sidecars are not: they end with their pod here.
pub(super) fn is_restarted(spec: &PodSpec, status: &ContainerStatus) -> bool {
    match spec.restart_policy.as_deref() {
        Some("Never") => false,
        Some("OnFailure") => exit_code(status) != Some(0),
        _ => true,
    }
}

/// A native sidecar: an init container that runs beside the others.
pub(super) fn is_sidecar(init: &Container) -> bool {
    init.restart_policy.as_deref() == Some("Always")
}

/// `<repository>@sha256:…`, the same for the same reference; one that has a digest keeps it.
fn image_id(image: &str) -> String {
    if image.contains('@') {
        return image.to_owned();
    }
    // A tag comes after the last slash; a colon before that belongs to a port.
    let name = image.rfind('/').map_or(0, |slash| slash + 1);
    let repository = image[name..].find(':').map_or(image, |colon| &image[..name + colon]);
    format!("{repository}@sha256:{}", hex(image))
}

fn container_id(pod: &Pod, status: &ContainerStatus) -> String {
    let uid = pod.metadata.uid.as_deref().unwrap_or_default();
    format!("containerd://{}", hex(&format!("{uid}/{}/{}", status.name, status.restart_count)))
}

fn hex(text: &str) -> String {
    data_encoding::HEXLOWER.encode(&Sha256::digest(text))
}

/// As much of a termination message as is kept.
fn cut<'a>(message: &'a str, pod: &Pod) -> &'a str {
    let inits = |spec: &PodSpec| spec.init_containers.as_ref().map_or(0, Vec::len);
    let containers = pod.spec.as_ref().map_or(1, |spec| spec.containers.len() + inits(spec));
    &message[..message.floor_char_boundary(MESSAGE.min(MESSAGES / containers.max(1)))]
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case::tag("host:5000/a/b:v1", "host:5000/a/b")]
    #[case::no_tag("host:5000/a/b", "host:5000/a/b")]
    #[case::bare("busybox", "busybox")]
    fn image_ids_name_the_repository(#[case] image: &str, #[case] repository: &str) {
        let (name, digest) =
            image_id(image).split_once("@sha256:").map(|(n, d)| (n.to_owned(), d.len())).unwrap();
        assert_eq!((name.as_str(), digest), (repository, 64));
        assert_eq!(image_id(&image_id(image)), image_id(image));
    }
}
