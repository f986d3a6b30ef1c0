//! Texts from elsewhere, each at most once.

use std::collections::HashMap;
use std::sync::Arc;

use fleet::outbound::{self, Request, Url};
use fleet::{Class, Classed as _};
use forge::Forge;
use parking_lot::Mutex;
use serde::Deserialize;
use tokio::sync::OnceCell;

use super::reference::{FileAt, InHub, Reference};

/// Bytes of one text: as much as is read as YAML.
const LIMIT: u64 = tekton::documents::LONGEST as u64;

/// Texts for one event.
const MAX_TEXTS: usize = 200;

/// Why a text cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum FetchError {
    #[error("is nowhere: check its name, and for a version or a branch whether it is still there")]
    NotFound,
    #[error("is empty")]
    Empty,
    #[error("is no text in UTF-8")]
    NotText,
    #[error("is one of more than {MAX_TEXTS} that the runs of one event name: name fewer")]
    TooMany,
    #[error("cannot be read: {0}")]
    Forge(forge::Error),
    #[error("cannot be read: {0}")]
    Outbound(outbound::Error),
}

impl FetchError {
    /// Whether it may be otherwise in a moment.
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Forge(error) => error.is_transient(),
            Self::Outbound(error) => error.class() == Class::Retry,
            Self::NotFound | Self::Empty | Self::NotText | Self::TooMany => false,
        }
    }
}

impl From<forge::Error> for FetchError {
    fn from(error: forge::Error) -> Self {
        match error {
            forge::Error::NotFound { .. } => Self::NotFound,
            other => Self::Forge(other),
        }
    }
}

impl From<outbound::Error> for FetchError {
    fn from(error: outbound::Error) -> Self {
        match error.status() {
            Some(404 | 410) => Self::NotFound,
            _ => Self::Outbound(error),
        }
    }
}

/// Shared by all who ask for it.
type Text = Result<Arc<str>, Arc<FetchError>>;

/// Fetches for one event.
pub(super) struct Fetcher<'a> {
    forge: &'a dyn Forge,
    outbound: &'a outbound::Client,
    texts: Mutex<HashMap<Reference, Arc<OnceCell<Text>>>>,
}

/// A resource of a hub.
#[derive(Deserialize)]
struct Resource {
    data: ResourceData,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ResourceData {
    latest_version: Version,
}

#[derive(Deserialize)]
struct Version {
    version: String,
}

impl<'a> Fetcher<'a> {
    pub(super) fn new(forge: &'a dyn Forge, outbound: &'a outbound::Client) -> Self {
        Self { forge, outbound, texts: Mutex::default() }
    }

    /// The text, or why there is none: as whoever asked first was told.
    pub(super) async fn fetch(&self, reference: Reference) -> Text {
        let cell = {
            let mut texts = self.texts.lock();
            if texts.len() >= MAX_TEXTS && !texts.contains_key(&reference) {
                return Err(Arc::new(FetchError::TooMany));
            }
            texts.entry(reference.clone()).or_default().clone()
        };
        let text = cell.get_or_init(|| async { self.read(&reference).await.map_err(Arc::new) });
        text.await.clone()
    }

    async fn read(&self, reference: &Reference) -> Result<Arc<str>, FetchError> {
        let content = match reference {
            Reference::File(file) => self.file(file).await?,
            Reference::Web(url) => self.get(url.clone()).await?,
            Reference::Hub(resource) => self.in_hub(resource).await?,
        };
        let text = String::from_utf8(content).map_err(|_| FetchError::NotText)?;
        if text.trim().is_empty() { Err(FetchError::Empty) } else { Ok(text.into()) }
    }

    async fn file(&self, file: &FileAt) -> Result<Vec<u8>, FetchError> {
        let commit = match file.revision.parse() {
            Ok(commit) => commit,
            Err(_) => self.forge.commit(&file.repository, &file.revision).await?,
        };
        Ok(self.forge.file(&file.repository, &commit, &file.path, LIMIT).await?)
    }

    /// Without any credential.
    async fn get(&self, url: Url) -> Result<Vec<u8>, FetchError> {
        Ok(self.outbound.fetch(Request::get(url).limit(LIMIT)).await?.success()?.body().to_vec())
    }

    async fn in_hub(&self, resource: &InHub) -> Result<Vec<u8>, FetchError> {
        let InHub { kind, hub, catalog, name, version } = resource;
        let kind = <&str>::from(*kind).to_lowercase();
        let version = if let Some(version) = version {
            version.clone()
        } else {
            let latest = Request::get(url(&[hub, "resource", catalog, &kind, name])?).limit(LIMIT);
            let latest: Resource = self.outbound.fetch(latest).await?.success()?.json()?;
            latest.data.latest_version.version
        };
        self.get(url(&[hub, "resource", catalog, &kind, name, &version, "raw"])?).await
    }
}

/// Address below a hub, which comes first.
fn url(parts: &[&str]) -> Result<Url, FetchError> {
    let [hub, rest @ ..] = parts else { return Err(FetchError::NotFound) };
    let mut url = Url::parse(hub).map_err(|_| FetchError::NotFound)?;
    url.path_segments_mut().map_err(|()| FetchError::NotFound)?.pop_if_empty().extend(rest);
    Ok(url)
}
