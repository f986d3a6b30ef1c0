//! in-toto statements: what is said (the predicate) about what (the subjects). Framework v0.1 and v1.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// What an envelope says of a statement in it.
pub const PAYLOAD_TYPE: &str = "application/vnd.in-toto+json";
/// `_type` of the older statements.
pub const V0_1: &str = "https://in-toto.io/Statement/v0.1";
/// `_type` of the newer statements, which are otherwise the same.
pub const V1: &str = "https://in-toto.io/Statement/v1";

/// More than a build makes, and few enough to be looked at.
const MAX_SUBJECTS: usize = 10_000;

/// As it is written: members in this order.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Statement {
    /// [`V0_1`] or [`V1`].
    #[serde(rename = "_type")]
    pub statement_type: String,
    /// What kind of predicate it is, as [`slsa::v02::PREDICATE_TYPE`](crate::slsa::v02::PREDICATE_TYPE).
    pub predicate_type: String,
    pub subject: Vec<Subject>,
    pub predicate: Value,
}

/// An artifact.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Subject {
    /// Of an image: its repository.
    #[serde(default)]
    pub name: String,
    /// Hexadecimal digits by algorithm: `sha256`.
    pub digest: BTreeMap<String, String>,
}

/// Why something is no statement.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum BadStatement {
    #[error("the statement cannot be read: {0}")]
    Unreadable(String),
    #[error("the statement has _type {0:?}: in-toto's v0.1 and v1 are known")]
    Type(String),
    #[error("the statement has more than {MAX_SUBJECTS} subjects")]
    TooManySubjects,
}

/// What of a statement does not depend on the predicate's type.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Head {
    #[serde(rename = "_type")]
    statement_type: String,
    #[serde(rename = "predicateType")]
    _predicate_type: String,
    pub(crate) subject: Vec<Subject>,
}

impl Head {
    pub(crate) fn parse(payload: &[u8]) -> Result<Self, BadStatement> {
        let head: Self =
            serde_json::from_slice(payload).map_err(|error| BadStatement::Unreadable(error.to_string()))?;
        if ![V0_1, V1].contains(&head.statement_type.as_str()) {
            return Err(BadStatement::Type(head.statement_type.chars().take(100).collect()));
        }
        if head.subject.len() > MAX_SUBJECTS {
            return Err(BadStatement::TooManySubjects);
        }
        Ok(head)
    }
}

/// When the build ended that a SLSA provenance of either version describes, as it says itself.
pub fn finished_on(statement: &Value) -> Option<Timestamp> {
    ["/predicate/metadata/buildFinishedOn", "/predicate/runDetails/metadata/finishedOn"]
        .iter()
        .find_map(|pointer| statement.pointer(pointer)?.as_str()?.parse().ok())
}

#[cfg(test)]
mod tests {
    use rstest::rstest;
    use serde_json::json;

    use super::*;

    fn statement(statement_type: &str) -> Value {
        json!({
            "_type": statement_type, "predicateType": "p", "subject": [{"name": "a", "digest": {"sha256": "00"}}],
            "predicate": {"x": 1},
        })
    }

    #[rstest]
    #[case(V0_1)]
    #[case(V1)]
    fn reads_what_it_writes(#[case] statement_type: &str) {
        let subject =
            Subject { name: "a".to_owned(), digest: [("sha256".to_owned(), "00".to_owned())].into() };
        let written = serde_json::to_string(&Statement {
            statement_type: statement_type.to_owned(),
            predicate_type: "p".to_owned(),
            subject: vec![subject.clone()],
            predicate: json!({"x": 1}),
        });
        let written = written.unwrap();
        assert!(written.starts_with(r#"{"_type":"#), "{written}");
        assert_eq!(serde_json::from_str::<Value>(&written).unwrap(), statement(statement_type));
        assert_eq!(Head::parse(written.as_bytes()).unwrap().subject, [subject]);
    }

    #[test]
    fn a_member_that_stands_twice_is_refused() {
        // Of two lists of subjects readers would not take the same.
        let twice = statement(V1).to_string().replacen('{', r#"{"subject":[],"#, 1);
        let error = Head::parse(twice.as_bytes()).unwrap_err().to_string();
        assert!(error.contains("duplicate field"), "{error}");
    }

    #[rstest]
    #[case::other_type(statement("https://in-toto.io/Statement/v2"))]
    #[case::no_type(json!({"predicateType": "p", "subject": [], "predicate": {}}))]
    #[case::no_subject(json!({"_type": V1, "predicateType": "p", "predicate": {}}))]
    #[case::no_predicate_type(json!({"_type": V1, "subject": [], "predicate": {}}))]
    #[case::digest_is_no_text(json!({"_type": V1, "predicateType": "p", "subject": [{"digest": {"sha256": 0}}], "predicate": {}}))]
    #[case::too_many(json!({"_type": V1, "predicateType": "p", "subject": vec![json!({"digest": {}}); MAX_SUBJECTS + 1], "predicate": {}}))]
    #[case::list(json!([]))]
    fn refuses(#[case] document: Value) {
        let bytes = document.to_string();
        Head::parse(bytes.as_bytes()).unwrap_err();
    }

    #[rstest]
    #[case::v02(json!({"predicate": {"metadata": {"buildFinishedOn": "2026-01-02T03:04:05Z"}}}), Some("2026-01-02T03:04:05Z"))]
    #[case::v1(json!({"predicate": {"runDetails": {"metadata": {"finishedOn": "2026-01-02T03:04:05Z"}}}}), Some("2026-01-02T03:04:05Z"))]
    #[case::none(json!({"predicate": {"metadata": {}}}), None)]
    #[case::no_date(json!({"predicate": {"metadata": {"buildFinishedOn": "soon"}}}), None)]
    #[case::no_text(json!({"predicate": {"metadata": {"buildFinishedOn": 1}}}), None)]
    fn knows_when_a_build_ended(#[case] statement: Value, #[case] expected: Option<&str>) {
        assert_eq!(finished_on(&statement), expected.map(|text| text.parse().unwrap()));
    }
}
