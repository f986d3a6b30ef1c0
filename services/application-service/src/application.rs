//! Keeps the model of each Application in its status.

mod decide;

use std::sync::Arc;
use std::time::Duration;

use application_service_api::{Application, Component};
use fleet::store::Change;
use fleet::{Fleet, ObjectKey, Runner, Wake, WriteError};

pub use decide::{Hold, Observed, decide};

use crate::Context;
use crate::metrics::Kind;
use crate::model;
use crate::stores::application_of;

/// How long after a change of a Component its Application is looked at: Components often come many at a time, and a
/// model is written whole. Short enough that nobody waits for it, long enough to make one write of a `kubectl apply`.
const TOGETHER: Duration = Duration::from_millis(200);

pub(crate) fn controller(fleet: &Fleet, context: &Arc<Context>) -> Runner {
    let context = Arc::clone(context);
    fleet
        .controller("application")
        .reads_changes(&context.stores.applications, itself_at_once)
        // Also what nobody but us should have changed, but not at once: our own write of a model is such a change, and
        // would carry the next Component along, and so on.
        .reads_changes_after(&context.stores.applications, TOGETHER, |change| vec![change.key.clone()])
        .reads_changes_after(&context.stores.components, TOGETHER, models_of)
        .reconcile(move |key| reconcile(key, Arc::clone(&context)))
}

/// The Application, where it appeared, went, or has another spec.
fn itself_at_once(change: &Change<Application>) -> Vec<ObjectKey> {
    let wanted = |application: &Application| {
        let metadata = &application.metadata;
        (metadata.uid.clone(), metadata.generation, metadata.deletion_timestamp.is_some())
    };
    let is_same = change.old.as_deref().map(wanted) == change.new.as_deref().map(wanted);
    if is_same { Vec::new() } else { vec![change.key.clone()] }
}

/// The Applications whose models a change of a Component reaches: none where only its status, or else what no model
/// says, is another. Most changes are of that kind, and some are our own.
fn models_of(change: &Change<Component>) -> Vec<ObjectKey> {
    let place = |component: &Component| application_of(component);
    let is_gone = |component: &Component| component.metadata.deletion_timestamp.is_some();
    match (change.old.as_deref(), change.new.as_deref()) {
        (Some(old), Some(new)) if place(old) == place(new) => {
            let is_same = is_gone(old) == is_gone(new) && model::have_one_part(old, new);
            if is_same { Vec::new() } else { vec![place(new)] }
        }
        (old, new) => old.into_iter().chain(new).map(place).collect(),
    }
}

async fn reconcile(key: ObjectKey, context: Arc<Context>) -> Result<Wake, WriteError> {
    let Some(application) = context.stores.applications.get(&key) else { return Ok(Wake::OnChange) };
    let mut seen = observe(application, &context);
    let mut decision = decide(&seen);
    tracing::debug!(hold = ?decision.hold, writes = decision.writes.len(), "Decided");
    let mut outcome = context.writer.apply(&decision.writes).await;
    if outcome.as_ref().is_err_and(WriteError::is_too_large) {
        // What the model shares the object with is too much: told instead.
        seen.is_refused = true;
        decision = decide(&seen);
        outcome = context.writer.apply(&decision.writes).await;
    }
    context.metrics.count(Kind::Application, &key, &decision.writes, &outcome);
    outcome.map(|()| decision.wake)
}

fn observe(application: Arc<Application>, context: &Context) -> Observed {
    Observed {
        now: context.clock.now(),
        components: context.stores.components_of(&ObjectKey::of(&*application)),
        application,
        is_refused: false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
    use rstest::rstest;

    use crate::testing::{self, ComponentBuilder, application, component};

    fn before() -> Component {
        component("a").of("shop").build()
    }

    fn status(of: ComponentBuilder) -> Component {
        let mut component = of.build();
        component.status = Some(application_service_api::ComponentStatus::default());
        component
    }

    fn going(of: ComponentBuilder) -> Component {
        let mut component = of.build();
        component.metadata.deletion_timestamp = component.metadata.creation_timestamp.clone();
        component
    }

    #[rstest]
    #[case::new_spec(Some(2), None, true)]
    #[case::being_deleted(Some(1), Some(testing::now()), true)]
    #[case::our_own_status(Some(1), None, false)]
    fn an_application_does_not_hurry_after_its_own_model(
        #[case] generation: Option<i64>,
        #[case] deleted: Option<jiff::Timestamp>,
        #[case] at_once: bool,
    ) {
        let mut old = application("shop");
        old.metadata.generation = Some(1);
        let mut new = old.clone();
        new.metadata.generation = generation;
        new.metadata.deletion_timestamp = deleted.map(Time);
        new.status = Some(application_service_api::ApplicationStatus::default());
        let key = ObjectKey::new("n", "shop");
        let change = Change { key: key.clone(), old: Some(Arc::new(old)), new: Some(Arc::new(new)) };
        assert_eq!(itself_at_once(&change), if at_once { vec![key] } else { Vec::new() });
    }

    #[rstest]
    #[case::it_appears(None, Some(before()), &["shop"])]
    #[case::it_goes(Some(before()), None, &["shop"])]
    #[case::it_is_being_deleted(Some(before()), Some(going(component("a").of("shop"))), &["shop"])]
    #[case::its_status(Some(before()), Some(status(component("a").of("shop"))), &[])]
    #[case::its_owner(Some(before()), Some(component("a").of("shop").annotation("a", "b").build()), &[])]
    #[case::its_nudges(Some(before()), Some(component("a").of("shop").nudges(&["b"]).build()), &[])]
    #[case::its_name(Some(before()), Some(component("a").of("shop").named_in_model("b").build()), &["shop"])]
    #[case::its_source(Some(before()), Some(component("a").of("shop").without_source().build()), &["shop"])]
    #[case::its_image(Some(before()), Some(component("a").of("shop").image("i").build()), &["shop"])]
    #[case::image_of_one_with_source(Some(before()), Some(component("a").of("shop").built("i").build()), &[])]
    #[case::its_application(Some(before()), Some(component("a").of("other").build()), &["shop", "other"])]
    fn wakes_the_applications_whose_models_change(
        #[case] old: Option<Component>,
        #[case] new: Option<Component>,
        #[case] expected: &[&str],
    ) {
        let change = Change { key: ObjectKey::new("n", "a"), old: old.map(Arc::new), new: new.map(Arc::new) };
        let woken: Vec<_> = models_of(&change).into_iter().map(|key| key.name).collect();
        assert_eq!(woken, expected);
    }
}
