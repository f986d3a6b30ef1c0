//! The one entry of a Repository by which builds are asked for from outside: `spec.incoming` (sections 4.7 and 4.8).

use build_service_api::names::INCOMING_SECRET_KEY;
use pipelines_as_code_api::repository::{Incoming, SecretReference};

/// The entries made one, which has the branch. `None` if it is so already. Targets keep their order.
pub(super) fn with(entries: &[Incoming], secret: &str, branch: &str) -> Option<Vec<Incoming>> {
    let mut merged = merge(entries, secret);
    if !merged.targets.iter().any(|target| target == branch) {
        merged.targets.push(branch.to_owned());
    }
    changed(entries, vec![merged])
}

/// The entries made one, which has not the branch; none if that was its last. `None` if it is so already.
pub(super) fn without(entries: &[Incoming], secret: &str, branch: &str) -> Option<Vec<Incoming>> {
    if entries.is_empty() {
        return None;
    }
    let mut merged = merge(entries, secret);
    merged.targets.retain(|target| target != branch);
    let left = if merged.targets.is_empty() { Vec::new() } else { vec![merged] };
    changed(entries, left)
}

fn changed(entries: &[Incoming], wanted: Vec<Incoming>) -> Option<Vec<Incoming>> {
    (entries != wanted).then_some(wanted)
}

fn merge(entries: &[Incoming], secret: &str) -> Incoming {
    let mut merged = Incoming {
        type_: Incoming::WEBHOOK_URL.to_owned(),
        secret: Some(SecretReference { name: secret.to_owned(), key: Some(INCOMING_SECRET_KEY.to_owned()) }),
        ..Incoming::default()
    };
    let add = |list: &mut Vec<String>, more: &[String]| {
        for one in more {
            if !list.contains(one) {
                list.push(one.clone());
            }
        }
    };
    for entry in entries {
        add(&mut merged.targets, &entry.targets);
        add(&mut merged.params, &entry.params);
    }
    merged
}

#[cfg(test)]
mod tests {
    use rstest::rstest;
    use serde_json::{Value, json};

    use super::*;

    fn entries(value: &Value) -> Vec<Incoming> {
        serde_json::from_value(value.clone()).unwrap()
    }

    fn entry(targets: &[&str]) -> Value {
        json!({"type": "webhook-url", "secret": {"name": "r-incoming", "key": "incoming-secret"}, "targets": targets})
    }

    #[rstest]
    #[case::none(json!([]), Some(json!([entry(&["main"])])))]
    #[case::there(json!([entry(&["main"])]), None)]
    #[case::another_branch(json!([entry(&["dev"])]), Some(json!([entry(&["dev", "main"])])))]
    #[case::messy(
        json!([
            {"type": "webhook-url", "secret": {"name": "wrong"}, "targets": ["b", "a"]},
            {"type": "webhook-url"},
            {"type": "webhook-url", "targets": ["a", "c"]},
        ]),
        Some(json!([entry(&["b", "a", "c", "main"])]))
    )]
    #[case::wrong_secret(
        json!([{"type": "webhook-url", "secret": {"name": "r-incoming"}, "targets": ["main"]}]),
        Some(json!([entry(&["main"])]))
    )]
    fn one_entry_with_the_branch(#[case] before: Value, #[case] expected: Option<Value>) {
        let found = with(&entries(&before), "r-incoming", "main");
        assert_eq!(found.map(|found| json!(found)), expected);
    }

    #[rstest]
    #[case::none(json!([]), None)]
    #[case::last(json!([entry(&["main"])]), Some(json!([])))]
    #[case::one_of_two(json!([entry(&["a", "main"])]), Some(json!([entry(&["a"])])))]
    #[case::not_there(json!([entry(&["a"])]), None)]
    #[case::messy(json!([entry(&["main"]), {"type": "webhook-url", "targets": ["main", "b"]}]), Some(json!([entry(&["b"])])))]
    #[case::nothing_in_it(json!([{"type": "webhook-url"}]), Some(json!([])))]
    fn no_entry_with_the_branch(#[case] before: Value, #[case] expected: Option<Value>) {
        let found = without(&entries(&before), "r-incoming", "main");
        assert_eq!(found.map(|found| json!(found)), expected);
    }

    #[test]
    fn params_that_callers_may_set_stay() {
        let before = entries(&json!([{"type": "webhook-url", "params": ["a"], "targets": ["x"]}]));
        assert_eq!(with(&before, "s", "x").unwrap()[0].params, ["a"]);
    }
}
