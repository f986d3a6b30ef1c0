//! What containers printed.

use std::io;

use futures::{AsyncRead, AsyncReadExt as _};
use k8s_openapi::api::core::v1::Pod as KubePod;
use kube::api::LogParams;
use kube::{Api, Client};

/// How many of the last lines are read.
const LINES: i64 = 500;

/// Most bytes that are kept of them: with what stands before, they fit into the message of a condition.
const KEPT: usize = 30_000;

/// Stands where something was left out.
const TRUNCATED: &str = "...(truncated)\n";

/// Most bytes of a log that is read whole.
const WHOLE: usize = 4 * 1024 * 1024;

/// The pod of a TaskRun. Its name is empty if there was none.
pub(super) struct Pod<'a> {
    pub(super) client: &'a Client,
    pub(super) namespace: &'a str,
    pub(super) name: &'a str,
}

impl Pod<'_> {
    /// The last lines of a container, without credentials. `None` where there are none or they cannot be read.
    pub(super) async fn tail(&self, container: &str) -> Option<String> {
        let bytes = self.read(container, Some(LINES), 2 * KEPT, Newest::Kept).await?;
        Some(shown(&bytes)).filter(|text| !text.trim().is_empty())
    }

    /// All that a container printed. `None` if that is too much or cannot be read.
    pub(super) async fn whole(&self, container: &str) -> Option<String> {
        let bytes = self.read(container, None, WHOLE, Newest::Refused).await?;
        String::from_utf8(bytes).ok()
    }

    async fn read(
        &self,
        container: &str,
        lines: Option<i64>,
        limit: usize,
        newest: Newest,
    ) -> Option<Vec<u8>> {
        if self.name.is_empty() {
            return None;
        }
        let pods: Api<KubePod> = Api::namespaced(self.client.clone(), self.namespace);
        let params =
            LogParams { container: Some(container.to_owned()), tail_lines: lines, ..LogParams::default() };
        match pods.log_stream(self.name, &params).await {
            Ok(stream) => bounded(stream, limit, newest).await.unwrap_or_else(|error| {
                tracing::info!(namespace = self.namespace, pod = self.name, error = %error, "A log broke off");
                None
            }),
            Err(error) => {
                let error = fleet::controller::chain(&error);
                tracing::info!(namespace = self.namespace, pod = self.name, error, "A log cannot be read");
                None
            }
        }
    }
}

/// What becomes of more bytes than there may be.
#[derive(Clone, Copy)]
enum Newest {
    /// The oldest go.
    Kept,
    /// All go.
    Refused,
}

/// At most `limit` bytes: what steps print is theirs to choose.
async fn bounded(stream: impl AsyncRead, limit: usize, newest: Newest) -> io::Result<Option<Vec<u8>>> {
    let mut stream = std::pin::pin!(stream);
    let (mut kept, mut chunk) = (Vec::new(), vec![0; 16 * 1024]);
    loop {
        let count = stream.read(&mut chunk).await?;
        if count == 0 {
            return Ok(Some(kept));
        }
        kept.extend_from_slice(&chunk[..count]);
        if kept.len() > limit {
            match newest {
                Newest::Kept => drop(kept.drain(..kept.len() - limit)),
                Newest::Refused => return Ok(None),
            }
        }
    }
}

/// The newest of it, as text that people may see.
fn shown(bytes: &[u8]) -> String {
    let text: String = String::from_utf8_lossy(bytes)
        .chars()
        .filter(|c| *c == '\n' || *c == '\t' || !c.is_control())
        .collect();
    let text = fleet::redact(text.trim_end());
    if text.len() <= KEPT && text.lines().count() < usize::try_from(LINES).unwrap_or(usize::MAX) {
        return text;
    }
    let mut from = text.len().saturating_sub(KEPT);
    while !text.is_char_boundary(from) {
        from += 1;
    }
    // From the beginning of a line, unless there is but one.
    let newest = &text[from..];
    let newest = match newest.split_once('\n') {
        Some((_, rest)) if from > 0 => rest,
        _ => newest,
    };
    format!("{TRUNCATED}{newest}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures::executor::block_on;
    use rstest::rstest;

    #[rstest]
    #[case::short("one\ntwo\n", "one\ntwo")]
    #[case::credential("GET https://me:hunter2@host/x", "GET https://<TOKEN>@host/x")]
    #[case::colours("\u{1b}[31mred\u{7}\tx", "[31mred\tx")]
    fn shows_as_people_may_see_it(#[case] printed: &str, #[case] expected: &str) {
        assert_eq!(shown(printed.as_bytes()), expected);
    }

    #[test]
    fn keeps_the_newest_from_the_beginning_of_a_line() {
        let lines: Vec<String> = (0..400).map(|at| format!("{at} {}", "ü".repeat(60))).collect();
        let shown = shown(lines.join("\n").as_bytes());
        assert!(shown.len() <= KEPT + TRUNCATED.len(), "{}", shown.len());
        assert!(shown.starts_with("...(truncated)\n") && shown.ends_with(&lines[399]), "{shown}");
        let second = shown.lines().nth(1).unwrap();
        assert!(lines.contains(&second.to_owned()), "{second}");
    }

    #[test]
    fn says_that_there_may_be_more_than_the_lines_that_were_asked_for() {
        assert!(shown("x\n".repeat(500).as_bytes()).starts_with(TRUNCATED));
        assert!(!shown("x\n".repeat(499).as_bytes()).starts_with(TRUNCATED));
    }

    #[rstest]
    #[case::newest(Newest::Kept, Some("cdef"))]
    #[case::refused(Newest::Refused, None)]
    fn reads_so_much(#[case] newest: Newest, #[case] expected: Option<&str>) {
        let read = block_on(bounded("abcdef".as_bytes(), 4, newest)).unwrap();
        assert_eq!(read.as_deref(), expected.map(str::as_bytes));
    }
}
