//! What Rust's test programs print.
//!
//! ```text
//! test holds::still_testing ... ok
//! test result: ok. 12 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.12s
//! ```
use std::ops::Add;

/// Tests by result.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Counts {
    pub(super) passed: usize,
    pub(super) failed: usize,
}

impl Add for Counts {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self { passed: self.passed + other.passed, failed: self.failed + other.failed }
    }
}

/// Sums up the closing lines of one or more test programs. A program that ended badly without saying so (a crash,
/// a signal, a build error) counts as one failed test.
pub(super) fn counts(output: &str, is_success: bool) -> Counts {
    let sum = output.lines().filter_map(closing_line).fold(Counts::default(), Add::add);
    if !is_success && sum.failed == 0 { Counts { failed: 1, ..sum } } else { sum }
}

fn closing_line(line: &str) -> Option<Counts> {
    let (_, numbers) = line.strip_prefix("test result: ")?.split_once(". ")?;
    let number = |name: &str| -> Option<usize> {
        numbers.split(';').find_map(|part| part.trim().strip_suffix(name))?.trim().parse().ok()
    };
    Some(Counts { passed: number("passed")?, failed: number("failed")? })
}

/// Name of the test that a line says has ended.
pub(super) fn finished_test(line: &str) -> Option<&str> {
    line.strip_prefix("test ")?.split_once(" ... ").map(|(name, _)| name)
}

/// How much of a program's failures is repeated.
const REPEATED_LINES: usize = 60;

/// The part of a program's output in which it says what failed and how, or its last lines if it never came to that. At most
/// 60 lines: those at the end, with the names.
pub(super) fn failures(output: &str) -> String {
    let lines: Vec<&str> = output.lines().collect();
    let begin = lines.iter().position(|line| *line == "failures:").unwrap_or(0);
    let begin = begin.max(lines.len().saturating_sub(REPEATED_LINES));
    lines[begin..].join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    const TWO_PROGRAMS: &str = "running 2 tests\ntest a ... ok\ntest b ... FAILED\n\n\
        test result: FAILED. 1 passed; 1 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.00s\n\n\
        test result: ok. 3 passed; 0 failed; 0 ignored; 0 measured; 7 filtered out; finished in 2.10s\n";

    #[test]
    fn sums_all_programs() {
        assert_eq!(counts(TWO_PROGRAMS, false), Counts { passed: 4, failed: 1 });
        assert_eq!(counts("", true), Counts::default());
    }

    #[test]
    fn crash_is_a_failure() {
        assert_eq!(counts("running 2 tests\ntest a ... ok\n", false), Counts { passed: 0, failed: 1 });
    }

    #[test]
    fn repeats_what_failed_and_not_what_passed() {
        let output = "running 2 tests\ntest a ... ok\ntest b ... FAILED\n\nfailures:\n\n---- b stdout ----\n\
            left: 1\n\nfailures:\n    b\n\ntest result: FAILED. 1 passed; 1 failed; 0 ignored\n";
        let repeated = failures(output);
        assert!(repeated.starts_with("failures:\n\n---- b stdout"), "{repeated}");
        assert!(!repeated.contains("test a"), "{repeated}");
        let endless = format!("{}killed", "line\n".repeat(1_000));
        assert_eq!(failures(&endless).lines().count(), 60);
        assert!(failures(&endless).ends_with("killed"));
    }

    #[test]
    fn names_the_finished_test() {
        assert_eq!(finished_test("test lint::holds::case_1 ... ok"), Some("lint::holds::case_1"));
        assert_eq!(finished_test("test result: ok. 1 passed"), None);
    }
}
