//! Names that an engine computes.

use md5::{Digest as _, Md5};

/// The longest name of a run, and of what becomes a label's value.
const LONGEST: usize = 63;
/// The length of an MD5 digest in hexadecimal.
const HASH: usize = 32;

/// The name of what an engine makes for `parent`, at most 63 characters: the TaskRun of a task (`-<task>`), the pod of a
/// TaskRun (`-pod`). Both are ASCII, as names are.
pub fn child_name(parent: &str, suffix: &str) -> String {
    const BASE: usize = LONGEST - HASH;
    let hash = |text: &str| data_encoding::HEXLOWER.encode(&Md5::digest(text));
    if parent.len() + suffix.len() <= LONGEST {
        return format!("{parent}{suffix}");
    }
    let head = |text: &str, length: usize| text[..length.min(text.len())].to_owned();
    if suffix.len() < BASE {
        return format!("{}{}{suffix}", head(parent, BASE - suffix.len()), hash(parent));
    }
    let base = head(parent, BASE) + &hash(&format!("{parent}{suffix}"));
    let name = format!("{base}{}", head(suffix, LONGEST - base.len()));
    name.trim_end_matches(|last: char| !last.is_ascii_alphanumeric()).to_owned()
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case::fits("run", "-task", "run-task")]
    #[case::fits_exactly(&"r".repeat(58), "-task", &format!("{}-task", "r".repeat(58)))]
    #[case::long_parent(
        &"r".repeat(63),
        "-task",
        &format!("{}{}-task", "r".repeat(26), "b781f146e2641ab389a73417a86af81c")
    )]
    fn names(#[case] parent: &str, #[case] suffix: &str, #[case] expected: &str) {
        assert_eq!(child_name(parent, suffix), expected);
    }

    #[rstest]
    #[case::long_suffix("run", 70)]
    #[case::both_long(&"r".repeat(63), 40)]
    fn long_suffixes_are_cut(#[case] parent: &str, #[case] length: usize) {
        let suffix = format!("-{}", "t".repeat(length));
        let name = child_name(parent, &suffix);
        assert!(name.len() <= 63 && name.starts_with(&parent[..parent.len().min(31)]), "{name}");
        assert_ne!(name, child_name(parent, &format!("{suffix}t")));
    }
}
