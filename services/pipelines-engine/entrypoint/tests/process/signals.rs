//! Signals to the step's process and its descendants.

use nix::sys::signal::Signal;
use rstest::rstest;

use crate::pod::{Pod, is_alive, wait_until};

#[rstest]
#[case(Signal::SIGTERM, "TERM")]
#[case(Signal::SIGINT, "INT")]
#[case(Signal::SIGHUP, "HUP")]
#[case(Signal::SIGUSR1, "USR1")]
fn are_handed_on(#[case] signal: Signal, #[case] name: &str) {
    let pod = Pod::new(1);
    let root = pod.root();
    // Without starting programs while it waits: some shells lose a signal that comes in the moment of a vfork.
    let script = format!(
        "trap 'echo got {name}; exit 5' {name}; sleep 30 >/dev/null 2>&1 & : >{root}/began; while :; do wait; done"
    );
    let running = pod.step(0, &["-entrypoint", "sh", "--", "-c", &script]).start();
    wait_until("the command runs", || pod.has("began"));
    running.signal(signal);
    let ended = running.end();
    assert_eq!((ended.code(), ended.stdout().as_str()), (5, format!("got {name}\n").as_str()));
}

/// Children of the command get them, too: they are in one process group.
#[test]
fn a_step_that_ignores_nothing_ends_with_its_children() {
    let pod = Pod::new(1);
    let root = pod.root();
    let script = format!("sleep 100 & echo $! >{root}/child; wait");
    let running = pod.step(0, &["-entrypoint", "sh", "--", "-c", &script]).start();
    wait_until("the child runs", || pod.has("child") && !pod.read("child").is_empty());
    running.signal(Signal::SIGTERM);
    assert_eq!(running.end().code(), 128 + 15);
    let child = pod.read("child");
    wait_until("the child has ended", || !is_alive(child.trim()));
}

#[test]
fn a_timeout_ends_grandchildren() {
    let pod = Pod::new(1);
    let root = pod.root();
    let script = format!("trap '' TERM; (trap '' TERM; sleep 100 & echo $! >{root}/grandchild; wait) & wait");
    let ended = pod.script(0, &["-timeout", "500ms"], &script);
    assert_eq!(ended.code(), 1);
    let grandchild = pod.read("grandchild");
    wait_until("the grandchild has ended", || !is_alive(grandchild.trim()));
}

/// The command must not start with signals blocked because the entrypoint reads them.
#[test]
fn the_command_has_all_signals() {
    let pod = Pod::new(1);
    // Not by a shell: some unblock everything when they start.
    let ended = pod.step(0, &["-entrypoint", "grep", "--", "SigBlk", "/proc/self/status"]).run();
    assert_eq!(ended.stdout().split_whitespace().last(), Some("0000000000000000"));
}

#[test]
fn the_command_leads_its_own_group_and_has_no_files_of_the_entrypoint() {
    let pod = Pod::new(1);
    let copy = format!("{}/copy", pod.root());
    let script = "read _ _ _ _ group _ </proc/$$/stat; test $group = $$ && ls -l /proc/$$/fd";
    let ended = pod.script(0, &["-stdout_path", &copy], script);
    assert_eq!(ended.code(), 0);
    assert!(
        !ended.stdout().contains("signalfd") && !ended.stdout().contains("inotify"),
        "{}",
        ended.stdout()
    );
    assert!(!ended.stdout().contains("/copy"), "{}", ended.stdout());
}

/// A process that the command leaves behind holds the output open.
#[test]
fn a_process_left_behind_does_not_hold_the_step() {
    let pod = Pod::new(1);
    let root = pod.root();
    let script = format!(
        "setsid sh -c 'echo $$ >{root}/left; exec sleep 30' & while ! test -s {root}/left; do :; done; echo done"
    );
    let out = format!("{root}/out");
    let mut step = pod.step(0, &["-stdout_path", &out, "-entrypoint", "sh", "--", "-c", &script]);
    step.command.stderr(std::process::Stdio::null());
    let running = step.start();
    assert_eq!(running.end().code(), 0);
    let left = nix::unistd::Pid::from_raw(pod.read("left").trim().parse().unwrap());
    assert!(is_alive(&left.to_string()));
    nix::sys::signal::kill(left, Signal::SIGKILL).unwrap();
    assert_eq!(pod.read("out"), "done\n");
}
