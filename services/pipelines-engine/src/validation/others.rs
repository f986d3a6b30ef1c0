//! The smaller kinds: StepActions, CustomRuns, ResolutionRequests, VerificationPolicies.

use pipelines_engine_api::custom_run::CANCELLED;
use pipelines_engine_api::{
    CustomRunSpec, ResolutionRequest, StepActionSpec, VerificationPolicySpec, labels,
};

use super::errors::Errors;
use super::variables::{self, Declared};
use super::{gates, params, step, workspace};
use crate::config::Config;
use crate::substitution::references;

pub(super) fn step_action(spec: &StepActionSpec, config: &Config) -> Errors {
    let mut errors =
        gates::flag(config.features.step_actions, "enable-step-actions", "to use StepActions.", "");
    errors.add_if(spec.image.is_empty(), || Errors::missing("image"));
    errors.add_if(!spec.script.is_empty() && !spec.command.is_empty(), || {
        Errors::message("script cannot be used with command", &["script"])
    });
    // A value in a script is code: who gives a parameter would choose what runs.
    let in_script = references::in_text(&spec.script).any(|found| found.starts_with("params"));
    errors
        .add_if(in_script, || Errors::message("param substitution in scripts is not allowed.", &["script"]));
    errors.add(params::declarations(&spec.params, config));
    for (index, result) in spec.results.iter().enumerate() {
        let wrong = params::result(&result.name, result.effective_type(), &result.properties);
        errors.add(wrong.via_index("results", index));
    }
    for (index, mount) in spec.volume_mounts.iter().enumerate() {
        let mut names = references::in_text(&mount.name);
        let is_one = names
            .next()
            .is_some_and(|found| found.starts_with("params") && mount.name == format!("$({found})"));
        errors.add_if(!is_one, || {
            let message = format!("expect the Name to be a single param reference, but got {:?}", mount.name);
            Errors::message(message, &["name"]).via_index("volumeMounts", index)
        });
    }
    let mut declared = Declared::default();
    declared.add_specs(&spec.params);
    let as_step = pipelines_engine_api::Step {
        image: spec.image.clone(),
        command: spec.command.clone(),
        args: spec.args.clone(),
        env: spec.env.clone(),
        working_dir: spec.working_dir.clone(),
        volume_mounts: spec.volume_mounts.clone(),
        ..Default::default()
    };
    errors.add(variables::params(&super::task::Container::of_step(&as_step).texts(), &declared));
    errors
}

pub(super) fn custom_run(spec: &CustomRunSpec) -> Errors {
    let mut errors = Errors::none();
    match (&spec.custom_ref, &spec.custom_spec) {
        (None, None) => errors.add(Errors::missing_one_of(&["customRef", "customSpec"])),
        (Some(_), Some(_)) => errors.add(Errors::multiple_one_of(&["customRef", "customSpec"])),
        _ => {}
    }
    let reference = spec.custom_ref.as_ref().map(|of| ("customRef", &of.api_version, &of.kind));
    let inline = spec.custom_spec.as_ref().map(|of| ("customSpec", &of.api_version, &of.kind));
    for (field, api_version, kind) in reference.into_iter().chain(inline) {
        errors.add_if(api_version.is_empty(), || Errors::missing("apiVersion").via_field(field));
        errors.add_if(kind.is_empty(), || Errors::missing("kind").via_field(field));
    }
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
    if let Some(retries) = spec.retries.filter(|retries| *retries < 0) {
        errors.add(Errors::invalid(format_args!("{retries} should be >= 0"), "retries"));
    }
    if let Some(timeout) = &spec.timeout {
        errors.add(step::timeout_of(timeout, "timeout", "should be >= 0"));
    }
    errors.add(params::given(&spec.params));
    errors.add(workspace::bindings(&spec.workspaces));
    errors
}

pub(super) fn resolution_request(request: &ResolutionRequest) -> Errors {
    let key = labels::RESOLVER_TYPE.as_str();
    let type_ = request.metadata.labels.as_ref().and_then(|labels| labels.get(key));
    let mut errors = Errors::none();
    errors.add_if(type_.is_none_or(String::is_empty), || Errors::missing(&format!("metadata.labels.{key}")));
    errors.add(params::given(&request.spec.params).via_field("spec"));
    errors
}

pub(super) fn verification_policy(spec: &VerificationPolicySpec) -> Errors {
    let mut errors = Errors::none();
    errors.add_if(spec.resources.is_empty(), || Errors::missing("resources"));
    for (index, resource) in spec.resources.iter().enumerate() {
        errors
            .add_if(resource.pattern.is_empty(), || Errors::missing("pattern").via_index("resources", index));
    }
    errors.add_if(spec.authorities.is_empty(), || Errors::missing("authorities"));
    for (index, authority) in spec.authorities.iter().enumerate() {
        let key = authority.key.clone().unwrap_or_default();
        let sources = [
            ("secretref", key.secret_ref.is_some()),
            ("data", !key.data.is_empty()),
            ("kms", !key.kms.is_empty()),
        ];
        let set: Vec<&str> =
            sources.into_iter().filter(|(_, is_set)| *is_set).map(|(name, _)| name).collect();
        let mut wrong = Errors::none();
        match set.as_slice() {
            [] => wrong.add(Errors::missing_one_of(&["data", "kms", "secretref"])),
            [_] => {}
            several => wrong.add(Errors::multiple_one_of(several)),
        }
        let algorithms = ["", "sha224", "sha256", "sha384", "sha512"];
        wrong.add_if(!algorithms.contains(&key.hash_algorithm.to_lowercase().as_str()), || {
            Errors::invalid(&key.hash_algorithm, "hashAlgorithm")
        });
        errors.add(wrong.via_field("key").via_index("authorities", index));
    }
    errors.add_if(!["", "enforce", "warn"].contains(&spec.mode.as_str()), || {
        Errors::invalid(format_args!("{} should be enforce or warn", spec.mode), "mode")
    });
    errors
}
