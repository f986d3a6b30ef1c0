//! The settings that are in force, kept fresh from their ConfigMap.
//!
//! A ConfigMap that is gone means the defaults. One with a fault changes nothing; a fault at the start means that there are no
//! settings yet, and then nothing is signed: guessing could store signatures where nobody wants them. Faults are told by an
//! Event on the ConfigMap, a metric and the log.

use std::sync::Arc;

use fleet::store::Change;
use fleet::{Decision, Event, Fleet, Hold, ObjectKey, Runner, Store, Wake, WriteError};
use k8s_openapi::api::core::v1::ConfigMap;
use parking_lot::RwLock;

use crate::config::{Config, Fault};
use crate::metrics::Metrics;
use crate::service::Context;

/// Cheap to clone.
#[derive(Clone)]
pub(crate) struct Configuration(Arc<Inner>);

struct Inner {
    /// Name of the ConfigMap.
    name: String,
    config: RwLock<Option<Arc<Config>>>,
    metrics: Metrics,
}

/// Nothing is ever held here.
#[derive(Debug, PartialEq)]
enum Never {}

impl Hold for Never {}

impl Configuration {
    /// Follows the ConfigMap of this name in `store`.
    pub(crate) fn follow(store: &Store<ConfigMap>, name: &str, metrics: Metrics) -> Self {
        let configuration =
            Self(Arc::new(Inner { name: name.to_owned(), config: RwLock::default(), metrics }));
        let followed = configuration.clone();
        store.subscribe(move |change| followed.take(change));
        configuration
    }

    /// What is in force at this moment. `None` as long as there has been nothing but a ConfigMap with faults. Ask once the store
    /// is synced: before that there seems to be no ConfigMap.
    pub(crate) fn current(&self, store: &Store<ConfigMap>) -> Option<Arc<Config>> {
        if let Some(config) = &*self.0.config.read() {
            return Some(Arc::clone(config));
        }
        let is_there = store.keys().iter().any(|key| key.name == self.0.name);
        (!is_there).then(Arc::default)
    }

    fn take(&self, change: &Change<ConfigMap>) {
        if change.key.name != self.0.name {
            return;
        }
        match read(change.new.as_deref()) {
            Ok(config) => {
                *self.0.config.write() = Some(Arc::new(config));
                self.0.metrics.configuration_is_valid(true);
                tracing::info!(config_map = %change.key, "Settings are in force");
            }
            Err(faults) => {
                self.0.metrics.configuration_is_valid(false);
                tracing::error!(
                    config_map = %change.key,
                    error = told(&faults),
                    "Settings are not valid; those before stay in force"
                );
            }
        }
    }
}

/// An Event on a ConfigMap that is not in force.
pub(crate) fn controller(fleet: &Fleet, context: &Arc<Context>) -> Runner {
    let shared = Arc::clone(context);
    fleet.controller("configuration").of(&context.stores.configuration).reconcile(move |key| {
        let context = Arc::clone(&shared);
        async move { tell(&context, &key).await }
    })
}

async fn tell(context: &Context, key: &ObjectKey) -> Result<Wake, WriteError> {
    let map = context.stores.configuration.get(key).filter(|_| key.name == context.args.config);
    let Some(map) = map else { return Ok(Wake::OnChange) };
    let decision = decide(&map);
    context.writer.apply(&decision.writes).await?;
    Ok(decision.wake)
}

fn decide(map: &ConfigMap) -> Decision<Never> {
    let mut decision = Decision::default();
    if let Err(faults) = read(Some(map)) {
        let note = format!("the settings before stay in force: {}", told(&faults));
        decision.push(Event::warning(map, "InvalidSettings", "Read", note));
    }
    decision
}

fn read(map: Option<&ConfigMap>) -> Result<Config, Vec<Fault>> {
    match map.and_then(|map| map.data.as_ref()) {
        Some(data) => Config::read(data),
        None => Ok(Config::default()),
    }
}

fn told(faults: &[Fault]) -> String {
    faults.iter().map(Fault::to_string).collect::<Vec<_>>().join("; ")
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn map(version: u64, data: &Value) -> ConfigMap {
        let metadata =
            json!({"name": "chains-config", "namespace": "n", "resourceVersion": version.to_string()});
        serde_json::from_value(json!({"metadata": metadata, "data": data})).unwrap()
    }

    fn follow(store: &Store<ConfigMap>) -> Configuration {
        Configuration::follow(store, "chains-config", Metrics::new(&prometheus::Registry::new()).unwrap())
    }

    fn builder(configuration: &Configuration, store: &Store<ConfigMap>) -> Option<String> {
        configuration.current(store).map(|config| config.builder_id.clone())
    }

    #[test]
    fn scenario_14_a_fault_changes_nothing() {
        let store = Store::new(|_| {}, Vec::new());
        let configuration = follow(&store);
        assert_eq!(
            builder(&configuration, &store),
            Some(Config::default().builder_id),
            "there is no ConfigMap"
        );
        store.apply(map(1, &json!({"builder.id": "https://a"})));
        assert_eq!(builder(&configuration, &store).unwrap(), "https://a");
        store.apply(map(2, &json!({"builder.id": "https://b", "artifacts.taskrun.format": "slsa/v9"})));
        assert_eq!(builder(&configuration, &store).unwrap(), "https://a");
        store.delete(&map(3, &json!({})));
        assert_eq!(builder(&configuration, &store), Some(Config::default().builder_id));
    }

    #[test]
    fn a_fault_at_the_start_means_no_settings() {
        let store = Store::new(|_| {}, Vec::new());
        let configuration = follow(&store);
        store.apply(map(1, &json!({"artifacts.taskrun.format": "slsa/v9"})));
        assert_eq!(builder(&configuration, &store), None);
        store.apply(map(2, &json!({"artifacts.taskrun.format": "in-toto"})));
        assert!(builder(&configuration, &store).is_some());
    }

    #[test]
    fn a_fault_is_told_on_the_config_map() {
        assert!(decide(&map(1, &json!({}))).writes.is_empty());
        let writes = decide(&map(1, &json!({"artifacts.oci.signer": "pgp"}))).writes;
        let [fleet::Write::Event(event)] = &writes[..] else { panic!("{writes:?}") };
        assert!(event.note.contains("artifacts.oci.signer") && event.note.contains("kms"), "{}", event.note);
    }
}
