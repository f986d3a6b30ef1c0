//! The engine's configuration: ConfigMaps with upstream's names and keys (runtime specification, section 4).
//!
//! [`Config`] is a value: each reconcile looks at one from beginning to end, and a ConfigMap that cannot be read leaves
//! the last good one in force.

mod names;
pub mod observability;

use std::collections::{BTreeMap, BTreeSet};
use std::str::FromStr;
use std::time::Duration;

use k8s_openapi::api::core::v1::ResourceRequirements;
use pipelines_engine_api::{GoDuration, PodTemplate, WorkspaceBinding};
use serde::de::DeserializeOwned;

pub use self::names::{ELSEWHERE, Names};
use self::observability::Observability;

/// Value of the label `app.kubernetes.io/part-of` on the engine's ConfigMaps.
pub const PART_OF: &str = "tekton-pipelines";

/// The data of a ConfigMap.
pub type Data = BTreeMap<String, String>;

/// Everything that reconciles depend on.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Config {
    pub defaults: Defaults,
    pub features: Features,
    pub observability: Observability,
}

/// A key of a ConfigMap with a value that cannot be.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{key}: {value:?} is not valid: {expected}")]
pub struct Invalid {
    pub key: &'static str,
    pub value: String,
    /// What would be valid, with an example.
    pub expected: String,
}

/// ConfigMap `config-defaults`.
#[derive(Clone, Debug, PartialEq)]
pub struct Defaults {
    /// Of a PipelineRun, and of a TaskRun alone. `0` means none.
    pub timeout: GoDuration,
    pub service_account: String,
    pub managed_by: String,
    pub pod_template: Option<PodTemplate>,
    /// Bound where a Task needs a workspace and a TaskRun binds none.
    pub task_run_workspace: Option<WorkspaceBinding>,
    pub max_matrix_combinations: usize,
    /// Variables that no pod template may set.
    pub forbidden_env: BTreeSet<String>,
    /// Used by references that name nothing. Empty means that such are refused.
    pub resolver_type: String,
    /// By container: an exact name, `prefix-…`, or `default`.
    pub container_resources: BTreeMap<String, ResourceRequirements>,
    /// How long an image may fail to be pulled before the run fails.
    pub image_pull_backoff: Duration,
    /// How long a resolver may take.
    pub max_resolution: Duration,
}

impl Default for Defaults {
    fn default() -> Self {
        Self {
            timeout: GoDuration::from(Duration::from_hours(1)),
            service_account: "default".to_owned(),
            managed_by: "tekton-pipelines".to_owned(),
            pod_template: None,
            task_run_workspace: None,
            max_matrix_combinations: 256,
            forbidden_env: BTreeSet::new(),
            resolver_type: String::new(),
            container_resources: BTreeMap::new(),
            image_pull_backoff: Duration::ZERO,
            max_resolution: Duration::from_mins(1),
        }
    }
}

impl Defaults {
    /// Name of the ConfigMap, unless the program is told another one.
    pub const CONFIG_MAP: &str = "config-defaults";

    /// Keys that are absent have their defaults; unknown keys are ignored, as `_example` is.
    pub fn parse(data: &Data) -> Result<Self, Invalid> {
        let default = Self::default();
        // There are no affinity assistants; a template for them is read for its faults only.
        yaml::<PodTemplate>(data, "default-affinity-assistant-pod-template")?;
        if let Some(sink) = present(data, "default-cloud-events-sink") {
            return Err(Invalid {
                key: "default-cloud-events-sink",
                value: sink.to_owned(),
                expected: "nothing: this version sends no CloudEvents".to_owned(),
            });
        }
        Ok(Self {
            timeout: match data.get("default-timeout-minutes") {
                Some(text) => minutes("default-timeout-minutes", text)?,
                None => default.timeout,
            },
            service_account: text(data, "default-service-account", default.service_account),
            managed_by: text(data, "default-managed-by-label-value", default.managed_by),
            pod_template: yaml(data, "default-pod-template")?,
            task_run_workspace: yaml(data, "default-task-run-workspace-binding")?,
            max_matrix_combinations: number(
                data,
                "default-max-matrix-combinations-count",
                default.max_matrix_combinations,
            )?,
            forbidden_env: list(data, "default-forbidden-env"),
            resolver_type: text(data, "default-resolver-type", default.resolver_type),
            container_resources: yaml(data, "default-container-resource-requirements")?.unwrap_or_default(),
            image_pull_backoff: duration(
                data,
                "default-imagepullbackoff-timeout",
                default.image_pull_backoff,
            )?,
            max_resolution: duration(data, "default-maximum-resolution-timeout", default.max_resolution)?,
        })
    }
}

/// How much of the API is open, of `enable-api-fields`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, strum::EnumString, strum::Display)]
#[strum(serialize_all = "lowercase")]
pub enum Stability {
    Stable,
    #[default]
    Beta,
    Alpha,
}

/// How the entrypoint gets into pods (section 2.1, ours).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, strum::EnumString, strum::Display)]
#[strum(serialize_all = "kebab-case")]
pub enum EntrypointDelivery {
    /// The first of the others that works on this cluster.
    #[default]
    Auto,
    ImageVolume,
    #[strum(serialize = "configmap")]
    ConfigMap,
    InitContainer,
}

/// How results leave a pod, of `results-from`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, strum::EnumString, strum::Display)]
#[strum(serialize_all = "kebab-case")]
pub enum ResultsFrom {
    #[default]
    TerminationMessage,
    SidecarLogs,
}

/// ConfigMap `feature-flags`.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "each is a flag of its own, as upstream has them")]
pub struct Features {
    pub stability: Stability,
    /// Off: pods that share a claim may be put on different nodes.
    pub coschedule: bool,
    /// `coschedule` and `disable-affinity-assistant` as they were given, for provenance.
    pub coschedule_mode: String,
    pub disable_affinity_assistant: bool,
    pub disable_credentials: bool,
    pub await_sidecar_readiness: bool,
    pub injected_sidecars: bool,
    pub require_known_hosts: bool,
    pub provenance_in_status: bool,
    pub results_from: ResultsFrom,
    /// Of one result, in bytes.
    pub max_result_size: usize,
    pub set_security_context: bool,
    pub keep_pod_on_cancel: bool,
    pub cel_in_when: bool,
    pub step_actions: bool,
    pub artifacts: bool,
    pub param_enum: bool,
    /// Where inline specifications are refused: `pipeline`, `pipelinerun`, `taskrun`.
    pub disable_inline_spec: BTreeSet<String>,
    /// Has no effect without a sink, and there can be none. For provenance.
    pub cloud_events_for_runs: bool,
    pub entrypoint_delivery: EntrypointDelivery,
}

impl Default for Features {
    fn default() -> Self {
        Self {
            stability: Stability::Beta,
            coschedule: true,
            coschedule_mode: "workspaces".to_owned(),
            disable_affinity_assistant: false,
            disable_credentials: false,
            await_sidecar_readiness: true,
            injected_sidecars: false,
            require_known_hosts: false,
            provenance_in_status: true,
            results_from: ResultsFrom::TerminationMessage,
            max_result_size: 4096,
            set_security_context: true,
            keep_pod_on_cancel: false,
            cel_in_when: false,
            step_actions: true,
            artifacts: false,
            param_enum: false,
            disable_inline_spec: BTreeSet::new(),
            cloud_events_for_runs: false,
            entrypoint_delivery: EntrypointDelivery::Auto,
        }
    }
}

impl Features {
    /// Name of the ConfigMap, unless the program is told another one.
    pub const CONFIG_MAP: &str = "feature-flags";

    /// As [`Defaults::parse`].
    pub fn parse(data: &Data) -> Result<Self, Invalid> {
        let default = Self::default();
        for (key, only, why) in SETTLED {
            if let Some(value) = present(data, key).filter(|value| !only.contains(value)) {
                let expected = format!("{}: {why}", only[0]);
                return Err(Invalid { key, value: value.to_owned(), expected });
            }
        }
        let max_result_size = number(data, "max-result-size", default.max_result_size)?;
        if max_result_size >= 1_572_864 {
            return Err(Invalid {
                key: "max-result-size",
                value: max_result_size.to_string(),
                expected: "bytes, less than 1572864".to_owned(),
            });
        }
        let coschedule = text(data, "coschedule", "workspaces".to_owned());
        if !["workspaces", "pipelineruns", "isolate-pipelinerun", "disabled"].contains(&coschedule.as_str()) {
            return Err(Invalid {
                key: "coschedule",
                value: coschedule,
                expected: "one of workspaces, pipelineruns, isolate-pipelinerun, disabled".to_owned(),
            });
        }
        let disable_affinity_assistant = flag(data, "disable-affinity-assistant", false)?;
        Ok(Self {
            stability: word(data, "enable-api-fields", "one of stable, beta, alpha")?,
            coschedule: match coschedule.as_str() {
                "disabled" => false,
                "workspaces" => !disable_affinity_assistant,
                _ => true,
            },
            coschedule_mode: coschedule,
            disable_affinity_assistant,
            disable_credentials: flag(data, "disable-creds-init", default.disable_credentials)?,
            await_sidecar_readiness: flag(data, "await-sidecar-readiness", default.await_sidecar_readiness)?,
            injected_sidecars: flag(
                data,
                "running-in-environment-with-injected-sidecars",
                default.injected_sidecars,
            )?,
            require_known_hosts: flag(
                data,
                "require-git-ssh-secret-known-hosts",
                default.require_known_hosts,
            )?,
            provenance_in_status: flag(data, "enable-provenance-in-status", default.provenance_in_status)?,
            results_from: word(data, "results-from", "one of termination-message, sidecar-logs")?,
            max_result_size,
            set_security_context: flag(data, "set-security-context", default.set_security_context)?,
            keep_pod_on_cancel: flag(data, "keep-pod-on-cancel", default.keep_pod_on_cancel)?,
            cel_in_when: flag(data, "enable-cel-in-whenexpression", default.cel_in_when)?,
            step_actions: flag(data, "enable-step-actions", default.step_actions)?,
            artifacts: flag(data, "enable-artifacts", default.artifacts)?,
            param_enum: flag(data, "enable-param-enum", default.param_enum)?,
            disable_inline_spec: inline_specs(data)?,
            cloud_events_for_runs: flag(data, "send-cloudevents-for-runs", default.cloud_events_for_runs)?,
            entrypoint_delivery: word(
                data,
                "entrypoint-delivery",
                "one of auto, image-volume, configmap, init-container",
            )?,
        })
    }

    /// The flags as provenance shows them, under the names of upstream's Go fields: chains copies them.
    pub fn as_provenance(&self) -> serde_json::Value {
        serde_json::json!({
            "AwaitSidecarReadiness": self.await_sidecar_readiness,
            "Coschedule": self.coschedule_mode,
            "DisableAffinityAssistant": self.disable_affinity_assistant,
            "DisableCredsInit": self.disable_credentials,
            "DisableInlineSpec": self.disable_inline_spec.iter().cloned().collect::<Vec<_>>().join(","),
            "EnableAPIFields": self.stability.to_string(),
            "EnableArtifacts": self.artifacts,
            "EnableCELInWhenExpression": self.cel_in_when,
            "EnableKeepPodOnCancel": self.keep_pod_on_cancel,
            "EnableParamEnum": self.param_enum,
            "EnableProvenanceInStatus": self.provenance_in_status,
            "EnableStepActions": self.step_actions,
            "EnforceNonfalsifiability": "none",
            "MaxResultSize": self.max_result_size,
            "RequireGitSSHSecretKnownHosts": self.require_known_hosts,
            "ResultExtractionMethod": self.results_from.to_string(),
            "RunningInEnvWithInjectedSidecars": self.injected_sidecars,
            "SendCloudEventsForRuns": self.cloud_events_for_runs,
            "SetSecurityContext": self.set_security_context,
            "VerificationNoMatchPolicy": "ignore",
        })
    }
}

/// Flags of which this engine has one setting only: the key, the values that mean it, and why there is no other.
const SETTLED: [(&str, &[&str], &str); 4] = [
    (
        "enforce-nonfalsifiability",
        &["none"],
        "this engine has no SPIRE; who may write results is guarded by an admission policy instead",
    ),
    (
        "trusted-resources-verification-no-match-policy",
        &["ignore"],
        "this version verifies no signatures of Tasks and Pipelines",
    ),
    (
        "enable-tekton-oci-bundles",
        &["false", "0", "f", "F", "FALSE", "False"],
        "refer to bundles by the resolver `bundles`",
    ),
    (
        "enable-artifacts",
        &["false", "0", "f", "F", "FALSE", "False"],
        "this version has no artifacts; give out their digests as results",
    ),
];

fn inline_specs(data: &Data) -> Result<BTreeSet<String>, Invalid> {
    let kinds = list(data, "disable-inline-spec");
    match kinds.iter().find(|kind| !["pipeline", "pipelinerun", "taskrun"].contains(&kind.as_str())) {
        None => Ok(kinds),
        Some(unknown) => Err(Invalid {
            key: "disable-inline-spec",
            value: text(data, "disable-inline-spec", String::new()),
            expected: format!("a list of pipeline, pipelinerun, taskrun, and not {unknown:?}"),
        }),
    }
}

fn present<'a>(data: &'a Data, key: &str) -> Option<&'a str> {
    data.get(key).map(|value| value.trim()).filter(|value| !value.is_empty())
}

pub(crate) fn text(data: &Data, key: &str, default: String) -> String {
    present(data, key).map_or(default, str::to_owned)
}

pub(crate) fn list(data: &Data, key: &str) -> BTreeSet<String> {
    let words = present(data, key).unwrap_or_default().split(',');
    words.map(str::trim).filter(|word| !word.is_empty()).map(str::to_owned).collect()
}

pub(crate) fn flag(data: &Data, key: &'static str, default: bool) -> Result<bool, Invalid> {
    match present(data, key) {
        None => Ok(default),
        // What Go's ParseBool takes.
        Some("1" | "t" | "T" | "true" | "TRUE" | "True") => Ok(true),
        Some("0" | "f" | "F" | "false" | "FALSE" | "False") => Ok(false),
        Some(other) => Err(Invalid { key, value: other.to_owned(), expected: "true or false".to_owned() }),
    }
}

fn number(data: &Data, key: &'static str, default: usize) -> Result<usize, Invalid> {
    present(data, key).map_or(Ok(default), |value| {
        value.parse().map_err(|_| Invalid {
            key,
            value: value.to_owned(),
            expected: "a whole number, as 256".to_owned(),
        })
    })
}

fn word<T: FromStr + Default>(data: &Data, key: &'static str, expected: &str) -> Result<T, Invalid> {
    present(data, key).map_or_else(
        || Ok(T::default()),
        |value| {
            value.parse().map_err(|_| Invalid { key, value: value.to_owned(), expected: expected.to_owned() })
        },
    )
}

fn minutes(key: &'static str, value: &str) -> Result<GoDuration, Invalid> {
    value.trim().parse::<u32>().map(|minutes| GoDuration::from(Duration::from_mins(minutes.into()))).map_err(
        |_| Invalid {
            key,
            value: value.to_owned(),
            expected: "minutes as a whole number, as 60; 0 means no timeout".to_owned(),
        },
    )
}

pub(crate) fn duration(data: &Data, key: &'static str, default: Duration) -> Result<Duration, Invalid> {
    let Some(value) = present(data, key) else { return Ok(default) };
    match value.parse::<GoDuration>() {
        Ok(duration) if !duration.is_negative() => Ok(duration.limit().unwrap_or_default()),
        _ => Err(Invalid { key, value: value.to_owned(), expected: "a duration, as 5m or 90s".to_owned() }),
    }
}

/// By way of JSON, as Kubernetes reads YAML. The YAML reader for types as large as these would be megabytes of program.
fn yaml<T: DeserializeOwned>(data: &Data, key: &'static str) -> Result<Option<T>, Invalid> {
    let Some(value) = present(data, key) else { return Ok(None) };
    let invalid = |expected: String| Invalid { key, value: value.to_owned(), expected };
    let options = serde_saphyr::options! { strict_booleans: true, leading_zero_numbers_as_strings: true };
    let read: serde_json::Value =
        serde_saphyr::from_str_with_options(value, options).map_err(|error| invalid(error.to_string()))?;
    serde_json::from_value(read).map(Some).map_err(|error| invalid(error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    fn data(key: &str, value: &str) -> Data {
        [(key.to_owned(), value.to_owned())].into()
    }

    #[test]
    fn nothing_means_the_defaults() {
        assert_eq!(Defaults::parse(&Data::new()), Ok(Defaults::default()));
        assert_eq!(Features::parse(&Data::new()), Ok(Features::default()));
    }

    #[test]
    fn reads_what_it_is_given() {
        let defaults = Defaults::parse(&data("default-pod-template", "nodeSelector:\n  a: b\n")).unwrap();
        assert_eq!(defaults.pod_template.unwrap().node_selector["a"], "b");
        let defaults = Defaults::parse(&data("default-timeout-minutes", "5")).unwrap();
        assert_eq!(defaults.timeout.to_string(), "5m0s");
        let features = Features::parse(&data("enable-api-fields", "alpha")).unwrap();
        assert_eq!(features.stability, Stability::Alpha);
        let features = Features::parse(&data("entrypoint-delivery", "configmap")).unwrap();
        assert_eq!(features.entrypoint_delivery, EntrypointDelivery::ConfigMap);
    }

    /// Each key of the specification's section 4 that is not refused changes something.
    #[rstest]
    #[case("default-timeout-minutes", "5")]
    #[case("default-service-account", "x")]
    #[case("default-managed-by-label-value", "x")]
    #[case("default-pod-template", "nodeSelector: {a: b}")]
    #[case("default-task-run-workspace-binding", "emptyDir: {}")]
    #[case("default-max-matrix-combinations-count", "5")]
    #[case("default-forbidden-env", "A, B")]
    #[case("default-resolver-type", "git")]
    #[case("default-container-resource-requirements", "default: {requests: {cpu: 1}}")]
    #[case("default-imagepullbackoff-timeout", "5m")]
    #[case("default-maximum-resolution-timeout", "5m")]
    fn every_default_counts(#[case] key: &str, #[case] value: &str) {
        assert_ne!(Defaults::parse(&data(key, value)), Ok(Defaults::default()));
    }

    #[rstest]
    #[case("disable-affinity-assistant", "true", "DisableAffinityAssistant")]
    #[case("coschedule", "pipelineruns", "Coschedule")]
    #[case("disable-creds-init", "true", "DisableCredsInit")]
    #[case("await-sidecar-readiness", "false", "AwaitSidecarReadiness")]
    #[case("running-in-environment-with-injected-sidecars", "true", "RunningInEnvWithInjectedSidecars")]
    #[case("require-git-ssh-secret-known-hosts", "true", "RequireGitSSHSecretKnownHosts")]
    #[case("enable-api-fields", "alpha", "EnableAPIFields")]
    #[case("send-cloudevents-for-runs", "true", "SendCloudEventsForRuns")]
    #[case("enable-provenance-in-status", "false", "EnableProvenanceInStatus")]
    #[case("results-from", "sidecar-logs", "ResultExtractionMethod")]
    #[case("max-result-size", "1000", "MaxResultSize")]
    #[case("set-security-context", "false", "SetSecurityContext")]
    #[case("keep-pod-on-cancel", "true", "EnableKeepPodOnCancel")]
    #[case("enable-cel-in-whenexpression", "true", "EnableCELInWhenExpression")]
    #[case("enable-step-actions", "false", "EnableStepActions")]
    #[case("enable-param-enum", "true", "EnableParamEnum")]
    #[case("disable-inline-spec", "pipeline,taskrun", "DisableInlineSpec")]
    fn every_feature_counts_and_is_in_provenance(#[case] key: &str, #[case] value: &str, #[case] name: &str) {
        let features = Features::parse(&data(key, value)).unwrap();
        assert_ne!(features, Features::default());
        let shown = features.as_provenance()[name].clone();
        let shown = shown.as_str().map_or_else(|| shown.to_string(), str::to_owned);
        assert_eq!(shown, value);
        assert_ne!(features.as_provenance()[name], Features::default().as_provenance()[name]);
    }

    #[test]
    fn what_has_one_setting_may_be_said() {
        for (key, values, _) in SETTLED {
            for value in values {
                assert_eq!(Features::parse(&data(key, value)), Ok(Features::default()));
            }
        }
    }

    #[rstest]
    #[case("enable-api-fields", "gamma")]
    #[case("disable-creds-init", "yes")]
    #[case("max-result-size", "1572864")]
    #[case("max-result-size", "-1")]
    #[case("coschedule", "anywhere")]
    #[case("results-from", "annotations")]
    #[case("disable-inline-spec", "pipeline,everything")]
    #[case("enforce-nonfalsifiability", "spire")]
    #[case("trusted-resources-verification-no-match-policy", "fail")]
    #[case("enable-tekton-oci-bundles", "true")]
    #[case("enable-artifacts", "true")]
    fn refuses_a_feature(#[case] key: &str, #[case] value: &str) {
        let error = Features::parse(&data(key, value)).unwrap_err();
        assert_eq!(error.key, key);
        assert!(error.to_string().contains(value), "{error}");
    }

    #[rstest]
    #[case("default-timeout-minutes", "an hour")]
    #[case("default-cloud-events-sink", "http://sink")]
    #[case("default-affinity-assistant-pod-template", "- a\n")]
    #[case("default-max-matrix-combinations-count", "many")]
    #[case("default-maximum-resolution-timeout", "soon")]
    #[case("default-container-resource-requirements", "default: [a]")]
    #[case("default-task-run-workspace-binding", "emptyDir: x")]
    #[case("default-imagepullbackoff-timeout", "-5s")]
    #[case("default-pod-template", "- a\n- b\n")]
    fn refuses_a_default(#[case] key: &str, #[case] value: &str) {
        assert_eq!(Defaults::parse(&data(key, value)).unwrap_err().key, key);
    }
}
