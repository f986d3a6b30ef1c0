//! The kinds as a real API server stores and shows them.
//!
//! Their schemas let everything through, as upstream's do: what is refused is the webhook's affair, and tested there.

mod definitions;
mod round_trip;

use testkit::crd::Kinds;

static KINDS: Kinds = Kinds::new("pipelines-engine", pipelines_engine_api::crds);
