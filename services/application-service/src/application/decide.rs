//! The model of an Application, and whether it could be made.

use std::sync::Arc;

use application_service_api::conditions::{Created, Subject, Updated};
use application_service_api::{Application, Component, finalizers};
use fleet::{Decision, FieldManager, MetadataPatch, StatusPatch};
use fleet_api::ConditionState as _;
use jiff::Timestamp;

use crate::model;

const MANAGER: FieldManager = FieldManager::new("application-service/application");

/// All that the decision looks at.
#[derive(Clone, Debug)]
pub struct Observed {
    pub now: Timestamp,
    pub application: Arc<Application>,
    /// Those that name the Application and are not being deleted.
    pub components: Vec<Arc<Component>>,
    /// The API server did not take the model: the object would be too large.
    pub is_refused: bool,
}

/// Why nothing is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hold {
    /// Its Components follow it by their ownerReference.
    BeingDeleted,
    /// The status says everything already.
    UpToDate,
}

impl fleet::Hold for Hold {}

/// Writes the model as soon as it differs. An Application without one is `Created=False` with the reason; one that has a
/// model keeps it until a new one can be made.
pub fn decide(seen: &Observed) -> Decision<Hold> {
    let application = &*seen.application;
    if application.metadata.deletion_timestamp.is_some() {
        let mut decision = Decision::from(Hold::BeingDeleted);
        // Put there by the original, or in a time when GitOps repositories were kept: nothing here needs it.
        decision.push(MetadataPatch::of(application).without_finalizer(finalizers::APPLICATION).into_write());
        return decision;
    }
    let before = application.status.clone().unwrap_or_default();
    let old_model = before.devfile.filter(|text| !text.is_empty());
    let was_updated = before.conditions.iter().any(|condition| condition.type_ == Updated::TYPE);

    let status = StatusPatch::of(application, MANAGER, seen.now);
    let model = model::of_application(application, seen.components.iter().map(|component| &**component))
        .and_then(|model| model::that_fits(model, seen.components.len(), seen.is_refused));
    let of = Subject::Application;
    let status = match (model, old_model) {
        (Ok(model), None) => status.field("devfile", model).condition(&Created::Ok(of)).keep::<Updated>(),
        (Ok(model), Some(old)) => {
            let is_update = was_updated || model != old;
            let status = status.field("devfile", model).condition(&Created::Ok(of));
            if is_update { status.condition(&Updated::Ok(of)) } else { status }
        }
        (Err(error), None) => status.condition(&Created::Error { of, cause: error.to_string() }),
        (Err(error), Some(old)) => status
            .field("devfile", old)
            .keep::<Created>()
            .condition(&Updated::Error { of, cause: error.to_string() }),
    };
    match status.into_write() {
        Some(write) => Decision { writes: vec![write], ..Decision::default() },
        None => Hold::UpToDate.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;
    use testkit::World;

    use crate::testing::{application, component, now, world};

    const OK: Option<&str> = Some("True/OK");

    fn seen(world: &World) -> Observed {
        let application: Application = world.get("n", "shop").unwrap();
        let components = world
            .list::<Component>("n")
            .into_iter()
            .filter(|component| component.metadata.deletion_timestamp.is_none())
            .map(Arc::new)
            .collect();
        Observed { now: now(), application: Arc::new(application), components, is_refused: false }
    }

    fn settle(world: &mut World) {
        world.settle(|world| decide(&seen(world)).writes);
    }

    fn shop(world: &World) -> Application {
        world.get("n", "shop").unwrap()
    }

    /// `<status>/<reason>` of a condition of the Application.
    fn condition(world: &World, type_: &str) -> Option<String> {
        let conditions = shop(world).status?.conditions;
        let found = conditions.into_iter().find(|condition| condition.type_ == type_)?;
        Some(format!("{}/{}", found.status, found.reason))
    }

    #[test]
    fn a_new_application_is_created_with_its_model() {
        let mut world = world([application("shop")]);
        settle(&mut world);
        assert_eq!((condition(&world, "Created").as_deref(), condition(&world, "Updated")), (OK, None));
        assert!(shop(&world).status.unwrap().devfile.unwrap().contains("name: shop"));
    }

    #[test]
    fn a_new_display_name_is_an_update() {
        let mut world = world([application("shop")]);
        settle(&mut world);
        world.edit::<Application>("n", "shop", |shop| shop.spec.display_name = "New".into());
        settle(&mut world);
        assert_eq!(condition(&world, "Updated").as_deref(), OK);
        assert!(shop(&world).status.unwrap().devfile.unwrap().contains("name: New"));
    }

    #[rstest]
    #[case::before_the_first_model(false, "Created")]
    #[case::after_it(true, "Updated")]
    fn two_components_of_one_name_are_an_error_until_one_goes(#[case] had_model: bool, #[case] type_: &str) {
        let mut world = world([application("shop")]);
        if had_model {
            settle(&mut world);
        }
        world.insert(&component("a").of("shop").build());
        world.insert(&component("b").of("shop").named_in_model("a").build());
        settle(&mut world);
        assert_eq!(condition(&world, type_).as_deref(), Some("False/Error"));
        assert_eq!(shop(&world).status.unwrap().devfile.is_some(), had_model, "an earlier model stays");
        world.remove::<Component>("n", "b");
        settle(&mut world);
        assert_eq!(condition(&world, "Created").as_deref(), OK);
        assert_eq!(condition(&world, type_).as_deref(), OK);
    }

    fn message(application: &Application, type_: &str) -> String {
        let conditions = application.status.clone().unwrap_or_default().conditions;
        conditions.into_iter().find(|condition| condition.type_ == type_).unwrap().message
    }

    #[test]
    fn a_model_that_is_too_large_is_told_and_the_one_from_before_stays() {
        let mut world = world([application("shop")]);
        settle(&mut world);
        for name in ["a", "b", "c"] {
            world.insert(&component(name).of("shop").image(&"i".repeat(400_000)).build());
        }
        settle(&mut world);
        assert_eq!(condition(&world, "Updated").as_deref(), Some("False/Error"));
        let shop_now = shop(&world);
        let message = message(&shop_now, "Updated");
        for part in ["status.devfile", "1200", "1048576", "3 Components", "move some to another Application"]
        {
            assert!(message.contains(part), "no {part} in: {message}");
        }
        assert!(!shop_now.status.unwrap().devfile.unwrap().contains("containerImage"));
        world.remove::<Component>("n", "b");
        settle(&mut world);
        assert_eq!(condition(&world, "Updated").as_deref(), OK);
    }

    /// The model itself would fit, but not beside what else is in the object.
    #[test]
    fn a_model_that_the_api_server_refuses_is_told_once() {
        let mut world = world([application("shop")]);
        let refused = |world: &World| decide(&Observed { is_refused: true, ..seen(world) });
        world.apply(&refused(&world).writes);
        assert_eq!(condition(&world, "Created").as_deref(), Some("False/Error"));
        let message = message(&shop(&world), "Created");
        assert!(message.contains("more than fits into the object"), "{message}");
        assert_eq!(refused(&world).writes, vec![], "and then it is quiet");
    }

    #[test]
    fn a_component_that_is_being_deleted_leaves_the_model() {
        let mut world = world([application("shop")]);
        world.insert(&component("a").of("shop").finalizer("example.com/theirs").build());
        settle(&mut world);
        assert!(shop(&world).status.unwrap().devfile.unwrap().contains("projects"));
        world.remove::<Component>("n", "a");
        settle(&mut world);
        assert!(!shop(&world).status.unwrap().devfile.unwrap().contains("projects"));
    }

    #[test]
    fn a_finalizer_of_the_original_does_not_hold_a_deletion_up() {
        let mut shop = application("shop");
        shop.metadata.finalizers = Some(vec![finalizers::APPLICATION.into()]);
        let mut world = world([shop]);
        world.remove::<Application>("n", "shop");
        let decision = decide(&seen(&world));
        assert_eq!(decision.hold, Some(Hold::BeingDeleted));
        world.apply(&decision.writes);
        assert!(world.get::<Application>("n", "shop").is_none());
    }

    #[test]
    fn says_nothing_twice() {
        let mut world = world([application("shop")]);
        settle(&mut world);
        let again = decide(&seen(&world));
        assert_eq!((again.writes, again.hold), (vec![], Some(Hold::UpToDate)));
    }
}
