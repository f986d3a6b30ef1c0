//! The fields of a Task that values are put into.

use k8s_openapi::api::core::v1::{EnvFromSource, EnvVar, VolumeMount};
use pipelines_engine_api::{Sidecar, Step, StepTemplate, TaskSpec};

use super::Replacements;
use super::pipeline::in_when;
use super::volumes::in_volume;

/// Puts values into all of a Task's fields that take them.
pub fn in_task(spec: &mut TaskSpec, with: &Replacements) {
    for step in &mut spec.steps {
        in_step(step, with);
    }
    if let Some(template) = &mut spec.step_template {
        in_template(template, with);
    }
    for sidecar in &mut spec.sidecars {
        in_sidecar(sidecar, with);
    }
    for volume in &mut spec.volumes {
        in_volume(volume, with);
    }
    for workspace in &mut spec.workspaces {
        with.in_string(&mut workspace.mount_path);
    }
    for result in &mut spec.results {
        if let Some(value) = &mut result.value {
            with.in_value(value);
        }
    }
}

/// Puts values into one step.
pub fn in_step(step: &mut Step, with: &Replacements) {
    with.in_string(&mut step.name);
    with.in_string(&mut step.display_name);
    with.in_string(&mut step.image);
    with.in_option(&mut step.image_pull_policy);
    with.in_list(&mut step.command);
    with.in_list(&mut step.args);
    with.in_string(&mut step.working_dir);
    with.in_string(&mut step.script);
    with.in_option(&mut step.on_error);
    in_environment(&mut step.env_from, &mut step.env, with);
    step.volume_mounts.iter_mut().for_each(|mount| in_mount(mount, with));
    for output in [&mut step.stdout_config, &mut step.stderr_config].into_iter().flatten() {
        with.in_string(&mut output.path);
    }
    with.in_params(&mut step.params);
    if let Some(reference) = &mut step.ref_ {
        with.in_params(&mut reference.params);
    }
    in_when(&mut step.when, with);
}

fn in_template(template: &mut StepTemplate, with: &Replacements) {
    with.in_string(&mut template.image);
    with.in_option(&mut template.image_pull_policy);
    with.in_list(&mut template.command);
    with.in_list(&mut template.args);
    with.in_string(&mut template.working_dir);
    in_environment(&mut template.env_from, &mut template.env, with);
    template.volume_mounts.iter_mut().for_each(|mount| in_mount(mount, with));
}

fn in_sidecar(sidecar: &mut Sidecar, with: &Replacements) {
    with.in_string(&mut sidecar.name);
    with.in_string(&mut sidecar.image);
    with.in_option(&mut sidecar.image_pull_policy);
    with.in_list(&mut sidecar.command);
    with.in_list(&mut sidecar.args);
    with.in_string(&mut sidecar.working_dir);
    with.in_string(&mut sidecar.script);
    in_environment(&mut sidecar.env_from, &mut sidecar.env, with);
    sidecar.volume_mounts.iter_mut().for_each(|mount| in_mount(mount, with));
}

fn in_environment(sources: &mut [EnvFromSource], variables: &mut [EnvVar], with: &Replacements) {
    for source in sources {
        with.in_option(&mut source.prefix);
        if let Some(config_map) = &mut source.config_map_ref {
            with.in_string(&mut config_map.name);
        }
        if let Some(secret) = &mut source.secret_ref {
            with.in_string(&mut secret.name);
        }
    }
    for variable in variables {
        with.in_option(&mut variable.value);
        let Some(from) = &mut variable.value_from else { continue };
        if let Some(secret) = &mut from.secret_key_ref {
            with.in_string(&mut secret.name);
            with.in_string(&mut secret.key);
        }
        if let Some(config_map) = &mut from.config_map_key_ref {
            with.in_string(&mut config_map.name);
            with.in_string(&mut config_map.key);
        }
    }
}

fn in_mount(mount: &mut VolumeMount, with: &Replacements) {
    with.in_string(&mut mount.name);
    with.in_string(&mut mount.mount_path);
    with.in_option(&mut mount.sub_path);
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn reaches_every_field_that_takes_values() {
        let v = "$(params.x)";
        let mut spec: TaskSpec = serde_json::from_value(json!({
            "steps": [{
                "name": v, "image": v, "imagePullPolicy": v, "command": [v], "args": [v], "workingDir": v,
                "script": v, "onError": v,
                "env": [
                    {"name": "a", "value": v},
                    {"name": "b", "valueFrom": {"secretKeyRef": {"name": v, "key": v}}},
                    {"name": "c", "valueFrom": {"configMapKeyRef": {"name": v, "key": v}}},
                ],
                "envFrom": [{"prefix": v, "configMapRef": {"name": v}}, {"secretRef": {"name": v}}],
                "volumeMounts": [{"name": v, "mountPath": v, "subPath": v}],
                "stdoutConfig": {"path": v}, "stderrConfig": {"path": v},
                "params": [{"name": "p", "value": v}],
            }],
            "stepTemplate": {"image": v, "env": [{"name": "a", "value": v}]},
            "sidecars": [{"name": v, "image": v, "script": v, "args": [v]}],
            "volumes": [
                {"name": v, "configMap": {"name": v, "items": [{"key": v, "path": v}]}},
                {"name": "s", "secret": {"secretName": v, "items": [{"key": v, "path": v}]}},
                {"name": "p", "persistentVolumeClaim": {"claimName": v}},
                {"name": "r", "projected": {"sources": [
                    {"configMap": {"name": v}}, {"secret": {"name": v}},
                    {"serviceAccountToken": {"audience": v, "path": "token"}},
                ]}},
                {"name": "c", "csi": {
                    "driver": "d", "nodePublishSecretRef": {"name": v}, "volumeAttributes": {"a": v},
                }},
            ],
            "workspaces": [{"name": "w", "mountPath": v}],
        }))
        .unwrap();
        let mut with = Replacements::default();
        with.set_param("x", &"value".into());
        in_task(&mut spec, &with);
        let text = serde_json::to_string(&spec).unwrap();
        assert!(!text.contains("$("), "{text}");
    }

    #[test]
    fn leaves_names_of_declarations_alone() {
        let mut spec: TaskSpec = serde_json::from_value(json!({
            "params": [{"name": "x", "default": "$(params.x)"}],
            "results": [{"name": "r", "description": "$(params.x)"}],
        }))
        .unwrap();
        let before = spec.clone();
        let mut with = Replacements::default();
        with.set_param("x", &"value".into());
        in_task(&mut spec, &with);
        assert_eq!(spec, before);
    }
}
