//! What gitops-service would do next in a namespace.

use kube::api::ResourceExt as _;
use kube::core::DynamicObject;
use serde_json::{Value, json};

use super::{Claiming, Deployment, View};
use crate::played::Scripts;

/// One write.
#[derive(Debug)]
pub(super) enum Write<'a> {
    /// Makes the target of this claim.
    Target(&'a DynamicObject),
    /// Gives a claim its target.
    TargetOf { claim: String, target: String },
    /// Says of a claim that it is bound.
    Bound(String),
    /// Deletes a target whose claim is gone.
    Unclaimed(String),
    /// Says of a binding what became of it.
    Binding { name: String, status: Value },
}

/// The first write that something is waiting for.
pub(super) fn next<'a>(
    view: &'a View,
    claiming: &Scripts<DynamicObject, Claiming>,
    deployment: &Scripts<DynamicObject, Deployment>,
) -> Option<Write<'a>> {
    let claim = view.claims.all().find_map(|claim| match claiming.of(claim) {
        Claiming::Binds => of_claim(view, claim),
        Claiming::Never => None,
    });
    claim.or_else(|| unclaimed(view)).or_else(|| {
        view.bindings.all().find_map(|binding| of_binding(view, binding, &deployment.of(binding)))
    })
}

/// The name that gitops-service gives to a target that it makes.
pub(super) fn target_of(claim: &str) -> String {
    format!("{claim}-dt")
}

fn of_claim<'a>(view: &View, claim: &'a DynamicObject) -> Option<Write<'a>> {
    if claim.metadata.deletion_timestamp.is_some()
        || text(claim, "/spec/deploymentTargetClassName").is_empty()
    {
        return None;
    }
    let (name, target) = (claim.name_any(), target_of(&claim.name_any()));
    if view.targets.get(&target).is_none() {
        return Some(Write::Target(claim));
    }
    if text(claim, "/spec/targetName").is_empty() {
        return Some(Write::TargetOf { claim: name, target });
    }
    (!is_bound(claim)).then_some(Write::Bound(name))
}

fn unclaimed<'a>(view: &View) -> Option<Write<'a>> {
    let is_left = |target: &&DynamicObject| {
        target.metadata.deletion_timestamp.is_none()
            && view.claims.get(text(target, "/spec/claimRef")).is_none()
            && target.name_any() == target_of(text(target, "/spec/claimRef"))
    };
    view.targets.all().find(is_left).map(|target| Write::Unclaimed(target.name_any()))
}

fn of_binding<'a>(view: &View, binding: &DynamicObject, script: &Deployment) -> Option<Write<'a>> {
    let environment = view.environments.get(text(binding, "/spec/environment"))?;
    let claim = text(environment, "/spec/configuration/target/deploymentTargetClaim/claimName");
    let can_deploy = claim.is_empty() || view.claims.get(claim).is_some_and(is_bound);
    if !can_deploy || binding.metadata.deletion_timestamp.is_some() {
        return None;
    }
    let status = status(binding, script)?;
    // What is compared has no times of ours: one look more must not be one write more.
    let is_said = |list: &str| {
        let (wanted, found) = (&status[list], &binding.data["status"][list]);
        wanted.is_null()
            || (found[0]["status"] == wanted[0]["status"]
                && found[0]["message"] == wanted[0]["message"]
                && found[0]["observedGeneration"] == wanted[0]["observedGeneration"])
    };
    let is_said = is_said("bindingConditions") && is_said("componentDeploymentConditions");
    (!is_said).then(|| Write::Binding { name: binding.name_any(), status })
}

fn status(binding: &DynamicObject, script: &Deployment) -> Option<Value> {
    let created = json!(binding.metadata.creation_timestamp);
    let condition = |type_: &str, truth: &str, reason: &str, message: &str, since: Value| {
        json!([{
            "type": type_, "status": truth, "reason": reason, "message": message, "lastTransitionTime": since,
            "observedGeneration": binding.metadata.generation,
        }])
    };
    match script {
        Deployment::Never => None,
        Deployment::Succeeds => {
            let components = binding.data["spec"]["components"].as_array().map_or(0, Vec::len);
            let message = format!("{components} of {components} components deployed");
            let mut status = json!({"componentDeploymentConditions":
                condition("AllComponentsDeployed", "True", "CommitsSynced", &message, created.clone())});
            // First written when something is wrong.
            if !binding.data["status"]["bindingConditions"].is_null() {
                status["bindingConditions"] =
                    condition("ErrorOccurred", "False", "ErrorOccurredResolved", "", created);
            }
            Some(status)
        }
        Deployment::Fails { message, since } => {
            let since = json!(since.strftime("%Y-%m-%dT%H:%M:%SZ").to_string());
            Some(json!({"bindingConditions":
                condition("ErrorOccurred", "True", "ErrorOccurred", message, since)}))
        }
    }
}

fn is_bound(claim: &DynamicObject) -> bool {
    text(claim, "/status/phase") == "Bound"
}

fn text<'a>(object: &'a DynamicObject, path: &str) -> &'a str {
    object.data.pointer(path).and_then(Value::as_str).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gitops::{Objects, resource};
    use kube::runtime::watcher::Event;

    fn object(kind: &str, name: &str, data: Value) -> DynamicObject {
        DynamicObject::new(name, &resource(kind)).data(data)
    }

    fn claim(data: Value) -> DynamicObject {
        object("DeploymentTargetClaim", "c", data)
    }

    fn view(claim: Option<DynamicObject>, target: Option<DynamicObject>) -> View {
        let mut view = View::default();
        for (store, object) in [(&mut view.claims, claim), (&mut view.targets, target)] {
            store.note(Event::InitDone, |_| None);
            if let Some(object) = object {
                store.note(Event::Apply(object), |_| None);
            }
        }
        let spec = json!({"configuration": {"target": {"deploymentTargetClaim": {"claimName": "c"}}}});
        let environment = object("Environment", "e", json!({ "spec": spec }));
        view.environments.note(Event::Apply(environment), |_| None);
        let spec = json!({"environment": "e", "components": [{"name": "a"}]});
        let binding = object("SnapshotEnvironmentBinding", "b", json!({ "spec": spec }));
        view.bindings.note(Event::Apply(binding), |_| None);
        view
    }

    fn target() -> DynamicObject {
        object("DeploymentTarget", "c-dt", json!({"spec": {"claimRef": "c"}}))
    }

    fn wanted() -> Value {
        json!({"spec": {"deploymentTargetClassName": "x"}})
    }

    fn bound() -> Value {
        json!({"spec": {"deploymentTargetClassName": "x", "targetName": "c-dt"}, "status": {"phase": "Bound"}})
    }

    fn write(view: &View, claiming: Claiming, deployment: Deployment) -> String {
        let claims = Scripts::new(claiming);
        let bindings = claims.beside(deployment);
        next(view, &claims, &bindings).map_or_else(|| "nothing".to_owned(), |write| format!("{write:?}"))
    }

    #[test]
    fn a_claim_is_bound_step_by_step_before_anything_is_deployed() {
        let mut seen = wanted();
        let mut steps = Vec::new();
        for has_target in [false, true, true, true] {
            let view = view(Some(claim(seen.clone())), has_target.then(target));
            let write = write(&view, Claiming::Binds, Deployment::Succeeds);
            match steps.len() {
                1 => seen["spec"]["targetName"] = json!("c-dt"),
                2 => seen["status"]["phase"] = json!("Bound"),
                _ => {}
            }
            steps.push(write);
        }
        let begins = ["Target(", "TargetOf", "Bound(\"c\")", "Binding"];
        for (step, begin) in steps.iter().zip(begins) {
            assert!(step.starts_with(begin), "{steps:#?}");
        }
    }

    #[test]
    fn scripts_hold_things_up() {
        assert_eq!(
            write(&view(Some(claim(wanted())), None), Claiming::Never, Deployment::Succeeds),
            "nothing"
        );
        let is_bound = view(Some(claim(bound())), Some(target()));
        assert_eq!(write(&is_bound, Claiming::Binds, Deployment::Never), "nothing");
        let failed =
            write(&is_bound, Claiming::Binds, Deployment::failed_at("no image", crate::builders::CREATED));
        assert!(failed.contains("no image") && failed.contains("2024-01-01T00:00:00Z"), "{failed}");
    }

    #[test]
    fn what_is_said_is_not_said_again() {
        let mut view = view(Some(claim(bound())), Some(target()));
        let scripts = Scripts::new(Claiming::Binds);
        let bindings = scripts.beside(Deployment::Succeeds);
        bindings.add(Objects::named("other"), Deployment::Never);
        let Some(Write::Binding { status, .. }) = next(&view, &scripts, &bindings) else {
            panic!("the binding is not deployed");
        };
        let mut binding = view.bindings.get("b").cloned().unwrap();
        binding.data["status"] = status;
        view.bindings.note(Event::Apply(binding), |_| None);
        assert_eq!(write(&view, Claiming::Binds, Deployment::Succeeds), "nothing");
    }

    #[test]
    fn a_target_goes_after_its_claim() {
        let view = view(None, Some(target()));
        assert_eq!(write(&view, Claiming::Binds, Deployment::Succeeds), "Unclaimed(\"c-dt\")");
    }
}
