//! Subcommands.

use std::os::unix::fs::PermissionsExt as _;
use std::process::{Command, Output};

use crate::pod::{Pod, program};

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
