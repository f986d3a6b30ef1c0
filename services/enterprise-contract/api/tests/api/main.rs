//! The kinds as a real API server stores, checks and shows them.

mod definitions;
mod refusals;
mod round_trip;

use testkit::crd::Kinds;

static KINDS: Kinds = Kinds::new("enterprise-contract", enterprise_contract_api::crds);
