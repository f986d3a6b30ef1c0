//! What the API server asks: of Snapshots and scenarios before they are stored, and for scenarios in other versions.
//!
//! ```text
//! Snapshot     made   label with its Application; refused if its name is no label value
//! scenario     made   refused if its name is no DNS-1035 label, as its definition does anyway
//!              read or written in another version   converted
//! ```
//! Paths are the original's, also those that our own configurations do not name: a cluster may still have its configurations. What
//! the original did when a Snapshot is deleted (our finalizer off its runs) its controller does.

mod scenario;
mod snapshot;

use application_service_api::Snapshot;
use fleet::Fleet;
use fleet::certificate::CaTarget;
use fleet::webhook::{Verdict, Webhooks};
use integration_service_api::{CONVERSION_PATH, IntegrationTestScenario, convert};
use kube::CustomResourceExt as _;
use serde_json::Value;

/// Serves all of them, and has what is stored in older versions written again.
pub(crate) fn serve(fleet: &mut Fleet) {
    let scenarios = IntegrationTestScenario::crd_name();
    let configuration = fleet.webhook_configuration();
    let targets = [
        CaTarget::MutatingWebhooks(configuration.clone()),
        CaTarget::ValidatingWebhooks(configuration),
        CaTarget::Conversion(scenarios.to_owned()),
    ];
    fleet.webhooks(webhooks(), targets);
    fleet.migrate_storage([scenarios]);
}

fn webhooks() -> Webhooks {
    Webhooks::new()
        .mutate::<Snapshot>("/mutate-appstudio-redhat-com-v1alpha1-snapshot", snapshot::labelled)
        .validate::<Snapshot>("/validate-appstudio-redhat-com-v1alpha1-snapshot", snapshot::named)
        .validate::<Value>("/validate-appstudio-redhat-com-v1beta2-integrationtestscenario", scenario::named)
        .validate::<Value>("/validate-appstudio-redhat-com-v1beta1-integrationtestscenario", scenario::named)
        // The schema has the default, and the controller makes the Application the owner.
        .mutate::<Value>("/mutate-appstudio-redhat-com-v1beta2-integrationtestscenario", |_| Verdict::Allow)
        .convert(CONVERSION_PATH, |object, version| convert(object, version.parse()?))
}

#[cfg(test)]
mod testing {
    use fleet::webhook::{Operation, Review};
    use kube::core::{GroupVersionKind, GroupVersionResource};
    use serde::de::DeserializeOwned;
    use serde_json::Value;

    pub(super) fn review<K: DeserializeOwned>(operation: Operation, object: &Value) -> Review<K> {
        Review {
            operation,
            kind: GroupVersionKind::gvk("appstudio.redhat.com", "v1", "Any"),
            resource: GroupVersionResource::gvr("appstudio.redhat.com", "v1", "any"),
            sub_resource: None,
            namespace: Some("n".to_owned()),
            name: String::new(),
            object: Some(serde_json::from_value(object.clone()).unwrap()),
            old_object: None,
            user: Default::default(),
            dry_run: false,
        }
    }
}
