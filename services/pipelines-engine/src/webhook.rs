//! What the API server asks before it stores an object (specification of the API, section 5).
//!
//! ```text
//! /defaulting            names of fields made right, defaults filled in, annotations of chains dropped
//! /resource-validation   refused with HTTP 400 and upstream's words
//! /config-validation     ConfigMaps of the engine's configuration
//! /resource-conversion   v1beta1 ◀─▶ v1
//! ```
//! The configurations ask for `v1` only: the API server converts what is written in other versions before it asks, and
//! back afterwards. Being away stops nobody: the controllers fill in and check the same.

use std::sync::Arc;

use fleet::webhook::{Operation, Review, Verdict, Webhooks};
use k8s_openapi::api::core::v1::ConfigMap;
use kube::ResourceExt as _;
use pipelines_engine_api::{
    CustomRun, Pipeline, PipelineRun, ResolutionRequest, StepAction, Task, TaskRun, VerificationPolicy, crds,
};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use tekton::decode::Mistyped;
use tekton::{conversion, decode};

use crate::config::{Config, Names};
use crate::resolution::Settings;
use crate::{defaults, validation};

/// Path of the webhook that fills objects in.
pub const DEFAULTING_PATH: &str = "/defaulting";

/// Path of the webhook that checks objects.
pub const VALIDATION_PATH: &str = "/resource-validation";

/// Path of the webhook that checks ConfigMaps.
pub const CONFIG_PATH: &str = "/config-validation";

/// The configuration as it is at this moment.
pub type CurrentConfig = Arc<dyn Fn() -> Arc<Config> + Send + Sync>;

/// The webhooks of the engine.
pub fn webhooks(config: CurrentConfig, names: Names) -> Webhooks {
    let of_defaulting = config.clone();
    Webhooks::new()
        .mutate(DEFAULTING_PATH, move |review: &Review<Value>| default(review, &of_defaulting()))
        .validate(VALIDATION_PATH, move |review: &Review<Value>| validate(review, &config()))
        .validate(CONFIG_PATH, move |review: &Review<ConfigMap>| validate_config(review, &names))
        .convert(crds::CONVERSION_PATH, conversion::convert)
}

/// Fills in the object of a review.
fn default(review: &Review<Value>, config: &Config) -> Verdict {
    let Some(object) = review.object.as_ref().filter(|object| !is_dying(object)) else {
        return Verdict::Allow;
    };
    let on_create = review.operation == Operation::Create;
    match defaulted(object, &review.kind.kind, config, on_create) {
        Ok(filled) => {
            let patch = json_patch::diff(object, &filled);
            if patch.0.is_empty() { Verdict::Allow } else { Verdict::Patch(patch) }
        }
        Err(error) => Verdict::refuse(format!("mutation failed: cannot decode incoming new object: {error}")),
    }
}

/// `object` with its names made right and its gaps filled. Kinds without defaults, and those that are unknown, have
/// their names made right at most.
fn defaulted(object: &Value, kind: &str, config: &Config, on_create: bool) -> Result<Value, decode::Error> {
    let mut object = object.clone();
    decode::normalise(&mut object, kind)?;
    match kind {
        "Task" => filled::<Task>(object, |task| defaults::task(task, config)),
        "Pipeline" => filled::<Pipeline>(object, |pipeline| defaults::pipeline(pipeline, config)),
        "TaskRun" => filled::<TaskRun>(object, |run| defaults::task_run(run, config, on_create)),
        "PipelineRun" => filled::<PipelineRun>(object, |run| defaults::pipeline_run(run, config, on_create)),
        "StepAction" => filled::<StepAction>(object, defaults::step_action),
        "CustomRun" => filled::<CustomRun>(object, |run| defaults::custom_run(run, config)),
        _ => Ok(object),
    }
}

/// Changes in `object` what `fill` changes in its type. Nothing else, for the type may not say all that the object says.
fn filled<K: Serialize + DeserializeOwned>(
    mut object: Value,
    fill: impl FnOnce(&mut K),
) -> Result<Value, decode::Error> {
    let mut typed: K = decode::typed(object.clone())?;
    let json = |typed: &K| {
        serde_json::to_value(typed)
            .map_err(|error| Mistyped { path: String::new(), reason: error.to_string() })
    };
    let before = json(&typed)?;
    fill(&mut typed);
    overlay(&mut object, &before, json(&typed)?);
    Ok(object)
}

/// Makes `object` differ from what it was as `after` differs from `before`.
fn overlay(object: &mut Value, before: &Value, after: Value) {
    match (object, before, after) {
        (_, before, after) if *before == after => {}
        (Value::Object(object), Value::Object(before), Value::Object(after)) => {
            object.retain(|key, _| !before.contains_key(key) || after.contains_key(key));
            for (key, value) in after {
                let old = before.get(&key).unwrap_or(&Value::Null);
                overlay(object.entry(key).or_insert(Value::Null), old, value);
            }
        }
        (Value::Array(object), Value::Array(before), Value::Array(after))
            if object.len() == before.len() && before.len() == after.len() =>
        {
            for ((object, before), after) in object.iter_mut().zip(before).zip(after) {
                overlay(object, before, after);
            }
        }
        (object, _, after) => *object = after,
    }
}

/// Checks the object of a review.
fn validate(review: &Review<Value>, config: &Config) -> Verdict {
    let Some(object) = review.object.as_ref().filter(|object| !is_dying(object)) else {
        return Verdict::Allow;
    };
    let before = review.old_object.as_ref();
    match faults(object, before, &review.kind.kind, config) {
        Ok(errors) if errors.is_empty() => Verdict::Allow,
        Ok(errors) => Verdict::refuse(format!("validation failed: {errors}")),
        Err(error) => {
            Verdict::refuse(format!("validation failed: cannot decode incoming new object: {error}"))
        }
    }
}

/// Whatever still changes in such an object is the end of something that was valid once.
fn is_dying(object: &Value) -> bool {
    !object["metadata"]["deletionTimestamp"].is_null()
}

fn faults(
    object: &Value,
    before: Option<&Value>,
    kind: &str,
    config: &Config,
) -> Result<validation::Errors, decode::Error> {
    // Also what the other webhook was not asked about is checked as it would have been filled in.
    let object = defaulted(object, kind, config, false)?;
    // A stored object may be older than a rule, or than a default. One that cannot even be read binds nobody.
    let before = before.and_then(|before| defaulted(before, kind, config, false).ok());
    Ok(match kind {
        "Task" => validation::task(&decode::typed(object)?, stored::<Task>(before).as_ref(), config),
        "Pipeline" => validation::pipeline(&decode::typed(object)?, config),
        "TaskRun" => {
            validation::task_run(&decode::typed(object)?, stored::<TaskRun>(before).as_ref(), config)
        }
        "PipelineRun" => {
            validation::pipeline_run(&decode::typed(object)?, stored::<PipelineRun>(before).as_ref(), config)
        }
        "StepAction" => validation::step_action(&decode::typed(object)?, config),
        "CustomRun" => validation::custom_run(&decode::typed::<CustomRun>(object)?),
        "ResolutionRequest" => validation::resolution_request(&decode::typed::<ResolutionRequest>(object)?),
        "VerificationPolicy" => {
            validation::verification_policy(&decode::typed::<VerificationPolicy>(object)?)
        }
        _ => validation::Errors::none(),
    })
}

fn stored<K: DeserializeOwned>(before: Option<Value>) -> Option<K> {
    before.and_then(|before| decode::typed(before).ok())
}

/// A configuration that cannot be read would leave the last good one in force, unseen.
fn validate_config(review: &Review<ConfigMap>, names: &Names) -> Verdict {
    let Some(map) = &review.object else { return Verdict::Allow };
    let data = map.data.clone().unwrap_or_default();
    let name = map.name_any();
    let fault = match names.read(&name, &data, &mut Config::default()) {
        Ok(true) => None,
        Ok(false) => Settings::check(&name, &data).err(),
        Err(fault) => Some(fault),
    };
    fault.map_or(Verdict::Allow, |fault| Verdict::refuse(format!("validation failed: {fault}")))
}

#[cfg(test)]
mod tests;
