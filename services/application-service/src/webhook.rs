//! What cannot be judged by looking at one object: a nudge that closes a cycle. All other rules are in the schema.

use application_service_api::{Application, Component};
use fleet::webhook::{Review, Verdict, Webhooks};
use fleet::{ObjectKey, Store};

use crate::nudge::graph;

/// The paths of the original. Its two mutating webhooks change nothing; they are answered for clusters that still have its
/// configuration, and ours does not name them.
pub(crate) fn webhooks(components: Store<Component>) -> Webhooks {
    Webhooks::default()
        .validate::<Application>("/validate-appstudio-redhat-com-v1alpha1-application", |_| Verdict::Allow)
        .validate::<Component>("/validate-appstudio-redhat-com-v1alpha1-component", move |review| {
            validate(review, &components)
        })
        .mutate::<Application>("/mutate-appstudio-redhat-com-v1alpha1-application", |_| Verdict::Allow)
        .mutate::<Component>("/mutate-appstudio-redhat-com-v1alpha1-component", |_| Verdict::Allow)
}

/// Refuses a Component whose nudges lead back to it, directly or not. Targets that do not exist are fine.
fn validate(review: &Review<Component>, components: &Store<Component>) -> Verdict {
    let Some(component) = &review.object else { return Verdict::Allow };
    let nudges = &component.spec.build_nudges_ref;
    if nudges.is_empty() || review.old_object.as_ref().is_some_and(|old| old.spec.build_nudges_ref == *nudges)
    {
        return Verdict::Allow;
    }
    let key = ObjectKey::new(review.namespace.clone().unwrap_or_default(), review.name.clone());
    let cycle = graph::cycle(&key.name, nudges, |name| {
        components
            .get(&key.sibling(name))
            .map(|other| other.spec.build_nudges_ref.clone())
            .unwrap_or_default()
    });
    match cycle {
        None => Verdict::Allow,
        Some(path) => Verdict::deny(format!(
            "spec.build-nudges-ref: cycle detected: {}; remove one of these nudges",
            path.join(" -> ")
        )),
    }
}
