//! The resolvers' configuration: ConfigMaps with upstream's names and keys.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use fleet::store::Change;
use fleet::{Controller, Store};
use k8s_openapi::api::core::v1::ConfigMap;
use parking_lot::RwLock;

use crate::config::{Data, Defaults, Invalid, duration, flag, list, text};

/// Everything that the resolvers depend on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    pub enabled: Enabled,
    pub git: GitSettings,
    pub bundles: BundleSettings,
    pub cluster: ClusterSettings,
    /// Until when a request has to be answered, whoever answers it. Of `config-defaults`.
    pub max_resolution: Duration,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            enabled: Enabled::default(),
            git: GitSettings::default(),
            bundles: BundleSettings::default(),
            cluster: ClusterSettings::default(),
            max_resolution: Defaults::default().max_resolution,
        }
    }
}

/// ConfigMap `resolvers-feature-flags`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Enabled {
    pub git: bool,
    pub bundles: bool,
    pub cluster: bool,
}

impl Default for Enabled {
    fn default() -> Self {
        Self { git: true, bundles: true, cluster: true }
    }
}

impl Enabled {
    const CONFIG_MAP: &str = "resolvers-feature-flags";

    fn parse(data: &Data) -> Result<Self, Invalid> {
        Ok(Self {
            git: flag(data, "enable-git-resolver", true)?,
            bundles: flag(data, "enable-bundles-resolver", true)?,
            cluster: flag(data, "enable-cluster-resolver", true)?,
        })
    }
}

/// ConfigMap `git-resolver-config`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GitSettings {
    pub fetch_timeout: Duration,
    pub url: String,
    pub revision: String,
    pub org: String,
    /// `github`, `gitlab`, `gitea`.
    pub scm_type: String,
    pub server_url: String,
    /// The operator's own token, for the server above only.
    pub token_secret: String,
    pub token_key: String,
    /// The resolvers' own if empty.
    pub token_namespace: String,
}

impl Default for GitSettings {
    fn default() -> Self {
        Self {
            fetch_timeout: Duration::from_mins(1),
            url: String::new(),
            revision: "main".to_owned(),
            org: String::new(),
            scm_type: "github".to_owned(),
            server_url: String::new(),
            token_secret: String::new(),
            token_key: String::new(),
            token_namespace: String::new(),
        }
    }
}

impl GitSettings {
    const CONFIG_MAP: &str = "git-resolver-config";

    fn parse(data: &Data) -> Result<Self, Invalid> {
        let default = Self::default();
        Ok(Self {
            // Nothing can be fetched in no time.
            fetch_timeout: Some(duration(data, "fetch-timeout", default.fetch_timeout)?)
                .filter(|timeout| !timeout.is_zero())
                .unwrap_or(default.fetch_timeout),
            url: text(data, "default-url", default.url),
            revision: text(data, "default-revision", default.revision),
            org: text(data, "default-org", default.org),
            scm_type: text(data, "scm-type", default.scm_type),
            server_url: text(data, "server-url", default.server_url),
            token_secret: text(data, "api-token-secret-name", default.token_secret),
            token_key: text(data, "api-token-secret-key", default.token_key),
            token_namespace: text(data, "api-token-secret-namespace", default.token_namespace),
        })
    }
}

/// ConfigMap `bundleresolver-config`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BundleSettings {
    pub kind: String,
}

impl Default for BundleSettings {
    fn default() -> Self {
        Self { kind: "task".to_owned() }
    }
}

impl BundleSettings {
    const CONFIG_MAP: &str = "bundleresolver-config";

    fn parse(data: &Data) -> Self {
        Self { kind: text(data, "default-kind", Self::default().kind) }
    }
}

/// ConfigMap `cluster-resolver-config`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClusterSettings {
    pub kind: String,
    pub namespace: String,
    /// Empty means all that are not blocked.
    pub allowed: BTreeSet<String>,
    /// `*` means all that are not allowed.
    pub blocked: BTreeSet<String>,
}

impl Default for ClusterSettings {
    fn default() -> Self {
        Self {
            kind: "task".to_owned(),
            namespace: String::new(),
            allowed: BTreeSet::new(),
            blocked: BTreeSet::new(),
        }
    }
}

impl ClusterSettings {
    const CONFIG_MAP: &str = "cluster-resolver-config";

    fn parse(data: &Data) -> Self {
        let default = Self::default();
        Self {
            kind: text(data, "default-kind", default.kind),
            namespace: text(data, "default-namespace", default.namespace),
            allowed: list(data, "allowed-namespaces"),
            blocked: list(data, "blocked-namespaces"),
        }
    }
}

impl Settings {
    /// Whether a ConfigMap of this name can be read.
    pub fn check(name: &str, data: &Data) -> Result<(), Invalid> {
        Self::default().with(name, data).map(drop)
    }

    /// The same with what a ConfigMap of this name says.
    fn with(&self, name: &str, data: &Data) -> Result<Self, Invalid> {
        let mut settings = self.clone();
        match name {
            Enabled::CONFIG_MAP => settings.enabled = Enabled::parse(data)?,
            GitSettings::CONFIG_MAP => settings.git = GitSettings::parse(data)?,
            BundleSettings::CONFIG_MAP => settings.bundles = BundleSettings::parse(data),
            ClusterSettings::CONFIG_MAP => settings.cluster = ClusterSettings::parse(data),
            Defaults::CONFIG_MAP => settings.max_resolution = Defaults::parse(data)?.max_resolution,
            _ => {}
        }
        Ok(settings)
    }
}

/// The settings that are in force. Cheap to clone.
#[derive(Clone)]
pub struct CurrentSettings {
    current: Arc<RwLock<Arc<Settings>>>,
    source: Store<ConfigMap>,
}

impl CurrentSettings {
    /// Follows the ConfigMaps in `store`. One that is gone means the defaults; one that cannot be read changes nothing.
    pub fn follow(store: &Store<ConfigMap>) -> Self {
        let settings = Self { current: Arc::default(), source: store.clone() };
        let followed = Arc::clone(&settings.current);
        store.subscribe(move |change| take(&followed, change));
        settings
    }

    pub fn get(&self) -> Arc<Settings> {
        Arc::clone(&self.current.read())
    }

    /// Has a controller begin only when they are known: by the defaults every namespace may be read.
    pub fn consulted_by(&self, controller: Controller) -> Controller {
        controller.consults(&self.source)
    }
}

fn take(current: &RwLock<Arc<Settings>>, change: &Change<ConfigMap>) {
    let data = change.new.as_ref().and_then(|map| map.data.clone()).unwrap_or_default();
    let mut current = current.write();
    match current.with(&change.key.name, &data) {
        Ok(settings) => *current = Arc::new(settings),
        Err(error) => tracing::error!(
            config_map = %change.key,
            error = %error,
            "Configuration is not valid; the last good one stays in force"
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn map(name: &str, version: u32, data: &serde_json::Value) -> ConfigMap {
        let metadata =
            json!({"name": name, "namespace": "tekton-pipelines", "resourceVersion": version.to_string()});
        serde_json::from_value(json!({"metadata": metadata, "data": data})).unwrap()
    }

    /// Every key of the runtime specification's table (section 3), each with a value that nothing has by itself.
    #[test]
    fn honours_every_key_of_upstream() {
        let read = |name: &str, data: serde_json::Value| {
            let data = serde_json::from_value(data).unwrap();
            Settings::default().with(name, &data).unwrap()
        };
        let git = read(
            "git-resolver-config",
            json!({
                "fetch-timeout": "5s", "default-url": "https://git.test/a", "default-revision": "v1", "default-org": "org",
                "scm-type": "gitlab", "server-url": "https://git.test", "api-token-secret-name": "s",
                "api-token-secret-key": "k", "api-token-secret-namespace": "n",
            }),
        );
        let expected = GitSettings {
            fetch_timeout: Duration::from_secs(5),
            url: "https://git.test/a".to_owned(),
            revision: "v1".to_owned(),
            org: "org".to_owned(),
            scm_type: "gitlab".to_owned(),
            server_url: "https://git.test".to_owned(),
            token_secret: "s".to_owned(),
            token_key: "k".to_owned(),
            token_namespace: "n".to_owned(),
        };
        assert_eq!(git, Settings { git: expected, ..Settings::default() });

        let bundles = read("bundleresolver-config", json!({"default-kind": "pipeline"})).bundles;
        assert_eq!(bundles, BundleSettings { kind: "pipeline".to_owned() });
        let cluster = read(
            "cluster-resolver-config",
            json!({
                "default-kind": "pipeline", "default-namespace": "shared", "allowed-namespaces": "a,b", "blocked-namespaces": "*",
            }),
        );
        let expected = ClusterSettings {
            kind: "pipeline".to_owned(),
            namespace: "shared".to_owned(),
            allowed: ["a", "b"].map(str::to_owned).into(),
            blocked: ["*".to_owned()].into(),
        };
        assert_eq!(cluster.cluster, expected);
        for (key, expected) in [
            ("enable-git-resolver", Enabled { git: false, ..Enabled::default() }),
            ("enable-bundles-resolver", Enabled { bundles: false, ..Enabled::default() }),
            ("enable-cluster-resolver", Enabled { cluster: false, ..Enabled::default() }),
        ] {
            assert_eq!(read("resolvers-feature-flags", json!({key: "false"})).enabled, expected);
        }
    }

    #[test]
    fn follows_the_config_maps() {
        let store = Store::new(|_| {}, Vec::new());
        let settings = CurrentSettings::follow(&store);
        assert_eq!(*settings.get(), Settings::default());
        store.apply(map(
            "git-resolver-config",
            1,
            &json!({"fetch-timeout": "5s", "default-org": "konflux-ci"}),
        ));
        store.apply(map(
            "cluster-resolver-config",
            2,
            &json!({"blocked-namespaces": "*", "allowed-namespaces": "a, b"}),
        ));
        store.apply(map("config-defaults", 3, &json!({"default-maximum-resolution-timeout": "2m"})));
        let now = settings.get();
        assert_eq!((now.git.fetch_timeout, now.git.org.as_str()), (Duration::from_secs(5), "konflux-ci"));
        assert_eq!(now.git.revision, "main");
        assert_eq!(now.cluster.allowed.len(), 2);
        assert_eq!(now.max_resolution, Duration::from_mins(2));
        store.apply(map("resolvers-feature-flags", 4, &json!({"enable-git-resolver": "perhaps"})));
        assert!(settings.get().enabled.git);
        store.apply(map("resolvers-feature-flags", 5, &json!({"enable-git-resolver": "false"})));
        assert!(!settings.get().enabled.git);
    }
}
