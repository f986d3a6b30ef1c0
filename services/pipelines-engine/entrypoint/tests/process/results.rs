//! Results in the termination message, and in commands of later steps.

use crate::pod::{Pod, entry};

#[test]
fn each_step_sends_what_it_made_or_changed() {
    let pod = Pod::new(3);
    let root = pod.root();
    let flags = ["-results", "first,second,third"];
    let first = pod.script(
        0,
        &flags,
        &format!("cd {root}/tekton/results; printf 1 >first; printf '[\"a\"]\n' >second"),
    );
    assert_eq!(first.notes(), [entry("first", "1", 1), entry("second", "[\"a\"]\n", 1)]);
    let second = pod.script(1, &flags, "true");
    assert_eq!(second.notes(), []);
    // Of the same length, at once after the step before.
    let third = pod.script(
        2,
        &flags,
        &format!("printf 2 >{root}/tekton/results/first; printf 1 >{root}/tekton/results/undeclared"),
    );
    assert_eq!(third.notes(), [entry("first", "2", 1)]);
}

#[test]
fn of_a_step_go_into_later_commands() {
    let pod = Pod::new(2);
    let root = pod.root();
    let script = format!(
        "cd {root}/tekton/steps/step-a/results; printf 'text' >s; printf '[\"x\",\"y z\"]' >l; printf '{{\"k\":\"v\"}}' >m"
    );
    let first = pod.script(0, &["-step_results", "s,l,m"], &script);
    assert_eq!(
        first.notes(),
        [entry("s", "text", 4), entry("l", "[\"x\",\"y z\"]", 4), entry("m", "{\"k\":\"v\"}", 4)]
    );
    let words = [
        "-entrypoint",
        "printf",
        "--",
        "%s|",
        "<$(steps.a.results.s)>",
        "$(steps.a.results.l[*])",
        "$(steps.a.results.l[1])",
        "$(steps.a.results.m.k)",
        "$(steps.a.results['m']['k'])",
        "$(context.other)",
    ];
    let second = pod.step(1, &words).run();
    assert_eq!(second.stdout(), "<text>|x|y z|y z|v|v|$(context.other)|");
    let env = pod
        .step(1, &["-entrypoint", "sh", "--", "-c", "printf \"$V\""])
        .env("V", "in $(steps.a.results.s)")
        .run();
    assert_eq!(env.stdout(), "in text");
}

#[test]
fn too_large_ones_fail_the_step_by_name() {
    let pod = Pod::new(2);
    let root = pod.root();
    let script =
        format!("cd {root}/tekton/results; head -c 5000 /dev/zero | tr '\\0' x >big; printf 1 >small");
    let ended = pod.script(0, &["-results", "small,big", "-on_error", "continue"], &script);
    assert_eq!(ended.code(), 1);
    let said = "Termination message is above max allowed size 4096, caused by large task result.";
    assert!(
        ended.stderr().contains(said) && ended.stderr().contains("big 5000, small 1"),
        "{}",
        ended.stderr()
    );
    assert_eq!(ended.notes(), [], "no result is better than some of them");
    assert!(pod.has("tekton/run/0/out.err") && !pod.has("tekton/run/0/out"));
    assert!(!pod.has("tekton/run/0/status/exitCode"));
    assert_eq!(pod.script(1, &[], "true").notes(), [entry("Reason", "Skipped", 3)]);
}

#[test]
fn the_reason_of_a_timeout_outlives_large_results() {
    let pod = Pod::new(1);
    let script = format!("head -c 5000 /dev/zero >{}/tekton/results/big; sleep 100", pod.root());
    let ended = pod.script(0, &["-results", "big", "-timeout", "500ms"], &script);
    assert_eq!(ended.notes(), [entry("Reason", "TimeoutExceeded", 3)]);
}

/// The kubelet gives each of eight containers an eighth of 12 KiB.
#[test]
fn pods_with_many_steps_have_less_room() {
    let pod = Pod::new(8);
    let script =
        |count: usize| format!("head -c {count} /dev/zero | tr '\\0' x >{}/tekton/results/r", pod.root());
    assert_eq!(pod.script(0, &["-results", "r"], &script(1400)).code(), 0);
    let ended = pod.script(1, &["-results", "r"], &script(1500));
    assert_eq!(ended.code(), 1);
    assert!(ended.stderr().contains("max allowed size 1536"), "{}", ended.stderr());
}

/// Scenario 10.
#[test]
fn twenty_of_eight_steps_arrive() {
    let pod = Pod::new(8);
    let root = pod.root();
    let names: Vec<_> = (0..20).map(|index| format!("result-{index}")).collect();
    let all = names.join(",");
    let mut arrived = Vec::new();
    for step in 0..8 {
        let own: Vec<_> = names.iter().skip(step).step_by(8).map(String::as_str).collect();
        let script =
            format!("cd {root}/tekton/results; for r in {}; do printf %050d 7 >$r; done", own.join(" "));
        let ended = pod.script(step, &["-results", &all], &script);
        assert_eq!(ended.code(), 0, "{}", ended.stderr());
        arrived.extend(ended.notes().into_iter().map(|(name, ..)| name));
    }
    arrived.sort();
    let mut names = names.clone();
    names.sort();
    assert_eq!(arrived, names);
}

#[test]
fn are_left_to_the_sidecar_that_reads_them() {
    let pod = Pod::new(1);
    let script = format!("head -c 5000 /dev/zero >{}/tekton/results/r", pod.root());
    let ended = pod.script(0, &["-result_from", "sidecar-logs", "-results", "r"], &script);
    assert_eq!((ended.code(), ended.notes()), (0, vec![]));
}
