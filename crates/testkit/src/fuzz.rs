//! Readers of what strangers send are tried with whatever that may be.

use std::time::{Duration, Instant};

use proptest::prelude::*;
use proptest::test_runner::{FileFailurePersistence, TestCaseError, TestRunner};

/// Cases of one test where nobody gives it time.
const CASES: u32 = 256;

/// Tries `test` on what `strategy` makes up: a bounded number of cases, or, with `FUZZ_SECONDS` in the environment, for that many
/// seconds. What failed is kept in `proptest-regressions` of the crate that `source_file` (`file!()`) is of, and is tried first
/// from then on.
#[expect(clippy::panic, reason = "this is how a test fails")]
pub fn fuzz<S: Strategy>(
    source_file: &'static str,
    strategy: &S,
    test: impl Fn(S::Value) -> Result<(), TestCaseError>,
) {
    let seconds = std::env::var_os("FUZZ_SECONDS").map(|seconds| {
        let seconds = seconds.to_str().and_then(|text| text.parse().ok());
        seconds.expect("FUZZ_SECONDS is a whole number of seconds")
    });
    let until = Instant::now() + Duration::from_secs(seconds.unwrap_or(0));
    loop {
        let mut runner = TestRunner::new(ProptestConfig {
            cases: CASES,
            source_file: Some(source_file),
            failure_persistence: Some(Box::new(FileFailurePersistence::SourceParallel(
                "proptest-regressions",
            ))),
            ..ProptestConfig::default()
        });
        if let Err(failure) = runner.run(strategy, &test) {
            panic!("{failure}");
        }
        if Instant::now() >= until {
            return;
        }
    }
}
