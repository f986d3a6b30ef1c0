//! Names that follow from what caused them (contracts.md, section d).

use fleet::names::{LABEL_VALUE, fit, hash};
use pipelines_as_code_api::names::GIT_AUTH_PREFIX;

/// Name of the run that a delivery starts: the same each time.
pub fn name(delivery: &str, repository_uid: &str, original: &str) -> String {
    of_length(5, delivery, repository_uid, original)
}

/// The name to take when [`name`] belongs to another run.
pub fn alternative_name(delivery: &str, repository_uid: &str, original: &str) -> String {
    of_length(10, delivery, repository_uid, original)
}

/// Name of the Secret with the credentials of that run.
pub(super) fn git_auth(delivery: &str, repository_uid: &str, original: &str) -> String {
    format!("{GIT_AUTH_PREFIX}{}", hash(6, &[delivery, repository_uid, original]))
}

fn of_length(length: usize, delivery: &str, repository_uid: &str, original: &str) -> String {
    let tail = format!("-{}", hash(length, &[delivery, repository_uid, original]));
    // A `generateName` ends in `-` already.
    fit(LABEL_VALUE, original.trim_end_matches('-'), &tail)
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[test]
    fn names_are_hashes_of_what_caused_them() {
        let first = name("d1", "u1", "app-on-push");
        // printf 'd1\0u1\0app-on-push' | sha256sum | xxd -r -p | base32 | tr A-Z a-z
        assert_eq!(first, "app-on-push-ilwe4");
        assert_eq!(first, name("d1", "u1", "app-on-push"));
        assert_eq!(alternative_name("d1", "u1", "app-on-push"), "app-on-push-ilwe43w6xk");
        assert_eq!(git_auth("d1", "u1", "app-on-push"), "pac-gitauth-ilwe43");
    }

    #[rstest]
    #[case::delivery("d2", "u1", "a")]
    #[case::repository("d1", "u2", "a")]
    #[case::run("d1", "u1", "b")]
    fn another_cause_has_another_name(#[case] delivery: &str, #[case] uid: &str, #[case] original: &str) {
        assert_ne!(name(delivery, uid, original), name("d1", "u1", "a"));
        assert_ne!(git_auth(delivery, uid, original), git_auth("d1", "u1", "a"));
    }

    #[test]
    fn the_end_of_a_generate_name_is_not_doubled() {
        let name = name("d1", "u1", "app-");
        assert!(name.starts_with("app-") && !name.starts_with("app--"), "{name}");
    }

    #[test]
    fn long_names_are_cut() {
        let original = "a".repeat(100);
        assert_eq!(name("d1", "u1", &original).len(), 63);
        assert_eq!(alternative_name("d1", "u1", &original).len(), 63);
    }
}
