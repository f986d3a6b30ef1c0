//! What a reference means: by its form alone, before anything is fetched.

use fleet::outbound::Url;
use forge::{Commit, Repository};
use kube::Resource;
use pipelines_as_code_api::pipeline_run::GitProvider;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::address;
use crate::settings::Catalog;

/// What is fetched.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, strum::Display, strum::IntoStaticStr)]
pub enum Kind {
    Task,
    Pipeline,
}

/// Where something is.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum Reference {
    /// In a repository of the event's forge.
    File(FileAt),
    /// Anywhere, for anybody.
    Web(Url),
    Hub(InHub),
}

/// A file of some repository.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct FileAt {
    pub(super) repository: Repository,
    /// Branch, tag or commit.
    pub(super) revision: String,
    pub(super) path: String,
}

/// Something in a hub's catalog.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct InHub {
    pub(super) kind: Kind,
    /// Of the hub's API, without a `/` at its end.
    pub(super) hub: String,
    pub(super) catalog: String,
    pub(super) name: String,
    /// The latest if it is absent.
    pub(super) version: Option<String>,
}

/// What a reference is read against.
pub(super) struct Surroundings<'a> {
    pub(super) provider: GitProvider,
    /// The event's forge: `https://github.com`.
    pub(super) server: &'a str,
    /// The first is the default.
    pub(super) catalogs: &'a [Catalog],
    /// Where paths are.
    pub(super) repository: &'a Repository,
    pub(super) commit: &'a Commit,
}

impl Surroundings<'_> {
    /// Reads a reference. The error says what is wrong with it and what to write.
    pub(super) fn parse(&self, kind: Kind, text: &str) -> Result<Reference, String> {
        if let Some((scheme, rest)) = text.split_once("://") {
            return if ["http", "https"].contains(&scheme.to_lowercase().as_str()) {
                self.parse_url(text)
            } else {
                self.parse_in_catalog(kind, scheme, rest)
            };
        }
        if text.contains('/') {
            return Ok(Reference::File(FileAt {
                repository: self.repository.clone(),
                revision: self.commit.to_string(),
                path: checked_path(text)?,
            }));
        }
        let default = self.catalogs.first().ok_or("there is no default hub")?;
        in_hub(kind, default, text).map(Reference::Hub)
    }

    fn parse_url(&self, text: &str) -> Result<Reference, String> {
        let url = Url::parse(text).map_err(|error| format!("{text:?} is no URL: {error}"))?;
        match address::file(self.provider, self.server, &url) {
            Some(file) => Ok(Reference::File(file?)),
            None => Ok(Reference::Web(url)),
        }
    }

    fn parse_in_catalog(&self, kind: Kind, id: &str, name: &str) -> Result<Reference, String> {
        let catalog = self.catalogs.iter().find(|catalog| catalog.id == id).ok_or_else(|| {
            let known: Vec<&str> = self.catalogs.iter().map(|catalog| catalog.id.as_str()).collect();
            format!("there is no catalog {id:?}; an administrator has configured {}", known.join(", "))
        })?;
        in_hub(kind, catalog, name).map(Reference::Hub)
    }
}

/// `name` or `name:version`.
fn in_hub(kind: Kind, catalog: &Catalog, text: &str) -> Result<InHub, String> {
    let (name, version) = match text.split_once(':') {
        Some((name, version)) => (name, Some(version)),
        None => (text, None),
    };
    // They become parts of a URL's path.
    let is_part = |part: &str| {
        let is_harmless = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
        !part.is_empty() && part.len() <= 200 && part.chars().all(is_harmless) && !part.contains("..")
    };
    if !is_part(name) || !version.is_none_or(is_part) {
        let short: String = text.chars().take(200).collect();
        return Err(format!(
            "{short:?} is no name in a hub: expected name or name:version, of letters, digits and . _ -; \
             a path in the repository has a / in it"
        ));
    }
    Ok(InHub {
        kind,
        hub: catalog.url.trim_end_matches('/').to_owned(),
        catalog: catalog.name.clone(),
        name: name.to_owned(),
        version: version.map(str::to_owned),
    })
}

/// A path in a repository that stays in there: without `.` and `..`, from the root without a `/` before it.
pub(super) fn checked_path(text: &str) -> Result<String, String> {
    let path = text.strip_prefix("./").unwrap_or(text);
    let is_part = |part: &str| {
        !part.is_empty()
            && part != "."
            && part != ".."
            && !part.contains(|c: char| c == '\\' || c.is_control())
    };
    if path.split('/').all(is_part) {
        Ok(path.to_owned())
    } else {
        let short: String = text.chars().take(200).collect();
        Err(format!(
            "{short:?} is no path in a repository: expected one from its root, as tasks/build.yaml, without .."
        ))
    }
}

/// A kind that is fetched.
pub(super) trait Remote: Resource<DynamicType = ()> + DeserializeOwned {}

impl<K: Resource<DynamicType = ()> + DeserializeOwned> Remote for K {}

/// The objects of a kind in a file: one or more, all with names. Of pipelines there may be one only.
pub(super) fn objects<K: Remote>(kind: Kind, text: &str) -> Result<Vec<K>, String> {
    let documents = tekton::documents(text).map_err(|error| match error.line() {
        Some(line) => format!("line {line}: {error}"),
        None => error.to_string(),
    })?;
    let wanted: &str = kind.into();
    let of_kind = |value: &Value| value["kind"] == wanted;
    let mut objects = Vec::new();
    for document in documents.into_iter().filter(|document| of_kind(&document.value)) {
        let object: K = tekton::decode::object(document.value.clone()).map_err(|error| {
            let line = error.field().map_or_else(|| document.line(), |field| document.line_of(field));
            format!("line {line}: {error}")
        })?;
        if object.meta().name.as_deref().unwrap_or_default().is_empty() {
            return Err(format!("line {}: it has no metadata.name", document.line()));
        }
        objects.push(object);
    }
    match (kind, objects.len()) {
        (_, 0) => Err(format!("no document in it is of kind {wanted}")),
        (Kind::Pipeline, count @ 2..) => Err(format!("it has {count} pipelines: leave one of them")),
        _ => Ok(objects),
    }
}
