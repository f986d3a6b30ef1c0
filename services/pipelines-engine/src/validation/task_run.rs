//! TaskRuns (specification of the API, section 5.2).

use pipelines_engine_api::task_run::{CANCELLED, TaskRunDebug};
use pipelines_engine_api::{TaskRun, TaskRunSpec};

use super::errors::Errors;
use super::run::{self, Stage};
use super::variables::Declared;
use super::{gates, params, reference, step, task, workspace};
use crate::config::{Config, Stability};

/// `before` is the stored run on an update, with the same defaults filled in.
pub(super) fn run(given: &TaskRun, before: Option<&TaskRun>, config: &Config) -> Errors {
    if let Some(before) = before {
        // Finalizers, labels and annotations change when a run is long over.
        if given.spec == before.spec {
            return Errors::none();
        }
        let status = before.status.as_ref();
        let conditions = status.map(|status| status.conditions.as_slice()).unwrap_or_default();
        let stage = Stage::of(status.is_some_and(|status| status.start_time.is_some()), conditions);
        let expected = TaskRunSpec {
            status: given.spec.status.clone(),
            status_message: given.spec.status_message.clone(),
            ..before.spec.clone()
        };
        let wrong = run::change(stage, "TaskRun", given.spec == expected, "status and statusMessage");
        if !wrong.is_empty() {
            return wrong;
        }
        if given.spec.managed_by != before.spec.managed_by {
            return Errors::invalid("managedBy is immutable", "spec.managedBy");
        }
    }
    spec(&given.spec, config).via_field("spec")
}

fn spec(spec: &TaskRunSpec, config: &Config) -> Errors {
    let mut errors = Errors::none();
    match (&spec.task_ref, &spec.task_spec) {
        (None, None) => errors.add(Errors::missing_one_of(&["taskRef", "taskSpec"])),
        (Some(_), Some(_)) => errors.add(Errors::multiple_one_of(&["taskRef", "taskSpec"])),
        _ => {}
    }
    if let Some(reference) = &spec.task_ref {
        errors.add(reference::task(reference, config).via_field("taskRef"));
    }
    if let Some(inline) = &spec.task_spec {
        errors.add_if(config.features.disable_inline_spec.contains("taskrun"), || {
            Errors::disallowed("taskSpec")
        });
        let mut declared = Declared::default();
        declared.add_given(&spec.params);
        let mut wrong = task::spec(inline, None, config);
        wrong.add(task::references(inline, &declared));
        errors.add(wrong.via_field("taskSpec"));
    }
    errors.add(params::given(&spec.params));
    errors.add(workspace::bindings(&spec.workspaces));
    if let Some(debug) = &spec.debug {
        errors.add(debug_of(debug, config));
    }
    errors.add(run::overrides(&spec.step_specs, "stepSpecs", config));
    errors.add(run::overrides(&spec.sidecar_specs, "sidecarSpecs", config));
    errors.add(run::resources(spec.compute_resources.is_some(), &spec.step_specs, config));
    errors.add(run::pod_template(spec.pod_template.as_ref(), config));
    errors.add_if(!["", CANCELLED].contains(&spec.status.as_str()), || {
        Errors::invalid(format_args!("{} should be {CANCELLED}", spec.status), "status")
    });
    errors.add_if(spec.status.is_empty() && !spec.status_message.is_empty(), || {
        let message = format!(
            "statusMessage should not be set if status is not set, but it is currently set to {}",
            spec.status_message
        );
        Errors::invalid(message, "statusMessage")
    });
    errors.add_if(spec.retries < 0, || {
        Errors::invalid(format_args!("{} should be >= 0", spec.retries), "retries")
    });
    if let Some(timeout) = &spec.timeout {
        errors.add(step::timeout_of(timeout, "timeout", "should be >= 0"));
    }
    errors
}

fn debug_of(debug: &TaskRunDebug, config: &Config) -> Errors {
    let mut errors = gates::stability(config, "debug", Stability::Alpha, "debug");
    if let Some(breakpoints) = &debug.breakpoints {
        errors.add_if(!["", "enabled"].contains(&breakpoints.on_failure.as_str()), || {
            let message = format!(
                "{} is not a valid onFailure breakpoint value. The only allowed value is \"enabled\"",
                breakpoints.on_failure
            );
            Errors::invalid(message, "debug.breakpoints.onFailure")
        });
    }
    errors
}
