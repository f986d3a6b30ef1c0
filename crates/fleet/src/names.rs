//! Deterministic names of created objects (contracts.md, section d): after a crash the same name is found, not
//! a second object made.

use data_encoding::BASE32_NOPAD;
use sha2::{Digest, Sha256};

/// Length limit of what becomes a label value: runs, Snapshots, Releases.
pub const LABEL_VALUE: usize = 63;

/// First `length` characters (at most 52) of the lower-case unpadded base32 (RFC 4648) of the SHA-256 over `fields`,
/// joined by a zero byte.
pub fn hash(length: usize, fields: &[&str]) -> String {
    let mut text = BASE32_NOPAD.encode(&Sha256::digest(fields.join("\0"))).to_ascii_lowercase();
    text.truncate(length);
    text
}

/// `base` + `tail` if that is at most `limit` long; else `base` is cut, and a hash of the whole base keeps it unique:
/// `<cut>-<hash(6; base)><tail>`.
///
/// `tail` has to leave room for that: at most `limit` − 8.
pub fn fit(limit: usize, base: &str, tail: &str) -> String {
    if base.len() + tail.len() <= limit {
        return format!("{base}{tail}");
    }
    let mut end = limit.saturating_sub(tail.len() + 7).min(base.len());
    while !base.is_char_boundary(end) {
        end -= 1;
    }
    let cut = base[..end].trim_end_matches(|c: char| !c.is_ascii_alphanumeric());
    format!("{cut}-{}{tail}", hash(6, &[base]))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use rstest::rstest;

    #[test]
    fn hash_is_lower_case_base32_of_sha256_with_zero_bytes_between() {
        // printf 'a\0b' | sha256sum | xxd -r -p | base32 | tr A-Z a-z
        assert_eq!(hash(52, &["a", "b"]), hash(52, &["a\0b"]));
        assert_eq!(hash(10, &["abc"]), "xj4bnp4pah");
    }

    #[rstest]
    #[case::short_stays("app", "-x1", "app-x1")]
    #[case::exactly_the_limit("0123456789", "-abcdefghi", "0123456789-abcdefghi")]
    fn fits_without_cutting(#[case] base: &str, #[case] tail: &str, #[case] expected: &str) {
        assert_eq!(fit(20, base, tail), expected);
    }

    #[test]
    fn drops_trailing_punctuation_of_a_cut_base() {
        let name = fit(20, "abc-----------------------", "-tail");
        assert!(name.starts_with("abc-"), "{name}");
        assert!(!name.contains("--"), "{name}");
        assert!(name.ends_with("-tail"), "{name}");
    }

    proptest! {
        #[test]
        fn never_longer_than_the_limit(base in "[a-z0-9.-]{0,300}", tail in "-[a-z0-9]{1,20}") {
            prop_assert!(fit(63, &base, &tail).len() <= 63);
        }

        #[test]
        fn different_long_bases_differ(a in "[a-z]{80}", b in "[a-z]{80}") {
            prop_assume!(a != b);
            prop_assert_ne!(fit(63, &a, "-x"), fit(63, &b, "-x"));
        }
    }
}
