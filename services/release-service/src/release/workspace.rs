//! The volume of a run (spec, section 4.4). Pure.

use k8s_openapi::api::core::v1::{
    EmptyDirVolumeSource, PersistentVolumeClaim, PersistentVolumeClaimSpec, VolumeResourceRequirements,
};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use pipelines_engine_api::WorkspaceBinding;
use regex::{Regex, RegexBuilder};
use release_service_api::pipeline::PipelineRef;
use release_service_api::release_service_config::EmptyDirOverride;
use release_service_api::{Phase, ReleaseServiceConfigSpec};

use super::revision::Written;

/// Bytes that a pattern may become: it is an administrator's, and no reason to fill the memory.
const PATTERN: usize = 1 << 20;

/// How the service's workspaces are called, and how large they are.
#[derive(Clone, Copy, Debug)]
pub(super) struct Settings<'a> {
    pub(super) name: &'a str,
    pub(super) size: &'a str,
    pub(super) config: &'a ReleaseServiceConfigSpec,
}

/// The workspace of a run. The error names the setting that is no size.
pub(super) fn workspace(
    settings: Settings<'_>,
    phase: Phase,
    pipeline: &PipelineRef,
) -> Result<WorkspaceBinding, String> {
    if !is_size(settings.size) {
        return Err(format!(
            "DEFAULT_RELEASE_WORKSPACE_SIZE of release-service is {:?}, which is no size; write it as 1Gi",
            settings.size
        ));
    }
    let mut binding = WorkspaceBinding { name: settings.name.to_owned(), ..WorkspaceBinding::default() };
    if is_without_volume(settings.config, phase, pipeline) {
        binding.empty_dir = Some(EmptyDirVolumeSource {
            size_limit: Some(Quantity(settings.size.to_owned())),
            ..EmptyDirVolumeSource::default()
        });
    } else {
        binding.volume_claim_template = Some(claim(settings.size));
    }
    Ok(binding)
}

/// Patterns of the settings that are none. They match nothing.
pub(super) fn broken_patterns(config: &ReleaseServiceConfigSpec) -> impl Iterator<Item = &str> {
    let patterns = config.empty_dir_overrides.iter().flat_map(|given| [&given.url, &given.revision]);
    patterns.map(String::as_str).filter(|text| pattern(text).is_none())
}

fn claim(size: &str) -> PersistentVolumeClaim {
    let requests = [("storage".to_owned(), Quantity(size.to_owned()))].into();
    PersistentVolumeClaim {
        spec: Some(PersistentVolumeClaimSpec {
            access_modes: Some(vec!["ReadWriteOnce".to_owned()]),
            resources: Some(VolumeResourceRequirements {
                requests: Some(requests),
                ..VolumeResourceRequirements::default()
            }),
            ..PersistentVolumeClaimSpec::default()
        }),
        ..PersistentVolumeClaim::default()
    }
}

/// Tenants choose for their own pipelines; for all, the settings do.
fn is_without_volume(config: &ReleaseServiceConfigSpec, phase: Phase, pipeline: &PipelineRef) -> bool {
    let is_chosen = matches!(phase, Phase::Tenant | Phase::Final) && pipeline.use_empty_dir == Some(true);
    let is_overridden = || {
        Written::of(pipeline)
            .and_then(Result::ok)
            .is_some_and(|written| config.empty_dir_overrides.iter().any(|given| matches(given, &written)))
    };
    is_chosen || is_overridden()
}

/// The patterns match anywhere in the text, as they always did.
fn matches(given: &EmptyDirOverride, written: &Written) -> bool {
    let is_in = |text: &str, value: &str| pattern(text).is_some_and(|pattern| pattern.is_match(value));
    given.path_in_repo == written.path
        && is_in(&given.url, &written.url)
        && is_in(&given.revision, &written.revision)
}

fn pattern(text: &str) -> Option<Regex> {
    RegexBuilder::new(text).size_limit(PATTERN).build().ok()
}

/// Whether it is a quantity of Kubernetes that is more than nothing: a decimal number, then a suffix or an exponent.
fn is_size(text: &str) -> bool {
    const SUFFIXES: [&str; 15] =
        ["", "n", "u", "m", "k", "M", "G", "T", "P", "E", "Ki", "Mi", "Gi", "Ti", "Pi"];
    let text = text.strip_prefix('+').unwrap_or(text);
    let end = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (number, suffix) = text.split_at(end);
    let is_number = number.bytes().any(|byte| byte.is_ascii_digit()) && number.matches('.').count() <= 1;
    let is_exponent = suffix.strip_prefix(['e', 'E']).is_some_and(|exponent| exponent.parse::<i16>().is_ok());
    let is_something = number.bytes().any(|byte| matches!(byte, b'1'..=b'9'));
    is_number && is_something && (is_exponent || suffix == "Ei" || SUFFIXES.contains(&suffix))
}

#[cfg(test)]
mod tests {
    use rstest::rstest;
    use serde_json::{Value, json};

    use super::super::work::testing::git;
    use super::*;

    fn bound(size: &str, phase: Phase, pipeline: Value, overrides: &Value) -> Result<Value, String> {
        let config = serde_json::from_value(json!({"EmptyDirOverrides": overrides})).unwrap();
        let settings = Settings { name: "release-workspace", size, config: &config };
        let pipeline = serde_json::from_value(pipeline).unwrap();
        workspace(settings, phase, &pipeline).map(|binding| serde_json::to_value(binding).unwrap())
    }

    #[test]
    fn is_a_volume_that_one_node_has() {
        let binding = bound("2Gi", Phase::Managed, git("main"), &json!([])).unwrap();
        assert_eq!(binding["name"], "release-workspace");
        assert_eq!(
            binding["volumeClaimTemplate"]["spec"],
            json!({"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "2Gi"}}})
        );
        assert_eq!(binding["emptyDir"], Value::Null);
    }

    fn chosen(revision: &str) -> Value {
        let mut pipeline = git(revision);
        pipeline["useEmptyDir"] = json!(true);
        pipeline
    }

    fn given(url: &str, revision: &str, path: &str) -> Value {
        json!([{"url": url, "revision": revision, "pathInRepo": path}])
    }

    const PUSH: &str = "pipelines/push/push.yaml";

    #[rstest]
    #[case::chosen_by_the_tenant(Phase::Tenant, chosen("main"), &json!([]), true)]
    #[case::chosen_for_the_end(Phase::Final, chosen("main"), &json!([]), true)]
    #[case::not_for_the_managed_one(Phase::Managed, chosen("main"), &json!([]), false)]
    #[case::not_chosen(Phase::Tenant, git("main"), &json!([]), false)]
    #[case::set(Phase::Managed, git("main"), &given("git\\.example/.*", "^(main|production)$", PUSH), true)]
    #[case::second_is_set(
        Phase::Managed,
        git("main"),
        &json!([{"url": "x", "revision": "x", "pathInRepo": "x"}, {"url": "git", "revision": "main", "pathInRepo": PUSH}]),
        true
    )]
    #[case::other_repository(Phase::Managed, git("main"), &given("^https://other/", "main", PUSH), false)]
    #[case::other_revision(Phase::Managed, git("main"), &given("git", "^production$", PUSH), false)]
    #[case::other_path(Phase::Managed, git("main"), &given("git", "main", "pipelines/push"), false)]
    #[case::path_is_no_pattern(Phase::Managed, git("main"), &given("git", "main", ".*"), false)]
    #[case::broken_pattern(Phase::Managed, git("main"), &given("(", "main", PUSH), false)]
    #[case::not_from_git(
        Phase::Managed, json!({"resolver": "bundles", "params": []}), &given("", "", ""), false
    )]
    fn may_do_without_a_volume(
        #[case] phase: Phase,
        #[case] pipeline: Value,
        #[case] overrides: &Value,
        #[case] expected: bool,
    ) {
        let binding = bound("1Gi", phase, pipeline, overrides).unwrap();
        let empty = if expected { json!({"sizeLimit": "1Gi"}) } else { Value::Null };
        assert_eq!((&binding["emptyDir"], binding["volumeClaimTemplate"].is_null()), (&empty, expected));
    }

    #[rstest]
    #[case("1Gi", true)]
    #[case("500M", true)]
    #[case("0.5Ti", true)]
    #[case("1e9", true)]
    #[case("+1E", true)]
    #[case("1E+3", true)]
    #[case("1073741824", true)]
    #[case("3Ei", true)]
    #[case("", false)]
    #[case("Gi", false)]
    #[case("1GiB", false)]
    #[case("1gi", false)]
    #[case("1.5.0Gi", false)]
    #[case("-1Gi", false)]
    #[case("0", false)]
    #[case("1 Gi", false)]
    #[case("large", false)]
    fn knows_sizes(#[case] size: &str, #[case] expected: bool) {
        let bound = bound(size, Phase::Managed, git("main"), &json!([]));
        match bound {
            Ok(_) => assert!(expected, "{size}"),
            Err(error) => {
                assert!(!expected && error.contains("DEFAULT_RELEASE_WORKSPACE_SIZE"), "{error}");
            }
        }
    }

    #[test]
    fn finds_broken_patterns() {
        let overrides = json!([{"url": "(", "revision": ".*"}, {"url": "a", "revision": "["}]);
        let config: ReleaseServiceConfigSpec =
            serde_json::from_value(json!({"EmptyDirOverrides": overrides})).unwrap();
        assert_eq!(broken_patterns(&config).collect::<Vec<_>>(), ["(", "["]);
    }
}
