//! From a kubeconfig to clients: of the API server, and of the archive.
//!
//! The archive is asked with the same token as the API server. A client certificate is not: the archive could not check
//! it, and nobody but the API server needs to see it.

use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::Duration;

use http::Uri;
use kube::config::{AuthInfo, KubeConfigOptions, Kubeconfig, NamedExtension};
use kube::{Client, Config};
use serde::Deserialize;

use crate::cli::Global;

/// Name of the kubeconfig's extension that says where the archive is.
const EXTENSION: &str = "konflux-results";

/// Where the archive is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Address {
    /// With a host.
    Url(Uri),
    /// Begins with a slash: below the address of the cluster.
    Path(String),
    /// A Service of the cluster.
    Service(ServicePort),
}

/// `service:NAMESPACE/NAME:PORT`
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ServicePort {
    pub(crate) namespace: String,
    pub(crate) name: String,
    pub(crate) port: u16,
}

impl Default for Address {
    /// Where it is installed.
    fn default() -> Self {
        Self::Service(ServicePort {
            namespace: "tekton-results".to_owned(),
            name: "tekton-results-api-service".to_owned(),
            port: 8080,
        })
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Url(url) => write!(f, "{}", url.to_string().trim_end_matches('/')),
            Self::Path(path) => f.write_str(path),
            Self::Service(ServicePort { namespace, name, port }) => {
                write!(f, "service:{namespace}/{name}:{port}")
            }
        }
    }
}

impl FromStr for Address {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if let Some(service) = text.strip_prefix("service:") {
            let parts = service.split_once('/').and_then(|(namespace, rest)| {
                let (name, port) = rest.split_once(':')?;
                let is_name = |name: &str| {
                    !name.is_empty()
                        && name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
                };
                let port = port.parse().ok().filter(|port| *port > 0)?;
                let (namespace, name) = (namespace.to_owned(), name.to_owned());
                (is_name(&namespace) && is_name(&name)).then_some(ServicePort { namespace, name, port })
            });
            return parts
                .map(Self::Service)
                .ok_or_else(|| format!("{text:?} is no Service: write service:NAMESPACE/NAME:PORT"));
        }
        if text.starts_with('/') {
            return Ok(Self::Path(text.trim_end_matches('/').to_owned()));
        }
        let uri: Uri = text.parse().map_err(|error| format!("{text:?} is no URL: {error}"))?;
        match (uri.scheme_str(), uri.host()) {
            (_, None) | (None, _) => Err(format!(
                "{text:?} has no scheme and host: write https://HOST[:PORT][/PATH], a path as /plugins/tekton-results, or service:NAMESPACE/NAME:PORT"
            )),
            (Some("https"), _) => Ok(Self::Url(uri)),
            (Some("http"), Some(host)) if is_loopback(host) => Ok(Self::Url(uri)),
            (Some("http"), _) => Err(format!("{text:?}: your token would travel unencrypted; take https://")),
            (Some(other), _) => Err(format!("{text:?}: {other}:// is not spoken here; take https://")),
        }
    }
}

fn is_loopback(host: &str) -> bool {
    let address = host.trim_start_matches('[').trim_end_matches(']').parse::<std::net::IpAddr>();
    host == "localhost" || address.is_ok_and(|address| address.is_loopback())
}

/// The extension [`EXTENSION`], with the words that kubeconfigs have for clusters.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
struct Extension {
    server: String,
    certificate_authority: Option<PathBuf>,
    tls_server_name: Option<String>,
}

/// The cluster, and where its archive is.
#[derive(Clone, Debug)]
pub(crate) struct Place {
    pub(crate) cluster: Config,
    pub(crate) archive: Address,
    /// Authorities that the archive's certificate is checked with.
    pub(crate) ca: Option<PathBuf>,
    pub(crate) server_name: Option<String>,
}

/// What can be wrong before anything is asked.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    #[error("the kubeconfig {file} cannot be read")]
    File { file: String, source: kube::config::KubeconfigError },
    #[error(
        "there is no cluster to ask: name a kubeconfig by --kubeconfig or KUBECONFIG, and a context of it by --context"
    )]
    NoCluster(#[source] kube::config::KubeconfigError),
    #[error(
        "there is no cluster to ask: no kubeconfig is there, and this is no pod. Name one by --kubeconfig or KUBECONFIG"
    )]
    Infer(#[source] kube::config::InferConfigError),
    #[error(
        "the extension {EXTENSION} of {place} of the kubeconfig cannot be read; it has server and, if needed, certificate-authority and tls-server-name: {fault}"
    )]
    Extension { place: String, fault: String },
    #[error(
        "the authorities of the archive (--results-ca, KONFLUX_RESULTS_CA, or the kubeconfig's extension) cannot be read from {file}: {fault}"
    )]
    Ca { file: String, fault: String },
    #[error(
        "the archive wants a token and this kubeconfig's user has none (a client certificate is good for the API server only): give one by --token-file, as `kubectl create token` makes them for a service account"
    )]
    NoToken,
    #[error("no client can be made of the kubeconfig")]
    Client(#[source] kube::Error),
}

/// Reads the kubeconfig; flags win over what it says.
pub(crate) async fn place(flags: &Global) -> Result<Place, Error> {
    let file = match &flags.kubeconfig {
        Some(path) => Some(
            Kubeconfig::read_from(path)
                .map_err(|source| Error::File { file: path.display().to_string(), source })?,
        ),
        None => match Kubeconfig::read() {
            Ok(file) => Some(file),
            // In a pod there is none, and none is needed.
            Err(_) if flags.context.is_none() && Config::incluster().is_ok() => None,
            Err(source) => return Err(Error::NoCluster(source)),
        },
    };
    let (mut cluster, extension) = match file {
        Some(file) => {
            let extension = extension(&file, flags.context.as_deref())?;
            let options =
                KubeConfigOptions { context: flags.context.clone(), ..KubeConfigOptions::default() };
            let cluster = Config::from_custom_kubeconfig(file, &options).await.map_err(Error::NoCluster)?;
            (cluster, extension)
        }
        None => (Config::infer().await.map_err(Error::Infer)?, None),
    };
    // Whoever waits at a terminal is told what is wrong instead.
    cluster.default_retry = false;
    cluster.connect_timeout = Some(Duration::from_secs(10));
    if let Some(user) = &flags.impersonate {
        cluster.auth_info.impersonate = Some(user.clone());
        cluster.auth_info.impersonate_groups = Some(flags.impersonate_groups.clone());
    }
    if let Some(path) = &flags.token_file {
        let identity = AuthInfo { token_file: Some(path.display().to_string()), ..AuthInfo::default() };
        cluster.auth_info = acting_as(identity, &cluster.auth_info);
    }
    let said = extension.unwrap_or_default();
    let stored = if said.server.is_empty() { None } else { Some(said.server.parse()) };
    let stored = stored
        .transpose()
        .map_err(|fault| Error::Extension { place: "the context or cluster".to_owned(), fault })?;
    // Authorities and name belong to the address that they were said with.
    let is_said = flags.results_url.is_none();
    Ok(Place {
        cluster,
        archive: flags.results_url.clone().or(stored).unwrap_or_default(),
        ca: flags.results_ca.clone().or(said.certificate_authority.filter(|_| is_said)),
        server_name: flags.results_server_name.clone().or(said.tls_server_name.filter(|_| is_said)),
    })
}

/// `identity`, impersonating whom `other` does.
fn acting_as(identity: AuthInfo, other: &AuthInfo) -> AuthInfo {
    AuthInfo {
        impersonate: other.impersonate.clone(),
        impersonate_uid: other.impersonate_uid.clone(),
        impersonate_groups: other.impersonate_groups.clone(),
        impersonate_user_extra: other.impersonate_user_extra.clone(),
        ..identity
    }
}

/// Of the context, or else of its cluster.
fn extension(file: &Kubeconfig, context: Option<&str>) -> Result<Option<Extension>, Error> {
    let Some(name) = context.or(file.current_context.as_deref()) else { return Ok(None) };
    let context = file.contexts.iter().find(|context| context.name == name);
    let Some(context) = context.and_then(|context| context.context.as_ref()) else { return Ok(None) };
    let cluster = file.clusters.iter().find(|cluster| cluster.name == context.cluster);
    let cluster = cluster.and_then(|cluster| cluster.cluster.as_ref());
    let found = |place: String, extensions: Option<&Vec<NamedExtension>>| {
        let ours = extensions.into_iter().flatten().find(|extension| extension.name == EXTENSION)?;
        let read = Extension::deserialize(&ours.extension);
        Some(read.map_err(|error| Error::Extension { place, fault: error.to_string() }))
    };
    found(format!("context {name}"), context.extensions.as_ref())
        .or_else(|| {
            found(format!("cluster {}", context.cluster), cluster.and_then(|c| c.extensions.as_ref()))
        })
        .transpose()
}

impl Place {
    pub(crate) fn cluster(&self) -> Result<Client, Error> {
        Client::try_from(self.cluster.clone()).map_err(Error::Client)
    }

    /// The client of an archive that is at `url` (of a Service: where it is forwarded to).
    pub(crate) fn archive(&self, url: Uri) -> Result<Client, Error> {
        let config = self.config_at(url)?;
        Client::try_from(config).map_err(Error::Client)
    }

    /// The URL, unless it has yet to be forwarded to.
    pub(crate) fn url(&self) -> Option<Result<Uri, http::Error>> {
        match &self.archive {
            Address::Url(url) => Some(Ok(url.clone())),
            Address::Path(path) => {
                let base = self.cluster.cluster_url.to_string();
                let url = format!("{}{path}", base.trim_end_matches('/'));
                Some(url.parse().map_err(http::Error::from))
            }
            Address::Service(_) => None,
        }
    }

    fn config_at(&self, url: Uri) -> Result<Config, Error> {
        let mut config = self.cluster.clone();
        config.cluster_url = url;
        if let Address::Path(_) = self.archive {
            // The same server, so whatever it is satisfied with.
        } else {
            config.auth_info = token_only(&self.cluster.auth_info)?;
            config.accept_invalid_certs = false;
            config.proxy_url = None;
            config.tls_server_name = None;
        }
        if let Address::Url(_) = self.archive {
            config.root_cert = None;
            config.root_cert_file = None;
        }
        if let Address::Service(service) = &self.archive {
            config.tls_server_name = Some(format!("{}.{}.svc", service.name, service.namespace));
        }
        if let Some(file) = &self.ca {
            config.root_cert = Some(authorities(file)?);
            config.root_cert_file = None;
        }
        if let Some(name) = &self.server_name {
            config.tls_server_name = Some(name.clone());
        }
        Ok(config)
    }
}

/// DER of each certificate of a PEM file.
fn authorities(file: &Path) -> Result<Vec<Vec<u8>>, Error> {
    use rustls::pki_types::CertificateDer;
    use rustls::pki_types::pem::PemObject as _;

    let fault = |fault: String| Error::Ca { file: file.display().to_string(), fault };
    let found = CertificateDer::pem_file_iter(file).map_err(|error| fault(error.to_string()))?;
    let found: Result<Vec<_>, _> = found.map(|found| found.map(|der| der.to_vec())).collect();
    let found = found.map_err(|error| fault(error.to_string()))?;
    if found.is_empty() { Err(fault("no certificate is in it".to_owned())) } else { Ok(found) }
}

/// Leaves out what only the API server is meant to see.
fn token_only(identity: &AuthInfo) -> Result<AuthInfo, Error> {
    let token = AuthInfo {
        token: identity.token.clone(),
        token_file: identity.token_file.clone(),
        exec: identity.exec.clone(),
        auth_provider: identity.auth_provider.clone(),
        ..AuthInfo::default()
    };
    let has_one = token.token.is_some()
        || token.token_file.is_some()
        || token.exec.is_some()
        || token.auth_provider.is_some();
    if has_one { Ok(acting_as(token, identity)) } else { Err(Error::NoToken) }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    const KUBECONFIG: &str = r#"
current-context: a
contexts:
- {name: a, context: {cluster: c, user: u, namespace: team-a, extensions: [{name: konflux-results, extension: {server: "https://archive.example/plugins/x"}}]}}
- {name: b, context: {cluster: c, user: u}}
- {name: bad, context: {cluster: c, user: u, extensions: [{name: konflux-results, extension: {sever: "https://archive.example"}}]}}
clusters:
- {name: c, cluster: {server: "https://api.example:6443", insecure-skip-tls-verify: true, extensions: [{name: konflux-results, extension: {server: /plugins/tekton-results}}]}}
users:
- {name: u, user: {token: secret, client-certificate-data: Zm9v, as: jane}}
"#;

    async fn read(flags: Global) -> Result<Place, Error> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("config");
        std::fs::write(&path, KUBECONFIG).unwrap();
        place(&Global { kubeconfig: Some(path), ..flags }).await
    }

    #[rstest]
    #[case::of_the_context(None, "https://archive.example/plugins/x")]
    #[case::of_the_cluster(Some("b"), "https://api.example:6443/plugins/tekton-results")]
    #[tokio::test]
    async fn kubeconfig_says_where(#[case] context: Option<&str>, #[case] expected: &str) {
        let place = read(Global { context: context.map(str::to_owned), ..Global::default() }).await.unwrap();
        assert_eq!(place.url().unwrap().unwrap().to_string(), expected);
    }

    #[tokio::test]
    async fn flag_wins() {
        let flags =
            Global { results_url: Some("https://other.example".parse().unwrap()), ..Global::default() };
        assert_eq!(read(flags).await.unwrap().archive.to_string(), "https://other.example");
    }

    #[tokio::test]
    async fn misspelt_extension_is_told() {
        let error = read(Global { context: Some("bad".to_owned()), ..Global::default() }).await.unwrap_err();
        assert!(error.to_string().contains("extension konflux-results of context bad"), "{error}");
    }

    #[tokio::test]
    async fn archive_elsewhere_sees_the_token_only() {
        let place = read(Global::default()).await.unwrap();
        let config = place.config_at("https://archive.example".parse().unwrap()).unwrap();
        assert!(config.auth_info.token.is_some());
        assert_eq!(config.auth_info.client_certificate_data, None);
        assert_eq!(config.auth_info.impersonate.as_deref(), Some("jane"));
        assert!(!config.accept_invalid_certs);
    }

    #[tokio::test]
    async fn archive_without_token_is_not_asked() {
        let mut place = read(Global::default()).await.unwrap();
        place.cluster.auth_info.token = None;
        let error = place.config_at("https://archive.example".parse().unwrap()).unwrap_err();
        assert!(matches!(error, Error::NoToken), "{error}");
    }

    #[rstest]
    #[case("https://h/p", "https://h/p")]
    #[case("http://127.0.0.1:8080", "http://127.0.0.1:8080")]
    #[case("http://[::1]:8080", "http://[::1]:8080")]
    #[case("/plugins/x/", "/plugins/x")]
    #[case("service:a/b:80", "service:a/b:80")]
    fn addresses(#[case] text: &str, #[case] expected: &str) {
        assert_eq!(text.parse::<Address>().unwrap().to_string(), expected);
    }

    #[rstest]
    #[case("http://archive.example", "unencrypted")]
    #[case("ftp://archive.example", "not spoken here")]
    #[case("archive.example", "no scheme")]
    #[case("service:a/b", "write service:NAMESPACE/NAME:PORT")]
    #[case("service:a/--x=y:80:1", "write service:NAMESPACE/NAME:PORT")]
    #[case("", "no URL")]
    fn refused_addresses(#[case] text: &str, #[case] expected: &str) {
        let error = text.parse::<Address>().unwrap_err();
        assert!(error.contains(expected), "{error}");
    }
}
