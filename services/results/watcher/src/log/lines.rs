//! Says in front of each line where it comes from, piece by piece: lines may be longer than memory.

/// What stands in front of a line.
#[derive(Clone, Debug)]
pub(super) enum Prefix {
    /// `[step] `.
    Step(String),
    /// `[task : step] `, of lines that begin with `[step] `.
    Task(String),
}

/// Turns one text after the other.
#[derive(Debug)]
pub(super) struct Lines {
    prefix: Prefix,
    is_at_start: bool,
}

impl Lines {
    pub(super) fn new(prefix: Prefix) -> Self {
        Self { prefix, is_at_start: true }
    }

    /// What becomes of the next piece.
    pub(super) fn turn(&mut self, piece: &[u8]) -> Vec<u8> {
        let mut turned = Vec::with_capacity(piece.len() + piece.len() / 8 + 64);
        for line in piece.split_inclusive(|byte| *byte == b'\n') {
            let line = if self.is_at_start { self.begin(line, &mut turned) } else { line };
            turned.extend_from_slice(line);
            self.is_at_start = line.ends_with(b"\n");
        }
        turned
    }

    fn begin<'a>(&self, line: &'a [u8], turned: &mut Vec<u8>) -> &'a [u8] {
        match (&self.prefix, line.split_first()) {
            (Prefix::Step(step), _) => turned.extend_from_slice(format!("[{step}] ").as_bytes()),
            (Prefix::Task(task), Some((b'[', rest))) => {
                turned.extend_from_slice(format!("[{task} : ").as_bytes());
                return rest;
            }
            (Prefix::Task(task), _) => turned.extend_from_slice(format!("[{task}] ").as_bytes()),
        }
        line
    }

    /// What ends the last line, so that the next text begins with a line of its own.
    pub(super) fn end(&self) -> &'static [u8] {
        if self.is_at_start { b"" } else { b"\n" }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rstest::rstest;

    use super::*;

    fn turn(prefix: Prefix, pieces: &[&[u8]]) -> Vec<u8> {
        let mut lines = Lines::new(prefix);
        let mut turned: Vec<u8> = pieces.iter().flat_map(|piece| lines.turn(piece)).collect();
        turned.extend_from_slice(lines.end());
        turned
    }

    #[rstest]
    #[case::nothing("", "")]
    #[case::lines("a\nb\n", "[s] a\n[s] b\n")]
    #[case::without_an_end("a", "[s] a\n")]
    #[case::empty_lines("\n\n", "[s] \n[s] \n")]
    fn of_a_step(#[case] text: &str, #[case] expected: &str) {
        assert_eq!(turn(Prefix::Step("s".into()), &[text.as_bytes()]), expected.as_bytes());
    }

    #[rstest]
    #[case::lines("[s] a\n[t] b\n", "[k : s] a\n[k : t] b\n")]
    #[case::by_somebody_else("a\n", "[k] a\n")]
    fn of_a_task(#[case] text: &str, #[case] expected: &str) {
        assert_eq!(turn(Prefix::Task("k".into()), &[text.as_bytes()]), expected.as_bytes());
    }

    proptest! {
        /// However a text arrives, the same comes out.
        #[test]
        fn pieces_make_no_difference(text in "[\\[a-c\n]{0,40}", cut in 0_usize..40, is_task: bool) {
            let prefix = if is_task { Prefix::Task("k".into()) } else { Prefix::Step("s".into()) };
            let text = text.as_bytes();
            let (first, second) = text.split_at(cut.min(text.len()));
            prop_assert_eq!(turn(prefix.clone(), &[first, second]), turn(prefix, &[text]));
        }
    }
}
