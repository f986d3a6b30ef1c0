//! From a TaskRun to the Task that it runs, with everything put in (section 2, step 6).

use std::collections::BTreeMap;

use pipelines_engine_api::reasons::TaskRunReason;
use pipelines_engine_api::{Step, StepActionSpec, TaskRun, TaskSpec, WorkspaceBinding, WorkspaceDeclaration};

use crate::catalog::{self, Asker, Catalog, Failure, Lookup};
use crate::config::Config;
use crate::params;
use crate::substitution::Replacements;
use crate::substitution::task::{in_step, in_task};
use crate::substitution::volumes::in_binding;
use crate::task_run::pod::volumes::Workspace;

/// A run that ends before its pod is made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    pub reason: TaskRunReason,
    pub message: String,
}

impl Fault {
    /// One that the user has caused.
    pub fn invalid(message: impl std::fmt::Display) -> Self {
        Self { reason: TaskRunReason::TaskRunValidationFailed, message: format!("[User error] {message}") }
    }
}

/// Puts StepActions in the place of the steps that refer to them. `Ok(Err(lookup))` is one that has no answer yet.
pub fn with_step_actions(
    mut spec: TaskSpec,
    asker: Asker<'_>,
    catalog: &dyn Catalog,
    config: &Config,
) -> Result<Result<TaskSpec, Lookup<StepActionSpec>>, Fault> {
    for step in &mut spec.steps {
        let Some(reference) = step.ref_.take() else { continue };
        match catalog::step_action(catalog, asker, &reference, config) {
            Lookup::Found(action) => act(step, action.spec)?,
            Lookup::Failed(failure) => {
                let reason = match failure {
                    Failure::Invalid(_) => TaskRunReason::TaskValidationFailed,
                    Failure::NotFound(_) | Failure::Resolution(_) => TaskRunReason::TaskRunResolutionFailed,
                };
                let message = format!("step {:?}: StepAction: {failure}", step.name);
                return Err(Fault { reason, message });
            }
            pending @ (Lookup::InProgress | Lookup::Wanted(_)) => return Ok(Err(pending)),
        }
    }
    Ok(Ok(spec))
}

/// The step as its StepAction says: what to run is the action's, the rest the step's own.
fn act(step: &mut Step, action: StepActionSpec) -> Result<(), Fault> {
    let given = std::mem::take(&mut step.params);
    let wrong = |text: String| Fault::invalid(format_args!("step {:?}: {text}", step.name));
    params::check(&action.params, &given).map_err(|fault| wrong(fault.to_string()))?;
    let declared = |name: &str| action.params.iter().any(|spec| spec.name == name);
    if let Some(extra) = given.iter().find(|param| !declared(&param.name)) {
        return Err(wrong(format!("its StepAction has no parameter {:?}", extra.name)));
    }
    let with = params::replacements(&action.params, &given);
    let mut acted = Step {
        image: action.image,
        command: action.command,
        args: action.args,
        env: action.env,
        working_dir: action.working_dir,
        security_context: action.security_context,
        volume_mounts: action.volume_mounts,
        results: action.results,
        ..Step::default()
    };
    in_step(&mut acted, &with);
    *step = Step {
        image: acted.image,
        command: acted.command,
        args: acted.args,
        env: acted.env,
        working_dir: acted.working_dir,
        security_context: acted.security_context,
        volume_mounts: acted.volume_mounts,
        results: acted.results,
        // Parameters in it would be code injected into it.
        script: action.script,
        ..std::mem::take(step)
    };
    Ok(())
}

/// Checks what the run gives to the Task.
pub fn check(run: &TaskRun, spec: &TaskSpec, bindings: &[WorkspaceBinding]) -> Result<(), Fault> {
    if spec.steps.is_empty() {
        return Err(Fault::invalid("the Task has no steps"));
    }
    check_supported(run, spec)?;
    let given = &run.spec.params;
    params::check(&spec.params, given).map_err(Fault::invalid)?;
    params::check_enums(&spec.params, given).map_err(|fault| Fault {
        reason: TaskRunReason::InvalidParamValue,
        message: format!("[User error] {fault}"),
    })?;
    let text = serde_json::to_string(spec).unwrap_or_default();
    params::check_indexes(&spec.params, given, &text).map_err(Fault::invalid)?;
    check_workspaces(&spec.workspaces, bindings)?;
    check_overrides(run, spec)
}

/// What this version does not run yet is refused in words, not left undone.
fn check_supported(run: &TaskRun, spec: &TaskSpec) -> Result<(), Fault> {
    if let Some((index, step)) = spec.steps.iter().enumerate().find(|(_, step)| !step.when.is_empty()) {
        return Err(Fault::invalid(format_args!(
            "{} has conditions (when), which this version of the engine does not evaluate in steps; put them on a task",
            step_name(step, index)
        )));
    }
    let breakpoints = run.spec.debug.as_ref().and_then(|debug| debug.breakpoints.as_ref());
    if breakpoints.is_some_and(|breakpoints| *breakpoints != Default::default()) {
        return Err(Fault::invalid("it has breakpoints, at which this version of the engine does not stop"));
    }
    Ok(())
}

fn check_workspaces(declared: &[WorkspaceDeclaration], bindings: &[WorkspaceBinding]) -> Result<(), Fault> {
    let is_bound = |name: &str| bindings.iter().any(|binding| binding.name == name);
    if let Some(missing) = declared.iter().find(|w| !w.optional && !is_bound(&w.name)) {
        return Err(Fault::invalid(format_args!(
            "declared workspace {:?} is required but has not been bound",
            missing.name
        )));
    }
    let is_declared = |name: &str| declared.iter().any(|workspace| workspace.name == name);
    if let Some(extra) = bindings.iter().find(|binding| !is_declared(&binding.name)) {
        return Err(Fault::invalid(format_args!(
            "workspace binding {:?} does not match any declared workspace",
            extra.name
        )));
    }
    Ok(())
}

fn check_overrides(run: &TaskRun, spec: &TaskSpec) -> Result<(), Fault> {
    let unknown_step =
        run.spec.step_specs.iter().find(|over| !spec.steps.iter().any(|step| step.name == over.name));
    if let Some(unknown) = unknown_step {
        return Err(Fault::invalid(format_args!("invalid StepOverride: No Step named {}", unknown.name)));
    }
    let unknown_sidecar = run
        .spec
        .sidecar_specs
        .iter()
        .find(|over| !spec.sidecars.iter().any(|sidecar| sidecar.name == over.name));
    match unknown_sidecar {
        Some(unknown) => {
            Err(Fault::invalid(format_args!("invalid SidecarOverride: No Sidecar named {}", unknown.name)))
        }
        None => Ok(()),
    }
}

/// What the run binds, with the configured default for what it does not bind and has to.
pub fn bindings(run: &TaskRun, spec: &TaskSpec, config: &Config) -> Vec<WorkspaceBinding> {
    let mut bindings = run.spec.workspaces.clone();
    if let Some(default) = &config.defaults.task_run_workspace {
        let unbound: Vec<_> = spec
            .workspaces
            .iter()
            .filter(|w| !w.optional && !bindings.iter().any(|binding| binding.name == w.name))
            .map(|w| WorkspaceBinding { name: w.name.clone(), ..default.clone() })
            .collect();
        bindings.extend(unbound);
    }
    let with = params::replacements(&spec.params, &run.spec.params);
    for binding in &mut bindings {
        in_binding(binding, &with);
    }
    bindings
}

/// The Task with values put in: parameters, contexts, paths of results and workspaces. What differs between attempts is
/// left for [`for_attempt`].
pub fn apply(run: &TaskRun, task: &str, mut spec: TaskSpec, workspaces: &[Workspace]) -> TaskSpec {
    let of_params = params::replacements(&spec.params, &run.spec.params);
    in_task(&mut spec, &of_params);
    in_task(&mut spec, &context(run, task));
    let paths = paths(&spec);
    in_task(&mut spec, &paths);
    let of_workspaces = of_workspaces(&spec.workspaces, workspaces);
    in_task(&mut spec, &of_workspaces);
    for index in 0..spec.steps.len() {
        let mut with = Replacements::default();
        let name = step_name(&spec.steps[index], index);
        for result in &spec.steps[index].results {
            with.set(
                format!("step.results.{}.path", result.name),
                format!("/tekton/steps/{name}/results/{}", result.name),
            );
        }
        in_step(&mut spec.steps[index], &with);
    }
    spec
}

/// The Task of one attempt, counted from 0.
pub fn for_attempt(mut spec: TaskSpec, attempt: usize) -> TaskSpec {
    let mut with = Replacements::default();
    with.set("context.task.retry-count", attempt.to_string());
    in_task(&mut spec, &with);
    spec
}

/// Name of a step's container.
pub fn step_name(step: &Step, index: usize) -> String {
    if step.name.is_empty() { format!("step-unnamed-{index}") } else { format!("step-{}", step.name) }
}

fn context(run: &TaskRun, task: &str) -> Replacements {
    let mut with = Replacements::default();
    let meta = &run.metadata;
    with.set("context.taskRun.name", meta.name.clone().unwrap_or_default());
    with.set("context.taskRun.namespace", meta.namespace.clone().unwrap_or_default());
    with.set("context.taskRun.uid", meta.uid.clone().unwrap_or_default());
    with.set("context.task.name", task);
    with
}

/// Paths of results, credentials, and what steps leave.
fn paths(spec: &TaskSpec) -> Replacements {
    let mut with = Replacements::default();
    for result in &spec.results {
        let path = format!("/tekton/results/{}", result.name);
        for key in [
            format!("results.{}.path", result.name),
            format!("results['{}'].path", result.name),
            format!("results[\"{}\"].path", result.name),
        ] {
            with.set(key, path.clone());
        }
    }
    with.set("credentials.path", "/tekton/creds");
    for (index, step) in spec.steps.iter().enumerate() {
        let name = step_name(step, index);
        with.set(format!("steps.{name}.exitCode.path"), format!("/tekton/steps/{name}/exitCode"));
    }
    with
}

fn of_workspaces(declared: &[WorkspaceDeclaration], bound: &[Workspace]) -> Replacements {
    let mut with = Replacements::default();
    let by_name: BTreeMap<_, _> =
        bound.iter().map(|workspace| (workspace.name.as_str(), workspace)).collect();
    for declaration in declared {
        let name = &declaration.name;
        let workspace = by_name.get(name.as_str());
        let path = workspace.map(|workspace| workspace.mount.mount_path.clone());
        let volume = workspace.map(|workspace| workspace.volume.name.clone());
        let claim = workspace
            .and_then(|workspace| workspace.volume.persistent_volume_claim.as_ref())
            .map(|claim| claim.claim_name.clone());
        with.set(format!("workspaces.{name}.path"), path.unwrap_or_default());
        with.set(format!("workspaces.{name}.bound"), workspace.is_some().to_string());
        with.set(format!("workspaces.{name}.claim"), claim.unwrap_or_default());
        with.set(format!("workspaces.{name}.volume"), volume.unwrap_or_default());
    }
    with
}

#[cfg(test)]
#[expect(clippy::needless_pass_by_value, reason = "values are written where they are used")]
mod tests {
    use super::*;
    use crate::task_run::pod::volumes;
    use rstest::rstest;
    use serde_json::{Value, json};

    fn run(spec: Value) -> TaskRun {
        serde_json::from_value(json!({
            "apiVersion": "tekton.dev/v1", "kind": "TaskRun",
            "metadata": {"name": "run", "namespace": "n", "uid": "u"}, "spec": spec,
        }))
        .unwrap()
    }

    fn task(spec: Value) -> TaskSpec {
        serde_json::from_value(spec).unwrap()
    }

    #[test]
    fn everything_is_put_in_and_chained() {
        let run = run(json!({
            "params": [{"name": "which", "value": "$(context.taskRun.name)"}],
            "workspaces": [{"name": "w", "persistentVolumeClaim": {"claimName": "c"}}],
        }));
        let spec = task(json!({
            "params": [{"name": "which"}],
            "workspaces": [{"name": "w"}, {"name": "o", "optional": true}],
            "results": [{"name": "r"}],
            "steps": [{
                "name": "a", "results": [{"name": "s"}],
                "script": "$(params.which) $(context.task.name) $(results.r.path) $(step.results.s.path)",
                "args": [
                    "$(workspaces.w.path)", "$(workspaces.w.claim)", "$(workspaces.o.bound)", "[$(workspaces.o.path)]",
                    "$(credentials.path)", "$(steps.step-a.exitCode.path)", "$(context.task.retry-count)",
                ],
            }],
        }));
        let bindings = bindings(&run, &spec, &Config::default());
        assert_eq!(check(&run, &spec, &bindings), Ok(()));
        let workspaces = volumes::workspaces(&spec.workspaces, &bindings, "u");
        let applied = apply(&run, "task", spec, &workspaces);
        assert_eq!(applied.steps[0].script, "run task /tekton/results/r /tekton/steps/step-a/results/s");
        assert_eq!(
            applied.steps[0].args,
            [
                "/workspace/w",
                "c",
                "false",
                "[]",
                "/tekton/creds",
                "/tekton/steps/step-a/exitCode",
                "$(context.task.retry-count)"
            ]
        );
        assert_eq!(for_attempt(applied, 2).steps[0].args[6], "2");
    }

    #[rstest]
    #[case::param(json!({}), json!({"params": [{"name": "p"}], "steps": [{}]}), "missing parameters: p")]
    #[case::workspace(json!({}), json!({"workspaces": [{"name": "w"}], "steps": [{}]}), "\"w\" is required but has not been bound")]
    #[case::extra(json!({"workspaces": [{"name": "x", "emptyDir": {}}]}), json!({"steps": [{}]}), "\"x\" does not match")]
    #[case::step(json!({"stepSpecs": [{"name": "x"}]}), json!({"steps": [{"name": "a"}]}), "No Step named x")]
    #[case::none(json!({}), json!({"steps": []}), "no steps")]
    #[case::when(json!({}), json!({"steps": [{}, {"when": [{"cel": "true"}]}]}), "step-unnamed-1 has conditions")]
    #[case::debug(json!({"debug": {"breakpoints": {"onFailure": "enabled"}}}), json!({"steps": [{}]}), "has breakpoints")]
    fn refuses_in_words(#[case] spec: Value, #[case] of_task: Value, #[case] expected: &str) {
        let (run, of_task) = (run(spec), task(of_task));
        let fault = check(&run, &of_task, &bindings(&run, &of_task, &Config::default())).unwrap_err();
        assert_eq!(fault.reason, TaskRunReason::TaskRunValidationFailed);
        assert!(fault.message.contains(expected), "{}", fault.message);
    }

    #[test]
    fn a_default_binding_fills_what_is_required() {
        let config = Config {
            defaults: crate::config::Defaults {
                task_run_workspace: Some(
                    serde_json::from_value(json!({"name": "", "emptyDir": {}})).unwrap(),
                ),
                ..Default::default()
            },
            ..Config::default()
        };
        let spec =
            task(json!({"workspaces": [{"name": "w"}, {"name": "o", "optional": true}], "steps": [{}]}));
        let bound = bindings(&run(json!({})), &spec, &config);
        assert_eq!(bound.iter().map(|binding| &*binding.name).collect::<Vec<_>>(), ["w"]);
    }

    #[test]
    fn a_step_action_says_what_to_run_and_keeps_its_script() {
        let mut step: Step = serde_json::from_value(json!({
            "name": "a", "onError": "continue", "params": [{"name": "p", "value": "1"}],
        }))
        .unwrap();
        let action: StepActionSpec = serde_json::from_value(json!({
            "image": "i:$(params.p)", "script": "echo $(params.p)", "params": [{"name": "p"}],
            "env": [{"name": "E", "value": "$(params.p)"}],
        }))
        .unwrap();
        act(&mut step, action.clone()).unwrap();
        assert_eq!(
            (&*step.image, &*step.script, step.on_error.as_deref()),
            ("i:1", "echo $(params.p)", Some("continue"))
        );
        assert_eq!(step.env[0].value.as_deref(), Some("1"));
        let mut extra: Step = serde_json::from_value(json!({
            "name": "a", "params": [{"name": "p", "value": "1"}, {"name": "q", "value": "1"}],
        }))
        .unwrap();
        assert!(act(&mut extra, action).unwrap_err().message.contains("no parameter \"q\""));
    }
}
