//! Checks of what clients want stored.

use std::collections::BTreeMap;

use serde::de::IgnoredAny;

use super::error::Error;
use super::row::Summary;

/// Characters that a type may have: the width of its column.
const TYPE_LENGTH: usize = 768;

/// Record data has to be one JSON document, of any kind.
pub(super) fn check_json(field: &'static str, data: &[u8]) -> Result<(), Error> {
    // What is skipped is not looked at for being UTF-8.
    let text = std::str::from_utf8(data)
        .map_err(|error| Error::invalid(field, format!("must be one JSON document in UTF-8: {error}")))?;
    match serde_json::from_str::<IgnoredAny>(text) {
        Ok(_) => Ok(()),
        Err(error) => Err(Error::invalid(field, format!("must be one JSON document: {error}"))),
    }
}

pub(super) fn check_type(field: &'static str, kind: &str) -> Result<(), Error> {
    let length = kind.chars().count();
    if length > TYPE_LENGTH {
        return Err(Error::invalid(
            field,
            format!("has {length} characters; at most {TYPE_LENGTH} are stored"),
        ));
    }
    check_text(field, kind)
}

pub(super) fn check_annotations(
    field: &'static str,
    annotations: &BTreeMap<String, String>,
) -> Result<(), Error> {
    annotations.iter().try_for_each(|(key, value)| {
        check_text(field, key)?;
        check_text(field, value)
    })
}

/// The shape of `record` as a name is the caller's to check.
pub(super) fn check_summary(summary: &Summary) -> Result<(), Error> {
    if summary.record.is_empty() {
        return Err(Error::invalid("result.summary.record", "must name the Record that the summary is of"));
    }
    if summary.kind.is_empty() {
        return Err(Error::invalid("result.summary.type", "must be the type of the Record's data"));
    }
    check_text("result.summary.record", &summary.record)?;
    check_type("result.summary.type", &summary.kind)?;
    check_annotations("result.summary.annotations", &summary.annotations)
}

/// PostgreSQL's text holds every character but one.
fn check_text(field: &'static str, text: &str) -> Result<(), Error> {
    if text.contains('\0') {
        return Err(Error::invalid(field, "holds the character U+0000, which cannot be stored"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case::object(br#"{"a": [1, null]}"#, true)]
    #[case::any_value(b"7", true)]
    #[case::nothing(b"", false)]
    #[case::two(b"{} {}", false)]
    #[case::cut(b"{\"a\":", false)]
    #[case::no_text(b"\"\xff\"", false)]
    fn one_document(#[case] data: &[u8], #[case] is_good: bool) {
        assert_eq!(check_json("record.data.value", data).is_ok(), is_good);
    }

    #[test]
    fn types_have_a_longest_length() {
        assert!(check_type("type", &"ä".repeat(768)).is_ok());
        let error = check_type("record.data.type", &"a".repeat(769)).unwrap_err().to_string();
        assert_eq!(error, "record.data.type: has 769 characters; at most 768 are stored");
        assert!(check_type("type", "a\0").is_err());
    }

    #[test]
    fn a_summary_says_of_what() {
        let good = Summary { record: "a/results/b/records/c".into(), kind: "t".into(), ..Summary::default() };
        assert!(check_summary(&good).is_ok());
        assert!(check_summary(&Summary { record: String::new(), ..good.clone() }).is_err());
        assert!(check_summary(&Summary { kind: String::new(), ..good.clone() }).is_err());
        let annotations = [("a".to_owned(), "\0".to_owned())].into();
        assert!(check_summary(&Summary { annotations, ..good }).is_err());
    }
}
