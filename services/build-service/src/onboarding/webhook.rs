//! The webhook of a repository: where it leads, and that it is there (specification, section 4.4, steps 5 and 7).

use std::collections::BTreeMap;
use std::path::PathBuf;

use build_service_api::ErrorId;
use fleet::Secret;
use fleet::outbound::Url;
use forge::Hook;
use kube::api::{ApiResource, DynamicObject, GroupVersionKind};
use kube::{Api, Client};

use crate::args::Args;
use crate::failure::Failure;
use crate::git::{Access, Source};

/// OpenShift's way in to pipelines-as-code, and the namespaces that it may be in, in this order.
const ROUTE: &str = "pipelines-as-code-controller";
const NAMESPACES: [&str; 2] = ["openshift-pipelines", "pipelines-as-code"];

/// Webhooks of repositories.
#[derive(Clone)]
pub(crate) struct Webhooks {
    client: Client,
    url: Option<Url>,
    /// See [`target_of`].
    config: Option<PathBuf>,
    verify_tls: bool,
    /// Their forges send the events of all repositories by themselves.
    system: Vec<String>,
}

impl Webhooks {
    pub(crate) fn new(args: &Args, client: Client) -> Self {
        Self {
            client,
            url: args.pac_webhook_url.clone(),
            config: args.webhook_config_path.clone(),
            verify_tls: !args.pac_webhook_insecure_ssl.0,
            system: args.system_webhooks.iter().map(|host| host.trim().to_owned()).collect(),
        }
    }

    /// Where events of a repository are sent to.
    pub(crate) async fn target(&self, source: &Source) -> Result<String, Failure> {
        if let Some(url) = &self.url {
            return Ok(url.as_str().trim_end_matches('/').to_owned());
        }
        if let Some(found) = self.configured(source).await? {
            return Ok(found);
        }
        for namespace in NAMESPACES {
            if let Some(host) = self.route(namespace).await? {
                return Ok(format!("https://{host}"));
            }
        }
        let detail = format!(
            "events of {} have nowhere to go: an administrator sets --pac-webhook-url or --webhook-config-path, or makes Route {}/{ROUTE}",
            source.name(),
            NAMESPACES[0]
        );
        Err(Failure::permanent(ErrorId::PacRouteDoesNotExist, detail))
    }

    /// Has the repository's events sent, signed with `secret`.
    pub(crate) async fn ensure(
        &self,
        access: &Access,
        source: &Source,
        secret: &Secret<String>,
    ) -> Result<(), Failure> {
        if self.is_system(source) {
            return Ok(());
        }
        let url = self.target(source).await?;
        let hook = Hook { url, secret: secret.clone(), verify_tls: self.verify_tls };
        let made = access.changes.ensure_hook(&source.repository, &hook).await;
        made.map(drop).map_err(|error| access.refused(source, &error))
    }

    /// Takes the webhook away. Where it would lead is unknown: there is none.
    pub(crate) async fn remove(&self, access: &Access, source: &Source) -> Result<(), Failure> {
        if self.is_system(source) {
            return Ok(());
        }
        let url = match self.target(source).await {
            Err(Failure::Permanent { id: ErrorId::PacRouteDoesNotExist, detail }) => {
                tracing::warn!(detail, "The webhook of a repository cannot be looked for");
                return Ok(());
            }
            target => target?,
        };
        let gone = access.changes.delete_hook(&source.repository, &url).await;
        gone.map(drop).map_err(|error| access.refused(source, &error))
    }

    /// Whether its forge sends the events of all repositories by itself.
    pub(crate) fn is_system(&self, source: &Source) -> bool {
        self.system.iter().any(|host| host.eq_ignore_ascii_case(&source.host))
    }

    async fn configured(&self, source: &Source) -> Result<Option<String>, Failure> {
        let Some(path) = &self.config else { return Ok(None) };
        let wrong = |error: &dyn std::error::Error| {
            Failure::transient(format!("webhook settings {}: {error}", path.display()))
        };
        let text = match tokio::fs::read(path).await {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            text => text.map_err(|error| wrong(&error))?,
        };
        let targets = serde_json::from_slice(&text).map_err(|error| wrong(&error))?;
        Ok(target_of(&targets, &source.url))
    }

    /// Host of the Route in a namespace. There may be no such kind.
    async fn route(&self, namespace: &str) -> Result<Option<String>, Failure> {
        let kind = ApiResource::from_gvk(&GroupVersionKind::gvk("route.openshift.io", "v1", "Route"));
        let routes: Api<DynamicObject> = Api::namespaced_with(self.client.clone(), namespace, &kind);
        let found = match routes.get_opt(ROUTE).await {
            // Without the kind the answer is a bare 404, which `get_opt` does not take for a missing object.
            Err(kube::Error::Api(status)) if status.code == 404 => None,
            found => found.map_err(|error| Failure::of_api(&format!("Route {namespace}/{ROUTE}"), &error))?,
        };
        let host = found.and_then(|route| route.data["spec"]["host"].as_str().map(str::to_owned));
        Ok(host.filter(|host| !host.is_empty()))
    }
}

/// The target for a repository: that of the longest key which its URL begins with. The empty key is for all others.
fn target_of(targets: &BTreeMap<String, String>, url: &str) -> Option<String> {
    let fitting =
        targets.iter().filter(|(prefix, target)| url.starts_with(prefix.as_str()) && !target.is_empty());
    let longest = fitting.max_by_key(|(prefix, _)| prefix.len());
    longest.map(|(_, target)| target.trim_end_matches('/').to_owned())
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case("https://github.com/acme/app", Some("https://acme.test"))]
    #[case("https://github.com/other/app", Some("https://github.test/hook"))]
    #[case("https://gitlab.com/acme/app", Some("https://all.test"))]
    fn the_longest_beginning_counts(#[case] url: &str, #[case] expected: Option<&str>) {
        let targets = [
            ("", "https://all.test"),
            ("https://github.com", "https://github.test/hook/"),
            ("https://github.com/acme", "https://acme.test"),
            ("https://github.com/acme/app", ""),
        ];
        let targets = targets.iter().map(|(key, target)| ((*key).to_owned(), (*target).to_owned())).collect();
        assert_eq!(target_of(&targets, url).as_deref(), expected);
    }

    #[test]
    fn without_a_key_for_all_others_some_have_none() {
        let targets = [("https://github.com".to_owned(), "https://github.test".to_owned())].into();
        assert_eq!(target_of(&targets, "https://gitlab.com/acme/app"), None);
    }
}
