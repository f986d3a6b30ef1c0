//! What the entrypoint leaves in a container's termination message (runtime specification, section 2.3): a JSON array of
//! entries, which are results and the entrypoint's own notes.

use jiff::Timestamp;
use pipelines_engine_api::{ParamType, ParamValue, TaskRunResult};
use serde::{Deserialize, Deserializer, Serialize};

/// Longest message that the kubelet takes, in bytes.
pub const MAX: usize = 4096;

/// What an entry is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    TaskResult,
    /// A note of the entrypoint.
    Internal,
    StepResult,
    Artifacts,
    /// Of a newer entrypoint.
    Other(i64),
}

impl Kind {
    fn number(self) -> i64 {
        match self {
            Self::TaskResult => 1,
            Self::Internal => 3,
            Self::StepResult => 4,
            Self::Artifacts => 5,
            Self::Other(number) => number,
        }
    }
}

/// One entry.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    pub key: String,
    #[serde(default)]
    pub value: String,
    #[serde(rename = "type")]
    pub kind: Kind,
}

impl Serialize for Kind {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_i64(self.number())
    }
}

impl<'de> Deserialize<'de> for Kind {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Spelling {
            Number(i64),
            Word(String),
        }
        Ok(match Spelling::deserialize(deserializer)? {
            Spelling::Number(1) => Self::TaskResult,
            Spelling::Number(3) => Self::Internal,
            Spelling::Number(4) => Self::StepResult,
            Spelling::Number(5) => Self::Artifacts,
            Spelling::Number(other) => Self::Other(other),
            Spelling::Word(word) => match word.as_str() {
                "TaskRunResult" => Self::TaskResult,
                "InternalTektonResult" => Self::Internal,
                "StepResult" => Self::StepResult,
                "ArtifactsResult" => Self::Artifacts,
                _ => Self::Other(-1),
            },
        })
    }
}

/// The message of one step, read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Message {
    pub started_at: Option<Timestamp>,
    /// Of a step that failed and is told to continue.
    pub exit_code: Option<i32>,
    /// `Skipped`, `TimeoutExceeded`, `Cancelled`.
    pub reason: Option<String>,
    pub task_results: Vec<(String, String)>,
    pub step_results: Vec<(String, String)>,
    /// Everything but the notes, as it is shown in status. Empty if there is nothing.
    pub shown: String,
}

impl Message {
    /// Reads a message. `None` if it is none of the entrypoint's, but text of a program or of the kubelet.
    pub fn parse(text: &str) -> Option<Self> {
        let entries: Vec<Entry> = serde_json::from_str(text).ok()?;
        let mut message = Self::default();
        let mut shown = Vec::new();
        for entry in entries {
            match entry.kind {
                Kind::Internal => message.note(&entry),
                Kind::TaskResult => message.task_results.push((entry.key.clone(), entry.value.clone())),
                Kind::StepResult => message.step_results.push((entry.key.clone(), entry.value.clone())),
                Kind::Artifacts | Kind::Other(_) => {}
            }
            if entry.kind != Kind::Internal {
                shown.push(entry);
            }
        }
        if !shown.is_empty() {
            message.shown = serde_json::to_string(&shown).unwrap_or_default();
        }
        Some(message)
    }

    fn note(&mut self, entry: &Entry) {
        match entry.key.as_str() {
            "StartedAt" => self.started_at = entry.value.parse().ok(),
            "ExitCode" => self.exit_code = entry.value.parse().ok(),
            "Reason" => self.reason = Some(entry.value.clone()),
            _ => {}
        }
    }
}

/// A result that is not what was declared.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mismatch {
    pub name: String,
    /// What is wrong with it, for the user.
    pub why: String,
}

/// The value of a result as its declaration says. A string is the raw text; the others are JSON.
pub fn result(
    name: &str,
    text: &str,
    type_: ParamType,
    keys: impl IntoIterator<Item = String>,
) -> Result<TaskRunResult, Mismatch> {
    let wrong = |why: String| Mismatch { name: name.to_owned(), why };
    let value = match type_ {
        ParamType::String => ParamValue::String(text.to_owned()),
        ParamType::Array | ParamType::Object => {
            let json = serde_json::from_str(text)
                .map_err(|error| wrong(format!("declared as {type_}, and is no JSON: {error}")))?;
            ParamValue::from_json(json)
        }
    };
    if value.type_() != type_ {
        return Err(wrong(format!("declared as {type_}, and is {}", value.type_())));
    }
    if let ParamValue::Object(fields) = &value {
        let missing: Vec<_> = keys.into_iter().filter(|key| !fields.contains_key(key)).collect();
        if !missing.is_empty() {
            return Err(wrong(format!("lacks the keys {}", missing.join(", "))));
        }
    }
    Ok(TaskRunResult { name: name.to_owned(), type_: Some(type_), value })
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[test]
    fn reads_notes_and_results() {
        let text = r#"[
            {"key":"StartedAt","value":"2024-01-01T00:00:00.250Z","type":3},
            {"key":"ExitCode","value":"7","type":"InternalTektonResult"},
            {"key":"Reason","value":"Skipped","type":3},
            {"key":"digest","value":"sha256:1\n","type":1},
            {"key":"other","value":"x","type":"StepResult"},
            {"key":"new","value":"y","type":9}
        ]"#;
        let message = Message::parse(text).unwrap();
        assert_eq!(message.started_at.unwrap().as_millisecond() % 1000, 250);
        assert_eq!((message.exit_code, message.reason.as_deref()), (Some(7), Some("Skipped")));
        assert_eq!(message.task_results, [("digest".to_owned(), "sha256:1\n".to_owned())]);
        assert_eq!(message.step_results, [("other".to_owned(), "x".to_owned())]);
        assert!(
            !message.shown.contains("StartedAt") && message.shown.contains("digest"),
            "{}",
            message.shown
        );
    }

    #[rstest]
    #[case("")]
    #[case("out of memory")]
    #[case("{}")]
    fn leaves_other_texts_alone(#[case] text: &str) {
        assert_eq!(Message::parse(text), None);
    }

    #[rstest]
    #[case::raw("a\n", ParamType::String, "a\n".into())]
    #[case::json_stays_text("[1]", ParamType::String, "[1]".into())]
    #[case::array(r#"["a","b"]"#, ParamType::Array, ["a", "b"].into())]
    fn types_results(#[case] text: &str, #[case] type_: ParamType, #[case] expected: ParamValue) {
        assert_eq!(result("r", text, type_, []).unwrap().value, expected);
    }

    #[rstest]
    #[case::no_json("a", ParamType::Array, "no JSON")]
    #[case::other_type(r#"{"k":"v"}"#, ParamType::Array, "is object")]
    #[case::key(r#"{"k":"v"}"#, ParamType::Object, "lacks the keys l")]
    fn refuses_results(#[case] text: &str, #[case] type_: ParamType, #[case] why: &str) {
        let error = result("r", text, type_, ["l".to_owned()]).unwrap_err();
        assert!(error.why.contains(why), "{}", error.why);
    }
}
