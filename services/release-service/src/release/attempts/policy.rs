//! Whether runs of an admission may be repeated, by the settings of the service. Pure.
//!
//! ```yaml
//! retryablePipelines:
//! - url: https://git\.example/acme/release-pipelines      # regular expressions for the whole text
//!   revision: production|main
//!   pathInRepo: pipelines/push/push.yaml
//!   retryPolicy:
//!     maxRetries: 2
//!     disableOn: {tags: [latest]}
//!     mitigations:
//!       oomKill: {multiplier: 2, maxComputeResources: 8Gi}
//!       timeout: {increment: 30m, maxTimeout: 4h}
//! ```

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use pipelines_engine_api::GoDuration;
use regex::Regex;
use release_service_api::pipeline::PipelineRef;
use release_service_api::release_plan_admission::RetryInfo;
use release_service_api::release_service_config::{RetryPolicy, RetryablePipeline};
use release_service_api::{ReleasePlan, ReleasePlanAdmission, ReleaseServiceConfig};
use serde_json::Value;

use super::memory;

/// Lists below `data.mapping`, at any depth, that hold tags.
const TAGS: [&str; 2] = ["tags", "componentTags"];

/// How far the limits of an attempt may go.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Limits {
    pub(super) memory: Option<MemoryLimits>,
    pub(super) time: Option<TimeLimits>,
}

/// `mitigations.oomKill`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct MemoryLimits {
    /// `multiplier`, times a thousand.
    pub(super) thousandths: u64,
    /// `maxComputeResources`, in bytes.
    pub(super) most: Option<u64>,
}

/// `mitigations.timeout`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct TimeLimits {
    pub(super) increment: Duration,
    /// `maxTimeout`.
    pub(super) most: Option<Duration>,
}

/// Whether failed runs of this admission are repeated: `status.retryInfo`. `plans`: those that it takes. Pure.
pub(crate) fn retry_info(
    config: &ReleaseServiceConfig,
    admission: &ReleasePlanAdmission,
    plans: &[Arc<ReleasePlan>],
) -> RetryInfo {
    let not =
        |reason: String| RetryInfo { enabled: Some(false), reason: Some(reason), ..RetryInfo::default() };
    let Some(pipeline) = &admission.spec.pipeline else {
        return not("the ReleasePlanAdmission has no pipeline".to_owned());
    };
    let entry = match entry(config, &pipeline.pipeline_ref) {
        Ok(Some(entry)) => entry,
        Ok(None) => {
            return not("the pipeline is none of retryablePipelines in the ReleaseServiceConfig".to_owned());
        }
        Err(fault) => return not(fault),
    };
    let policy = entry.retry_policy.clone().unwrap_or_default();
    if let Err(fault) = read(policy.mitigations.as_ref()) {
        return not(format!("ReleaseServiceConfig, retryPolicy of {}: {fault}", entry.path_in_repo));
    }
    let Some(max_retries) = pipeline.max_retries.or(policy.max_retries).filter(|count| *count > 0) else {
        return not("maxRetries is 0 or not given".to_owned());
    };
    if let Some(tag) = disabling(&policy, admission, plans) {
        return not(format!("tag {tag} is among disableOn.tags"));
    }
    RetryInfo {
        enabled: Some(true),
        max_retries: Some(max_retries),
        mitigations: policy.mitigations,
        reason: Some("the pipeline is one of retryablePipelines in the ReleaseServiceConfig".to_owned()),
    }
}

/// How far limits may go, of one that may be repeated.
pub(super) fn limits(info: &RetryInfo) -> Limits {
    // Faults are told by `retry_info`, which then says that nothing is repeated.
    read(info.mitigations.as_ref()).unwrap_or_default()
}

/// The first entry for the pipeline. A fault names the entry that cannot be read.
fn entry<'a>(
    config: &'a ReleaseServiceConfig,
    reference: &PipelineRef,
) -> Result<Option<&'a RetryablePipeline>, String> {
    if reference.resolver != PipelineRef::GIT {
        return Ok(None);
    }
    let param = |name: &str| {
        let found = reference.params.iter().find(|param| param.name == name);
        found.map(|param| param.value.as_str()).unwrap_or_default()
    };
    for entry in &config.spec.retryable_pipelines {
        let is_it = entry.path_in_repo == param("pathInRepo")
            && is_whole(&entry.url, param("url"))?
            && is_whole(&entry.revision, param("revision"))?;
        if is_it {
            return Ok(Some(entry));
        }
    }
    Ok(None)
}

fn is_whole(expression: &str, text: &str) -> Result<bool, String> {
    let whole = Regex::new(&format!("^(?:{expression})$"));
    let whole = whole.map_err(|_| {
        format!("ReleaseServiceConfig, retryablePipelines: {expression:?} is no regular expression")
    })?;
    Ok(whole.is_match(text))
}

/// A tag that is pushed and because of which nothing is repeated.
fn disabling<'a>(
    policy: &'a RetryPolicy,
    admission: &ReleasePlanAdmission,
    plans: &[Arc<ReleasePlan>],
) -> Option<&'a str> {
    let disabling = &policy.disable_on.as_ref()?.tags;
    let mut pushed = BTreeSet::new();
    collect_tags(mapping(admission.spec.data.as_ref()), &mut pushed);
    for plan in plans {
        collect_tags(mapping(plan.spec.data.as_ref()), &mut pushed);
    }
    disabling.iter().map(String::as_str).find(|tag| pushed.contains(tag))
}

fn mapping(data: Option<&Value>) -> Option<&Value> {
    data?.get("mapping")
}

fn collect_tags<'a>(value: Option<&'a Value>, found: &mut BTreeSet<&'a str>) {
    match value {
        Some(Value::Array(items)) => items.iter().for_each(|item| collect_tags(Some(item), found)),
        Some(Value::Object(fields)) => {
            for (name, field) in fields {
                if TAGS.contains(&name.as_str()) {
                    found.extend(field.as_array().into_iter().flatten().filter_map(Value::as_str));
                }
                collect_tags(Some(field), found);
            }
        }
        _ => {}
    }
}

/// What `mitigations` says, or what is wrong with it.
fn read(mitigations: Option<&Value>) -> Result<Limits, String> {
    let of = |kind: &str, field: &str| mitigations?.get(kind)?.get(field).filter(|value| !value.is_null());
    let has = |kind: &str| mitigations.and_then(|all| all.get(kind)).is_some_and(|value| !value.is_null());
    let memory = has("oomKill").then(|| {
        let thousandths = of("oomKill", "multiplier")
            .and_then(|value| memory::thousandths(&text(value)))
            .filter(|thousandths| *thousandths > 1_000)
            .ok_or("mitigations.oomKill.multiplier has to be a number above 1, such as 1.5")?;
        // The original's type for it is that of a container's resources.
        let most = of("oomKill", "maxComputeResources").map(|value| {
            let amount = [value.pointer("/limits/memory"), value.get("memory"), Some(value)];
            let amount = amount.into_iter().flatten().next().map(text);
            amount
                .and_then(|amount| memory::bytes(&amount))
                .ok_or("mitigations.oomKill.maxComputeResources has to be an amount of memory, such as 8Gi")
        });
        Ok::<_, &str>(MemoryLimits { thousandths, most: most.transpose()? })
    });
    let time = has("timeout").then(|| {
        let increment = of("timeout", "increment")
            .and_then(|value| duration(&text(value)))
            .ok_or("mitigations.timeout.increment has to be a duration, such as 30m")?;
        let most = of("timeout", "maxTimeout").map(|value| {
            duration(&text(value)).ok_or("mitigations.timeout.maxTimeout has to be a duration, such as 4h")
        });
        Ok::<_, &str>(TimeLimits { increment, most: most.transpose()? })
    });
    Ok(Limits { memory: memory.transpose()?, time: time.transpose()? })
}

fn text(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

/// Of a Go duration that is not zero.
pub(super) fn duration(text: &str) -> Option<Duration> {
    text.parse::<GoDuration>().ok()?.limit()
}

#[cfg(test)]
mod tests;
