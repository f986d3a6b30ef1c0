use rstest::rstest;
use serde_json::{Value, json};

use super::super::work::testing;
use super::*;
use crate::matching::Mismatch;

const AUTHOR: &str = "release.appstudio.openshift.io/author";
const AUTOMATED: &str = "release.appstudio.openshift.io/automated";

fn managed_pipeline(resolver: &str) -> Value {
    json!({"pipelineRef": {"resolver": resolver, "params": []}})
}

/// One that is in order: by a plan with a target, whose admission runs a pipeline.
fn good() -> Seen {
    with(
        json!({"application": "shop", "target": "managed"}),
        json!({"origin": "tenant", "applications": ["shop"], "policy": "strict", "pipeline": managed_pipeline("git")}),
    )
}

fn with(plan: Value, admission: Value) -> Seen {
    let mut seen = testing::seen(plan, admission);
    let snapshot =
        json!({"metadata": {"name": "shop-1", "namespace": "tenant"}, "spec": {"application": "shop"}});
    seen.snapshot = Some(Arc::new(serde_json::from_value(snapshot).unwrap()));
    label(&mut seen, AUTHOR, "ann");
    seen
}

fn label(seen: &mut Seen, key: &str, value: &str) {
    let release = Arc::make_mut(&mut seen.release);
    release.metadata.labels.get_or_insert_default().insert(key.to_owned(), value.to_owned());
}

fn relabel_admission(seen: &mut Seen, key: &str, value: &str) {
    let mut admission = (**seen.admission().unwrap()).clone();
    admission.metadata.labels.get_or_insert_default().insert(key.to_owned(), value.to_owned());
    seen.admission = Some(Ok(Arc::new(admission)));
}

fn plan_of(seen: &mut Seen) -> &mut ReleasePlan {
    Arc::make_mut(seen.plan.as_mut().unwrap())
}

/// A pipeline of the plan itself.
fn own(seen: &mut Seen, resolver: &str) {
    let pipeline = serde_json::from_value(managed_pipeline(resolver)).unwrap();
    plan_of(seen).spec.tenant_pipeline = Some(pipeline);
}

#[rstest]
#[case::as_it_should_be(|_: &mut Seen| {}, "managed")]
#[case::tenant_pipeline_alone(
    |seen: &mut Seen| {
        own(seen, "git");
        plan_of(seen).spec.target = None;
        seen.admission = Some(Err(Mismatch::NoTarget));
        (seen.policy, seen.defaults) = (None, Defaults::Missing(ObjectKey::new("ec", "d")));
    },
    "tenant"
)]
#[case::admission_without_pipeline_needs_no_policy(
    |seen: &mut Seen| {
        own(seen, "git");
        let mut admission = (**seen.admission().unwrap()).clone();
        admission.spec.pipeline = None;
        seen.admission = Some(Ok(Arc::new(admission)));
        seen.policy = None;
    },
    "managed"
)]
#[case::for_debugging(
    |seen: &mut Seen| {
        own(seen, "cluster");
        Arc::make_mut(&mut seen.config).spec.debug = Some(true);
    },
    "managed"
)]
#[case::defaults_are_there(|seen: &mut Seen| seen.defaults = Defaults::Found([].into()), "managed")]
fn is_valid(#[case] change: fn(&mut Seen), #[case] target: &str) {
    let mut seen = good();
    change(&mut seen);
    let attribution = Attribution { author: Some("ann".to_owned()), standing_authorization: None };
    assert_eq!(validate(&seen), Verdict::Valid { attribution, target: target.to_owned() });
}

#[rstest]
#[case::service_without_namespace(|seen: &mut Seen| seen.service_namespace.clear(), &["SERVICE_NAMESPACE env var not set"])]
#[case::no_plan(|seen: &mut Seen| { seen.plan = None; seen.admission = None; }, &["ReleasePlan tenant/plan not found", "spec.releasePlan"])]
#[case::nothing_to_run(
    |seen: &mut Seen| { plan_of(seen).spec.target = None; seen.admission = Some(Err(Mismatch::NoTarget)); },
    &["ReleasePlan tenant/plan runs no pipeline", "spec.tenantPipeline", "spec.target"]
)]
#[case::empty_target(
    |seen: &mut Seen| { plan_of(seen).spec.target = Some(String::new()); }, &["ReleasePlan tenant/plan runs no pipeline"]
)]
#[case::admission_without_pipeline(
    |seen: &mut Seen| {
        let mut admission = (**seen.admission().unwrap()).clone();
        admission.spec.pipeline = None;
        seen.admission = Some(Ok(Arc::new(admission)));
    },
    &["ReleasePlanAdmission managed/admission has no spec.pipeline"]
)]
#[case::no_admission(
    |seen: &mut Seen| seen.admission = Some(Err(Mismatch::None {
        target: "managed".to_owned(), origin: "tenant".to_owned(), application: "shop".to_owned(),
    })),
    &["managed", "tenant", "shop"]
)]
#[case::no_admission_though_there_is_a_tenant_pipeline(
    |seen: &mut Seen| {
        own(seen, "git");
        seen.admission = Some(Err(Mismatch::Named { cause: "not for you".to_owned() }));
    },
    &["not for you"]
)]
#[case::disabled(
    |seen: &mut Seen| relabel_admission(seen, "release.appstudio.openshift.io/auto-release", "false"),
    &["ReleasePlanAdmission managed/admission takes no Releases", "auto-release"]
)]
#[case::blocked(
    |seen: &mut Seen| relabel_admission(seen, "release.appstudio.openshift.io/block-releases", "true"),
    &["ReleasePlanAdmission managed/admission takes no Releases", "block-releases"]
)]
#[case::blocked_though_there_is_a_tenant_pipeline(
    |seen: &mut Seen| {
        own(seen, "git");
        relabel_admission(seen, "release.appstudio.openshift.io/block-releases", "true");
    },
    &["takes no Releases"]
)]
#[case::no_defaults(
    |seen: &mut Seen| seen.defaults = Defaults::Missing(ObjectKey::new("ec", "d")), &["ConfigMap ec/d not found", "ENTERPRISE_CONTRACT_CONFIG_MAP"]
)]
#[case::no_policy(|seen: &mut Seen| seen.policy = None, &["EnterpriseContractPolicy managed/strict not found", "spec.policy"])]
#[case::no_snapshot(|seen: &mut Seen| seen.snapshot = None, &["Snapshot tenant/shop-1 not found", "spec.snapshot"])]
#[case::snapshot_of_another_application(
    |seen: &mut Seen| Arc::make_mut(seen.snapshot.as_mut().unwrap()).spec.application = "bank".to_owned(),
    &["Snapshot tenant/shop-1 is of Application bank", "ReleasePlan tenant/plan releases Application shop"]
)]
#[case::no_author(
    |seen: &mut Seen| { Arc::make_mut(&mut seen.release).metadata.labels = None; }, &["no author found for manual release"]
)]
#[case::never_said_to_be_automated(|seen: &mut Seen| label(seen, AUTOMATED, "true"), &["automated not set in status for automated release"])]
#[case::tenant_pipeline_of_the_cluster(|seen: &mut Seen| own(seen, "cluster"), &["tried using debug only options"])]
#[case::final_pipeline_of_the_cluster(
    |seen: &mut Seen| plan_of(seen).spec.final_pipeline = Some(serde_json::from_value(managed_pipeline("cluster")).unwrap()),
    &["tried using debug only options"]
)]
#[case::one_pipeline_of_the_cluster_behind_one_that_is_not(
    |seen: &mut Seen| {
        own(seen, "git");
        plan_of(seen).spec.final_pipeline = Some(serde_json::from_value(managed_pipeline("cluster")).unwrap());
    },
    &["tried using debug only options"]
)]
#[case::managed_pipeline_of_the_cluster(
    |seen: &mut Seen| {
        let mut admission = (**seen.admission().unwrap()).clone();
        admission.spec.pipeline = Some(serde_json::from_value(managed_pipeline("cluster")).unwrap());
        seen.admission = Some(Ok(Arc::new(admission)));
    },
    &["tried using debug only options while debug mode is disabled in the ReleaseServiceConfig"]
)]
fn is_invalid(#[case] change: fn(&mut Seen), #[case] expected: &[&str]) {
    let mut seen = good();
    change(&mut seen);
    match validate(&seen) {
        Verdict::Invalid { cause } => {
            for words in expected {
                assert!(cause.contains(words), "{cause:?} lacks {words:?}");
            }
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn waits_for_its_automation() {
    let mut seen = good();
    label(&mut seen, AUTOMATED, "true");
    let created = serde_json::from_value(json!("2024-03-01T11:59:00Z")).unwrap();
    Arc::make_mut(&mut seen.release).metadata.creation_timestamp = Some(created);
    assert_eq!(validate(&seen), Verdict::Wait(Duration::from_mins(4)));
    seen.snapshot = None;
    assert!(matches!(validate(&seen), Verdict::Invalid { .. }), "what fails before is told at once");
}
