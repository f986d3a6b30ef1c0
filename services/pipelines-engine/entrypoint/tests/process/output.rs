//! Copies of the output, and what else the command sees.

use nix::sys::signal::Signal;

use crate::pod::{Pod, is_alive, wait_until};

#[test]
fn goes_to_the_log_and_to_files() {
    let pod = Pod::new(1);
    let (out, err) = (format!("{}/new/folder/out", pod.root()), format!("{}/err", pod.root()));
    pod.write("err", "of an earlier step, and longer than what comes");
    // More than a pipe holds.
    let script = "i=0; while test $i -lt 20000; do echo line $i; i=$((i+1)); done; echo fault >&2; exit 4";
    let ended = pod.script(0, &["-stdout_path", &out, "-stderr_path", &err], script);
    assert_eq!(ended.code(), 4);
    assert_eq!(ended.stdout().lines().count(), 20_000);
    assert!(ended.stdout().ends_with("line 19999\n"));
    assert_eq!(pod.read("new/folder/out"), ended.stdout());
    assert_eq!((ended.stderr().as_str(), pod.read("err").as_str()), ("fault\n", "fault\n"));
}

/// The entrypoint sleeps until the pipe is full and the command has ended.
#[test]
fn that_is_left_in_the_pipe_is_not_lost() {
    let pod = Pod::new(1);
    let root = pod.root();
    let script = format!("kill -STOP $PPID; echo $$ >{root}/pid; head -c 60000 /dev/zero");
    let copy = format!("{root}/copy");
    let running = pod.step(0, &["-stdout_path", &copy, "-entrypoint", "sh", "--", "-c", &script]).start();
    wait_until("the command has ended", || {
        pod.has("pid") && pod.read("pid").ends_with('\n') && !is_alive(pod.read("pid").trim())
    });
    running.signal(Signal::SIGCONT);
    assert_eq!(running.end().stdout().len(), 60_000);
    assert_eq!(pod.read("copy").len(), 60_000);
}

#[test]
fn both_can_share_a_file() {
    let pod = Pod::new(1);
    let both = format!("{}/both", pod.root());
    let ended = pod.script(0, &["-stdout_path", &both, "-stderr_path", &both], "echo one; echo two >&2");
    assert_eq!((ended.stdout().as_str(), ended.stderr().as_str()), ("one\n", "two\n"));
    let mut lines: Vec<_> = pod.read("both").lines().map(str::to_owned).collect();
    lines.sort();
    assert_eq!(lines, ["one", "two"]);
}

#[test]
fn a_working_folder_is_made() {
    let pod = Pod::new(1);
    let folder = format!("{}/workspace/a/b", pod.root());
    let ended = pod.script(0, &["-working_dir", &folder, "-stdout_path", "log"], "pwd");
    assert_eq!(ended.stdout().trim(), folder);
    assert_eq!(pod.read("workspace/a/b/log").trim(), folder);
}

#[test]
fn the_images_own_command_is_found_for_this_platform() {
    let pod = Pod::new(1);
    let commands = r#"{"linux/amd64":["sh","-c"],"linux/arm64":["sh","-c"],"linux/s390x":["no"]}"#;
    let ended = pod.step(0, &["--", "echo own"]).env("TEKTON_PLATFORM_COMMANDS", commands).run();
    assert_eq!((ended.code(), ended.stdout().as_str()), (0, "own\n"));
    let other = pod.step(0, &["--"]).env("TEKTON_PLATFORM_COMMANDS", r#"{"linux/s390x":["no"]}"#).run();
    assert!(other.stderr().contains("the image has none for linux/"), "{}", other.stderr());
}

#[test]
fn names_of_subcommands_behind_the_dashes_are_arguments() {
    let pod = Pod::new(1);
    let ended = pod.step(0, &["-entrypoint", "echo", "--", "init", "nop", "--", "-timeout"]).run();
    assert_eq!(ended.stdout(), "init nop -- -timeout\n");
}

#[test]
fn arguments_and_environment_arrive_as_they_are() {
    use std::ffi::OsStr;
    use std::os::unix::ffi::OsStrExt as _;

    let pod = Pod::new(1);
    let mut step = pod
        .step(0, &["-entrypoint", "sh", "--", "-c", "printf '%s|' \"$@\" \"$V\"", "sh", "", "a b\n", "$(x)"]);
    step.command.arg(OsStr::from_bytes(b"\xff")).env("V", "v=w");
    let ended = step.run();
    assert_eq!(ended.stdout(), "|a b\n|$(x)|\u{fffd}|v=w|");
}
