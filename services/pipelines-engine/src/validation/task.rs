//! Tasks, wherever they are (specification of the API, section 5.2, "TaskSpec").

use std::collections::BTreeSet;

use k8s_openapi::api::core::v1::{EnvVar, VolumeMount};
use pipelines_engine_api::{ParamType, ParamValue, Sidecar, Step, TaskSpec};

use super::errors::Errors;
use super::variables::{self, Declared, Place, Text};
use super::{gates, params, step};
use crate::config::Config;
use crate::substitution::references;

/// What all Tasks have to keep to. `before` is the stored Task on an update.
pub(super) fn spec(spec: &TaskSpec, before: Option<&TaskSpec>, config: &Config) -> Errors {
    let mut errors = Errors::none();
    errors.add_if(spec.steps.is_empty(), || Errors::missing("steps"));
    errors.add(volumes(spec));
    errors.add(workspaces(spec));
    errors.add(steps(spec, before, config));
    for (index, sidecar) in spec.sidecars.iter().enumerate() {
        errors.add(sidecar_of(sidecar).via_index("sidecars", index));
    }
    errors.add(params::declarations(&spec.params, config));
    errors.add(results(spec, before, config));
    let texts = texts(spec);
    errors.add(variables::context(&texts, "context.taskRun.", &["name", "namespace", "uid"]));
    errors.add(variables::context(&texts, "context.task.", &["name", "retry-count"]));
    errors.add(result_paths(spec, &texts));
    errors
}

/// That all references to parameters are to `declared` ones, and where they can be.
pub(super) fn references(spec: &TaskSpec, declared: &Declared) -> Errors {
    let mut declared = declared.clone();
    declared.add_specs(&spec.params);
    variables::params(&texts(spec), &declared)
}

fn volumes(spec: &TaskSpec) -> Errors {
    let mut errors = Errors::none();
    let mut seen = BTreeSet::new();
    for (index, volume) in spec.volumes.iter().enumerate() {
        errors.add_if(!seen.insert(&volume.name), || {
            Errors::message(format!("multiple volumes with same name {:?}", volume.name), &["name"])
                .via_index("volumes", index)
        });
    }
    errors
}

fn workspaces(spec: &TaskSpec) -> Errors {
    let mounts = spec.steps.iter().flat_map(|step| &step.volume_mounts);
    let mounts = mounts.chain(spec.step_template.iter().flat_map(|template| &template.volume_mounts));
    let mut paths: BTreeSet<String> = mounts.map(|mount| clean(&mount.mount_path)).collect();
    let mut names = BTreeSet::new();
    let mut errors = Errors::none();
    for (index, workspace) in spec.workspaces.iter().enumerate() {
        let mut wrong = Errors::none();
        wrong.add_if(workspace.name.is_empty(), || Errors::missing("name"));
        wrong.add_if(!names.insert(workspace.name.as_str()), || {
            Errors::message(format!("workspace name {:?} must be unique", workspace.name), &["name"])
        });
        let path = clean(&workspace.path());
        wrong.add_if(!paths.insert(path.clone()), || {
            Errors::message(format!("workspace mount path {path:?} must be unique"), &["mountpath"])
        });
        errors.add(wrong.via_index("workspaces", index));
    }
    let of_steps = spec.steps.iter().map(|step| &step.workspaces).enumerate();
    let of_sidecars = spec.sidecars.iter().map(|sidecar| &sidecar.workspaces).enumerate();
    let used = of_steps.map(|used| ("steps", used)).chain(of_sidecars.map(|used| ("sidecars", used)));
    for (holder, (index, used)) in used {
        for (position, usage) in used.iter().enumerate() {
            errors.add_if(!names.contains(usage.name.as_str()), || {
                Errors::message(format!("undefined workspace {:?}", usage.name), &["name"])
                    .via_index("workspaces", position)
                    .via_index(holder, index)
            });
        }
    }
    errors
}

/// Without a slash at the end or twice.
fn clean(path: &str) -> String {
    let parts: Vec<&str> = path.split('/').filter(|part| !part.is_empty() && *part != ".").collect();
    format!("/{}", parts.join("/"))
}

fn steps(spec: &TaskSpec, before: Option<&TaskSpec>, config: &Config) -> Errors {
    let mut errors = Errors::none();
    let mut names = BTreeSet::new();
    for (index, given) in spec.steps.iter().enumerate() {
        let mut merged = given.clone();
        if let Some(template) = spec.step_template.as_ref().filter(|_| given.ref_.is_none()) {
            if merged.image.is_empty() {
                merged.image.clone_from(&template.image);
            }
            // The command of the template gives way to a script.
            if merged.command.is_empty() && merged.script.is_empty() {
                merged.command.clone_from(&template.command);
            }
        }
        let stored = before.and_then(|before| before.steps.get(index));
        let mut wrong = step::step(&merged, stored, config);
        wrong.add_if(!given.name.is_empty() && !names.insert(given.name.as_str()), || {
            Errors::invalid(&given.name, "name")
        });
        errors.add(wrong.via_index("steps", index));
    }
    errors
}

fn sidecar_of(sidecar: &Sidecar) -> Errors {
    let mut errors = Errors::none();
    errors.add_if(sidecar.name == "tekton-log-results", || {
        Errors::message(format!("Invalid: cannot use reserved sidecar name {}", sidecar.name), &["name"])
    });
    errors.add_if(sidecar.image.is_empty(), || Errors::missing("image"));
    errors.add_if(!sidecar.script.is_empty() && !sidecar.command.is_empty(), || {
        Errors::message("script cannot be used with command", &["script"])
    });
    errors
}

fn results(spec: &TaskSpec, before: Option<&TaskSpec>, config: &Config) -> Errors {
    let mut errors = Errors::none();
    for (index, result) in spec.results.iter().enumerate() {
        let mut wrong = params::result(&result.name, result.effective_type(), &result.properties);
        if let Some(value) = &result.value {
            let is_stored =
                before.and_then(|before| before.results.get(index)).is_some_and(|stored| stored == result);
            let on = config.features.step_actions || is_stored;
            wrong.add(gates::flag(
                on,
                "enable-step-actions",
                "to fetch Results from Steps using StepActions.",
                "value",
            ));
            wrong.add(result_value(value, result.effective_type(), spec));
        }
        errors.add(wrong.via_index("results", index));
    }
    errors
}

/// `$(steps.<step>.results.<result>)`, of a step that there is.
fn result_value(value: &ParamValue, type_: ParamType, spec: &TaskSpec) -> Errors {
    let Some(text) = value.as_str() else {
        let message = format!("Invalid Type. Wanted string but got: \"{}\"", value.type_());
        return Errors::message(message, &["value"]);
    };
    let reference = text.strip_prefix("$(").and_then(|rest| rest.strip_suffix(')')).and_then(|reference| {
        let rest = reference.strip_prefix("steps.")?;
        let (step, result) = rest.split_once(".results.")?;
        (!step.is_empty() && !result.is_empty() && !result.contains(['$', ')'])).then_some((step, result))
    });
    let Some((step, result)) = reference else {
        let message = format!(
            "Could not extract step name and result name. Expected value to look like $(steps.<stepName>.results.<resultName>) but got {text:?}"
        );
        return Errors::message(message, &["value"]);
    };
    let Some(found) = spec.steps.iter().find(|found| found.name == step) else {
        return Errors::message(format!("invalid reference to step {step:?}: no such step"), &["value"]);
    };
    // Of a StepAction the results are known when it is resolved.
    let declared = found.results.iter().find(|declared| declared.name == result);
    match declared {
        None if found.ref_.is_none() => {
            Errors::message(format!("step {step:?} declares no result {result:?}"), &["value"])
        }
        Some(declared) if declared.effective_type() != type_ => {
            let message = format!(
                "the result of step {step:?} is of type {}, and not {type_}",
                declared.effective_type()
            );
            Errors::message(message, &["value"])
        }
        _ => Errors::none(),
    }
}

/// `$(results.<name>.path)` in scripts is the path of something only if the result is declared.
fn result_paths(spec: &TaskSpec, texts: &[Text<'_>]) -> Errors {
    let mut errors = Errors::none();
    for text in texts.iter().filter(|text| text.path.ends_with("script")) {
        let names = references::in_text(text.content).filter_map(|reference| {
            let rest = reference.strip_prefix("results")?;
            let quoted = rest.strip_prefix("['").and_then(|rest| rest.split_once("']"));
            let quoted = quoted.or_else(|| rest.strip_prefix("[\"")?.split_once("\"]"));
            quoted.or_else(|| rest.strip_prefix('.')?.rsplit_once('.')).map(|(name, _)| name)
        });
        for name in names {
            errors.add_if(!spec.results.iter().any(|result| result.name == name), || {
                Errors::message(format!("non-existent variable in {:?}", text.content), &[&text.path])
            });
        }
    }
    errors
}

/// All texts of steps and sidecars.
fn texts(spec: &TaskSpec) -> Vec<Text<'_>> {
    let steps = spec.steps.iter().map(Container::of_step).enumerate();
    let sidecars = spec.sidecars.iter().map(Container::of_sidecar).enumerate();
    let all = steps.map(|(index, of)| (format!("steps[{index}]"), of));
    let all = all.chain(sidecars.map(|(index, of)| (format!("sidecars[{index}]"), of)));
    let mut texts: Vec<Text<'_>> = Vec::new();
    for (path, container) in all {
        texts.extend(
            container.texts().into_iter().map(|text| Text { path: format!("{path}.{}", text.path), ..text }),
        );
    }
    texts
}

/// What steps and sidecars have in common.
pub(super) struct Container<'a> {
    name: &'a str,
    image: &'a str,
    working_dir: &'a str,
    script: &'a str,
    command: &'a [String],
    args: &'a [String],
    env: &'a [EnvVar],
    mounts: &'a [VolumeMount],
    params: &'a [pipelines_engine_api::Param],
}

impl<'a> Container<'a> {
    pub(super) fn of_step(step: &'a Step) -> Self {
        Self {
            name: &step.name,
            image: &step.image,
            working_dir: &step.working_dir,
            script: &step.script,
            command: &step.command,
            args: &step.args,
            env: &step.env,
            mounts: &step.volume_mounts,
            params: &step.params,
        }
    }

    fn of_sidecar(sidecar: &'a Sidecar) -> Self {
        Self {
            name: &sidecar.name,
            image: &sidecar.image,
            working_dir: &sidecar.working_dir,
            script: &sidecar.script,
            command: &sidecar.command,
            args: &sidecar.args,
            env: &sidecar.env,
            mounts: &sidecar.volume_mounts,
            params: &[],
        }
    }

    /// With paths within the container.
    pub(super) fn texts(&self) -> Vec<Text<'a>> {
        let mut texts = Vec::new();
        let mut add = |path: String, content: &'a str, place| texts.push(Text { path, content, place });
        for (field, text) in [
            ("name", self.name),
            ("image", self.image),
            ("workingDir", self.working_dir),
            ("script", self.script),
        ] {
            add(field.to_owned(), text, Place::Text);
        }
        for (field, list) in [("command", self.command), ("args", self.args)] {
            for (index, element) in list.iter().enumerate() {
                add(format!("{field}[{index}]"), element, Place::Element);
            }
        }
        for variable in self.env {
            let text = variable.value.as_deref().unwrap_or_default();
            add(format!("env[{}]", variable.name), text, Place::Text);
        }
        for (index, mount) in self.mounts.iter().enumerate() {
            add(format!("volumeMounts[{index}].name"), &mount.name, Place::Text);
            add(format!("volumeMounts[{index}].mountPath"), &mount.mount_path, Place::Text);
            add(
                format!("volumeMounts[{index}].subPath"),
                mount.sub_path.as_deref().unwrap_or_default(),
                Place::Text,
            );
        }
        for param in self.params {
            texts.extend(variables::of_value(&format!("params[{}]", param.name), &param.value));
        }
        texts
    }
}
