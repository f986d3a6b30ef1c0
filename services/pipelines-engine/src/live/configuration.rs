//! The configuration that is in force, kept fresh from its ConfigMaps.

use std::sync::Arc;

use fleet::Store;
use fleet::store::Change;
use k8s_openapi::api::core::v1::ConfigMap;
use parking_lot::RwLock;

use crate::config::{Config, ELSEWHERE, Names};

/// Cheap to clone.
#[derive(Clone, Default)]
pub struct Configuration(Arc<RwLock<Arc<Config>>>);

impl Configuration {
    /// Follows the ConfigMaps in `store`. One that is gone means the defaults; one that cannot be read changes nothing.
    pub fn follow(store: &Store<ConfigMap>, names: Names) -> Self {
        let configuration = Self::default();
        let followed = configuration.clone();
        store.subscribe(move |change| followed.take(change, &names));
        configuration
    }

    /// What is in force at this moment.
    pub fn current(&self) -> Arc<Config> {
        Arc::clone(&self.0.read())
    }

    fn take(&self, change: &Change<ConfigMap>, names: &Names) {
        let data = change.new.as_ref().and_then(|map| map.data.clone()).unwrap_or_default();
        let mut config = Config::clone(&self.0.read());
        match names.read(&change.key.name, &data, &mut config) {
            Ok(true) => {
                *self.0.write() = Arc::new(config);
                tracing::info!(config_map = %change.key, "Configuration is in force");
            }
            Ok(false) => tell_where_it_is_read(change),
            Err(error) => tracing::error!(
                config_map = %change.key,
                error = %error,
                "Configuration is not valid; the last good one stays in force"
            ),
        }
    }
}

/// Who sets something where upstream reads it should not wonder why nothing changes.
fn tell_where_it_is_read(change: &Change<ConfigMap>) {
    let says_something = |map: &ConfigMap| map.data.iter().flatten().any(|(key, _)| key != "_example");
    if !change.new.as_deref().is_some_and(says_something) {
        return;
    }
    if let Some((_, instead)) = ELSEWHERE.iter().find(|(name, _)| change.key.name.starts_with(name)) {
        tracing::info!(config_map = %change.key, instead, "This engine does not read the ConfigMap");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn map(name: &str, data: &serde_json::Value) -> ConfigMap {
        static VERSION: std::sync::atomic::AtomicU64 = std::sync::atomic::AtomicU64::new(1);
        let version = VERSION.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        serde_json::from_value(json!({
            "metadata": {"name": name, "namespace": "tekton-pipelines", "resourceVersion": version.to_string()},
            "data": data,
        }))
        .unwrap()
    }

    #[test]
    fn a_change_is_in_force_at_once_and_a_bad_one_never() {
        let store = Store::new(|_| {}, Vec::new());
        let configuration = Configuration::follow(&store, Names::default());
        store.apply(map("config-defaults", &json!({"default-service-account": "builder"})));
        assert_eq!(configuration.current().defaults.service_account, "builder");
        store.apply(map(
            "config-defaults",
            &json!({"default-service-account": "x", "default-timeout-minutes": "long"}),
        ));
        assert_eq!(configuration.current().defaults.service_account, "builder");
        store.apply(map("feature-flags", &json!({"keep-pod-on-cancel": "true"})));
        assert!(configuration.current().features.keep_pod_on_cancel);
        assert_eq!(configuration.current().defaults.service_account, "builder");
        store.apply(map("config-observability", &json!({"metrics.count.enable-reason": "true"})));
        assert!(configuration.current().observability.count_reason);
    }

    #[test]
    fn the_config_maps_can_have_other_names() {
        let store = Store::new(|_| {}, Vec::new());
        let names = Names { features: "mine".to_owned(), ..Names::default() };
        let configuration = Configuration::follow(&store, names);
        store.apply(map("feature-flags", &json!({"keep-pod-on-cancel": "true"})));
        assert!(!configuration.current().features.keep_pod_on_cancel);
        store.apply(map("mine", &json!({"keep-pod-on-cancel": "true"})));
        assert!(configuration.current().features.keep_pod_on_cancel);
    }
}
