//! Parameters of a run, in the order in which pipelines have always got them (spec, sections 4.4 and 4.9). Pure.

use std::collections::BTreeSet;

use fleet::ObjectKey;
use pipelines_engine_api::Param;
use release_service_api::{Phase, ReleaseServiceConfigSpec, params as names};

use super::observe::{Defaults, Seen};
use super::work::Work;

/// `collectorsResourceType`.
const PLAN: &str = "releaseplan";
const ADMISSION: &str = "releaseplanadmission";

/// Where the pipeline and its tasks come from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Source {
    pub(super) url: String,
    pub(super) commit: String,
}

/// All parameters of the run. The error says what is missing, or what is given twice.
pub(super) fn params(
    seen: &Seen,
    work: &Work,
    oci_storage: Option<&str>,
    source: Option<&Source>,
) -> Result<Vec<Param>, String> {
    let mut params = match work.phase {
        Phase::TenantCollectors | Phase::ManagedCollectors => of_collectors(seen, work.phase)?,
        Phase::Tenant | Phase::Final => of_tenant(seen),
        Phase::Managed => of_managed(seen)?,
    };
    params.extend(work.params.iter().map(|param| Param::new(param.name.as_str(), param.value.as_str())));
    if let Some(Source { url, commit }) = source {
        params.push(Param::new(names::TASK_GIT_URL, url.as_str()));
        params.push(Param::new(names::TASK_GIT_REVISION, commit.as_str()));
    }
    params.extend(oci_storage.map(|storage| Param::new(names::OCI_STORAGE, storage)));
    unique(&params, work)?;
    Ok(params)
}

fn of_tenant(seen: &Seen) -> Vec<Param> {
    vec![release(seen), plan(seen), snapshot(seen)]
}

fn of_managed(seen: &Seen) -> Result<Vec<Param>, String> {
    let config = ObjectKey::new(seen.service_namespace.as_str(), ReleaseServiceConfigSpec::NAME);
    let mut params = vec![
        release(seen),
        plan(seen),
        object(names::RELEASE_PLAN_ADMISSION, &admission(seen)?),
        object(names::RELEASE_SERVICE_CONFIG, &config),
        snapshot(seen),
        Param::new(names::ENTERPRISE_CONTRACT_POLICY, policy(seen)?),
    ];
    match &seen.defaults {
        Defaults::NotConfigured => {}
        Defaults::Missing(key) => return Err(format!("ConfigMap {key} does not exist")),
        Defaults::Found(data) => {
            let given = [names::VERIFY_EC_TASK_BUNDLE, names::VERIFY_EC_TASK_GIT_REVISION];
            params.extend(
                given.into_iter().filter_map(|name| Some(Param::new(name, data.get(name)?.as_str()))),
            );
        }
    }
    Ok(params)
}

fn of_collectors(seen: &Seen, phase: Phase) -> Result<Vec<Param>, String> {
    let (type_, resource) = match phase {
        Phase::ManagedCollectors => (ADMISSION, admission(seen)?),
        _ => (PLAN, plan_key(seen)),
    };
    let previous = seen.previous.as_ref().map(ToString::to_string).unwrap_or_default();
    Ok(vec![
        release(seen),
        Param::new(names::PREVIOUS_RELEASE, previous),
        Param::new(names::COLLECTORS_RESOURCE_TYPE, type_),
        object(names::COLLECTORS_RESOURCE, &resource),
    ])
}

fn release(seen: &Seen) -> Param {
    object(names::RELEASE, &ObjectKey::of(&*seen.release))
}

fn plan(seen: &Seen) -> Param {
    object(names::RELEASE_PLAN, &plan_key(seen))
}

fn plan_key(seen: &Seen) -> ObjectKey {
    ObjectKey::of(&*seen.release).sibling(seen.release.spec.release_plan.as_str())
}

fn snapshot(seen: &Seen) -> Param {
    object(names::SNAPSHOT, &ObjectKey::of(&*seen.release).sibling(seen.release.spec.snapshot.as_str()))
}

fn admission(seen: &Seen) -> Result<ObjectKey, String> {
    let admission = seen.admission().ok_or("there is no ReleasePlanAdmission any more")?;
    Ok(ObjectKey::of(&**admission))
}

/// As it is stored: a field that this program does not know may matter to the one that judges.
fn policy(seen: &Seen) -> Result<String, String> {
    let missing = || {
        let named = seen
            .admission()
            .map(|admission| ObjectKey::of(&**admission).sibling(admission.spec.policy.as_str()).to_string());
        format!("EnterpriseContractPolicy {} does not exist", named.unwrap_or_default())
    };
    let policy = seen.policy.as_ref().ok_or_else(missing)?;
    Ok(policy.data.get("spec").map_or_else(|| "{}".to_owned(), ToString::to_string))
}

fn object(name: &str, key: &ObjectKey) -> Param {
    Param::new(name, key.to_string())
}

/// The engine would refuse a parameter that is given twice, in words that do not say where it stands.
fn unique(params: &[Param], work: &Work) -> Result<(), String> {
    let mut names = BTreeSet::new();
    match params.iter().find(|param| !names.insert(param.name.as_str())) {
        Some(twice) => Err(format!(
            "{}.params: {} is given twice, or is one that every run gets; give it another name",
            work.field, twice.name
        )),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;
    use serde_json::{Value, json};

    use super::super::work::testing::{git, seen};
    use super::super::work::work;
    use super::*;

    fn source() -> Source {
        Source { url: "https://git.example/catalog".to_owned(), commit: "c0ffee".to_owned() }
    }

    fn fully_seen() -> Seen {
        let pipeline = json!({"pipelineRef": git("main")});
        let mut own = pipeline.clone();
        own["params"] = json!([{"name": "mine", "value": "1"}]);
        let collectors = json!({"items": [{"name": "a", "type": "b"}]});
        let mut seen = seen(
            json!({"application": "shop", "tenantPipeline": own, "finalPipeline": own, "collectors": collectors}),
            json!({"policy": "policy", "pipeline": pipeline, "collectors": collectors}),
        );
        let bundle = (names::VERIFY_EC_TASK_BUNDLE.to_owned(), "r/ec@sha256:1".to_owned());
        seen.defaults = Defaults::Found([bundle, ("other".to_owned(), "x".to_owned())].into());
        seen
    }

    fn shown(params: &[Param]) -> Value {
        params.iter().map(|param| json!([param.name, param.value])).collect()
    }

    #[rstest]
    #[case::managed(Phase::Managed, json!([
        ["release", "tenant/shop-1"],
        ["releasePlan", "tenant/plan"],
        ["releasePlanAdmission", "managed/admission"],
        ["releaseServiceConfig", "release-service/release-service-config"],
        ["snapshot", "tenant/shop-1"],
        ["enterpriseContractPolicy", r#"{"fieldOfTomorrow":{"a":1},"name":"all"}"#],
        ["verify_ec_task_bundle", "r/ec@sha256:1"],
        ["taskGitUrl", "https://git.example/catalog"],
        ["taskGitRevision", "c0ffee"],
        ["ociStorage", "r/storage"],
    ]))]
    #[case::tenant(Phase::Tenant, json!([
        ["release", "tenant/shop-1"],
        ["releasePlan", "tenant/plan"],
        ["snapshot", "tenant/shop-1"],
        ["mine", "1"],
        ["taskGitUrl", "https://git.example/catalog"],
        ["taskGitRevision", "c0ffee"],
        ["ociStorage", "r/storage"],
    ]))]
    #[case::final_(Phase::Final, json!([
        ["release", "tenant/shop-1"],
        ["releasePlan", "tenant/plan"],
        ["snapshot", "tenant/shop-1"],
        ["mine", "1"],
        ["taskGitUrl", "https://git.example/catalog"],
        ["taskGitRevision", "c0ffee"],
        ["ociStorage", "r/storage"],
    ]))]
    #[case::tenant_collectors(Phase::TenantCollectors, json!([
        ["release", "tenant/shop-1"],
        ["previousRelease", ""],
        ["collectorsResourceType", "releaseplan"],
        ["collectorsResource", "tenant/plan"],
        ["taskGitUrl", "https://git.example/catalog"],
        ["taskGitRevision", "c0ffee"],
        ["ociStorage", "r/storage"],
    ]))]
    #[case::managed_collectors(Phase::ManagedCollectors, json!([
        ["release", "tenant/shop-1"],
        ["previousRelease", ""],
        ["collectorsResourceType", "releaseplanadmission"],
        ["collectorsResource", "managed/admission"],
        ["taskGitUrl", "https://git.example/catalog"],
        ["taskGitRevision", "c0ffee"],
        ["ociStorage", "r/storage"],
    ]))]
    fn come_in_their_order(#[case] phase: Phase, #[case] expected: Value) {
        let seen = fully_seen();
        let work = work(&seen, phase).unwrap();
        let params = params(&seen, &work, Some("r/storage"), Some(&source())).unwrap();
        assert_eq!(shown(&params), expected);
    }

    #[test]
    fn leave_out_what_there_is_not() {
        let mut seen = fully_seen();
        seen.defaults = Defaults::NotConfigured;
        let params = params(&seen, &work(&seen, Phase::Managed).unwrap(), None, None).unwrap();
        let names: Vec<&str> = params.iter().map(|param| param.name.as_str()).collect();
        assert_eq!(names.last(), Some(&"enterpriseContractPolicy"));
        assert_eq!(names.len(), 6);
    }

    #[test]
    fn tell_the_commit_of_the_verifying_task_and_the_release_before() {
        let mut seen = fully_seen();
        seen.previous = Some(ObjectKey::new("tenant", "shop-0"));
        let revision = (names::VERIFY_EC_TASK_GIT_REVISION.to_owned(), "abc".to_owned());
        seen.defaults = Defaults::Found([revision].into());
        let managed = params(&seen, &work(&seen, Phase::Managed).unwrap(), None, None).unwrap();
        assert_eq!(managed.last(), Some(&Param::new("verify_ec_task_git_revision", "abc")));
        let collected = params(&seen, &work(&seen, Phase::TenantCollectors).unwrap(), None, None).unwrap();
        assert_eq!(collected[1], Param::new("previousRelease", "tenant/shop-0"));
    }

    fn without_policy(seen: &mut Seen) {
        seen.policy = None;
    }

    fn without_defaults(seen: &mut Seen) {
        seen.defaults = Defaults::Missing(ObjectKey::new("ec", "defaults"));
    }

    #[rstest]
    #[case::policy(without_policy, "EnterpriseContractPolicy managed/policy does not exist")]
    #[case::defaults(without_defaults, "ConfigMap ec/defaults does not exist")]
    fn say_what_is_missing(#[case] without: fn(&mut Seen), #[case] expected: &str) {
        let mut seen = fully_seen();
        let work = work(&seen, Phase::Managed).unwrap();
        without(&mut seen);
        assert_eq!(params(&seen, &work, None, None).unwrap_err(), expected);
    }

    #[rstest]
    #[case::of_every_run("release")]
    #[case::of_the_repository("taskGitUrl")]
    #[case::twice("mine")]
    fn are_given_once(#[case] name: &str) {
        let seen = fully_seen();
        let mut work = work(&seen, Phase::Tenant).unwrap();
        work.params.push(super::super::work::param((name, "x")));
        let error = params(&seen, &work, None, Some(&source())).unwrap_err();
        let place = "ReleasePlan tenant/plan, spec.tenantPipeline.params";
        assert!(error.starts_with(&format!("{place}: {name} is given twice")), "{error}");
    }
}
