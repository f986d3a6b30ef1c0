use super::*;
use clap::Parser as _;
use fleet::Fleet;
use kube::{Client, Config};
use prometheus::Registry;
use rstest::rstest;
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use crate::Args;

/// The stores as the service builds them, filled by hand.
fn stores(plans: &[Value], admissions: &[Value]) -> Stores {
    let args = Args::try_parse_from(["release-service", "--namespace=home", "--identity=test"]).unwrap();
    let client = Client::try_from(Config::new("http://127.0.0.1:1".parse().unwrap())).unwrap();
    let mut fleet =
        Fleet::new("release-service", args.fleet.clone(), client, Registry::new(), CancellationToken::new())
            .unwrap();
    let stores = Stores::new(&mut fleet, &args);
    for plan in plans {
        stores.plans.apply(serde_json::from_value(plan.clone()).unwrap());
    }
    for admission in admissions {
        stores.admissions.apply(serde_json::from_value(admission.clone()).unwrap());
    }
    stores
}

/// A plan of namespace `dev` for target `managed`. `named`: the admission that its label names.
fn plan(name: &str, application: &str, named: Option<&str>) -> Value {
    let labels = named.map(|named| json!({"release.appstudio.openshift.io/releasePlanAdmission": named}));
    json!({
        "metadata": {"name": name, "namespace": "dev", "resourceVersion": "1", "uid": name, "labels": labels},
        "spec": {"application": application, "target": "managed"},
    })
}

/// An admission of namespace `managed`.
fn admission(name: &str, origin: &str, applications: &[&str]) -> Value {
    json!({
        "metadata": {"name": name, "namespace": "managed", "resourceVersion": "1", "uid": name},
        "spec": {"applications": applications, "origin": origin, "policy": "p"},
    })
}

fn read<K: serde::de::DeserializeOwned>(object: &Value) -> K {
    serde_json::from_value(object.clone()).unwrap()
}

#[rstest]
#[case::the_one_that_fits(plan("p", "shop", None), &[admission("a", "dev", &["shop"])], Ok("a"))]
#[case::of_several_applications(plan("p", "shop", None), &[admission("a", "dev", &["web", "shop"])], Ok("a"))]
#[case::none_at_all(plan("p", "shop", None), &[], Err("no ReleasePlanAdmission in namespace managed admits Application shop from namespace dev"))]
#[case::of_another_tenant(plan("p", "shop", None), &[admission("a", "other", &["shop"])], Err("no ReleasePlanAdmission"))]
#[case::of_another_application(plan("p", "shop", None), &[admission("a", "dev", &["web"])], Err("admits Application shop"))]
#[case::elsewhere(plan("p", "shop", None), &[{
    let mut elsewhere = admission("a", "dev", &["shop"]);
    elsewhere["metadata"]["namespace"] = "third".into();
    elsewhere
}], Err("no ReleasePlanAdmission"))]
#[case::two(
    plan("p", "shop", None), &[admission("b", "dev", &["shop"]), admission("a", "dev", &["shop"])],
    Err("multiple ReleasePlanAdmissions in namespace managed admit Application shop from namespace dev: a, b; name one")
)]
#[case::two_of_which_one_fits(
    plan("p", "shop", None), &[admission("a", "dev", &["shop"]), admission("b", "dev", &["web"])], Ok("a")
)]
#[case::named(
    plan("p", "shop", Some("b")), &[admission("a", "dev", &["shop"]), admission("b", "dev", &["shop"])], Ok("b")
)]
#[case::named_and_missing(
    plan("p", "shop", Some("b")), &[admission("a", "dev", &["shop"])],
    Err("there is no ReleasePlanAdmission managed/b with spec.origin dev")
)]
#[case::named_of_another_tenant(
    plan("p", "shop", Some("b")), &[admission("b", "other", &["shop"])],
    Err("there is no ReleasePlanAdmission managed/b with spec.origin dev")
)]
#[case::named_of_another_application(
    plan("p", "shop", Some("b")), &[admission("b", "dev", &["web"])],
    Err("ReleasePlanAdmission managed/b does not have Application shop in spec.applications")
)]
#[case::named_by_an_empty_label(plan("p", "shop", Some("")), &[admission("a", "dev", &["shop"])], Ok("a"))]
#[case::no_application(plan("p", "", None), &[admission("a", "dev", &[""])], Err("no ReleasePlanAdmission"))]
#[tokio::test]
async fn a_plan_has_one_admission(
    #[case] plan: Value,
    #[case] admissions: &[Value],
    #[case] expected: Result<&str, &str>,
) {
    let found = admission_of(&stores(&[], admissions), &read(&plan));
    match (found, expected) {
        (Ok(found), Ok(expected)) => assert_eq!(found.name_any(), expected),
        (Err(found), Err(expected)) => {
            let found = found.to_string();
            assert!(found.contains(expected), "{found}");
        }
        (found, expected) => panic!("{found:?} instead of {expected:?}"),
    }
}

#[rstest]
#[case::absent(Value::Null)]
#[case::empty("".into())]
#[tokio::test]
async fn a_plan_without_a_target_has_none(#[case] target: Value) {
    let mut plan = plan("p", "shop", None);
    plan["spec"]["target"] = target;
    assert_eq!(admission_of(&stores(&[], &[]), &read(&plan)).unwrap_err(), Mismatch::NoTarget);
}

#[rstest]
#[case::sorted(&[plan("z", "shop", None), plan("b", "web", None)], &["b", "z"])]
#[case::without_those_that_name_another(&[plan("z", "shop", Some("other")), plan("b", "web", None)], &["b"])]
#[case::only_those_that_name_this_one(&[plan("z", "shop", Some("a")), plan("b", "web", None)], &["z"])]
#[case::of_other_applications(&[plan("z", "else", None)], &[])]
#[case::that_name_this_one_for_another_application(&[plan("z", "else", Some("a")), plan("b", "web", None)], &["b"])]
#[tokio::test]
async fn an_admission_takes_plans(#[case] plans: &[Value], #[case] expected: &[&str]) {
    let admission: ReleasePlanAdmission = read(&admission("a", "dev", &["shop", "web"]));
    let mut elsewhere = plan("elsewhere", "shop", None);
    elsewhere["metadata"]["namespace"] = "other".into();
    let mut aims_elsewhere = plan("aims-elsewhere", "shop", None);
    aims_elsewhere["spec"]["target"] = "third".into();
    let plans = [plans, &[elsewhere, aims_elsewhere]].concat();
    let found = plans_of(&stores(&plans, &[]), &admission);
    let names: Vec<_> = found.iter().map(|plan| plan.name_any()).collect();
    assert_eq!(names, expected);
}

#[tokio::test]
async fn an_admission_without_an_origin_takes_none() {
    let admission: ReleasePlanAdmission = read(&admission("a", "", &["shop"]));
    let found = plans_of(&stores(&[plan("p", "shop", None)], &[]), &admission);
    assert!(found.is_empty(), "{found:?}");
}

#[rstest]
#[case::no_label(json!({}), true)]
#[case::open(json!({"release.appstudio.openshift.io/block-releases": "false"}), true)]
#[case::blocked(json!({"release.appstudio.openshift.io/block-releases": "true"}), false)]
#[case::switched_off(json!({"release.appstudio.openshift.io/auto-release": "false"}), false)]
#[case::one_of_both(json!({
    "release.appstudio.openshift.io/auto-release": "true", "release.appstudio.openshift.io/block-releases": "true",
}), false)]
fn is_switched_off_by_either_label(#[case] labels: Value, #[case] expected: bool) {
    let mut admission = admission("a", "dev", &["shop"]);
    admission["metadata"]["labels"] = labels;
    assert_eq!(is_active(&read(&admission)), expected);
}

/// A change on one side finds the other side also where the two do not match yet, or any more.
#[tokio::test]
async fn both_sides_find_each_other() {
    let (plan, admission) = (plan("p", "shop", Some("x")), admission("a", "dev", &["web"]));
    let stores = stores(std::slice::from_ref(&plan), std::slice::from_ref(&admission));
    assert_eq!(plans_near(&stores, &read(&admission)), [ObjectKey::new("dev", "p")]);
    assert_eq!(admissions_near(&stores, &read(&plan)), [ObjectKey::new("managed", "a")]);
}
