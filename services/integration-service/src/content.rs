//! What Snapshots hold: images by digest, and where they were built from.

mod copied;
mod image;
mod snapshot;

use std::sync::Arc;

use application_service_api::Component;
use application_service_api::snapshot::{SnapshotComponent, SnapshotSource};
use application_service_api::source::GitSource;
use fleet::names::hash;
use kube::ResourceExt as _;

pub(crate) use copied::{Prefixes, copied};
pub(crate) use image::{InvalidImage, image_of, is_digest_pullspec};
pub(crate) use snapshot::{NewSnapshot, Purpose, label_of_run};

/// The global candidate list of an Application: of each Component what was promoted last.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Candidates {
    /// In the order of their names.
    pub(crate) entries: Vec<SnapshotComponent>,
    pub(crate) skipped: Vec<Skipped>,
}

/// A Component whose image is not fit for a Snapshot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Skipped {
    pub(crate) component: String,
    pub(crate) image: String,
    pub(crate) why: Unfit,
}

/// Why an image is not fit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unfit {
    /// It names no digest: nothing was ever built.
    NeverBuilt,
    /// What it names is no image, or no digest.
    Invalid,
}

/// What the candidate list of an Application with these Components holds. Components that go, and those without an image, are left out.
pub(crate) fn candidates(components: &[Arc<Component>]) -> Candidates {
    let mut list = Candidates::default();
    for component in components.iter().filter(|component| component.metadata.deletion_timestamp.is_none()) {
        let name = component.name_any();
        let Some(image) = promoted_image(component) else { continue };
        if is_digest_pullspec(image) {
            list.entries.push(SnapshotComponent {
                name,
                version: None,
                container_image: image.to_owned(),
                source: source(component),
            });
        } else {
            let why = if image.contains('@') { Unfit::Invalid } else { Unfit::NeverBuilt };
            list.skipped.push(Skipped { component: name, image: image.to_owned(), why });
        }
    }
    list.entries.sort_by(|a, b| a.name.cmp(&b.name));
    list
}

impl Candidates {
    /// Puts one Component's entry in place of that in the list, or adds it.
    pub(crate) fn with(&mut self, entry: SnapshotComponent) -> &mut Self {
        self.skipped.retain(|skipped| skipped.component != entry.name);
        match self.entries.binary_search_by(|other| other.name.cmp(&entry.name)) {
            Ok(at) => self.entries[at] = entry,
            Err(at) => self.entries.insert(at, entry),
        }
        self
    }
}

/// The image that decides (contracts.md, decision 25), else the one that older programs and users write.
fn promoted_image(component: &Component) -> Option<&str> {
    let promoted = component.status.as_ref().and_then(|status| status.last_promoted_image.as_deref());
    [promoted, component.spec.container_image.as_deref()]
        .into_iter()
        .flatten()
        .map(str::trim)
        .find(|image| !image.is_empty())
}

/// The Component's source at the commit that was promoted last, or, before that, at what the user named.
fn source(component: &Component) -> Option<SnapshotSource> {
    let source = component.spec.source.as_ref()?;
    let mut git = source
        .git
        .clone()
        .or_else(|| source.url.clone().map(|url| GitSource { url, ..GitSource::default() }))?;
    let commit = component.status.as_ref().and_then(|status| status.last_built_commit.clone());
    if let Some(commit) = commit.filter(|commit| !commit.is_empty()) {
        git.revision = Some(commit);
    }
    Some(SnapshotSource { git: Some(git) })
}

/// The same for lists that name the same images, built from the same commits, in whatever order (contracts.md, section d). A value for a
/// label.
pub(crate) fn content_hash(components: &[SnapshotComponent]) -> String {
    let mut facts: Vec<[&str; 4]> = components
        .iter()
        .map(|component| {
            let git = component.source.as_ref().and_then(|source| source.git.as_ref());
            let (url, revision) =
                git.map_or(("", ""), |git| (&git.url, git.revision.as_deref().unwrap_or("")));
            [component.name.as_str(), &component.container_image, url, revision]
        })
        .collect();
    facts.sort_unstable();
    hash(26, facts.as_flattened())
}

#[cfg(test)]
mod tests;
