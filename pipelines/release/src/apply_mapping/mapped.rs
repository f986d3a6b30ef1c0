//! A mapped Snapshot, as the steps behind `apply-mapping` read it.

use anyhow::{Context as _, ensure};
use registry::Reference;
use serde::Deserialize;
use serde_json::Value;

/// A Snapshot's spec after the mapping.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Snapshot {
    #[serde(default)]
    pub application: String,
    #[serde(default)]
    pub components: Vec<Component>,
}

/// A component with where it goes.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Component {
    #[serde(default)]
    pub name: String,
    #[serde(default)]
    pub container_image: String,
    #[serde(default)]
    pub source: Option<Source>,
    /// Where the image goes. Beside it, or in its place, there may be [`repositories`](Self::repositories).
    #[serde(default)]
    repository: Option<String>,
    /// By which name users pull it. Absent means [`repository`](Self::repository).
    #[serde(default)]
    public_repository: Option<String>,
    #[serde(default)]
    repositories: Vec<Entry>,
    /// All of them. Absent means those that `data.images` says.
    #[serde(default)]
    tags: Option<Vec<String>>,
    /// The one where `data.images` decides.
    #[serde(default)]
    pub tag: Option<String>,
    #[serde(default)]
    pub push_source_container: Option<bool>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Entry {
    url: String,
    #[serde(default)]
    public_url: Option<String>,
    #[serde(default)]
    tags: Option<Vec<String>>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
pub struct Source {
    #[serde(default)]
    pub git: Option<Git>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
pub struct Git {
    #[serde(default)]
    pub url: String,
    #[serde(default)]
    pub revision: String,
}

/// A repository that an image goes to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Destination {
    /// Without tag or digest of any meaning.
    pub repository: Reference,
    /// Registry and repository by which users pull it.
    pub public: String,
    /// Absent means those that `data.images` says.
    pub tags: Option<Vec<String>>,
}

impl Component {
    pub fn image(&self) -> anyhow::Result<Reference> {
        pinned(Some(&Value::from(self.container_image.as_str())), &self.name)
    }

    /// The commit that the image was built from, if the Snapshot says so.
    pub fn commit(&self) -> Option<&str> {
        let git = self.source.as_ref()?.git.as_ref()?;
        Some(git.revision.as_str()).filter(|revision| !revision.is_empty())
    }

    /// At least one.
    pub fn destinations(&self) -> anyhow::Result<Vec<Destination>> {
        let name = &self.name;
        let of = |field: &str, url: &str, public: Option<&String>, tags: &Option<Vec<String>>| {
            let repository: Reference =
                url.parse().with_context(|| format!("{field} of component {name:?}"))?;
            let has_version =
                url.contains('@') || url.rsplit('/').next().is_some_and(|last| last.contains(':'));
            ensure!(
                !has_version,
                "{field} of component {name:?} is {url:?}: expected a repository without tag and digest; tags go to `tags`"
            );
            let public = public.cloned().unwrap_or_else(|| repository.name());
            Ok(Destination { repository, public, tags: tags.clone() })
        };
        let own = self
            .repository
            .iter()
            .map(|url| of("repository", url, self.public_repository.as_ref(), &self.tags));
        let further = self
            .repositories
            .iter()
            .map(|entry| of("repositories", &entry.url, entry.public_url.as_ref(), &entry.tags));
        let all = own.chain(further).collect::<anyhow::Result<Vec<_>>>()?;
        ensure!(!all.is_empty(), "component {name:?} has no repository: set it in data.mapping.components");
        Ok(all)
    }
}

/// The image of a component, which has to be named by its digest alone: a tag beside it would suggest what nobody checks.
pub(super) fn pinned(image: Option<&Value>, component: &str) -> anyhow::Result<Reference> {
    let text = image
        .and_then(Value::as_str)
        .with_context(|| format!("component {component:?} has no containerImage"))?;
    let reference: Reference =
        text.parse().with_context(|| format!("containerImage of component {component:?}"))?;
    ensure!(
        reference.digest().is_some() && reference.tag().is_none(),
        "containerImage of component {component:?} is {text:?}: expected repository@sha256:<digest>, without a tag"
    );
    Ok(reference)
}
