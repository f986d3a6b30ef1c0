//! What a step gets from the Task's `stepTemplate` (section 2.1): the strategic merge of one container over another.

use k8s_openapi::api::core::v1::EnvVar;
use pipelines_engine_api::{Step, StepTemplate};
use serde::Serialize;
use serde::de::DeserializeOwned;

/// The step with what it does not say itself. Lists of one name each (variables, mounts) are merged by it, other lists are
/// the step's or the template's, and what has fields is merged field by field.
pub(super) fn with_template(step: &Step, template: Option<&StepTemplate>) -> Step {
    let Some(template) = template else { return step.clone() };
    let mut merged = step.clone();
    fill(&mut merged.image, &template.image);
    fill(&mut merged.working_dir, &template.working_dir);
    // A script is a command of its own, and the template's arguments are for the template's.
    if step.script.is_empty() {
        fill(&mut merged.command, &template.command);
        fill(&mut merged.args, &template.args);
    }
    fill(&mut merged.env_from, &template.env_from);
    merged.env = environment(&template.env, &step.env);
    merged.volume_mounts = by_key(&template.volume_mounts, &step.volume_mounts, |mount| &mount.mount_path);
    merged.volume_devices =
        by_key(&template.volume_devices, &step.volume_devices, |device| &device.device_path);
    merged.compute_resources = fields(template.compute_resources.as_ref(), step.compute_resources.as_ref());
    merged.security_context = fields(template.security_context.as_ref(), step.security_context.as_ref());
    merged.image_pull_policy = step.image_pull_policy.clone().or_else(|| template.image_pull_policy.clone());
    merged
}

fn fill<T: Default + PartialEq + Clone>(own: &mut T, of_template: &T) {
    if *own == T::default() {
        own.clone_from(of_template);
    }
}

/// Variables of the template, each replaced by the step's of the same name, then the step's others. A variable has either a
/// value or a source: the two of one name are not mixed.
fn environment(template: &[EnvVar], step: &[EnvVar]) -> Vec<EnvVar> {
    let of_step = |name: &str| step.iter().find(|variable| variable.name == name);
    let is_new = |variable: &&EnvVar| !template.iter().any(|other| other.name == variable.name);
    let replaced = template.iter().map(|variable| of_step(&variable.name).unwrap_or(variable).clone());
    replaced.chain(step.iter().filter(is_new).cloned()).collect()
}

/// Elements of the template, each with the fields that the step's of the same key has, then the step's others.
fn by_key<T>(template: &[T], step: &[T], key: impl Fn(&T) -> &String) -> Vec<T>
where
    T: Clone + Serialize + DeserializeOwned,
{
    let of_step = |of_template: &T| step.iter().find(|own| key(own) == key(of_template));
    let is_new = |own: &&T| !template.iter().any(|other| key(other) == key(own));
    let merged = template.iter().filter_map(|element| fields(Some(element), of_step(element)));
    merged.chain(step.iter().filter(is_new).cloned()).collect()
}

/// `over` with the fields of `under` that it does not have.
fn fields<T>(under: Option<&T>, over: Option<&T>) -> Option<T>
where
    T: Clone + Serialize + DeserializeOwned,
{
    let (Some(under), Some(over)) = (under, over) else { return over.or(under).cloned() };
    let merged = serde_json::to_value(under).and_then(|mut merged| {
        json_patch::merge(&mut merged, &serde_json::to_value(over)?);
        serde_json::from_value(merged)
    });
    // What was read from JSON can be written as JSON.
    Some(merged.unwrap_or_else(|_| over.clone()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;
    use serde_json::{Value, json};

    #[rstest]
    #[case::nothing(json!({"image": "t"}), json!({}), json!({"image": "t"}))]
    #[case::strings(json!({"image": "t", "workingDir": "/t", "imagePullPolicy": "Always"}), json!({"image": "s"}), json!({"image": "s", "workingDir": "/t", "imagePullPolicy": "Always"}))]
    #[case::command(json!({"command": ["t"], "args": ["1", "2"]}), json!({"args": ["3"]}), json!({"command": ["t"], "args": ["3"]}))]
    #[case::script(json!({"command": ["t"], "args": ["1"]}), json!({"script": "x"}), json!({"script": "x"}))]
    #[case::script_with_args(json!({"args": ["1"]}), json!({"script": "x", "args": ["2"]}), json!({"script": "x", "args": ["2"]}))]
    #[case::env(
        json!({"env": [{"name": "A", "value": "t"}, {"name": "B", "valueFrom": {"fieldRef": {"fieldPath": "p"}}}]}),
        json!({"env": [{"name": "C", "value": "s"}, {"name": "B", "value": "s"}]}),
        json!({"env": [{"name": "A", "value": "t"}, {"name": "B", "value": "s"}, {"name": "C", "value": "s"}]})
    )]
    #[case::env_from(
        json!({"envFrom": [{"secretRef": {"name": "t"}}]}), json!({"envFrom": [{"secretRef": {"name": "s"}}]}),
        json!({"envFrom": [{"secretRef": {"name": "s"}}]})
    )]
    #[case::mounts(
        json!({"volumeMounts": [{"name": "t", "mountPath": "/a", "subPath": "x"}, {"name": "t", "mountPath": "/b"}]}),
        json!({"volumeMounts": [{"name": "s", "mountPath": "/c"}, {"name": "s", "mountPath": "/a"}]}),
        json!({"volumeMounts": [
            {"name": "s", "mountPath": "/a", "subPath": "x"}, {"name": "t", "mountPath": "/b"}, {"name": "s", "mountPath": "/c"},
        ]})
    )]
    #[case::devices(
        json!({"volumeDevices": [{"name": "t", "devicePath": "/dev/a"}]}), json!({"volumeDevices": [{"name": "s", "devicePath": "/dev/a"}]}),
        json!({"volumeDevices": [{"name": "s", "devicePath": "/dev/a"}]})
    )]
    #[case::resources(
        json!({"computeResources": {"requests": {"cpu": "1", "memory": "1Gi"}, "limits": {"cpu": "2"}}}),
        json!({"computeResources": {"requests": {"cpu": "3"}}}),
        json!({"computeResources": {"requests": {"cpu": "3", "memory": "1Gi"}, "limits": {"cpu": "2"}}})
    )]
    #[case::security(
        json!({"securityContext": {"runAsUser": 1, "capabilities": {"add": ["A"], "drop": ["ALL"]}}}),
        json!({"securityContext": {"runAsNonRoot": true, "capabilities": {"add": ["B"]}}}),
        json!({"securityContext": {"runAsUser": 1, "runAsNonRoot": true, "capabilities": {"add": ["B"], "drop": ["ALL"]}}})
    )]
    fn is_merged(#[case] template: Value, #[case] step: Value, #[case] expected: Value) {
        let template: StepTemplate = serde_json::from_value(template).unwrap();
        let step: Step = serde_json::from_value(step).unwrap();
        assert_eq!(serde_json::to_value(with_template(&step, Some(&template))).unwrap(), expected);
        assert_eq!(with_template(&step, None), step);
    }
}
