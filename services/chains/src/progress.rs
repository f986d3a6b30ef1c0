//! What has to outlive a crash while a run is being signed, in an annotation of the run.
//!
//! ```json
//! {"since": "2024-04-01T10:00:00Z", "signatures": {"taskrun-<uid>": {"payload": "sha256:…", "signature": "<base64>"}}}
//! ```
//! - `since`: when signing first failed; the time for trying again is counted from there, over restarts.
//! - `signatures`: written before a transparency log is told, and shown to it again afterwards: signing anew would make other
//!   bytes, which the log would take for another entry. Whoever can write the run can write the annotation, so a signature is
//!   used again only if it verifies with the key that would sign now.
//!
//! Storing needs no record: stores take what is there already for stored.

use std::collections::BTreeMap;

use data_encoding::BASE64;
use jiff::Timestamp;
use kube::Resource;
use serde::{Deserialize, Serialize};

use crate::keys;

/// Larger annotations are not ours.
const LONGEST: usize = 64 * 1024;

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Progress {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) since: Option<Timestamp>,
    /// By short key.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    signatures: BTreeMap<String, Kept>,
}

/// A signature, and what it is of.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Kept {
    payload: String,
    signature: String,
}

impl Progress {
    /// Of a run; none if there is none that can be read.
    pub(crate) fn of(run: &impl Resource) -> Self {
        let text = keys::PROGRESS.of(&run.meta().annotations).filter(|text| text.len() <= LONGEST);
        text.and_then(|text| serde_json::from_str(text).ok()).unwrap_or_default()
    }

    pub(crate) fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// A signature of exactly this payload. Not verified.
    pub(crate) fn signature(&self, key: &str, payload: &[u8]) -> Option<Vec<u8>> {
        let kept = self.signatures.get(key)?;
        let is_same = kept.payload == registry::Digest::of(payload).as_str();
        is_same.then(|| BASE64.decode(kept.signature.as_bytes()).ok())?
    }

    /// Keeps a signature. Whether that is news.
    pub(crate) fn keep(&mut self, key: &str, payload: &[u8], signature: &[u8]) -> bool {
        let kept =
            Kept { payload: registry::Digest::of(payload).to_string(), signature: BASE64.encode(signature) };
        self.signatures.insert(key.to_owned(), kept.clone()).is_none_or(|before| before != kept)
    }

    /// The value of the annotation.
    pub(crate) fn text(&self) -> String {
        serde_json::to_string(self).expect("it has nothing but texts")
    }
}

#[cfg(test)]
mod tests {
    use pipelines_engine_api::TaskRun;
    use serde_json::json;

    use super::*;

    fn annotated(text: &str) -> TaskRun {
        let annotations = json!({"chains.fleet.konflux-ci.dev/progress": text});
        serde_json::from_value(json!({"metadata": {"name": "t", "annotations": annotations}, "spec": {}}))
            .unwrap()
    }

    #[test]
    fn a_signature_is_found_for_its_payload_only() {
        let mut progress =
            Progress { since: Some("2024-04-01T10:00:00Z".parse().unwrap()), ..Progress::default() };
        assert!(progress.keep("taskrun-1", b"payload", b"signature"));
        assert!(!progress.keep("taskrun-1", b"payload", b"signature"));
        let read = Progress::of(&annotated(&progress.text()));
        assert_eq!(read, progress);
        assert_eq!(read.signature("taskrun-1", b"payload"), Some(b"signature".to_vec()));
        assert_eq!(read.signature("taskrun-1", b"another"), None);
        assert_eq!(read.signature("taskrun-2", b"payload"), None);
    }

    #[test]
    fn what_cannot_be_read_is_none() {
        for text in
            ["", "{", "[]", r#"{"since": "soon"}"#, r#"{"signatures": {"a": 1}}"#, &"x".repeat(LONGEST + 1)]
        {
            assert!(Progress::of(&annotated(text)).is_empty(), "{text:.40}");
        }
        let odd = r#"{"signatures": {"a": {"payload": "sha256:0", "signature": "%"}}}"#;
        assert_eq!(Progress::of(&annotated(odd)).signature("a", b""), None);
    }
}
