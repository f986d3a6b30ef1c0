//! Which namespaces of the remote cluster are watched, where not all are (`--watch-all-remote=false`).
//!
//! Those that the allow list has; and those that it has no more, as long as there is a run for one of them or a request that cannot go
//! without us.

use std::collections::BTreeSet;

use fleet::ObjectKey;
use internal_services_api::InternalServicesConfigSpec;
use kube::ResourceExt as _;

use crate::settings::Settings;
use crate::stores::{HELD, Stores, is_held, request_of};

/// Keeps the list of namespaces right from now on.
pub(crate) fn follow(stores: &Stores, home: &str) {
    let watched =
        Watched { stores: stores.clone(), config: ObjectKey::new(home, InternalServicesConfigSpec::NAME) };
    let by_config = watched.clone();
    stores.configs.subscribe(move |_| by_config.tell(&by_config.settings()));
    let by_run = watched.clone();
    stores.runs.subscribe(move |change| {
        if change.old.is_some() != change.new.is_some() {
            let runs = change.old.iter().chain(&change.new);
            by_run.look(runs.filter_map(|run| request_of(run)).map(|key| key.namespace));
        }
    });
    stores.requests.subscribe(move |change| {
        let was_held = change.old.as_deref().is_some_and(is_held);
        if was_held && !change.new.as_deref().is_some_and(is_held) {
            watched.look([change.key.namespace.clone()]);
        }
    });
}

#[derive(Clone)]
struct Watched {
    stores: Stores,
    config: ObjectKey,
}

impl Watched {
    fn settings(&self) -> Settings {
        Settings::of(self.stores.configs.get(&self.config).as_deref())
    }

    /// What changes in a namespace that is allowed changes nothing about the list.
    fn look(&self, namespaces: impl IntoIterator<Item = String>) {
        let settings = self.settings();
        if namespaces.into_iter().any(|namespace| !settings.serves(&namespace)) {
            self.tell(&settings);
        }
    }

    fn tell(&self, settings: &Settings) {
        self.stores.requests.tell_namespaces(namespaces(settings, &self.stores));
    }
}

fn namespaces(settings: &Settings, stores: &Stores) -> BTreeSet<String> {
    let mut namespaces: BTreeSet<String> = settings.namespaces().map(str::to_owned).collect();
    let runs = stores.runs.keys().into_iter().filter_map(|key| stores.runs.get(&key));
    namespaces.extend(runs.filter_map(|run| request_of(&run)).map(|request| request.namespace));
    let others: BTreeSet<_> = stores.requests.keys().into_iter().map(|key| key.namespace).collect();
    let held = others.into_iter().filter(|namespace| {
        let held = stores.requests.indexed(HELD, &ObjectKey::new(namespace, ""));
        held.iter().any(|request| request.namespace().as_deref() == Some(namespace))
    });
    namespaces.extend(held);
    namespaces
}
