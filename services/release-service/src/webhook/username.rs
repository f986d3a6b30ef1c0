//! User names as values of labels.

use fleet::names::{LABEL_VALUE, hash};

/// A user name as the value of a label: `:` becomes `_`, the first `@` a `.`, any other byte that a label cannot have `_`; then cut,
/// and without what a label cannot begin or end with. One of which nothing is left becomes a hash of it. Two names may become
/// the same: the name itself is kept in an annotation.
pub(super) fn sanitised(username: &str) -> String {
    let plain = username.replacen('@', ".", 1);
    let bytes = plain.bytes().map(|byte| match byte {
        b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'.' | b'_' | b'-' => char::from(byte),
        _ => '_',
    });
    let cut: String = bytes.take(LABEL_VALUE).collect();
    let value = cut.trim_matches(|edge: char| !edge.is_ascii_alphanumeric());
    if value.is_empty() { format!("user-{}", hash(10, &[username])) } else { value.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use rstest::rstest;

    #[rstest]
    #[case::plain("alice", "alice")]
    #[case::service_account("system:serviceaccount:a:b", "system_serviceaccount_a_b")]
    #[case::mail("alice@example.com", "alice.example.com")]
    #[case::second_at("a@b@c", "a.b_c")]
    #[case::slash_and_space("CN=alice smith/x", "CN_alice_smith_x")]
    #[case::edges("-alice.", "alice")]
    #[case::each_byte_of_a_letter("jörg", "j__rg")]
    #[case::nothing_left("日本", &format!("user-{}", hash(10, &["日本"])))]
    fn becomes_the_value_of_a_label(#[case] username: &str, #[case] expected: &str) {
        assert_eq!(sanitised(username), expected);
    }

    #[test]
    fn is_cut_before_its_end_is_trimmed() {
        let username = format!("{}:{}", "a".repeat(62), "b".repeat(5));
        assert_eq!(sanitised(&username), "a".repeat(62));
    }

    proptest! {
        #[test]
        fn is_always_the_value_of_a_label(username in ".{0,120}") {
            let value = sanitised(&username);
            let is_edge = |edge: Option<char>| edge.is_some_and(|edge| edge.is_ascii_alphanumeric());
            prop_assert!(value.len() <= LABEL_VALUE);
            prop_assert!(is_edge(value.chars().next()) && is_edge(value.chars().last()), "{value:?}");
            prop_assert!(value.chars().all(|c| c.is_ascii_alphanumeric() || "._-".contains(c)), "{value:?}");
            // A value is its own: a plan keeps its author when he writes it back.
            prop_assert_eq!(sanitised(&value), value);
        }
    }
}
