//! What a run of `ec validate` found, for people and programs to read.
//!
//! The types serialize as the `json` format (specification, section 5.1); the other formats are made from them. What has
//! no place in that format, such as the statements, is not serialized, but kept for those that have.
//!
//! ```text
//! Report ─ components ─▶ ComponentReport ─ violations, warnings, successes ─▶ Finding { msg, metadata: code, … }
//!                                        └ attestations ─▶ AttestationReport
//! ```

use serde::Serialize;
use serde_json::{Map, Value};

/// What `ec validate image` found.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Report {
    /// Whether every component passed. False without components.
    pub success: bool,
    /// `[namespace/]name` of the Snapshot that was asked for, if it was asked for by name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub snapshot: Option<String>,
    /// By image, descending.
    pub components: Vec<ComponentReport>,
    /// Public key in PEM that signatures were checked with. Empty if certificates were.
    pub key: String,
    /// The policy's spec, each URL pinned to the commit or digest that was read, and the key in the form it was given.
    pub policy: Value,
    #[serde(rename = "ec-version")]
    pub ec_version: String,
    /// RFC 3339. Where each image had a time of its own, that of the run; see [`ComponentReport::effective_time`].
    #[serde(rename = "effective-time")]
    pub effective_time: String,
    /// The data that the rules of each source saw, in the order of the sources.
    #[serde(skip)]
    pub data: Vec<Value>,
    /// What kept images from being judged, beside what is wrong with them. Each is a violation too; a program ends as failed
    /// if there are any, even if it does not for violations.
    #[serde(skip)]
    pub errors: Vec<String>,
}

/// What was found about one image.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ComponentReport {
    pub name: String,
    /// `repository@sha256:…`, or what was asked for if it could not be read.
    pub container_image: String,
    /// As in the Snapshot: `{}` if it says nothing.
    pub source: Value,
    /// By code, term and message, like the two lists below.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub violations: Vec<Finding>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<Finding>,
    /// Always there; whoever shows the report leaves them out unless they are wanted.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub successes: Vec<Finding>,
    /// Whether there are no violations.
    pub success: bool,
    /// Those of the image that were verified: `{keyid, sig, certificate?, chain?, metadata?}`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub signatures: Vec<Value>,
    /// Those that were verified.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub attestations: Vec<AttestationReport>,
    /// RFC 3339. The time by which this image was judged, if images have times of their own.
    #[serde(rename = "effective-time", skip_serializing_if = "Option::is_none")]
    pub effective_time: Option<String>,
    /// What the rules saw as `input`. Null if no rule was asked.
    #[serde(skip)]
    pub policy_input: Value,
}

/// What one rule said.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Finding {
    pub msg: String,
    /// `code`, `term`, `title`, `description`, `solution`, `collections`, `depends_on`, `effective_on`, as far as they
    /// are known and wanted.
    #[serde(skip_serializing_if = "Map::is_empty")]
    pub metadata: Map<String, Value>,
    /// What the rules printed.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub outputs: Vec<String>,
}

impl Finding {
    /// `package.rule`. Absent where a rule says no more than a message.
    pub fn code(&self) -> Option<&str> {
        self.text("code")
    }

    /// What of several things the finding is about. A list of terms reads as its first.
    pub fn term(&self) -> Option<&str> {
        match self.metadata.get("term") {
            Some(Value::Array(terms)) => terms.first().and_then(Value::as_str),
            _ => self.text("term"),
        }
    }

    fn text(&self, key: &str) -> Option<&str> {
        self.metadata.get(key).and_then(Value::as_str)
    }
}

/// A verified attestation.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct AttestationReport {
    /// Of the statement: `https://in-toto.io/Statement/v0.1`.
    #[serde(rename = "type")]
    pub statement_type: String,
    pub predicate_type: String,
    /// Of SLSA provenance.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub predicate_build_type: Option<String>,
    /// `{keyid, sig, certificate?, chain?, metadata?}`.
    pub signatures: Vec<Value>,
    /// As it was signed.
    #[serde(skip)]
    pub statement: Value,
}

/// What `ec validate input` found.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct InputReport {
    /// Whether every file passed. False without files.
    pub success: bool,
    /// By path.
    pub filepaths: Vec<FileReport>,
    /// As in [`Report`].
    pub policy: Value,
    #[serde(rename = "ec-version")]
    pub ec_version: String,
    /// RFC 3339.
    #[serde(rename = "effective-time")]
    pub effective_time: String,
    /// As in [`Report`].
    #[serde(skip)]
    pub data: Vec<Value>,
    /// As in [`Report`].
    #[serde(skip)]
    pub errors: Vec<String>,
}

/// What was found about one file, or one group of files.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct FileReport {
    pub filepath: String,
    pub violations: Vec<Finding>,
    pub warnings: Vec<Finding>,
    /// As in [`ComponentReport`].
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub successes: Vec<Finding>,
    pub success: bool,
    /// What the rules saw as `input`.
    #[serde(skip)]
    pub policy_input: Value,
}
