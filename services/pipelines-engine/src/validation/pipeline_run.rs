//! PipelineRuns (specification of the API, section 5.2).

use std::collections::BTreeSet;

use pipelines_engine_api::pipeline_run::{
    CANCELLED, CANCELLED_RUN_FINALLY, PENDING, PipelineTaskRunSpec, STOPPED_RUN_FINALLY, TimeoutFields,
};
use pipelines_engine_api::{GoDuration, PipelineRun, PipelineRunSpec};

use super::errors::Errors;
use super::run::{self, Stage};
use super::variables::Declared;
use super::{params, pipeline, reference, step, workspace};
use crate::config::Config;
use crate::substitution::references;

/// `before` is the stored run on an update, with the same defaults filled in.
pub(super) fn run(given: &PipelineRun, before: Option<&PipelineRun>, config: &Config) -> Errors {
    if let Some(before) = before {
        // Finalizers, labels and annotations change when a run is long over.
        if given.spec == before.spec {
            return Errors::none();
        }
        let stage = stage(before);
        let wrong = run::change(stage, "PipelineRun", only_status(&given.spec, &before.spec), "status");
        if !wrong.is_empty() {
            return wrong;
        }
        if given.spec.managed_by != before.spec.managed_by {
            return Errors::invalid("managedBy is immutable", "spec.managedBy");
        }
        if given.spec.status == PENDING && stage != Stage::Waiting {
            return Errors::invalid("PipelineRun cannot be Pending after it is started", "spec.status");
        }
    }
    spec(&given.spec, config).via_field("spec")
}

fn stage(run: &PipelineRun) -> Stage {
    let status = run.status.as_ref();
    let conditions = status.map(|status| status.conditions.as_slice()).unwrap_or_default();
    Stage::of(status.is_some_and(|status| status.start_time.is_some()), conditions)
}

fn only_status(given: &PipelineRunSpec, before: &PipelineRunSpec) -> bool {
    let expected = PipelineRunSpec { status: given.status.clone(), ..before.clone() };
    *given == expected
}

fn spec(spec: &PipelineRunSpec, config: &Config) -> Errors {
    let mut errors = Errors::none();
    match (&spec.pipeline_ref, &spec.pipeline_spec) {
        (None, None) => errors.add(Errors::missing_one_of(&["pipelineRef", "pipelineSpec"])),
        (Some(_), Some(_)) => errors.add(Errors::multiple_one_of(&["pipelineRef", "pipelineSpec"])),
        _ => {}
    }
    if let Some(reference) = &spec.pipeline_ref {
        errors.add(reference::pipeline(reference, config).via_field("pipelineRef"));
    }
    if let Some(inline) = &spec.pipeline_spec {
        errors.add_if(config.features.disable_inline_spec.contains("pipelinerun"), || {
            Errors::disallowed("pipelineSpec")
        });
        let mut declared = Declared::default();
        declared.add_given(&spec.params);
        let mut wrong = pipeline::spec(inline, config);
        wrong.add(pipeline::references(inline, &declared));
        errors.add(wrong.via_field("pipelineSpec"));
    }
    errors.add(params::given(&spec.params));
    for param in &spec.params {
        let found: Vec<_> = references::results_in_value(&param.value).collect();
        errors.add_if(!found.is_empty(), || {
            let shown = references::in_value(&param.value).join(" ");
            let message =
                format!("cannot use result expressions in [{shown}] as PipelineRun parameter values");
            Errors::invalid(message, "value").via_key("params", &param.name)
        });
    }
    if let Some(timeouts) = &spec.timeouts {
        errors.add(timeouts_of(timeouts, config).via_field("timeouts"));
    }
    errors.add(status(&spec.status));
    errors.add(workspace::bindings(&spec.workspaces));
    errors.add(
        run::pod_template(spec.task_run_template.pod_template.as_ref(), config).via_field("taskRunTemplate"),
    );
    let mut names = BTreeSet::new();
    for (index, of_task) in spec.task_run_specs.iter().enumerate() {
        let mut wrong = task_run_spec(of_task, config);
        wrong.add_if(!names.insert(&of_task.pipeline_task_name), || {
            Errors::multiple_one_of(&["pipelineTaskName"])
        });
        errors.add(wrong.via_index("taskRunSpecs", index));
    }
    errors
}

fn task_run_spec(spec: &PipelineTaskRunSpec, config: &Config) -> Errors {
    let mut errors = run::overrides(&spec.step_specs, "stepSpecs", config);
    errors.add(run::overrides(&spec.sidecar_specs, "sidecarSpecs", config));
    errors.add(run::resources(spec.compute_resources.is_some(), &spec.step_specs, config));
    errors.add(run::pod_template(spec.pod_template.as_ref(), config));
    if let Some(timeout) = &spec.timeout {
        errors.add(step::timeout_of(timeout, "timeout", "should be >= 0"));
    }
    errors
}

fn status(status: &str) -> Errors {
    let known = ["", CANCELLED, CANCELLED_RUN_FINALLY, STOPPED_RUN_FINALLY, PENDING];
    if known.contains(&status) {
        return Errors::none();
    }
    let message = format!(
        "{status} should be {CANCELLED}, {CANCELLED_RUN_FINALLY}, {STOPPED_RUN_FINALLY} or {PENDING}"
    );
    Errors::invalid(message, "status")
}

fn timeouts_of(timeouts: &TimeoutFields, config: &Config) -> Errors {
    let mut errors = Errors::none();
    let fields =
        [("pipeline", &timeouts.pipeline), ("tasks", &timeouts.tasks), ("finally", &timeouts.finally)];
    for (field, timeout) in fields {
        if let Some(timeout) = timeout {
            errors.add(step::timeout_of(timeout, field, "should be >= 0"));
        }
    }
    if !errors.is_empty() {
        return errors;
    }
    let parsed = |text: &Option<String>| text.as_ref().and_then(|text| text.parse::<GoDuration>().ok());
    let pipeline = parsed(&timeouts.pipeline);
    let than = if pipeline.is_some() { "pipeline duration" } else { "default timeout duration" };
    // Without limit, anything fits.
    let Some(whole) = pipeline.unwrap_or(config.defaults.timeout).limit() else { return errors };
    let (tasks, finally) = (parsed(&timeouts.tasks), parsed(&timeouts.finally));
    for (field, part) in [("tasks", tasks), ("finally", finally)] {
        let Some(part) = part else { continue };
        match part.limit() {
            None => {
                errors.add(Errors::invalid(format_args!("{part} (no timeout) should be <= {than}"), field));
            }
            Some(limit) if limit > whole => {
                errors.add(Errors::invalid(format_args!("{part} should be <= {than}"), field));
            }
            Some(_) => {}
        }
    }
    let sum = |part: Option<GoDuration>| part.and_then(GoDuration::limit);
    if let (Some(tasks_limit), Some(finally_limit)) = (sum(tasks), sum(finally))
        && errors.is_empty()
        && tasks_limit.saturating_add(finally_limit) > whole
    {
        let (tasks, finally) = (GoDuration::from(tasks_limit), GoDuration::from(finally_limit));
        let message = format!("invalid value: {tasks} + {finally} should be <= {than}");
        errors.add(Errors::message(message, &["tasks", "finally"]));
    }
    errors
}
