//! Subcommands.

use std::os::unix::fs::PermissionsExt as _;
use std::process::{Command, Output};

use crate::pod::{Pod, program};
use crate::waiting::wait_until_it_waits;

fn run(arguments: &[&str]) -> Output {
    Command::new(program()).args(arguments).output().unwrap()
}

#[test]
fn init_copies_the_program_and_links_the_steps() {
    let pod = Pod::new(2);
    let (from, to) = (program(), pod.path("bin"));
    let arguments =
        ["-root", pod.root(), "init", from.to_str().unwrap(), to.to_str().unwrap(), "step-a", "step-b"];
    // The second time as after a restart of the container.
    for _ in 0..2 {
        let done = run(&arguments);
        assert!(done.status.success(), "{done:?}");
    }
    assert_eq!(to.metadata().unwrap().permissions().mode() & 0o777, 0o311);
    assert!(Command::new(&to).arg("nop").status().unwrap().success());
    for (link, index) in [("step-a", 0), ("0", 0), ("step-b", 1), ("1", 1)] {
        let target = std::fs::read_link(pod.path(&format!("tekton/steps/{link}"))).unwrap();
        assert_eq!(target, pod.path(&format!("tekton/run/{index}/status")));
    }
}

#[test]
fn step_init_links_alone_and_cp_copies_alone() {
    let pod = Pod::new(1);
    assert!(run(&["-root", pod.root(), "step-init", "step-a"]).status.success());
    assert_eq!(pod.list("tekton/steps"), ["0", "step-a"]);
    let to = pod.path("copy");
    assert!(run(&["cp", program().to_str().unwrap(), to.to_str().unwrap()]).status.success());
    assert!(std::fs::read(to).unwrap() == std::fs::read(program()).unwrap());
}

#[test]
fn scripts_are_decoded_in_place() {
    let pod = Pod::new(1);
    pod.write("script", "IyEvYmluL3NoCmVjaG8gJChkYXRlKQo=\n");
    let file = pod.path("script");
    assert!(run(&["decode-script", file.to_str().unwrap()]).status.success());
    assert_eq!(pod.read("script"), "#!/bin/sh\necho $(date)\n");
    let again = run(&["decode-script", file.to_str().unwrap()]);
    assert_eq!(again.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&again.stderr).contains("is no base64"));
}

#[test]
fn nop_does_nothing_whatever_it_is_told() {
    let done = run(&["nop", "-timeout", "never", "--", "false"]);
    assert!(done.status.success() && done.stdout.is_empty() && done.stderr.is_empty(), "{done:?}");
}

#[test]
fn faults_are_told() {
    let done = run(&["cp", "/no/such/file", "/tmp"]);
    assert_eq!(done.status.code(), Some(1));
    let said = String::from_utf8_lossy(&done.stderr).into_owned();
    assert!(said.contains("cannot copy /no/such/file to /tmp: no such file or directory"), "{said}");
    assert_eq!(run(&["init"]).status.code(), Some(1));
}

/// The engine reads the lines: `src/task_run/result_log.rs`.
#[test]
fn results_are_handed_on_when_all_steps_have_ended() {
    let pod = Pod::new(2);
    pod.write("tekton/results/a", "one\n\"two\"");
    pod.write("tekton/results/long", &"x".repeat(100));
    pod.write("tekton/run/1/status/results/r", "[1]");
    assert!(run(&["-root", pod.root(), "step-init", "step-a", "step-b"]).status.success());
    let mut sidecar = Command::new(program())
        .args(["-root", pod.root(), "sidecarlogresults", "-results-dir", "/tekton/results"])
        .args(["-result-names", "a,none,long", "-step-results", r#"{"step-b":["r","none"]}"#])
        .args(["-steps", "2", "-max-result-size", "10"])
        .stdout(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    pod.write("tekton/run/0/out", "");
    assert!(sidecar.try_wait().unwrap().is_none(), "it waits for the second step");
    pod.write("tekton/run/1/out.err", "");
    let done = sidecar.wait_with_output().unwrap();
    assert!(done.status.success(), "{done:?}");
    let expected = [
        r#"{"name":"a","value":"one\n\"two\"","type":"task"}"#,
        r#"{"name":"long","value":"xxxxxxxxxxx","type":"task"}"#,
        r#"{"name":"step-b.r","value":"[1]","type":"step"}"#,
    ];
    assert_eq!(String::from_utf8(done.stdout).unwrap().lines().collect::<Vec<_>>(), expected);
}

#[test]
fn a_collector_that_is_stopped_says_that_results_are_lost() {
    let pod = Pod::new(1);
    let sidecar = Command::new(program())
        .args(["-root", pod.root(), "sidecarlogresults", "-steps", "1"])
        .stderr(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    let id = nix::unistd::Pid::from_raw(i32::try_from(sidecar.id()).unwrap());
    wait_until_it_waits(id);
    nix::sys::signal::kill(id, nix::sys::signal::Signal::SIGTERM).unwrap();
    let done = sidecar.wait_with_output().unwrap();
    assert_eq!(done.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&done.stderr).contains("results are lost"), "{done:?}");
}
