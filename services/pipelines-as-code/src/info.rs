//! ConfigMap `pipelines-as-code-info`, by which everybody in the cluster learns what serves them (spec section 7).

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::ConfigMap;
use kube::api::{Patch, PatchParams};
use kube::{Api, Client};
use pipelines_as_code_api::names;
use serde_json::json;

/// Writes the version, and the URL for forges where it is known. What else is in it is the administrator's.
pub(crate) async fn publish(client: Client, namespace: &str, controller_url: &str) {
    let maps: Api<ConfigMap> = Api::namespaced(client, namespace);
    let written = async {
        let Some(found) = maps.get_opt(names::INFO).await? else { return Ok(()) };
        let wanted = wanted(&found.data.unwrap_or_default(), controller_url);
        if !wanted.is_empty() {
            let patch = Patch::Merge(json!({"data": wanted}));
            maps.patch(names::INFO, &PatchParams::default(), &patch).await?;
        }
        Ok::<_, kube::Error>(())
    };
    if let Err(error) = written.await {
        tracing::warn!(%error, "ConfigMap {} is not up to date", names::INFO);
    }
}

/// What is not there yet.
fn wanted<'a>(there: &BTreeMap<String, String>, controller_url: &'a str) -> BTreeMap<&'static str, &'a str> {
    let all = [("version", concat!("v", env!("CARGO_PKG_VERSION"))), ("controller-url", controller_url)];
    all.into_iter()
        .filter(|(key, value)| !value.is_empty() && there.get(*key).is_none_or(|there| there != value))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn writes_what_has_changed_and_nothing_twice() {
        let there = |url: &str| [("controller-url".to_owned(), url.to_owned())].into();
        assert_eq!(wanted(&there("https://a.test"), "https://a.test").len(), 1);
        assert_eq!(wanted(&there("https://a.test"), "")["version"], concat!("v", env!("CARGO_PKG_VERSION")));
        let mut all: BTreeMap<String, String> = there("https://a.test");
        all.insert("version".to_owned(), concat!("v", env!("CARGO_PKG_VERSION")).to_owned());
        assert!(wanted(&all, "https://a.test").is_empty());
        assert_eq!(wanted(&all, "https://b.test")["controller-url"], "https://b.test");
    }
}
