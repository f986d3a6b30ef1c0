//! New scenarios, for clusters with the original's webhook configuration.

use fleet::webhook::{Operation, Review, Verdict};
use serde_json::Value;

/// Longest DNS-1035 label.
const LONGEST: usize = 63;

/// Refuses a new name that is no DNS-1035 label. Changes and deletions pass.
pub(super) fn named(review: &Review<Value>) -> Verdict {
    let (Operation::Create, Some(scenario)) = (&review.operation, &review.object) else {
        return Verdict::Allow;
    };
    let name = scenario["metadata"]["name"].as_str().unwrap_or(&review.name);
    if is_dns_1035(name) {
        return Verdict::Allow;
    }
    Verdict::deny(format!(
        "metadata.name: Invalid value: {name:?}: must be a DNS-1035 label: 1 to {LONGEST} lower case letters, digits or \
         dashes, first a letter, last no dash"
    ))
}

fn is_dns_1035(name: &str) -> bool {
    name.len() <= LONGEST
        && name.starts_with(|first: char| first.is_ascii_lowercase())
        && !name.ends_with('-')
        && name.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-')
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::webhook::testing::review;
    use rstest::rstest;
    use serde_json::json;

    #[rstest]
    #[case::fine("a-1", Operation::Create, true)]
    #[case::of_63(&"a".repeat(63), Operation::Create, true)]
    #[case::of_64(&"a".repeat(64), Operation::Create, false)]
    #[case::digit_first("1-bad", Operation::Create, false)]
    #[case::dash_last("bad-", Operation::Create, false)]
    #[case::dot("a.b", Operation::Create, false)]
    #[case::upper_case("A", Operation::Create, false)]
    #[case::nameless("", Operation::Create, false)]
    #[case::there_already("1-bad", Operation::Update, true)]
    fn has_a_name_that_is_a_label(
        #[case] name: &str,
        #[case] operation: Operation,
        #[case] is_allowed: bool,
    ) {
        let verdict = named(&review(operation, &json!({"metadata": {"name": name}})));
        assert_eq!(verdict == Verdict::Allow, is_allowed);
        if let Verdict::Deny { message } = verdict {
            assert!(message.contains("metadata.name") && message.contains("DNS-1035"), "{message}");
        }
    }
}
