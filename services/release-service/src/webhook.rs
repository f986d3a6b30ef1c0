//! Admission webhooks (spec, section 2.6).
//!
//! ```text
//! mutate    author      Release     made: whoever makes it; one made by a program has none. Never changes
//!                       plan        whoever says that he answers for it; nobody can say so of another
//!           release     made: grace period of its plan; labels with its Snapshot and plan
//!           plan, admission         made: the labels that switch it off, as if it had said that it is on
//! validate  release     the spec and what was said of it stay
//!           plan, admission         those labels are `true` or `false`
//! ```
//! Who asks is read from the request's `userInfo` alone. What a schema can say is in the definitions; the controllers cope with
//! objects that nobody has looked at, but for the author: without that webhook no Release can be made.

mod author;
mod changes;
mod release;
mod switches;
mod username;

use fleet::Fleet;
use fleet::certificate::CaTarget;
use fleet::webhook::Webhooks;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use serde::Deserialize;
use serde_json::Value;

use crate::stores::Stores;

/// What is looked at in an object of any of the kinds. All else is nobody's business here, and stays as it came.
#[derive(Clone, Debug, Deserialize)]
struct Object {
    #[serde(default)]
    metadata: ObjectMeta,
    #[serde(default)]
    spec: Value,
}

pub(crate) fn serve(fleet: &mut Fleet, stores: &Stores) {
    let configuration = fleet.webhook_configuration();
    let targets =
        [CaTarget::MutatingWebhooks(configuration.clone()), CaTarget::ValidatingWebhooks(configuration)];
    fleet.webhooks(webhooks(stores), targets);
}

fn webhooks(stores: &Stores) -> Webhooks {
    let plans = stores.plans.clone();
    Webhooks::new()
        .mutate("/mutate-appstudio-redhat-com-v1alpha1-author", author::attributed)
        .mutate("/mutate-appstudio-redhat-com-v1alpha1-release", move |review| {
            release::defaulted(review, &plans)
        })
        .mutate("/mutate-appstudio-redhat-com-v1alpha1-releaseplan", switches::plan_defaulted)
        .mutate("/mutate-appstudio-redhat-com-v1alpha1-releaseplanadmission", switches::admission_defaulted)
        .validate("/validate-appstudio-redhat-com-v1alpha1-release", release::checked)
        .validate("/validate-appstudio-redhat-com-v1alpha1-releaseplan", switches::plan_checked)
        .validate("/validate-appstudio-redhat-com-v1alpha1-releaseplanadmission", switches::admission_checked)
}

#[cfg(test)]
mod testing;
