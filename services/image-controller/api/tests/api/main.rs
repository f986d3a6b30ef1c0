//! The kinds as a real API server stores, checks and shows them.

mod definitions;
mod refusals;
mod round_trip;

use testkit::crd::Kinds;

static KINDS: Kinds = Kinds::new("image-controller", image_controller_api::crds);
