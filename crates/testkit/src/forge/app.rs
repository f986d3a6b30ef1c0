//! GitHub Apps and where they are installed.

use std::collections::BTreeMap;

use jiff::Timestamp;

use super::model::{AccountKind, Model};
use super::repository::Repository;

/// A GitHub App.
#[derive(Clone, Debug)]
pub struct App {
    pub id: u64,
    pub slug: String,
    pub name: String,
    /// Login of the account that owns it.
    pub owner: String,
    /// PKCS#1 or SPKI, in DER. See [`crate::forge::AppKey`].
    pub public_key: Vec<u8>,
}

/// An App in an account.
#[derive(Clone, Debug)]
pub struct Installation {
    pub id: u64,
    pub app: u64,
    /// Login of the user or organization.
    pub account: String,
    /// Ids of the repositories it was given; `None` is all of the account.
    pub repositories: Option<Vec<u64>>,
    /// By GitHub's names: `contents`, `checks`; `read` or `write`.
    pub permissions: BTreeMap<String, String>,
    pub suspended_at: Option<Timestamp>,
}

impl Model {
    /// Adds an App, and its robot as an account.
    pub fn add_app(&mut self, app: App) {
        self.account(&format!("{}[bot]", app.slug), AccountKind::Bot);
        self.apps.push(app);
    }

    /// Installs an App for all repositories of an account, and returns the installation's id.
    pub fn install(&mut self, app: u64, account: &str, permissions: &[(&str, &str)]) -> u64 {
        let id = self.next_id();
        let mut permissions: BTreeMap<String, String> =
            permissions.iter().map(|(name, level)| ((*name).to_owned(), (*level).to_owned())).collect();
        // GitHub gives it to each.
        permissions.insert("metadata".to_owned(), "read".to_owned());
        let account = account.to_owned();
        self.installations.push(Installation {
            id,
            app,
            account,
            repositories: None,
            permissions,
            suspended_at: None,
        });
        id
    }

    pub fn app(&self, id: u64) -> Option<&App> {
        self.apps.iter().find(|app| app.id == id)
    }

    pub fn installation(&self, id: u64) -> Option<&Installation> {
        self.installations.iter().find(|installation| installation.id == id)
    }

    pub fn installation_mut(&mut self, id: u64) -> Option<&mut Installation> {
        self.installations.iter_mut().find(|installation| installation.id == id)
    }

    /// Repositories of an installation, of which a token may have fewer.
    pub fn installed_in(&self, installation: &Installation) -> impl Iterator<Item = &Repository> {
        self.repositories.iter().filter(move |repository| installation.covers(repository))
    }

    /// The installation that a repository's events come from.
    pub fn installation_of(&self, repository: &Repository) -> Option<&Installation> {
        self.installations.iter().find(|installation| installation.covers(repository))
    }
}

impl Installation {
    fn covers(&self, repository: &Repository) -> bool {
        repository.owner.eq_ignore_ascii_case(&self.account)
            && self.repositories.as_ref().is_none_or(|given| given.contains(&repository.id))
    }
}
