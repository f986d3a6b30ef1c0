//! How large a run is where it is stored, so that one which cannot be stored ends with a word about it (runtime specification,
//! section 6.2) instead of being tried for ever.

use std::io;

use serde::Serialize;

/// Most bytes that a run may have here. etcd takes 1.5 MiB in a request unless it is told otherwise; what is left is for what
/// the engine does not see of a run: the API server's record of who wrote which field.
pub const MAX: usize = 1536 * 1024 - 128 * 1024;

/// Bytes of `value` as the API server stores it: JSON in which some characters of markup are escaped, as Go writes it.
pub fn of(value: &impl Serialize) -> usize {
    let mut count = Count(0);
    // What cannot be written as JSON could not have been read as such.
    let _ = serde_json::to_writer(&mut count, value);
    count.0
}

/// Counts what is written.
struct Count(usize);

impl io::Write for Count {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        // `\u003c` and its like.
        let escaped = bytes.iter().filter(|byte| b"<>&".contains(byte)).count();
        self.0 += bytes.len() + 5 * escaped;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// What a user is told about a run that cannot be stored. `kind` and `name` are of the run, `why` is what was found.
pub fn message(kind: &str, name: &str, why: &str) -> String {
    format!(
        "[User error] {kind} {name:?} is too large for the cluster to store: {why}. A specification that is written into the run \
         is stored several times: refer to Pipelines and Tasks by name or by a resolver instead, and move long scripts and \
         parameters into images or into the repository"
    )
}

/// As the `why` of [`message`]: what the engine has counted.
pub fn counted(spec: usize, status: usize, all: usize) -> String {
    format!(
        "with its status it would have {all} bytes (spec {spec}, status {status}), and {MAX} are the most"
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;
    use serde_json::{Value, json};

    #[rstest]
    #[case::plain(json!({"a": "b"}), 9)]
    #[case::escaped_as_go_does(json!("a<b>&"), 4 + 3 * 6)]
    #[case::quotes(json!("\""), 4)]
    fn counts_what_is_stored(#[case] value: Value, #[case] expected: usize) {
        assert_eq!(of(&value), expected);
    }
}
