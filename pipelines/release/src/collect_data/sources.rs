//! Who may give which data.

use anyhow::{bail, ensure};
use serde_json::{Map, Value};

use crate::merge::merge;

/// Keys of `releaseNotes` that say what is released, in the name of the release team.
const RELEASE_NOTES: [&str; 5] = ["product_id", "product_name", "product_version", "product_stream", "cpe"];

/// Keys by which data decides where a managed run writes, under which names and with which keys it signs. From a tenant they
/// would direct the credentials of the release team.
const RELEASE_TEAM: [&str; 5] = ["images", "mapping", "releaseRecord", "sign", "singleComponentMode"];

/// The data of the objects of a release.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Sources {
    /// What the tenant writes: name of the object and its data, the lowest first.
    pub(super) tenant: Vec<(String, Value)>,
    /// What the release team writes. Absent in a tenant's own pipeline, which works with the tenant's own credentials.
    pub(super) admission: Option<Value>,
}

impl Sources {
    /// One object of all, unless one of the tenant's has what is not for the tenant to say.
    pub(super) fn merged(self) -> anyhow::Result<Value> {
        let mut all = Value::Object(Map::new());
        for (name, data) in self.tenant {
            let data = object(&name, data)?;
            if self.admission.is_some() {
                check(&name, &data)?;
            }
            all = merge(all, data);
        }
        Ok(match self.admission {
            Some(data) => merge(all, object("the ReleasePlanAdmission", data)?),
            None => all,
        })
    }
}

/// Absent data is an empty object.
fn object(name: &str, data: Value) -> anyhow::Result<Value> {
    match data {
        Value::Null => Ok(Value::Object(Map::new())),
        Value::Object(_) => Ok(data),
        _ => bail!("spec.data of {name} is no object"),
    }
}

fn check(name: &str, data: &Value) -> anyhow::Result<()> {
    let notes = data.get("releaseNotes");
    let of_notes = RELEASE_NOTES
        .iter()
        .filter(|key| notes.is_some_and(|notes| notes.get(key).is_some()))
        .map(|key| format!("releaseNotes.{key}"));
    let of_team = RELEASE_TEAM.iter().filter(|key| data.get(key).is_some()).map(|key| (*key).to_owned());
    let wrong: Vec<String> = of_notes.chain(of_team).collect();
    ensure!(
        wrong.is_empty(),
        "spec.data of {name} has {}, which only the ReleasePlanAdmission may give: remove it there",
        wrong.join(", ")
    );
    Ok(())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rstest::rstest;
    use serde_json::json;

    use super::*;
    use crate::merge::tests::any_json;

    fn merged(release: Value, plan: Value, admission: Option<Value>) -> anyhow::Result<Value> {
        let tenant = vec![("Release t/r".to_owned(), release), ("ReleasePlan t/p".to_owned(), plan)];
        Sources { tenant, admission }.merged()
    }

    #[test]
    fn the_admission_wins_over_the_plan_and_that_over_the_release() {
        let all = merged(
            json!({"a": 1, "b": 1, "c": 1}),
            json!({"b": 2, "c": 2, "d": [1]}),
            Some(json!({"c": 3, "d": [2]})),
        );
        assert_eq!(all.unwrap(), json!({"a": 1, "b": 2, "c": 3, "d": [1, 2]}));
        assert_eq!(merged(Value::Null, Value::Null, Some(Value::Null)).unwrap(), json!({}));
    }

    #[rstest]
    #[case::product(json!({"releaseNotes": {"product_id": 1}}), "releaseNotes.product_id")]
    #[case::cpe(json!({"releaseNotes": {"cpe": null}}), "releaseNotes.cpe")]
    #[case::mapping(json!({"mapping": {"components": [{"name": "other", "repository": "quay.example/team/secret"}]}}), "mapping")]
    #[case::sign(json!({"sign": {"request": "other"}}), "sign")]
    #[case::images(json!({"images": {"floatingTags": ["latest"]}}), "images")]
    fn a_tenant_cannot_say_what_the_release_team_says(#[case] data: Value, #[case] key: &str) {
        let by_release = merged(data.clone(), json!({}), Some(json!({}))).unwrap_err().to_string();
        assert!(by_release.contains(&format!("Release t/r has {key},")), "{by_release}");
        let by_plan = merged(json!({}), data.clone(), Some(json!({}))).unwrap_err().to_string();
        assert!(by_plan.contains(&format!("ReleasePlan t/p has {key},")), "{by_plan}");
        merged(json!({}), json!({}), Some(data.clone())).unwrap();
        // In the tenant's own pipeline there is nobody else to say it.
        assert_eq!(merged(json!({}), data.clone(), None).unwrap(), data);
    }

    #[rstest]
    #[case::notes(json!({"releaseNotes": {"synopsis": "x", "issues": {"fixed": []}}}))]
    #[case::odd_notes(json!({"releaseNotes": "product_id"}))]
    #[case::own(json!({"team": {"mapping": 1}}))]
    fn a_tenant_can_say_all_else(#[case] data: Value) {
        assert_eq!(merged(data.clone(), json!({}), Some(json!({}))).unwrap(), data);
    }

    #[test]
    fn data_that_is_no_object_is_refused_by_name() {
        let error = merged(json!({}), json!(["x"]), None).unwrap_err().to_string();
        assert!(error.contains("spec.data of ReleasePlan t/p is no object"), "{error}");
    }

    proptest! {
        /// Whatever the tenant writes, under the keys of the release team there is what the admission says, or nothing.
        #[test]
        fn no_tenant_directs_a_managed_run(
            release in any_json(), plan in any_json(), team in any_json(), key in prop::sample::select(&RELEASE_TEAM[..]),
            own in prop::sample::select(&RELEASE_TEAM[..]),
        ) {
            let admission = json!({(key): team});
            let plan = json!({(own): plan.clone(), "other": plan});
            if let Ok(all) = merged(json!({"free": release.clone()}), plan.clone(), Some(admission.clone())) {
                prop_assert_eq!(&all[key], &admission[key]);
            }
            let all = merged(release, json!({"other": 1}), Some(admission.clone()));
            if let Ok(all) = all {
                for key in RELEASE_TEAM {
                    prop_assert_eq!(all.get(key), admission.get(key));
                }
            }
        }
    }
}
