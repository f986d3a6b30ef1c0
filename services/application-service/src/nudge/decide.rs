//! The reverse edges of nudges, and whether a Component nudges itself by a detour.

use std::collections::BTreeSet;
use std::sync::Arc;

use application_service_api::Component;
use application_service_api::conditions::NudgesAcyclic;
use fleet::{Decision, FieldManager, StatusPatch};
use fleet_api::ConditionState as _;
use jiff::Timestamp;

const MANAGER: FieldManager = FieldManager::new("application-service/nudges");

/// All that the decision looks at.
#[derive(Clone, Debug)]
pub struct Observed {
    pub now: Timestamp,
    pub component: Arc<Component>,
    /// Names of the Components whose `build-nudges-ref` names this one and that are not being deleted.
    pub nudgers: BTreeSet<String>,
    /// A way of nudges from this Component back to itself. The webhook refuses most; two that are created at once can
    /// still close one.
    pub cycle: Option<Vec<String>>,
}

/// Why nothing is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hold {
    BeingDeleted,
    /// The status says everything already.
    UpToDate,
}

impl fleet::Hold for Hold {}

/// Derives the whole list anew, so that an edge that went while nobody looked goes as well.
pub fn decide(seen: &Observed) -> Decision<Hold> {
    let component = &*seen.component;
    if component.metadata.deletion_timestamp.is_some() {
        return Hold::BeingDeleted.into();
    }
    let status = StatusPatch::of(component, MANAGER, seen.now)
        .field("build-nudged-by", (!seen.nudgers.is_empty()).then_some(&seen.nudgers));
    let status = match &seen.cycle {
        Some(path) => status.condition(&NudgesAcyclic::CycleDetected { path: path.clone() }),
        // Said only after a cycle: a Component that never had one needs no condition.
        None if had_cycle(component) => status.condition(&NudgesAcyclic::Acyclic),
        None => status,
    };
    match status.into_write() {
        Some(write) => Decision { writes: vec![write], ..Decision::default() },
        None => Hold::UpToDate.into(),
    }
}

fn had_cycle(component: &Component) -> bool {
    let conditions = component.status.as_ref().map(|status| status.conditions.as_slice()).unwrap_or_default();
    conditions.iter().any(|condition| condition.type_ == NudgesAcyclic::TYPE)
}

#[cfg(test)]
mod tests {
    use super::*;
    use kube::ResourceExt;
    use testkit::World;

    use crate::nudge::graph;
    use crate::testing::{component, now, world};

    fn seen(world: &World, name: &str) -> Option<Observed> {
        let component: Component = world.get("n", name)?;
        let all: Vec<Component> = world.list("n");
        let refs = |name: &str| {
            all.iter()
                .find(|other| other.name_any() == name)
                .map(|other| other.spec.build_nudges_ref.clone())
                .unwrap_or_default()
        };
        Some(Observed {
            now: now(),
            nudgers: all
                .iter()
                .filter(|other| other.spec.build_nudges_ref.contains(&name.to_owned()))
                .map(ResourceExt::name_any)
                .collect(),
            cycle: graph::cycle(name, &component.spec.build_nudges_ref, refs),
            component: Arc::new(component),
        })
    }

    fn settle(world: &mut World) {
        world.settle(|world| {
            let seen = ["a", "b", "c"].iter().filter_map(|name| seen(world, name));
            seen.flat_map(|seen| decide(&seen).writes).collect()
        });
    }

    fn nudged_by(world: &World, name: &str) -> Vec<String> {
        let component: Component = world.get("n", name).unwrap();
        component.status.unwrap_or_default().build_nudged_by
    }

    fn verdict(world: &World, name: &str) -> Option<(String, String)> {
        let component: Component = world.get("n", name)?;
        let conditions = component.status?.conditions;
        conditions.into_iter().find(|c| c.type_ == "NudgesAcyclic").map(|c| (c.reason, c.message))
    }

    fn nudging(name: &str, targets: &[&str]) -> Component {
        component(name).of("shop").nudges(targets).build()
    }

    #[test]
    fn lists_who_nudges_in_order() {
        let mut world = world([nudging("b", &["c"]), nudging("a", &["c"]), nudging("c", &[])]);
        settle(&mut world);
        assert_eq!(nudged_by(&world, "c"), ["a", "b"]);
        assert_eq!(verdict(&world, "c"), None);
    }

    #[test]
    fn dropping_the_reference_or_the_component_empties_the_list() {
        let mut world = world([nudging("a", &["c"]), nudging("b", &["c"]), nudging("c", &[])]);
        settle(&mut world);
        world.edit::<Component>("n", "a", |a| a.spec.build_nudges_ref.clear());
        settle(&mut world);
        assert_eq!(nudged_by(&world, "c"), ["b"]);
        world.remove::<Component>("n", "b");
        settle(&mut world);
        assert_eq!(nudged_by(&world, "c"), Vec::<String>::new());
    }

    #[test]
    fn a_target_that_comes_later_is_told() {
        let mut world = world([nudging("a", &["c"])]);
        settle(&mut world);
        world.insert(&nudging("c", &[]));
        settle(&mut world);
        assert_eq!(nudged_by(&world, "c"), ["a"]);
    }

    #[test]
    fn a_cycle_is_told_to_all_of_it_until_it_is_broken() {
        let mut world = world([nudging("a", &["b"]), nudging("b", &["c"]), nudging("c", &["a"])]);
        settle(&mut world);
        for name in ["a", "b", "c"] {
            let (reason, message) = verdict(&world, name).unwrap();
            assert_eq!(reason, "CycleDetected");
            assert!(message.contains(" -> "), "{message}");
        }
        world.edit::<Component>("n", "c", |c| c.spec.build_nudges_ref.clear());
        settle(&mut world);
        for name in ["a", "b", "c"] {
            assert_eq!(verdict(&world, name).unwrap().0, "Acyclic");
        }
    }

    #[test]
    fn writes_nothing_where_nobody_nudges() {
        let world = world([nudging("a", &[])]);
        let decision = decide(&seen(&world, "a").unwrap());
        assert_eq!((decision.writes, decision.hold), (vec![], Some(Hold::UpToDate)));
    }
}
