//! Certificate authorities of the operator's registries, of ConfigMap `config-registry-cert` (runtime specification,
//! section 4).

use fleet::Store;
use fleet::outbound::Client;
use fleet::store::Change;
use k8s_openapi::api::core::v1::ConfigMap;

/// Name of the ConfigMap.
pub const CONFIG_MAP: &str = "config-registry-cert";
/// Its key: certificates in PEM.
const KEY: &str = "cert";

/// Has `outbound` trust what the ConfigMap in `store` says, as soon as it says so: as with upstream, all of this process's
/// calls to the outside. One that is gone means none; one that cannot be read changes nothing.
pub fn follow(store: &Store<ConfigMap>, outbound: Client) {
    store.subscribe(move |change| take(&outbound, change));
}

fn take(outbound: &Client, change: &Change<ConfigMap>) {
    if change.key.name != CONFIG_MAP {
        return;
    }
    let pem = change.new.as_ref().and_then(|map| map.data.as_ref()?.get(KEY));
    if let Err(error) = outbound.trust_further(pem.map_or("", String::as_str)) {
        tracing::error!(
            config_map = %change.key,
            error = %error,
            "Configuration is not valid; the last good one stays in force"
        );
    }
}

#[cfg(test)]
mod tests {
    use fleet::outbound::{Options, Request, Url};
    use k8s_openapi::api::core::v1::ConfigMap;
    use serde_json::json;
    use testkit::pki::Authority;
    use testkit::registry::PlayedRegistry;

    use super::*;

    #[tokio::test]
    async fn what_the_config_map_names_is_trusted_at_once() {
        let authority = Authority::new("registry-cert").unwrap();
        let registry = PlayedRegistry::start(&authority).unwrap();
        let options = Options { allow: "127.0.0.1".parse().unwrap(), ..Options::default() };
        let client =
            Client::new("test", options, fleet::Clock::system(), &prometheus::Registry::new()).unwrap();
        let store = Store::new(|_| {}, Vec::new());
        follow(&store, client.clone());
        let url = Url::parse(&format!("https://{}/v2/", registry.address())).unwrap();
        let is_trusted = async || client.fetch(Request::new(http::Method::POST, url.clone())).await.is_ok();
        let say = |version: u32, name: &str, pem: &str| {
            let metadata = json!({"name": name, "namespace": "n", "resourceVersion": version.to_string()});
            let map: ConfigMap =
                serde_json::from_value(json!({"metadata": metadata, "data": {"cert": pem}})).unwrap();
            store.apply(map);
        };
        say(1, "another", authority.cert_pem());
        assert!(!is_trusted().await);
        say(2, CONFIG_MAP, authority.cert_pem());
        assert!(is_trusted().await);
        say(3, CONFIG_MAP, "no PEM");
        assert!(is_trusted().await, "what cannot be read changes nothing");
        say(4, CONFIG_MAP, "");
        assert!(!is_trusted().await);
    }
}
