//! The command line of a step: the entrypoint, its flags, and behind `--` what the step itself runs (section 2.2).

use pipelines_engine_api::{GoDuration, TaskSpec};

/// The entrypoint in a pod.
pub const ENTRYPOINT: &str = "/tekton/bin/entrypoint";

/// Where a step leaves its results and notes for the kubelet.
pub const TERMINATION_PATH: &str = "/tekton/termination";

/// What all steps of a pod have in common.
#[derive(Clone, Debug, Default)]
pub struct Common {
    /// The first step waits until it is told that sidecars are ready.
    pub waits_for_sidecars: bool,
    /// Results are read from a sidecar's log.
    pub results_from_logs: bool,
    /// A failed step waits to be looked at.
    pub breakpoint_on_failure: bool,
    /// Flags of [`credentials::flags`](super::credentials::flags).
    pub credentials: Vec<String>,
    /// Names of all steps' containers: the first step makes links to what they leave.
    pub links: Vec<String>,
}

/// The step's own part.
#[derive(Clone, Debug, Default)]
pub struct Step<'a> {
    pub index: usize,
    /// Empty: the image's own, which the entrypoint finds in its environment.
    pub command: &'a [String],
    pub args: &'a [String],
    pub on_error: Option<&'a str>,
    pub timeout: Option<&'a str>,
    pub stdout: Option<&'a str>,
    pub stderr: Option<&'a str>,
    /// Where it runs, if the entrypoint makes that folder.
    pub working_dir: Option<&'a str>,
    /// Names of its own results.
    pub results: Vec<&'a str>,
}

/// `args` of the container; its `command` is [`ENTRYPOINT`].
pub fn args(common: &Common, step: &Step<'_>, task: &TaskSpec) -> Vec<String> {
    let mut args: Vec<String> = Vec::new();
    let mut flag = |words: &[&str]| args.extend(words.iter().map(|word| (*word).to_owned()));
    let index = step.index;
    if index > 0 {
        flag(&["-wait_file", &format!("/tekton/run/{}/out", index - 1)]);
    } else if common.waits_for_sidecars {
        flag(&["-wait_file", "/tekton/downward/ready", "-wait_file_content"]);
    }
    flag(&["-post_file", &format!("/tekton/run/{index}/out")]);
    flag(&["-termination_path", TERMINATION_PATH]);
    flag(&["-step_metadata_dir", &format!("/tekton/run/{index}/status")]);
    if index == 0 && !common.links.is_empty() {
        flag(&["-step_links", &common.links.join(",")]);
    }
    if common.results_from_logs {
        flag(&["-result_from", "sidecar-logs"]);
    }
    for credential in &common.credentials {
        flag(&[credential]);
    }
    if let Some(on_error) = step.on_error {
        flag(&["-on_error", on_error]);
    }
    if let Some(timeout) = step.timeout {
        // Written anew: the entrypoint reads Go's own spelling.
        let timeout = timeout.parse().unwrap_or(GoDuration::ZERO).to_string();
        flag(&["-timeout", &timeout]);
    }
    if let Some(path) = step.stdout {
        flag(&["-stdout_path", path]);
    }
    if let Some(path) = step.stderr {
        flag(&["-stderr_path", path]);
    }
    if let Some(path) = step.working_dir {
        flag(&["-working_dir", path]);
    }
    if !step.results.is_empty() {
        flag(&["-step_results", &step.results.join(",")]);
    }
    let of_files = task.results.iter().filter(|result| result.value.is_none());
    let results: Vec<_> = of_files.map(|result| result.name.as_str()).collect();
    if !results.is_empty() {
        flag(&["-results", &results.join(",")]);
    }
    if common.breakpoint_on_failure {
        flag(&["-breakpoint_on_failure"]);
    }
    let mut rest = step.command;
    if let Some((program, others)) = step.command.split_first() {
        flag(&["-entrypoint", program]);
        rest = others;
    }
    flag(&["--"]);
    args.extend(rest.iter().cloned());
    args.extend(step.args.iter().cloned());
    args
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn line(common: &Common, step: &Step<'_>, task: serde_json::Value) -> String {
        args(common, step, &serde_json::from_value(task).unwrap()).join(" ")
    }

    #[test]
    fn the_first_step_waits_for_sidecars_only() {
        let command = ["sh".to_owned(), "-c".to_owned()];
        let step_args = ["init".to_owned()];
        let step = Step { command: &command, args: &step_args, ..Step::default() };
        let of_task = json!({"results": [{"name": "r"}, {"name": "s", "value": "$(steps.a.results.x)"}, {"name": "t"}]});
        assert_eq!(
            line(&Common::default(), &step, of_task.clone()),
            "-post_file /tekton/run/0/out -termination_path /tekton/termination -step_metadata_dir \
             /tekton/run/0/status -results r,t -entrypoint sh -- -c init"
        );
        let waits = Common { waits_for_sidecars: true, ..Common::default() };
        assert!(
            line(&waits, &step, of_task)
                .starts_with("-wait_file /tekton/downward/ready -wait_file_content -post_file")
        );
    }

    #[test]
    fn every_flag_has_its_place() {
        let common = Common {
            waits_for_sidecars: true,
            results_from_logs: true,
            breakpoint_on_failure: true,
            credentials: vec!["-basic-git=s=h".into()],
            links: vec!["step-a".into()],
        };
        let step = Step {
            index: 2,
            on_error: Some("continue"),
            timeout: Some("60s"),
            stdout: Some("/o"),
            stderr: Some("/e"),
            working_dir: Some("/workspace/w"),
            results: vec!["a", "b"],
            ..Step::default()
        };
        assert_eq!(
            line(&common, &step, json!({})),
            "-wait_file /tekton/run/1/out -post_file /tekton/run/2/out -termination_path /tekton/termination \
             -step_metadata_dir /tekton/run/2/status -result_from sidecar-logs -basic-git=s=h -on_error continue \
             -timeout 1m0s -stdout_path /o -stderr_path /e -working_dir /workspace/w -step_results a,b -breakpoint_on_failure --"
        );
    }
}
