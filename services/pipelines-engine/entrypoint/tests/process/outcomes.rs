//! Every row of the table in section 2.3: files, termination message, exit code.

use rstest::rstest;

use crate::pod::{Pod, entry, wait_until};

#[test]
fn success() {
    let pod = Pod::new(1);
    let ended = pod.script(0, &[], "echo hello");
    assert_eq!((ended.code(), ended.stdout().as_str(), ended.stderr().as_str()), (0, "hello\n", ""));
    assert_eq!(ended.notes(), []);
    assert_eq!(pod.list("tekton/run/0"), ["out", "status"]);
    assert_eq!(pod.read("tekton/run/0/status/exitCode"), "0");
    assert_eq!(pod.list("tekton/run/0/status"), ["artifacts", "exitCode", "results"]);
}

#[test]
fn failure() {
    let pod = Pod::new(1);
    let ended =
        pod.script(0, &["-results", "r"], &format!("printf x >{}/tekton/results/r; exit 7", pod.root()));
    assert_eq!(ended.code(), 7);
    assert_eq!(ended.notes(), [entry("r", "x", 1)]);
    assert_eq!(pod.list("tekton/run/0"), ["out.err", "status"]);
    assert!(!pod.has("tekton/run/0/status/exitCode"));
}

#[test]
fn failure_that_goes_on() {
    let pod = Pod::new(2);
    let ended = pod.script(0, &["-on_error", "continue"], "exit 3");
    assert_eq!(ended.code(), 0);
    assert_eq!(ended.notes(), [entry("ExitCode", "3", 3)]);
    assert!(pod.has("tekton/run/0/out") && !pod.has("tekton/run/0/out.err"));
    // The next step finds the code under the step's name and number.
    let root = pod.root();
    let next = pod.script(
        1,
        &[],
        &format!("cat {root}/tekton/steps/step-a/exitCode {root}/tekton/steps/0/exitCode"),
    );
    assert_eq!((next.code(), next.stdout().as_str()), (0, "33"));
}

#[test]
fn death_by_a_signal() {
    let pod = Pod::new(1);
    assert_eq!(pod.script(0, &[], "kill -SEGV $$").code(), 128 + 11);
    assert!(pod.has("tekton/run/0/out.err"));
}

#[test]
fn timeout() {
    let pod = Pod::new(1);
    let ended = pod.script(0, &["-timeout", "200ms", "-on_error", "continue"], "sleep 100");
    assert_eq!(ended.code(), 1);
    assert_eq!(ended.notes(), [entry("Reason", "TimeoutExceeded", 3)]);
    assert!(pod.has("tekton/run/0/out.err") && !pod.has("tekton/run/0/status/exitCode"));
}

#[test]
fn cancellation() {
    let pod = Pod::new(1);
    pod.write("tekton/downward/cancel", "");
    let script = format!("touch {}/began; sleep 100", pod.root());
    let running = pod.step(0, &["-entrypoint", "sh", "--", "-c", &script]).start();
    wait_until("the command runs", || pod.has("began"));
    pod.write("tekton/downward/cancel", "CANCEL");
    let ended = running.end();
    assert_eq!(ended.code(), 9);
    assert_eq!(ended.notes(), [entry("Reason", "Cancelled", 3)]);
    assert_eq!(pod.read("tekton/run/0/status/exitCode"), "killed");
    assert!(pod.has("tekton/run/0/out.err"));
}

#[test]
fn steps_behind_a_failed_one_are_skipped() {
    let pod = Pod::new(3);
    assert_eq!(pod.script(0, &[], "false").code(), 1);
    for index in [1, 2] {
        let ended = pod.script(index, &["-on_error", "continue"], &format!("touch {}/ran", pod.root()));
        assert_eq!(ended.code(), 1);
        assert_eq!(ended.notes(), [entry("Reason", "Skipped", 3)]);
        assert!(
            pod.has(&format!("tekton/run/{index}/out.err")) && !pod.has(&format!("tekton/run/{index}/out"))
        );
    }
    assert!(!pod.has("ran"));
}

#[rstest]
#[case::no_program(&["-entrypoint", "no-such-program", "--"], "no such program in the image")]
#[case::not_executable(&["-entrypoint", "/etc/passwd", "--"], "permission denied")]
#[case::negative_timeout(&["-timeout", "-1s", "-entrypoint", "true", "--"], "negative")]
#[case::unknown_flag(&["-newest", "x", "-entrypoint", "true", "--"], "flag -newest is unknown")]
#[case::no_command(&["--"], "no command")]
#[case::no_result(&["-entrypoint", "true", "--", "$(steps.b.results.r)"], "step b has left no result r")]
#[case::no_folder(&["-working_dir", "/proc/no", "-entrypoint", "true", "--"], "cannot work in folder /proc/no")]
#[case::no_output(&["-stdout_path", "/proc/no/out", "-entrypoint", "true", "--"], "cannot write output to /proc/no/out")]
fn commands_that_cannot_start(#[case] arguments: &[&str], #[case] why: &str) {
    let pod = Pod::new(1);
    let ended = pod.step(0, &[&["-on_error", "continue"], arguments].concat()).run();
    assert_eq!(ended.code(), 1);
    assert!(ended.stderr().contains(why), "{}", ended.stderr());
    assert!(ended.entries().iter().all(|(key, ..)| key == "StartedAt"));
    assert_eq!(pod.list("tekton/run/0").first().unwrap(), "out.err");
}

#[rstest]
#[case::goes_on("0\n", 0)]
#[case::fails("1", 1)]
#[case::no_number("x", 0)]
fn breakpoint(#[case] written: &str, #[case] code: i32) {
    let pod = Pod::new(1);
    let arguments = ["-breakpoint_on_failure", "-entrypoint", "false", "--"];
    let mut running = pod.step(0, &arguments).start();
    wait_until("the step has failed", || pod.has("termination-0"));
    assert!(running.is_running());
    assert_eq!(pod.list("tekton/run/0"), ["status"]);
    pod.write("tekton/run/0/out.breakpointexit", written);
    assert_eq!(running.end().code(), code);
    assert!(!pod.has("tekton/run/0/out") && !pod.has("tekton/run/0/out.err"));
}
