//! The kinds as a real API server stores, checks and shows them.
#![expect(
    clippy::needless_pass_by_value,
    clippy::panic,
    reason = "helpers of tests end a test, and take `json!(…)` as it stands"
)]

mod definitions;
mod fixtures;
mod refusals;
mod round_trip;
mod storage;

use testkit::crd::Kinds;

static KINDS: Kinds = Kinds::new("application-service", application_service_api::crds);
