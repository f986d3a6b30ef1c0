//! What a Quay knows of one organization.

use std::collections::{BTreeMap, BTreeSet};

use data_encoding::HEXUPPER;

/// Repositories and robots, named without their organization.
#[derive(Clone, Debug)]
pub struct Model {
    /// The only bearer token that is taken.
    pub token: String,
    pub repositories: BTreeMap<String, Repository>,
    pub robots: BTreeMap<String, Robot>,
    /// How many private repositories the plan has room for; any number if absent.
    pub private_limit: Option<usize>,
    /// Entries of a page of repositories; tags have the size that is asked for, 100 at most.
    pub page_size: usize,
    made: u64,
}

/// A repository.
#[derive(Clone, Debug, Default)]
pub struct Repository {
    pub is_public: bool,
    pub description: String,
    /// Role by robot.
    pub permissions: BTreeMap<String, String>,
    /// In the order of the lists.
    pub tags: Vec<Tag>,
    /// Digests of manifests that can be asked for. Those of tags are there anyway.
    pub manifests: BTreeSet<String>,
    pub notifications: Vec<Notification>,
}

/// A tag that is active.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tag {
    pub name: String,
    pub digest: String,
}

/// A robot account.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Robot {
    pub token: String,
    pub description: String,
    /// How often its token was replaced.
    pub rotations: usize,
}

/// A notification of a repository.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Notification {
    pub uuid: String,
    pub title: String,
    pub event: String,
    pub method: String,
    /// As it was sent: `{"url": …}` or `{"email": …}`.
    pub config: serde_json::Value,
    pub failures: u64,
}

impl Model {
    pub(super) fn new() -> Self {
        Self {
            token: "quay-token-of-the-organization".to_owned(),
            repositories: BTreeMap::new(),
            robots: BTreeMap::new(),
            private_limit: None,
            page_size: 30,
            made: 0,
        }
    }

    /// Gives a repository, made if absent, a tag of an image.
    pub fn tag(&mut self, repository: &str, name: &str, digest: &str) {
        let tag = Tag { name: name.to_owned(), digest: digest.to_owned() };
        self.repositories.entry(repository.to_owned()).or_default().tags.push(tag);
    }

    /// Names of a repository's tags.
    pub fn tags(&self, repository: &str) -> Vec<&str> {
        let tags = self.repositories.get(repository).map(|repository| repository.tags.as_slice());
        tags.unwrap_or_default().iter().map(|tag| tag.name.as_str()).collect()
    }

    /// Whether there is room for another private repository.
    pub(super) fn has_room(&self) -> bool {
        let private = self.repositories.values().filter(|repository| !repository.is_public).count();
        self.private_limit.is_none_or(|limit| private < limit)
    }

    /// 64 characters, as Quay's.
    pub(super) fn new_token() -> String {
        HEXUPPER.encode(&rand::random::<[u8; 32]>())
    }

    pub(super) fn new_uuid(&mut self) -> String {
        self.made += 1;
        format!("00000000-0000-4000-8000-{:012}", self.made)
    }
}
