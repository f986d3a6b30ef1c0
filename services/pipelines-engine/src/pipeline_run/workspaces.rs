//! Which volume each task gets (section 1.7).

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{PersistentVolumeClaim, PersistentVolumeClaimVolumeSource};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
use pipelines_engine_api::pipeline::EmbeddedTask;
use pipelines_engine_api::{PipelineSpec, PipelineTask, TaskSpec, WorkspaceBinding};

use crate::names;
use crate::substitution::Replacements;
use crate::substitution::references;

/// A workspace that is not bound as it has to be.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    #[error("pipeline requires workspace with name {0:?} be provided by pipelinerun")]
    Missing(String),
    #[error("expected workspace {workspace:?} to be provided by pipelinerun for pipeline task {task:?}")]
    MissingForTask { task: String, workspace: String },
    #[error(
        "pipeline workspace {workspace:?} is marked optional but pipeline task {task:?} requires it be provided"
    )]
    Optional { task: String, workspace: String },
}

/// Checks that the run binds what the Pipeline needs.
pub fn check(spec: &PipelineSpec, bindings: &[WorkspaceBinding]) -> Result<(), Fault> {
    let is_bound = |name: &str| bindings.iter().any(|binding| binding.name == name);
    match spec.workspaces.iter().find(|workspace| !workspace.optional && !is_bound(&workspace.name)) {
        Some(missing) => Err(Fault::Missing(missing.name.clone())),
        None => Ok(()),
    }
}

/// Checks that no task requires what the Pipeline marks as optional.
pub fn check_optional(spec: &PipelineSpec, task: &PipelineTask, of_task: &TaskSpec) -> Result<(), Fault> {
    for binding in &task.workspaces {
        let name = if binding.workspace.is_empty() { &binding.name } else { &binding.workspace };
        let optional_here = spec.workspaces.iter().any(|w| w.name == *name && w.optional);
        let required_there = of_task.workspaces.iter().any(|w| w.name == binding.name && !w.optional);
        if optional_here && required_there {
            return Err(Fault::Optional { task: task.name.clone(), workspace: name.clone() });
        }
    }
    Ok(())
}

/// `workspaces.<name>.bound` of each workspace of the Pipeline.
pub fn replacements(spec: &PipelineSpec, bindings: &[WorkspaceBinding]) -> Replacements {
    let mut replacements = Replacements::default();
    for workspace in &spec.workspaces {
        let is_bound = bindings.iter().any(|binding| binding.name == workspace.name);
        replacements.set(format!("workspaces.{}.bound", workspace.name), is_bound.to_string());
    }
    replacements
}

/// The claims that the templates of the run become, owned by it.
pub fn claims(
    bindings: &[WorkspaceBinding],
    namespace: &str,
    owner: &OwnerReference,
) -> Vec<PersistentVolumeClaim> {
    let templates =
        bindings.iter().filter_map(|binding| Some((binding, binding.volume_claim_template.as_ref()?)));
    let claims = templates.map(|(binding, template)| {
        let mut claim = template.clone();
        claim.metadata.name =
            Some(names::claim(template.metadata.name.as_deref(), &binding.name, &owner.uid));
        claim.metadata.generate_name = None;
        claim.metadata.namespace = Some(namespace.to_owned());
        claim.metadata.owner_references = Some(vec![owner.clone()]);
        claim.status = None;
        claim
    });
    claims.collect()
}

/// The binding with its template replaced by the claim that was made of it.
pub fn bound(binding: &WorkspaceBinding, owner_uid: &str) -> WorkspaceBinding {
    let mut binding = binding.clone();
    if let Some(template) = binding.volume_claim_template.take() {
        let claim_name = names::claim(template.metadata.name.as_deref(), &binding.name, owner_uid);
        binding.persistent_volume_claim =
            Some(PersistentVolumeClaimVolumeSource { claim_name, read_only: None });
    }
    binding
}

/// What the run of `task` binds, and which workspaces its inline specification has to declare for it: those that its
/// scripts, arguments and commands mention are passed on by themselves (section 1.5).
pub fn of_task(
    task: &PipelineTask,
    of_task: Option<&TaskSpec>,
    run: &[WorkspaceBinding],
    run_uid: &str,
) -> Result<Vec<WorkspaceBinding>, Fault> {
    let by_name: BTreeMap<_, _> = run.iter().map(|binding| (binding.name.as_str(), binding)).collect();
    let is_optional =
        |name: &str| of_task.is_none_or(|spec| spec.workspaces.iter().any(|w| w.name == name && w.optional));
    let mut bindings = Vec::new();
    for wanted in &task.workspaces {
        let name = if wanted.workspace.is_empty() { &wanted.name } else { &wanted.workspace };
        let Some(source) = by_name.get(name.as_str()) else {
            if is_optional(&wanted.name) {
                continue;
            }
            return Err(Fault::MissingForTask { task: task.name.clone(), workspace: name.clone() });
        };
        let mut binding = bound(source, run_uid);
        binding.name.clone_from(&wanted.name);
        binding.sub_path = joined(&binding.sub_path, &wanted.sub_path);
        bindings.push(binding);
    }
    for name in task.task_spec.as_ref().map(mentioned).unwrap_or_default() {
        let is_bound = bindings.iter().any(|binding| binding.name == name);
        if let Some(source) = by_name.get(name.as_str()).filter(|_| !is_bound) {
            bindings.push(bound(source, run_uid));
        }
    }
    Ok(bindings)
}

/// Names of the workspaces that an inline Task mentions where values are put in.
pub fn mentioned(task: &EmbeddedTask) -> Vec<String> {
    let spec = &task.task;
    let steps = spec.steps.iter().flat_map(|step| {
        [&step.script, &step.working_dir].into_iter().chain(&step.args).chain(&step.command)
    });
    let sidecars = spec
        .sidecars
        .iter()
        .flat_map(|sidecar| std::iter::once(&sidecar.script).chain(&sidecar.args).chain(&sidecar.command));
    let template =
        spec.step_template.iter().flat_map(|template| template.args.iter().chain(&template.command));
    let mut names: Vec<String> = steps
        .chain(sidecars)
        .chain(template)
        .flat_map(|text| references::in_text(text))
        .filter_map(|reference| Some(reference.strip_prefix("workspaces.")?.rsplit_once('.')?.0.to_owned()))
        .collect();
    names.sort();
    names.dedup();
    names
}

/// Two relative paths as one.
fn joined(of_run: &str, of_task: &str) -> String {
    match (of_run.trim_end_matches('/'), of_task.trim_start_matches('/')) {
        ("", path) | (path, "") => path.to_owned(),
        (left, right) => format!("{left}/{right}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn bindings(value: Value) -> Vec<WorkspaceBinding> {
        serde_json::from_value(value).unwrap()
    }

    fn task(value: Value) -> PipelineTask {
        serde_json::from_value(value).unwrap()
    }

    fn pipeline(value: Value) -> PipelineSpec {
        serde_json::from_value(value).unwrap()
    }

    #[test]
    fn a_template_becomes_one_claim_that_all_share() {
        let run =
            bindings(json!([{"name": "source", "subPath": "run", "volumeClaimTemplate": {"spec": {}}}]));
        let owner = OwnerReference { uid: "u".into(), ..OwnerReference::default() };
        let claims = claims(&run, "n", &owner);
        let name = claims[0].metadata.name.clone().unwrap();
        assert!(name.starts_with("pvc-") && name.len() == 14, "{name}");
        assert_eq!(claims[0].metadata.owner_references, Some(vec![owner]));
        let wants = task(
            json!({"name": "a", "workspaces": [{"name": "w", "workspace": "source", "subPath": "task"}]}),
        );
        let bound = of_task(&wants, None, &run, "u").unwrap();
        assert_eq!(bound[0].name, "w");
        assert_eq!(bound[0].sub_path, "run/task");
        assert_eq!(bound[0].persistent_volume_claim.as_ref().unwrap().claim_name, name);
        assert_eq!(bound[0].volume_claim_template, None);
    }

    #[test]
    fn what_is_optional_may_be_absent() {
        let spec = pipeline(json!({"workspaces": [{"name": "a"}, {"name": "b", "optional": true}]}));
        let given = bindings(json!([{"name": "a", "emptyDir": {}}]));
        assert_eq!(check(&spec, &given), Ok(()));
        assert_eq!(check(&spec, &[]), Err(Fault::Missing("a".into())));
        let with = replacements(&spec, &given);
        assert_eq!(with.string("$(workspaces.a.bound) $(workspaces.b.bound)"), "true false");

        let wants = task(json!({"name": "t", "workspaces": [{"name": "w", "workspace": "b"}]}));
        let optional: TaskSpec =
            serde_json::from_value(json!({"workspaces": [{"name": "w", "optional": true}]})).unwrap();
        let required: TaskSpec = serde_json::from_value(json!({"workspaces": [{"name": "w"}]})).unwrap();
        assert_eq!(of_task(&wants, Some(&optional), &given, "u"), Ok(Vec::new()));
        assert!(of_task(&wants, Some(&required), &given, "u").is_err());
        assert_eq!(check_optional(&spec, &wants, &optional), Ok(()));
        assert!(matches!(check_optional(&spec, &wants, &required), Err(Fault::Optional { .. })));
    }

    #[test]
    fn what_an_inline_task_mentions_is_passed_on() {
        let run = bindings(json!([{"name": "source", "emptyDir": {}}, {"name": "other", "emptyDir": {}}]));
        let inline = task(json!({
            "name": "a",
            "taskSpec": {"steps": [{"image": "i", "script": "ls $(workspaces.source.path) $(workspaces.none.path)"}]},
        }));
        let bound = of_task(&inline, None, &run, "u").unwrap();
        assert_eq!(bound.iter().map(|binding| binding.name.as_str()).collect::<Vec<_>>(), ["source"]);
    }
}
