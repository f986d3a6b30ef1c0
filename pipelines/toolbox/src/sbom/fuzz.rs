//! How the parsers of this crate are tried with whatever somebody may write.
//!
//! Each test runs a bounded number of cases, or, with `FUZZ_SECONDS` in the environment, for that many seconds.

use proptest::prelude::*;
use proptest::test_runner::TestCaseError;

/// Tries `test` on what `strategy` makes up.
pub(crate) fn fuzz<S: Strategy>(strategy: &S, test: impl Fn(S::Value) -> Result<(), TestCaseError>) {
    testkit::fuzz(file!(), strategy, test);
}
