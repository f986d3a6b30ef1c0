//! The kinds as a real API server stores, checks and shows them.
#![expect(
    clippy::needless_pass_by_value,
    clippy::panic,
    clippy::unwrap_used,
    reason = "helpers of tests end a test, and take `json!(…)` as it stands"
)]

mod cluster;
mod definitions;
mod fixtures;
mod refusals;
mod round_trip;
mod storage;
