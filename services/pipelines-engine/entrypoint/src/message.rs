//! What the kubelet hands on to the engine when the container has ended: a JSON array of entries (section 2.3).

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt::Write as _;

use crate::json;

/// The longest message that the kubelet takes of one container, in bytes.
pub(crate) const MAX: usize = 4096;

/// The longest that it takes of all containers of a pod together. It gives an equal share to each.
pub(crate) const MAX_OF_POD: usize = 12 * 1024;

/// What an entry is; the number is how it is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    TaskResult = 1,
    /// For the engine alone.
    Note = 3,
    StepResult = 4,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Entry {
    pub key: String,
    pub value: String,
    pub kind: Kind,
}

impl Entry {
    pub(crate) fn note(key: &str, value: impl Into<String>) -> Self {
        Self { key: key.into(), value: value.into(), kind: Kind::Note }
    }

    fn write(&self, into: &mut String) {
        into.push_str("{\"key\":");
        json::write_string(into, &self.key);
        into.push_str(",\"value\":");
        json::write_string(into, &self.value);
        let _ = write!(into, ",\"type\":{}}}", self.kind as u8);
    }
}

/// All entries as the kubelet gets them.
pub(crate) fn write(entries: &[Entry]) -> String {
    let mut message = String::from("[");
    for (index, entry) in entries.iter().enumerate() {
        if index > 0 {
            message.push(',');
        }
        entry.write(&mut message);
    }
    message.push(']');
    message
}

/// What to tell the user of results, with their sizes in bytes, that do not fit: the largest first.
pub(crate) fn too_large(mut results: Vec<(&str, u64)>, limit: usize) -> String {
    results.sort_by_key(|(_, size)| core::cmp::Reverse(*size));
    let mut text = format!(
        "Termination message is above max allowed size {limit}, caused by large task result. Bytes of results:"
    );
    for (index, (name, size)) in results.iter().enumerate() {
        let separator = if index == 0 { " " } else { ", " };
        let _ = write!(text, "{separator}{name} {size}");
    }
    text.push_str("; keep large values in a workspace, and their place or digest in the result");
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    #[test]
    fn is_what_the_engine_reads() {
        let entries = [
            Entry::note("StartedAt", "2024-01-01T00:00:00.250Z"),
            Entry { key: "r".into(), value: "a\"\n".into(), kind: Kind::TaskResult },
            Entry { key: "s".into(), value: "[1]".into(), kind: Kind::StepResult },
        ];
        let written: Value = serde_json::from_str(&write(&entries)).unwrap();
        let expected = json!([
            {"key": "StartedAt", "value": "2024-01-01T00:00:00.250Z", "type": 3},
            {"key": "r", "value": "a\"\n", "type": 1},
            {"key": "s", "value": "[1]", "type": 4},
        ]);
        assert_eq!(written, expected);
        assert_eq!(write(&[]), "[]");
    }

    #[test]
    fn names_what_is_too_large() {
        let text = too_large(vec![("small", 3), ("big", 5000)], MAX);
        assert!(text.starts_with(
            "Termination message is above max allowed size 4096, caused by large task result. "
        ));
        assert!(text.contains("results: big 5000, small 3;"), "{text}");
    }
}
