//! One step of a Task.

use pipelines_engine_api::{GoDuration, Step};

use super::errors::Errors;
use super::task::Container;
use super::variables::Text;
use super::{gates, names, params, pipeline_task, reference};
use crate::config::{Config, Stability};
use crate::substitution::references;

/// `before` is the same step of the stored Task, if there is one: what it was allowed to have then it may keep, so that
/// turning a feature off breaks nothing.
pub(super) fn step(step: &Step, before: Option<&Step>, config: &Config) -> Errors {
    let mut errors = what_to_run(step, before, config);
    errors.add_if(!step.name.is_empty() && !names::is_dns_label(&step.name), || {
        Errors::detailed(
            format!("invalid value {:?}", step.name),
            &["name"],
            "Task step name must be a valid DNS Label, For more info refer to https://kubernetes.io/docs/concepts/\
             overview/working-with-objects/names/#names",
        )
    });
    if let Some(timeout) = &step.timeout {
        errors.add(timeout_of(timeout, "timeout", "negative timeout"));
    }
    for (index, mount) in step.volume_mounts.iter().enumerate() {
        let mut wrong = Errors::none();
        let is_ours =
            mount.mount_path.starts_with("/tekton/") && !mount.mount_path.starts_with("/tekton/home");
        wrong.add_if(is_ours, || {
            let message = format!(
                "volumeMount cannot be mounted under /tekton/ (volumeMount {:?} mounted at {:?})",
                mount.name, mount.mount_path
            );
            Errors::message(message, &["mountPath"])
        });
        wrong.add_if(mount.name.starts_with("tekton-internal-"), || {
            let message = format!("volumeMount name {:?} cannot start with \"tekton-internal-\"", mount.name);
            Errors::message(message, &["name"])
        });
        errors.add(wrong.via_index("volumeMounts", index));
    }
    if let Some(on_error) = &step.on_error {
        let is_valid =
            ["", "continue", "stopAndFail"].contains(&on_error.as_str()) || on_error.contains("$(params");
        errors.add_if(!is_valid, || {
            Errors::detailed(
                format!("invalid value: {on_error:?}"),
                &["onError"],
                "Task step onError must be either \"continue\" or \"stopAndFail\"",
            )
        });
    }
    if step.script.trim().starts_with("#!win") {
        errors.add(gates::stability(config, "windows script support", Stability::Alpha, "script"));
    }
    if step.stdout_config.is_some() {
        errors.add(gates::stability(config, "step stdout stream support", Stability::Alpha, "stdoutConfig"));
    }
    if step.stderr_config.is_some() {
        errors.add(gates::stability(config, "step stderr stream support", Stability::Alpha, "stderrConfig"));
    }
    if !step.workspaces.is_empty() {
        errors.add(gates::stability(config, "step workspaces", Stability::Beta, "workspaces"));
    }
    for (index, expression) in step.when.iter().enumerate() {
        errors.add(pipeline_task::when(expression, config).via_index("when", index));
    }
    errors.add(of_other_steps(step, config));
    errors
}

/// Image and all that goes with it, or the reference to a StepAction.
fn what_to_run(step: &Step, before: Option<&Step>, config: &Config) -> Errors {
    let actions = config.features.step_actions;
    let mut errors = Errors::none();
    if let Some(reference) = &step.ref_ {
        if before.is_none_or(|before| before.ref_ != step.ref_) {
            errors.add(gates::flag(actions, "enable-step-actions", "to reference StepActions in Steps.", ""));
        }
        errors.add(reference::task(reference, config).via_field("ref"));
        for (is_set, name, path) in [
            (!step.image.is_empty(), "image", "image"),
            (!step.command.is_empty(), "command", "command"),
            (!step.args.is_empty(), "args", "args"),
            (!step.script.is_empty(), "script", "script"),
            (!step.working_dir.is_empty(), "working dir", "workingDir"),
            (!step.env.is_empty(), "env", "env"),
            (!step.volume_mounts.is_empty(), "volumeMounts", "volumeMounts"),
            (!step.results.is_empty(), "results", "results"),
        ] {
            errors.add_if(is_set, || Errors::message(format!("{name} cannot be used with Ref"), &[path]));
        }
        errors.add(params::given(&step.params));
        return errors;
    }
    errors.add_if(!step.params.is_empty(), || {
        Errors::message("params cannot be used without Ref", &["params"])
    });
    if !step.results.is_empty() && before.is_none_or(|before| before.results != step.results) {
        errors.add(gates::flag(actions, "enable-step-actions", "in order to use Results in Steps.", ""));
    }
    errors.add_if(step.image.is_empty(), || Errors::missing("image"));
    errors.add_if(!step.script.is_empty() && !step.command.is_empty(), || {
        Errors::message("script cannot be used with command", &["script"])
    });
    for (index, result) in step.results.iter().enumerate() {
        errors.add(
            params::result(&result.name, result.effective_type(), &result.properties)
                .via_index("results", index),
        );
    }
    errors
}

/// What steps leave is put in by the entrypoint, which sees command, arguments and environment only.
fn of_other_steps(step: &Step, config: &Config) -> Errors {
    let mut errors = Errors::none();
    let mut texts: Vec<Text<'_>> = Container::of_step(step).texts();
    texts.retain(|text| {
        !["command", "args", "env", "params"].iter().any(|field| text.path.starts_with(field))
    });
    for text in &texts {
        let is_result = |reference: &str| reference.starts_with("steps.") && reference.contains(".results.");
        errors.add_if(references::in_text(text.content).any(is_result), || {
            let message =
                "stepResult substitutions are only allowed in env, command and args. Found usage in";
            Errors::message(message, &[&text.path])
        });
    }
    let is_artifact = |reference: &str| {
        reference == "step.artifacts.path"
            || (reference.starts_with("steps.")
                && (reference.contains(".outputs") || reference.contains(".inputs")))
    };
    for text in Container::of_step(step).texts() {
        if references::in_text(text.content).any(is_artifact) {
            let on = config.features.artifacts;
            errors.add(gates::flag(on, "enable-artifacts", "to use artifacts feature.", &text.path));
        }
    }
    errors
}

/// A duration that is none, or negative.
pub(super) fn timeout_of(text: &str, path: &str, negative: &str) -> Errors {
    match text.parse::<GoDuration>() {
        Ok(duration) if duration.is_negative() => {
            Errors::invalid(format_args!("{duration} {negative}"), path)
        }
        Ok(_) => Errors::none(),
        Err(error) => Errors::invalid(error, path),
    }
}
