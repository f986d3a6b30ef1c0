//! How steps wait for each other and for sidecars.

use std::fs;
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;

use crate::pod::{Pod, entry, is_alive, wait_until};

/// Waits until the step is in the system call in which it waits.
pub(crate) fn wait_until_it_waits(pid: nix::unistd::Pid) {
    wait_until("the step waits", || {
        is_alive(&pid.to_string())
            && fs::read_to_string(format!("/proc/{pid}/wchan")).is_ok_and(|place| place.contains("poll"))
    });
}

#[test]
fn a_step_begins_as_soon_as_the_one_before_has_ended() {
    let pod = Pod::new(2);
    let mut second = pod.step(1, &["-entrypoint", "date", "--", "+%s%N"]).start();
    wait_until_it_waits(second.pid());
    assert!(second.is_running());
    let began = Instant::now();
    pod.write("tekton/run/0/out", "");
    assert_eq!(second.end().code(), 0);
    // Without inotify it would have looked again after a second.
    assert!(began.elapsed() < Duration::from_millis(700), "{:?}", began.elapsed());
}

#[test]
fn content_can_be_asked_for() {
    let pod = Pod::new(1);
    pod.write("tekton/downward/ready", "");
    let ready = format!("{}/tekton/downward/ready", pod.root());
    let mut step =
        pod.step(0, &["-wait_file", &ready, "-wait_file_content", "-entrypoint", "true", "--"]).start();
    wait_until_it_waits(step.pid());
    assert!(step.is_running() && !pod.has("tekton/run/0/out"));
    // As the kubelet does: the file is a link into a folder that is exchanged as a whole.
    pod.write("tekton/downward/..new/ready", "READY");
    fs::remove_file(pod.path("tekton/downward/ready")).unwrap();
    std::os::unix::fs::symlink("..data/ready", pod.path("tekton/downward/ready")).unwrap();
    fs::rename(pod.path("tekton/downward/..new"), pod.path("tekton/downward/..data")).unwrap();
    assert_eq!(step.end().code(), 0);
}

#[test]
fn a_file_that_comes_late_in_a_folder_that_comes_late_is_seen() {
    let pod = Pod::new(1);
    let file = pod.path("later/out");
    let step = pod.step(0, &["-wait_file", file.to_str().unwrap(), "-entrypoint", "true", "--"]).start();
    wait_until_it_waits(step.pid());
    pod.write("later/out", "");
    assert_eq!(step.end().code(), 0);
}

#[test]
fn a_waiting_step_is_cancelled() {
    let pod = Pod::new(2);
    pod.write("tekton/downward/cancel", "");
    let step = pod.step(1, &["-entrypoint", "true", "--"]).start();
    wait_until_it_waits(step.pid());
    pod.write("tekton/downward/cancel", "CANCEL");
    let ended = step.end();
    assert_eq!((ended.code(), ended.notes()), (9, vec![entry("Reason", "Cancelled", 3)]));
}

/// As the first process of a container it would not be ended by the signal itself.
#[test]
fn a_waiting_step_ends_when_its_pod_is_stopped() {
    let pod = Pod::new(2);
    let step = pod.step(1, &["-entrypoint", "true", "--"]).start();
    wait_until_it_waits(step.pid());
    step.signal(Signal::SIGTERM);
    assert_eq!(step.end().code(), 143);
    assert!(pod.has("tekton/run/1/out.err"));
}
