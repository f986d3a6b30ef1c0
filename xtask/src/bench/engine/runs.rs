//! What is run: a step that leaves a short text as its result, alone, in sequence, and as a bare pod without an engine.
use kube::core::ObjectMeta;
use pipelines_engine_api::{PipelineRun, TaskRun};
use serde_json::{Value, json};

use k8s_openapi::api::core::v1::Pod;

/// The result of each task.
pub(super) const RESULT: &str = "said";

/// An image and how a container of it writes a text to a file.
#[derive(Clone, Debug)]
pub(super) struct Image {
    pub(super) reference: String,
    /// Else it is `tools/pod`, whose program writes.
    pub(super) has_shell: bool,
}

impl Image {
    fn command(&self, file: &str, text: &str) -> Value {
        if self.has_shell {
            json!(["sh", "-c", r#"printf %s "$1" > "$0""#, file, text])
        } else {
            json!(["/pod", "write", file, text])
        }
    }

    /// A pod as anybody can make it, which leaves `text` as its termination message.
    pub(super) fn bare_pod(&self, name: &str, text: &str) -> serde_json::Result<Pod> {
        serde_json::from_value(json!({
            "metadata": {"name": name},
            "spec": {
                "restartPolicy": "Never",
                "containers": [{
                    "name": "say", "image": self.reference,
                    "command": self.command("/dev/termination-log", text),
                }],
            },
        }))
    }

    /// The same by a TaskRun.
    pub(super) fn task_run(&self, name: &str, text: &str) -> serde_json::Result<TaskRun> {
        Ok(TaskRun {
            metadata: ObjectMeta { name: Some(name.to_owned()), ..ObjectMeta::default() },
            spec: serde_json::from_value(json!({"taskSpec": self.task(text)}))?,
            status: None,
        })
    }

    /// So many tasks in sequence, each of which adds a letter to what the one before has said.
    pub(super) fn chain(&self, name: &str, length: usize) -> serde_json::Result<PipelineRun> {
        let tasks: Vec<Value> = (0..length)
            .map(|number| {
                let before =
                    number.checked_sub(1).map(|before| format!("$(tasks.{}.results.{RESULT})", task(before)));
                let mut of_task = self.task("$(params.text)");
                of_task["params"] = json!([{"name": "text"}]);
                json!({
                    "name": task(number),
                    "params": [{"name": "text", "value": before.unwrap_or_default() + "x"}],
                    "taskSpec": of_task,
                })
            })
            .collect();
        Ok(PipelineRun {
            metadata: ObjectMeta { name: Some(name.to_owned()), ..ObjectMeta::default() },
            spec: serde_json::from_value(json!({"pipelineSpec": {"tasks": tasks}}))?,
            status: None,
        })
    }

    fn task(&self, text: &str) -> Value {
        json!({
            "results": [{"name": RESULT}],
            "steps": [{
                "name": "say", "image": self.reference,
                "command": self.command(&format!("$(results.{RESULT}.path)"), text),
            }],
        })
    }
}

/// Name of a task of a sequence.
fn task(number: usize) -> String {
    format!("t{number}")
}

/// A run as users have them, of 8 kB: three tasks in sequence with scripts, params and results. Pods of it are played, so
/// nothing of it is ever executed.
pub(in crate::bench) fn large(name: &str, namespace: &str) -> serde_json::Result<PipelineRun> {
    let line = "echo \"building $(params.url) at $(params.revision) into $(params.image)\"\n";
    let script = "#!/bin/bash\nset -euo pipefail\n".to_owned() + &line.repeat(26);
    let names = ["url", "revision", "image"];
    let declared: Vec<Value> = names.iter().map(|name| json!({"name": name, "type": "string"})).collect();
    let passed: Vec<Value> =
        names.iter().map(|name| json!({"name": name, "value": format!("$(params.{name})")})).collect();
    let tasks: Vec<Value> = (0..3_usize)
        .map(|number| {
            let before: Vec<String> = number.checked_sub(1).map(task).into_iter().collect();
            json!({
                "name": task(number), "runAfter": before, "params": passed,
                "taskSpec": {
                    "params": declared, "results": [{"name": RESULT, "description": "What was said."}],
                    "steps": [{"name": "say", "image": "images.example/tool:1", "script": script}],
                },
            })
        })
        .collect();
    Ok(PipelineRun {
        metadata: ObjectMeta {
            name: Some(name.to_owned()),
            namespace: Some(namespace.to_owned()),
            labels: Some([("app.example.com/component".to_owned(), name.to_owned())].into()),
            ..ObjectMeta::default()
        },
        spec: serde_json::from_value(json!({
            "params": [
                {"name": "url", "value": format!("https://git.example.com/shop/{name}")},
                {"name": "revision", "value": "0123456789abcdef0123456789abcdef01234567"},
                {"name": "image", "value": format!("registry.example.com/shop/{name}:latest")},
            ],
            "pipelineSpec": {"params": declared, "tasks": tasks},
        }))?,
        status: None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_chain_passes_what_was_said() {
        let image = Image { reference: "i".into(), has_shell: false };
        let run = serde_json::to_value(image.chain("c", 8).unwrap()).unwrap();
        let tasks = run["spec"]["pipelineSpec"]["tasks"].as_array().unwrap();
        assert_eq!(tasks.len(), 8);
        assert_eq!(tasks[0]["params"][0]["value"], "x");
        assert_eq!(tasks[7]["params"][0]["value"], "$(tasks.t6.results.said)x");
        let command = &tasks[0]["taskSpec"]["steps"][0]["command"];
        assert_eq!(*command, json!(["/pod", "write", "$(results.said.path)", "$(params.text)"]));
    }

    #[test]
    fn a_large_run_has_the_size_of_a_users() {
        let text = serde_json::to_string(&large("r", "n").unwrap()).unwrap();
        assert!((7_500..8_500).contains(&text.len()), "{} bytes", text.len());
    }
}
