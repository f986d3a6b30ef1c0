//! The settings that are in force, kept fresh from their ConfigMap.

use std::sync::Arc;

use fleet::Store;
use fleet::store::Change;
use k8s_openapi::api::core::v1::ConfigMap;
use parking_lot::RwLock;
use pipelines_as_code_api::pipeline_run::ControllerInfo;

use super::Settings;
use crate::watch::SettingsOf;

/// Cheap to clone.
#[derive(Clone, Default)]
pub struct Current(Arc<RwLock<Arc<Settings>>>);

impl Current {
    /// Follows the ConfigMap `name` in `store`. Without it the defaults are in force.
    pub fn follow(store: &Store<ConfigMap>, name: &str) -> Self {
        let current = Self::default();
        let followed = current.clone();
        let name = name.to_owned();
        store.subscribe(move |change| {
            if change.key.name == name {
                followed.take(change);
            }
        });
        current
    }

    /// What is in force at this moment.
    pub fn get(&self) -> Arc<Settings> {
        Arc::clone(&self.0.read())
    }

    fn take(&self, change: &Change<ConfigMap>) {
        let data = change.new.as_ref().and_then(|map| map.data.clone()).unwrap_or_default();
        let (settings, invalid) = self.0.read().read(&data);
        for error in invalid {
            tracing::error!(config_map = %change.key, %error, "A setting is not valid; what was there before stays in force");
        }
        *self.0.write() = Arc::new(settings);
        tracing::info!(config_map = %change.key, "Settings are in force");
    }
}

impl SettingsOf for Current {
    /// Each controller looks after its own runs, so these are its own settings.
    fn of(&self, _: &ControllerInfo) -> Arc<Settings> {
        self.get()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn map(name: &str, version: u32, data: &serde_json::Value) -> ConfigMap {
        let metadata =
            json!({"name": name, "namespace": "pipelines-as-code", "resourceVersion": version.to_string()});
        serde_json::from_value(json!({"metadata": metadata, "data": data})).unwrap()
    }

    #[test]
    fn a_change_is_in_force_at_once_and_a_bad_value_never() {
        let store = Store::new(|_| {}, Vec::new());
        let current = Current::follow(&store, "pipelines-as-code");
        store.apply(map(
            "pipelines-as-code",
            1,
            &json!({"application-name": "Konflux", "remote-tasks": "false"}),
        ));
        assert_eq!(current.get().application_name, "Konflux");
        store.apply(map(
            "pipelines-as-code",
            2,
            &json!({"application-name": "Other", "remote-tasks": "perhaps"}),
        ));
        assert_eq!(current.get().application_name, "Other");
        assert!(!current.get().remote_tasks);
        store.apply(map("another", 3, &json!({"application-name": "Another"})));
        assert_eq!(current.get().application_name, "Other");
    }
}
