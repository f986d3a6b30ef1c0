//! Whether a plan releases a Snapshot by itself (spec, section 4.7; annex, L10 and L15).

use application_service_api::Snapshot;
use expression::{Invalid, Variables};
use integration_service_api::annotations::{AUTO_RELEASE, RESULT_PREFIX};
use jiff::Timestamp;
use kube::ResourceExt as _;
use release_service_api::ReleasePlan;
use release_service_api::labels;
use serde_json::json;

use crate::promotion::component_of;

/// Name of the build's result that says whether its image is meant to be released, as it ends the annotation's key.
const SHOULD_RELEASE: &str = "should-release";

/// How long a call of a function in an expression takes, in microseconds: it compares two words.
const CALL: u64 = 1;

/// An expression in the annotation decides alone. Else the plan's label does, and so does the build.
///
/// In the expression, `snapshot` is the Snapshot as JSON, `now` a text as `2024-01-31T12:00:00Z`, `updatedComponentIs(name)` whether
/// that Component was built, and `shouldRelease()` what the build says.
pub(super) fn is_automatic(plan: &ReleasePlan, snapshot: &Snapshot, now: Timestamp) -> Result<bool, Invalid> {
    let Some(text) = AUTO_RELEASE.of(&plan.metadata.annotations) else {
        let is_switched_off = labels::AUTO_RELEASE.of(&plan.metadata.labels) == Some("false");
        return Ok(!is_switched_off && should_release(snapshot));
    };
    let object = json!(snapshot);
    let built = component_of(snapshot).map(str::to_owned);
    let variables = Variables::new()
        .json("snapshot", &object)
        .text("now", now.round(jiff::Unit::Second).unwrap_or(now).to_string())
        .function("updatedComponentIs", CALL, move |name| Ok(built.as_deref() == Some(name)))
        .fact("shouldRelease", should_release(snapshot));
    expression::holds(text, &variables)
}

/// Whether the build says nothing else.
fn should_release(snapshot: &Snapshot) -> bool {
    let key = format!("{RESULT_PREFIX}{SHOULD_RELEASE}");
    snapshot.annotations().get(&key).is_none_or(|said| !said.trim().eq_ignore_ascii_case("false"))
}
