//! From the program's flags and the mounted Secret to a registry.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use fleet::outbound::{self, Url};
use fleet::{Clock, Secret};
use image_controller_api::names::{REGISTRY_ORGANIZATION_KEY, REGISTRY_TOKEN_KEY, REGISTRY_URL_KEY};

use super::distribution::{Distribution, Manifests, Records};
use super::pace::{CALLS_AT_ONCE, Pace};
use super::plain::Plain;
use super::quay::Quay;
use super::{Backend, Error};

/// Where Quay's API is if the Secret does not say.
const QUAY: &str = "https://quay.io/api/v1";
/// Key in the mounted Secret: name of the account that a plain registry has for all. Its password is the token.
const USER_KEY: &str = "username";

/// What registry image repositories are in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum BackendKind {
    /// Quay, or what has its API.
    Quay,
    /// Any registry that asks this service for tokens (distribution token specification).
    Distribution,
    /// A registry without accounts of its own: one for all. Not for shared clusters.
    Plain,
}

/// Which registry, and how it is called.
#[derive(Clone, Debug, clap::Args)]
pub struct Options {
    /// Kind of the registry that image repositories are in.
    #[arg(long, env, default_value = "quay", value_name = "KIND")]
    pub registry_backend: BackendKind,

    /// Folder where the registry's Secret is mounted: files `organization`, `quaytoken`, for quay also `quayapiurl`, for plain
    /// also `username`. Read anew each time.
    #[arg(long, env, default_value = "/workspace", value_name = "FOLDER")]
    pub registry_secret_dir: PathBuf,

    /// Organization that all repositories are in, where the Secret has no file `organization`.
    #[arg(long, env, value_name = "NAME")]
    pub registry_organization: Option<String>,

    /// Host, with its port if it has one, that names of images begin with. For quay that of its API, if absent.
    #[arg(long, env, value_name = "HOST")]
    pub registry_host: Option<String>,

    /// Calls to the registry's API, at most.
    #[arg(long, env, default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=1000), value_name = "PER SECOND")]
    pub registry_calls_per_second: u32,

    /// Certificate authorities (PEM) that are trusted for the registry beside those of --ca-bundle.
    #[arg(long, env, value_name = "FILE")]
    pub quay_additional_ca: Option<PathBuf>,

    /// Folder with `tls.crt` and `tls.key`, by which tokens for the registry are signed. Only for distribution, to delete what is in
    /// a repository.
    #[arg(long, env, default_value = "/var/run/registry-token-key", value_name = "FOLDER")]
    pub registry_token_key_dir: PathBuf,
}

/// Makes a [`Backend`] of what is configured at the moment.
#[derive(Clone)]
pub struct Connector {
    options: Options,
    outbound: outbound::Client,
    pace: Pace,
    client: kube::Client,
    namespace: String,
    clock: Clock,
}

impl Connector {
    /// `namespace` is the service's own, where distribution has its records.
    pub fn new(
        options: Options,
        outbound: outbound::Client,
        client: kube::Client,
        namespace: impl Into<String>,
        clock: Clock,
    ) -> Self {
        let pace = Pace::new(CALLS_AT_ONCE, options.registry_calls_per_second);
        Self { options, outbound, pace, client, namespace: namespace.into(), clock }
    }

    /// The registry as the mounted Secret has it now. [`Error::NotConfigured`] if that lacks something; the log says what.
    pub async fn connect(&self) -> Result<Arc<dyn Backend>, Error> {
        if let Some(path) = &self.options.quay_additional_ca {
            self.trust(path).await?;
        }
        Ok(match self.options.registry_backend {
            BackendKind::Quay => Arc::new(self.quay().await?),
            BackendKind::Distribution => Arc::new(self.distribution().await?),
            BackendKind::Plain => Arc::new(self.plain().await?),
        })
    }

    async fn quay(&self) -> Result<Quay, Error> {
        let api = match self.file(REGISTRY_URL_KEY).await? {
            Some(url) => url,
            None => QUAY.to_owned(),
        };
        let api = api_url(&api).map_err(|reason| not_configured(&format!("{REGISTRY_URL_KEY}: {reason}")))?;
        let host = match &self.options.registry_host {
            Some(host) => host.clone(),
            None => authority(&api),
        };
        let token = self.secret(REGISTRY_TOKEN_KEY).await?;
        Ok(Quay {
            api,
            host,
            organization: self.organization().await?,
            token,
            outbound: self.outbound.clone(),
            pace: self.pace.clone(),
            clock: self.clock.clone(),
        })
    }

    async fn distribution(&self) -> Result<Distribution, Error> {
        let host = self.host()?;
        let records = Records::new(self.client.clone(), &self.namespace);
        let manifests =
            Manifests::new(&host, self.outbound.clone(), self.options.registry_token_key_dir.clone());
        Ok(Distribution::new(host, self.organization().await?, records, manifests))
    }

    async fn plain(&self) -> Result<Plain, Error> {
        let user = self.file(USER_KEY).await?.ok_or_else(|| self.missing(USER_KEY))?;
        let password = self.secret(REGISTRY_TOKEN_KEY).await?;
        Ok(Plain::new(self.host()?, self.organization().await?, user, password))
    }

    fn host(&self) -> Result<String, Error> {
        self.options.registry_host.clone().ok_or_else(|| not_configured("--registry-host is not set"))
    }

    async fn organization(&self) -> Result<String, Error> {
        let file = self.file(REGISTRY_ORGANIZATION_KEY).await?;
        file.or_else(|| self.options.registry_organization.clone())
            .ok_or_else(|| self.missing(REGISTRY_ORGANIZATION_KEY))
    }

    async fn secret(&self, key: &str) -> Result<Secret<String>, Error> {
        self.file(key).await?.map(Secret::new).ok_or_else(|| self.missing(key))
    }

    /// A file of the mounted Secret without the blanks around it; `None` if it is absent or blank.
    async fn file(&self, key: &str) -> Result<Option<String>, Error> {
        let path = self.options.registry_secret_dir.join(key);
        match tokio::fs::read_to_string(&path).await {
            Ok(text) => Ok(Some(text.trim().to_owned()).filter(|text| !text.is_empty())),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(not_configured(&format!("{}: {error}", path.display()))),
        }
    }

    fn missing(&self, key: &str) -> Error {
        not_configured(&format!("{} is missing", self.options.registry_secret_dir.join(key).display()))
    }

    async fn trust(&self, path: &Path) -> Result<(), Error> {
        let pem = tokio::fs::read_to_string(path)
            .await
            .map_err(|error| not_configured(&format!("{}: {error}", path.display())))?;
        self.outbound
            .trust_further(&pem)
            .map_err(|error| not_configured(&format!("{}: {error}", path.display())))
    }
}

fn not_configured(reason: &str) -> Error {
    tracing::warn!(reason, "The registry is not configured");
    Error::NotConfigured
}

/// The address that calls are made below: with `/api/v1` if it has no path.
pub(crate) fn api_url(text: &str) -> Result<Url, &'static str> {
    let url = Url::parse(text).ok().filter(|url| url.scheme() == "https" && url.has_host());
    let mut url = url.ok_or("expected an https URL")?;
    if url.path() == "/" {
        url.set_path("/api/v1");
    }
    let path = url.path().trim_end_matches('/').to_owned();
    url.set_path(&path);
    Ok(url)
}

fn authority(url: &Url) -> String {
    let host = url.host_str().unwrap_or_default();
    url.port().map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"))
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case::default(QUAY, Some("https://quay.io/api/v1"))]
    #[case::host("https://quay.example.com", Some("https://quay.example.com/api/v1"))]
    #[case::slash("https://quay.example.com:8443/api/v1/", Some("https://quay.example.com:8443/api/v1"))]
    #[case::plain_text("http://quay.example.com", None)]
    #[case::no_url("quay.io", None)]
    fn finds_the_api(#[case] text: &str, #[case] expected: Option<&str>) {
        assert_eq!(api_url(text).ok().as_ref().map(Url::as_str), expected);
    }

    #[test]
    fn names_images_by_host_and_port() {
        let url = api_url("https://quay.example.com:8443").unwrap();
        assert_eq!(authority(&url), "quay.example.com:8443");
    }
}
