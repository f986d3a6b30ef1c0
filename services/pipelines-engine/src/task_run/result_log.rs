//! Results by the log of a sidecar (`results-from: sidecar-logs`; runtime specification, section 2.4), which may be larger
//! than those in termination messages. The entrypoint writes the log: `entrypoint/src/collect.rs`.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{Container, ContainerStateTerminated, Pod};
use pipelines_engine_api::TaskSpec;
use serde::Deserialize;

use super::pod::volumes;
use super::prepare::step_name;

/// Name of the sidecar's container.
pub const CONTAINER: &str = "sidecar-tekton-log-results";

/// Longest log that is read, in bytes: a status cannot hold more.
pub const MAX_LOG: i64 = 4 << 20;

/// The sidecar, if the Task has results to collect. `image` holds the entrypoint and nothing else.
pub fn container(spec: &TaskSpec, image: &str, max_result_size: usize) -> Option<Container> {
    let of_files = spec.results.iter().filter(|result| result.value.is_none());
    let names: Vec<_> = of_files.map(|result| result.name.as_str()).collect();
    let of_steps: BTreeMap<_, Vec<_>> = spec
        .steps
        .iter()
        .enumerate()
        .filter(|(_, step)| !step.results.is_empty())
        .map(|(index, step)| {
            (step_name(step, index), step.results.iter().map(|result| result.name.as_str()).collect())
        })
        .collect();
    if names.is_empty() && of_steps.is_empty() {
        return None;
    }
    let command = [
        "/entrypoint",
        "sidecarlogresults",
        "-results-dir",
        "/tekton/results",
        "-result-names",
        &names.join(","),
        "-step-results",
        &serde_json::to_string(&of_steps).unwrap_or_default(),
        "-steps",
        &spec.steps.len().to_string(),
        "-max-result-size",
        &max_result_size.to_string(),
    ];
    let results = volumes::mount("tekton-internal-results", "/tekton/results", true);
    let links = volumes::mount("tekton-internal-steps", "/tekton/steps", true);
    // Of no step's index: all are read only.
    let runs = volumes::run_mounts(spec.steps.len(), spec.steps.len());
    Some(Container {
        name: CONTAINER.to_owned(),
        image: Some(image.to_owned()),
        command: Some(command.map(str::to_owned).to_vec()),
        volume_mounts: Some([results, links].into_iter().chain(runs).collect()),
        ..Container::default()
    })
}

/// How the sidecar ended, if a pod has one.
pub fn ended(pod: &Pod) -> Option<&ContainerStateTerminated> {
    let statuses = pod.status.as_ref()?.container_statuses.as_ref()?;
    statuses.iter().find(|status| status.name == CONTAINER)?.state.as_ref()?.terminated.as_ref()
}

/// Whether a pod has the sidecar.
pub fn is_in(pod: &Pod) -> bool {
    pod.spec.iter().flat_map(|spec| &spec.containers).any(|container| container.name == CONTAINER)
}

/// What the log has.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Logged {
    pub task_results: Vec<(String, String)>,
    /// By the name of the step's container.
    pub step_results: BTreeMap<String, Vec<(String, String)>>,
}

/// A result that the configuration does not let be so large.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "result {name:?} has more than {limit} bytes, the limit of \"max-result-size\"; keep large values in a workspace, and their place or digest in the result"
)]
pub struct TooLarge {
    name: String,
    limit: usize,
}

/// Reads the log. Lines that are not the sidecar's are left out.
pub fn parse(log: &str, limit: usize) -> Result<Logged, TooLarge> {
    #[derive(Deserialize)]
    struct Line {
        name: String,
        value: String,
        #[serde(rename = "type")]
        kind: String,
    }
    let mut logged = Logged::default();
    for line in log.lines() {
        let Ok(Line { name, value, kind }) = serde_json::from_str(line) else { continue };
        if value.len() > limit {
            return Err(TooLarge { name, limit });
        }
        if kind == "task" {
            logged.task_results.push((name, value));
        } else if let Some((step, result)) = name.split_once('.').filter(|_| kind == "step") {
            logged.step_results.entry(step.to_owned()).or_default().push((result.to_owned(), value));
        }
    }
    Ok(logged)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn reads_what_the_entrypoint_prints() {
        let log = concat!(
            "entrypoint: something\n",
            "{\"name\":\"a\",\"value\":\"x\\n\",\"type\":\"task\"}\n",
            "{\"name\":\"step-s.dotted.name\",\"value\":\"[1]\",\"type\":\"step\"}\n",
            "{\"name\":\"a\",\"value\":\"z\",\"type\":\"new\"}\n",
        );
        let logged = parse(log, 4096).unwrap();
        assert_eq!(logged.task_results, [("a".to_owned(), "x\n".to_owned())]);
        assert_eq!(logged.step_results["step-s"], [("dotted.name".to_owned(), "[1]".to_owned())]);
        assert_eq!(parse(log, 2).unwrap_err(), TooLarge { name: "step-s.dotted.name".into(), limit: 2 });
        assert!(parse(log, 3).is_ok(), "the limit itself is no fault");
    }

    #[test]
    fn is_there_where_there_are_results() {
        let spec = |value| serde_json::from_value::<TaskSpec>(value).unwrap();
        let none = spec(json!({"steps": [{}], "results": [{"name": "r", "value": "$(steps.a.results.r)"}]}));
        assert_eq!(container(&none, "i", 10), None);
        let some = spec(json!({
            "steps": [{"name": "a", "results": [{"name": "x"}]}, {}], "results": [{"name": "r"}, {"name": "s"}],
        }));
        let made = container(&some, "i", 10).unwrap();
        assert_eq!(
            made.command.unwrap().join(" "),
            "/entrypoint sidecarlogresults -results-dir /tekton/results -result-names r,s -step-results \
             {\"step-a\":[\"x\"]} -steps 2 -max-result-size 10"
        );
        let mounts = made.volume_mounts.unwrap();
        let paths: Vec<_> = mounts.iter().map(|mount| &*mount.mount_path).collect();
        assert_eq!(paths, ["/tekton/results", "/tekton/steps", "/tekton/run/0", "/tekton/run/1"]);
        assert!(mounts.iter().all(|mount| mount.read_only == Some(true)));
    }
}
