//! The containers of steps and sidecars (section 2.1).

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{Container, EnvVar};
use pipelines_engine_api::reasons::TaskRunReason;
use pipelines_engine_api::{Sidecar, TaskSpec};

use super::command::{self, Common};
use super::scripts::Scripts;
use super::template::with_template;
use crate::task_run::prepare::{Fault, step_name};
use crate::task_run::status::SIDECAR;

/// What an image runs by itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Image {
    /// By digest.
    pub reference: String,
    /// By platform (`os/architecture[/variant]`): its entrypoint, and its command.
    pub platforms: BTreeMap<String, Program>,
}

/// `ENTRYPOINT` and `CMD` of an image.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Program {
    pub entrypoint: Vec<String>,
    pub command: Vec<String>,
}

impl Image {
    /// What the entrypoint reads from its environment: the command for each platform, in JSON. An image's `CMD` counts
    /// only where the step has no arguments.
    fn commands(&self, has_args: bool) -> String {
        let of_one = |program: &Program| {
            let mut words = program.entrypoint.clone();
            if !has_args || program.entrypoint.is_empty() {
                words.extend(program.command.iter().cloned());
            }
            words
        };
        let all: BTreeMap<_, _> =
            self.platforms.iter().map(|(platform, program)| (platform, of_one(program))).collect();
        serde_json::to_string(&all).unwrap_or_default()
    }
}

/// The step at `index`, without the engine's own volumes.
pub(super) fn step(
    index: usize,
    spec: &TaskSpec,
    common: &Common,
    scripts: &mut Scripts,
    images: &BTreeMap<String, Image>,
) -> Result<Container, Fault> {
    let step = &with_template(&spec.steps[index], spec.step_template.as_ref());
    let name = step_name(step, index);
    let mut image = step.image.clone();
    let mut env = step.env.clone();
    let own_command = if step.script.is_empty() {
        step.command.clone()
    } else {
        vec![scripts.add("script", index, &step.script)]
    };
    if own_command.is_empty() {
        let Some(found) = images.get(&image) else {
            return Err(Fault {
                reason: TaskRunReason::TaskRunValidationFailed,
                message: format!(
                    "[User error] step {name:?} has no command, and that of image {image:?} is not known"
                ),
            });
        };
        env.push(EnvVar {
            name: "TEKTON_PLATFORM_COMMANDS".to_owned(),
            value: Some(found.commands(!step.args.is_empty())),
            ..EnvVar::default()
        });
        image.clone_from(&found.reference);
    }
    let made = working_folder(&step.working_dir);
    let args = command::args(
        common,
        &command::Step {
            index,
            command: &own_command,
            args: &step.args,
            on_error: step.on_error.as_deref(),
            timeout: step.timeout.as_deref(),
            stdout: step.stdout_config.as_ref().map(|output| output.path.as_str()),
            stderr: step.stderr_config.as_ref().map(|output| output.path.as_str()),
            working_dir: made.as_deref(),
            results: step.results.iter().map(|result| result.name.as_str()).collect(),
        },
        spec,
    );
    Ok(Container {
        name,
        image: Some(image).filter(|image| !image.is_empty()),
        command: Some(vec![command::ENTRYPOINT.to_owned()]),
        args: Some(args),
        working_dir: Some(step.working_dir.clone()).filter(|path| !path.is_empty() && made.is_none()),
        env: list(env),
        env_from: list(step.env_from.clone()),
        resources: step.compute_resources.clone(),
        volume_mounts: list(step.volume_mounts.clone()),
        volume_devices: list(step.volume_devices.clone()),
        image_pull_policy: step.image_pull_policy.clone(),
        security_context: step.security_context.clone(),
        termination_message_path: Some(command::TERMINATION_PATH.to_owned()),
        ..Container::default()
    })
}

/// A sidecar, without the engine's own volumes.
pub(super) fn sidecar(index: usize, sidecar: &Sidecar, scripts: &mut Scripts) -> Container {
    let command = if sidecar.script.is_empty() {
        sidecar.command.clone()
    } else {
        vec![scripts.add("sidecar-script", index, &sidecar.script)]
    };
    let name: String = format!("{SIDECAR}{}", sidecar.name).chars().take(63).collect();
    Container {
        name: name.trim_end_matches(|c: char| !c.is_ascii_alphanumeric()).to_owned(),
        image: Some(sidecar.image.clone()).filter(|image| !image.is_empty()),
        command: list(command),
        args: list(sidecar.args.clone()),
        working_dir: Some(sidecar.working_dir.clone()).filter(|path| !path.is_empty()),
        ports: list(sidecar.ports.clone()),
        env: list(sidecar.env.clone()),
        env_from: list(sidecar.env_from.clone()),
        resources: sidecar.compute_resources.clone(),
        volume_mounts: list(sidecar.volume_mounts.clone()),
        volume_devices: list(sidecar.volume_devices.clone()),
        liveness_probe: sidecar.liveness_probe.clone(),
        readiness_probe: sidecar.readiness_probe.clone(),
        startup_probe: sidecar.startup_probe.clone(),
        lifecycle: sidecar.lifecycle.clone(),
        termination_message_path: sidecar.termination_message_path.clone(),
        termination_message_policy: sidecar.termination_message_policy.clone(),
        image_pull_policy: sidecar.image_pull_policy.clone(),
        security_context: sidecar.security_context.clone(),
        stdin: sidecar.stdin,
        stdin_once: sidecar.stdin_once,
        tty: sidecar.tty,
        ..Container::default()
    }
}

/// A folder that may not be there when the step begins: below /workspace, where a relative one is. The entrypoint makes it as
/// the step's user; the runtime would make it as root's, and refuses a relative one.
fn working_folder(path: &str) -> Option<String> {
    const WORKSPACE: &str = "/workspace/";
    match path {
        "" => None,
        path if path.starts_with(WORKSPACE) => Some(path.to_owned()),
        path if path.starts_with('/') => None,
        path => Some(format!("{WORKSPACE}{path}")),
    }
}

fn list<T>(list: Vec<T>) -> Option<Vec<T>> {
    Some(list).filter(|list| !list.is_empty())
}
