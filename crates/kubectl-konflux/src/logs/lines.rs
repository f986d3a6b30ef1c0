//! The first words of lines: put there, changed, and chosen by.
//!
//! Bytes come in pieces that end anywhere. However long a line is, no more than [`MAX_HELD`] of it is held.

/// Bytes of an unfinished line that are held at most.
const MAX_HELD: usize = 64 << 10;
/// Bytes at the beginning of a line within which its prefix ends: two names of Kubernetes and what is around them.
const MAX_PREFIX: usize = 512;

/// Lines of one container. Gives whole lines, so that those of several containers can be printed in turn.
#[derive(Debug)]
pub(crate) struct Prefixed {
    prefix: String,
    held: Vec<u8>,
    /// The line of what is held has begun to be printed.
    is_within: bool,
}

impl Prefixed {
    pub(crate) fn new(task: Option<&str>, step: &str) -> Self {
        Self { prefix: prefix(task, step), held: Vec::new(), is_within: false }
    }

    /// What can be printed now.
    pub(crate) fn feed(&mut self, bytes: &[u8]) -> Vec<u8> {
        let mut out = Vec::with_capacity(bytes.len() + self.held.len());
        for piece in bytes.split_inclusive(|byte| *byte == b'\n') {
            self.held.extend_from_slice(piece);
            if piece.ends_with(b"\n") || self.held.len() >= MAX_HELD {
                self.release(&mut out);
            }
        }
        out
    }

    /// The last line, if nothing ended it.
    pub(crate) fn finish(mut self) -> Vec<u8> {
        let mut out = Vec::new();
        if !self.held.is_empty() {
            self.release(&mut out);
        }
        if self.is_within {
            out.push(b'\n');
        }
        out
    }

    fn release(&mut self, out: &mut Vec<u8>) {
        if !self.is_within {
            out.extend_from_slice(self.prefix.as_bytes());
        }
        out.extend_from_slice(&self.held);
        self.is_within = !self.held.ends_with(b"\n");
        self.held.clear();
    }
}

fn prefix(task: Option<&str>, step: &str) -> String {
    task.map_or_else(|| format!("[{step}] "), |task| format!("[{task} : {step}] "))
}

/// Lines of a stored log, which have prefixes. One that has none belongs to the line before it.
#[derive(Debug)]
pub(crate) struct Stored<F> {
    /// From the text between the brackets to what shall be there; absent: the line is left out.
    change: F,
    /// The beginning of a line, as long as its prefix is not known.
    head: Vec<u8>,
    is_within: bool,
    is_chosen: bool,
}

impl<F: Fn(&str) -> Option<String>> Stored<F> {
    pub(crate) fn new(change: F) -> Self {
        Self { change, head: Vec::new(), is_within: false, is_chosen: true }
    }

    /// What can be printed now.
    pub(crate) fn feed(&mut self, bytes: &[u8]) -> Vec<u8> {
        let mut out = Vec::with_capacity(bytes.len());
        for piece in bytes.split_inclusive(|byte| *byte == b'\n') {
            let ends = piece.ends_with(b"\n");
            if self.is_within {
                if self.is_chosen {
                    out.extend_from_slice(piece);
                }
                self.is_within = !ends;
                continue;
            }
            self.head.extend_from_slice(piece);
            let is_known = self.head.first() != Some(&b'[') || find(&self.head).is_some();
            if ends || is_known || self.head.len() >= MAX_PREFIX {
                self.begin(&mut out);
                self.is_within = !ends;
            }
        }
        out
    }

    /// The last line, if nothing ended it.
    pub(crate) fn finish(mut self) -> Vec<u8> {
        let mut out = Vec::new();
        if !self.head.is_empty() {
            self.begin(&mut out);
        }
        out
    }

    /// Decides about the line, and gives what there is of it.
    fn begin(&mut self, out: &mut Vec<u8>) {
        let head = std::mem::take(&mut self.head);
        let split = find(&head).and_then(|end| {
            let name = std::str::from_utf8(&head[1..end]).ok()?;
            Some((name, &head[end + 2..]))
        });
        if let Some((name, rest)) = split {
            let changed = (self.change)(name);
            self.is_chosen = changed.is_some();
            if let Some(name) = changed {
                out.extend_from_slice(format!("[{name}] ").as_bytes());
                out.extend_from_slice(rest);
            }
        } else if self.is_chosen {
            out.extend_from_slice(&head);
        }
    }
}

/// Where the bracket of a prefix closes: `[` … `] `.
fn find(line: &[u8]) -> Option<usize> {
    if line.first() != Some(&b'[') {
        return None;
    }
    line.windows(2).take(MAX_PREFIX).position(|two| two == b"] ")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rstest::rstest;

    use super::*;

    fn text(bytes: &[u8]) -> String {
        String::from_utf8_lossy(bytes).into_owned()
    }

    fn stored(log: &[u8], at: usize, change: impl Fn(&str) -> Option<String>) -> String {
        let mut lines = Stored::new(change);
        let mut out = Vec::new();
        for piece in log.chunks(at.max(1)) {
            out.extend(lines.feed(piece));
        }
        out.extend(lines.finish());
        text(&out)
    }

    fn prefixed(log: &[u8], at: usize) -> String {
        let mut lines = Prefixed::new(Some("build"), "push");
        let mut out = Vec::new();
        for piece in log.chunks(at.max(1)) {
            out.extend(lines.feed(piece));
        }
        out.extend(lines.finish());
        text(&out)
    }

    #[rstest]
    #[case("a\nb\n", "[build : push] a\n[build : push] b\n")]
    #[case::unfinished("a\nb", "[build : push] a\n[build : push] b\n")]
    #[case::empty_line("\n", "[build : push] \n")]
    #[case::nothing("", "")]
    fn puts_prefixes(#[case] log: &str, #[case] expected: &str, #[values(1, 2, 100)] at: usize) {
        assert_eq!(prefixed(log.as_bytes(), at), expected);
    }

    #[test]
    fn long_line_has_one_prefix() {
        let log = vec![b'x'; 3 * MAX_HELD];
        let printed = prefixed(&log, 10_000);
        assert_eq!(printed.matches("[build : push]").count(), 1);
        assert_eq!(printed.matches('x').count(), log.len());
    }

    #[rstest]
    #[case::chosen("[a] 1\n[b] 2\n[a] 3\n", "[t : a] 1\n[t : a] 3\n")]
    #[case::continued("[a] 1\nmore\n[b] 2\nmore of b\n", "[t : a] 1\nmore\n")]
    #[case::brackets_within("[a] [b] x\n", "[t : a] [b] x\n")]
    #[case::no_prefix("plain\n", "plain\n")]
    #[case::never_closed("[open\n", "[open\n")]
    #[case::unfinished("[a] x", "[t : a] x")]
    fn chooses(#[case] log: &str, #[case] expected: &str, #[values(1, 3, 100)] at: usize) {
        let change = |name: &str| (name == "a").then(|| format!("t : {name}"));
        assert_eq!(stored(log.as_bytes(), at, change), expected);
    }

    proptest! {
        /// Nothing is lost or added where nothing is chosen or changed, wherever the pieces end.
        #[test]
        fn keeps_all(log in proptest::collection::vec(prop_oneof![Just(b'['), Just(b']'), Just(b' '), Just(b'\n'), any::<u8>()], 0..2000), at in 1_usize..700) {
            let mut lines = Stored::new(|name: &str| Some(name.to_owned()));
            let mut out = Vec::new();
            for piece in log.chunks(at) {
                out.extend(lines.feed(piece));
            }
            out.extend(lines.finish());
            prop_assert_eq!(out, log);
        }
    }
}
