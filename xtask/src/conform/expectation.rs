//! What a case expects in the end.
use std::collections::BTreeMap;

use anyhow::Context as _;
use kube::api::ListParams;
use serde::Deserialize;
use serde_json::{Value, json};

use super::{case::Address, matching::differences, world::Place};

/// Reasons of upstream's `Failed` that say more.
const FAILED: [&str; 7] = [
    "StepFailed",
    "StepOOM",
    "SidecarFailed",
    "SidecarOOM",
    "InitContainerFailed",
    "InitContainerOOM",
    "PodEvicted",
];

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Expectation {
    /// A run has ended, like this.
    Run(Run),
    /// An object is like this.
    Object { of: Address, is: Value },
    /// There are so many objects of a kind with these labels.
    Count {
        of: String,
        #[serde(default)]
        labels: BTreeMap<String, String>,
        is: usize,
    },
    /// The log of a step is like this.
    Log {
        /// Name of a TaskRun.
        of: String,
        step: String,
        /// From 0.
        #[serde(default)]
        attempt: usize,
        is: Value,
    },
    /// There was an Event with this reason about the object.
    Event { of: Address, reason: String },
}

/// What a PipelineRun or TaskRun says when it has ended.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Run {
    pub of: Address,
    /// Reason of a condition `Succeeded` with status True.
    #[serde(default)]
    succeeds: Option<Words>,
    /// Reason of a condition `Succeeded` with status False.
    #[serde(default)]
    fails: Option<Words>,
    /// Parts of its message.
    #[serde(default)]
    says: Option<Words>,
    /// All results, by name.
    #[serde(default)]
    results: Option<BTreeMap<String, Value>>,
    /// Of a PipelineRun: reason of each child, by task; no others have started.
    #[serde(default)]
    tasks: Option<BTreeMap<String, Words>>,
    /// Of a PipelineRun: why each task was skipped; no others were.
    #[serde(default)]
    skipped: Option<BTreeMap<String, Words>>,
    /// Of a TaskRun: how each step has ended, by its name.
    #[serde(default)]
    steps: Option<BTreeMap<String, Words>>,
    /// Of a TaskRun: how many attempts there were before the last.
    #[serde(default)]
    retries: Option<usize>,
}

/// A word, or several.
#[derive(Clone, Debug, Deserialize)]
#[serde(untagged)]
enum Words {
    One(String),
    Many(Vec<String>),
}

impl Words {
    fn all(&self) -> &[String] {
        match self {
            Self::One(word) => std::slice::from_ref(word),
            Self::Many(words) => words,
        }
    }

    /// Whether a reason is one of these. `Failed` stands for the reasons that say more as well.
    fn name(&self, reason: &str) -> bool {
        self.all().iter().any(|word| word == reason || (word == "Failed" && FAILED.contains(&reason)))
    }
}

/// How far an expectation is from being met.
pub enum Standing {
    Holds,
    /// It may still come.
    Waits(String),
    /// The run has ended otherwise, and what has ended stays as it is but for what follows at once.
    Differs(String),
}

impl Expectation {
    pub async fn look(&self, place: &Place<'_>) -> anyhow::Result<Standing> {
        let missing = match self {
            Self::Run(run) => return run.look(place).await,
            Self::Object { of, is } => match place.api(&of.kind)?.get_opt(&of.name).await? {
                Some(found) => differences(is, &serde_json::to_value(found)?),
                None => vec![format!("{of} does not exist")],
            },
            Self::Count { of, labels, is } => {
                let labels: Vec<_> = labels.iter().map(|(key, value)| format!("{key}={value}")).collect();
                let listed = place.api(of)?.list(&ListParams::default().labels(&labels.join(","))).await?;
                let names: Vec<_> = listed.iter().map(kube::ResourceExt::name_any).collect();
                let differs = names.len() != *is;
                differs
                    .then(|| format!("there are {} {of}s, not {is}: {}", names.len(), names.join(", ")))
                    .into_iter()
                    .collect()
            }
            Self::Log { of, step, attempt, is } => match log(place, of, step, *attempt).await? {
                Some(text) => differences(is, &json!(text)),
                None => vec![format!("attempt {attempt} of TaskRun {of} has no pod")],
            },
            Self::Event { of, reason } => {
                let events = place.api("Event")?.list(&ListParams::default()).await?;
                let is_it = |event: &kube::api::DynamicObject| {
                    let about = &event.data["involvedObject"];
                    about["name"] == *of.name && about["kind"] == *of.kind && event.data["reason"] == **reason
                };
                let is_absent = !events.iter().any(is_it);
                is_absent.then(|| format!("no Event {reason} about {of}")).into_iter().collect()
            }
        };
        Ok(if missing.is_empty() { Standing::Holds } else { Standing::Waits(missing.join("\n")) })
    }

    /// Whether this waits for a run's end, for as long as the case has.
    pub fn is_of_run(&self) -> bool {
        matches!(self, Self::Run(_))
    }
}

/// What the pod of a TaskRun's attempt wrote. `None` if there was none.
async fn log(place: &Place<'_>, of: &str, step: &str, attempt: usize) -> anyhow::Result<Option<String>> {
    let run = place.api("TaskRun")?.get(of).await.with_context(|| format!("read TaskRun {of}"))?;
    let status = &run.data["status"];
    let earlier = &status["retriesStatus"][attempt];
    let Some(pod) = (if earlier.is_null() { status } else { earlier })["podName"].as_str() else {
        return Ok(None);
    };
    let container = format!("step-{step}");
    Ok(Some(
        place.log(pod, &container, None).await.with_context(|| format!("log of {container} in pod {pod}"))?,
    ))
}

impl Run {
    async fn look(&self, place: &Place<'_>) -> anyhow::Result<Standing> {
        let Some(found) = place.api(&self.of.kind)?.get_opt(&self.of.name).await? else {
            return Ok(Standing::Waits(format!("{} does not exist", self.of)));
        };
        let status = &found.data["status"];
        let condition = succeeded(status);
        if !has_ended(&found.data) {
            return Ok(Standing::Waits(format!("{} has not ended: {condition}", self.of)));
        }
        let mut faults = self.faults(&condition, status);
        if let Some(expected) = &self.tasks {
            let found = children(place, status).await?;
            compare("tasks", expected, &found, &mut faults);
        }
        Ok(if faults.is_empty() {
            Standing::Holds
        } else {
            Standing::Differs(format!("{}: {}", self.of, faults.join("\n")))
        })
    }

    /// What can be seen in the run itself.
    fn faults(&self, condition: &Value, status: &Value) -> Vec<String> {
        let mut faults = Vec::new();
        let reason = condition["reason"].as_str().unwrap_or_default();
        let is_as_expected = |expected: &Option<Words>, status: &str| {
            expected.as_ref().is_none_or(|words| condition["status"] == status && words.name(reason))
        };
        if !is_as_expected(&self.succeeds, "True") || !is_as_expected(&self.fails, "False") {
            let expected = self.succeeds.as_ref().or(self.fails.as_ref()).map(Words::all).unwrap_or_default();
            faults.push(format!("has ended as {condition}, not as {}", expected.join(" or ")));
        }
        let message = condition["message"].as_str().unwrap_or_default();
        for part in self.says.iter().flat_map(Words::all) {
            if !message.contains(part) {
                faults.push(format!("says {message:?}, without {part:?}"));
            }
        }
        if let Some(expected) = &self.results {
            let found: BTreeMap<_, _> = named(&status["results"], "name", "value");
            if json!(expected) != json!(found) {
                faults.push(format!("results are {}, not {}", json!(found), json!(expected)));
            }
        }
        if let Some(expected) = &self.skipped {
            compare(
                "skipped tasks",
                expected,
                &texts(named(&status["skippedTasks"], "name", "reason")),
                &mut faults,
            );
        }
        if let Some(expected) = &self.steps {
            let found = texts(named(&status["steps"], "name", "terminationReason"));
            compare("steps", expected, &found, &mut faults);
        }
        let retries = status["retriesStatus"].as_array().map_or(0, Vec::len);
        if self.retries.is_some_and(|expected| expected != retries) {
            faults.push(format!("was retried {retries} times"));
        }
        faults
    }
}

/// Whether the object is a run that has ended.
pub fn has_ended(data: &Value) -> bool {
    matches!(succeeded(&data["status"])["status"].as_str(), Some("True" | "False"))
}

/// The condition `Succeeded`, with what is worth showing of it.
fn succeeded(status: &Value) -> Value {
    let mut conditions = status["conditions"].as_array().into_iter().flatten();
    let found = conditions.find(|condition| condition["type"] == "Succeeded");
    found.map_or(
        Value::Null,
        |found| json!({"status": found["status"], "reason": found["reason"], "message": found["message"]}),
    )
}

/// Entries of a list as a map: one field as key, one as value.
fn named(list: &Value, key: &str, value: &str) -> BTreeMap<String, Value> {
    let entries = list.as_array().into_iter().flatten();
    entries.filter_map(|entry| Some((entry[key].as_str()?.to_owned(), entry[value].clone()))).collect()
}

fn texts(values: BTreeMap<String, Value>) -> BTreeMap<String, String> {
    values.into_iter().map(|(key, value)| (key, value.as_str().unwrap_or_default().to_owned())).collect()
}

/// Reason of each child of a PipelineRun, by its task.
async fn children(place: &Place<'_>, status: &Value) -> anyhow::Result<BTreeMap<String, String>> {
    let mut reasons = BTreeMap::new();
    for child in status["childReferences"].as_array().into_iter().flatten() {
        let text = |field: &str| child[field].as_str().unwrap_or_default();
        let run = place.api(text("kind"))?.get_opt(text("name")).await?;
        let condition = run.map_or(Value::Null, |run| succeeded(&run.data["status"]));
        let reason = condition["reason"].as_str().unwrap_or("none yet").to_owned();
        reasons.insert(text("pipelineTaskName").to_owned(), reason);
    }
    Ok(reasons)
}

fn compare(
    what: &str,
    expected: &BTreeMap<String, Words>,
    found: &BTreeMap<String, String>,
    faults: &mut Vec<String>,
) {
    let fits = expected.len() == found.len()
        && expected.iter().all(|(name, words)| found.get(name).is_some_and(|reason| words.name(reason)));
    if !fits {
        let expected: BTreeMap<_, _> = expected.iter().map(|(name, words)| (name, words.all())).collect();
        faults.push(format!("{what} are {}, not {}", json!(found), json!(expected)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn faults(expected: Value, status: &Value) -> Vec<String> {
        let mut expected = expected;
        expected["of"] = json!("PipelineRun/r");
        let run: Run = serde_json::from_value(expected).unwrap();
        run.faults(&succeeded(status), status)
    }

    #[test]
    fn each_field_is_compared() {
        let status = json!({
            "conditions": [{"type": "Succeeded", "status": "False", "reason": "StepFailed", "message": "exited with code 1"}],
            "results": [{"name": "a", "value": "1"}],
            "skippedTasks": [{"name": "b", "reason": "Results were missing"}],
            "steps": [{"name": "s", "terminationReason": "Error"}],
            "retriesStatus": [{}],
        });
        let fine = json!({
            "fails": "Failed", "says": "code 1", "results": {"a": "1"}, "skipped": {"b": "Results were missing"},
            "steps": {"s": ["Error", "Failed"]}, "retries": 1,
        });
        assert!(faults(fine, &status).is_empty());
        for wrong in [
            json!({"succeeds": "Failed"}),
            json!({"fails": "TaskRunTimeout"}),
            json!({"says": "code 2"}),
            json!({"results": {}}),
            json!({"skipped": {}}),
            json!({"steps": {"s": "Completed"}}),
            json!({"retries": 0}),
        ] {
            assert_eq!(faults(wrong.clone(), &status).len(), 1, "{wrong}");
        }
    }
}
