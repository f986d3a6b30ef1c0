//! OWNERS and OWNERS_ALIASES: files of the default branch that name who may start runs (spec section 4.3).

use std::collections::BTreeMap;

use forge::{Error, Forge, Repository, User};
use pipelines_as_code_api::pipeline_run::GitProvider;
use serde::Deserialize;
use serde::de::DeserializeOwned;

/// Longest of the two files, in bytes.
const MAX_FILE: u64 = 256 << 10;

/// The filter for all files.
const ALL: &str = ".*";

#[derive(Debug, Default, Deserialize)]
struct File {
    #[serde(flatten)]
    names: Names,
    #[serde(default)]
    filters: Option<BTreeMap<String, Names>>,
}

#[derive(Clone, Debug, Default, Deserialize)]
struct Names {
    #[serde(default)]
    approvers: Option<Vec<String>>,
    #[serde(default)]
    reviewers: Option<Vec<String>>,
}

#[derive(Debug, Default, Deserialize)]
struct Aliases {
    #[serde(default)]
    aliases: Option<BTreeMap<String, Option<Vec<String>>>>,
}

/// The people that OWNERS names, and the aliases among them.
pub(super) fn names(text: &str) -> Result<Vec<String>, String> {
    let file: File = read(text)?;
    let names = match file.filters {
        // With filters, what stands beside them has no effect.
        Some(filters) if !filters.is_empty() => filters.get(ALL).cloned().unwrap_or_default(),
        _ => file.names,
    };
    Ok([names.approvers, names.reviewers].into_iter().flatten().flatten().collect())
}

/// The people that aliases stand for. An alias of an alias stands for nobody.
pub(super) fn expanded(names: &[String], aliases: &str) -> Result<Vec<String>, String> {
    let known = read::<Aliases>(aliases)?.aliases.unwrap_or_default();
    let is_named = |alias: &String| names.iter().any(|name| name.eq_ignore_ascii_case(alias));
    Ok(known
        .into_iter()
        .filter(|(alias, _)| is_named(alias))
        .filter_map(|(_, people)| people)
        .flatten()
        .collect())
}

fn read<T: DeserializeOwned + Default>(text: &str) -> Result<T, String> {
    if text.trim().is_empty() {
        return Ok(T::default());
    }
    let options = serde_saphyr::options! {
        budget: serde_saphyr::budget! { max_events: 50_000, max_aliases: 100, max_anchors: 100 },
        alias_limits: serde_saphyr::alias_limits! { max_total_replayed_events: 10_000, max_replay_stack_depth: 8 },
    };
    serde_saphyr::from_str_with_options(text, options)
        .map_err(|error| error.to_string().lines().next().unwrap_or_default().to_owned())
}

/// Whether a list has somebody in it. Logins are the same in capitals; at Bitbucket Cloud, accounts count instead.
pub(super) fn has(names: &[String], user: &User, provider: GitProvider) -> bool {
    match (provider, user.id.as_deref()) {
        (GitProvider::BitbucketCloud, Some(account)) => names.iter().any(|name| name == account),
        (GitProvider::BitbucketCloud, None) => false,
        _ => !user.login.is_empty() && names.iter().any(|name| name.eq_ignore_ascii_case(&user.login)),
    }
}

/// The files, each read at most once, and only if somebody has to be looked for.
pub(super) struct Owners<'a> {
    pub(super) forge: &'a dyn Forge,
    pub(super) repository: &'a Repository,
    pub(super) provider: GitProvider,
    /// The default branch.
    pub(super) branch: &'a str,
    pub(super) found: Option<Found>,
}

/// What was read.
#[derive(Debug, Default)]
pub(super) struct Found {
    /// Also of aliases.
    people: Vec<String>,
    /// Why a file does not count.
    fault: Option<String>,
}

impl Owners<'_> {
    pub(super) async fn has(&mut self, user: &User) -> Result<bool, Error> {
        let found = match self.found.take() {
            Some(found) => found,
            None => self.read().await?,
        };
        let is_owner = has(&found.people, user, self.provider);
        self.found = Some(found);
        Ok(is_owner)
    }

    /// Why a file that is there does not count, if there is such.
    pub(super) fn fault(&self) -> Option<&str> {
        self.found.as_ref()?.fault.as_deref()
    }

    async fn read(&self) -> Result<Found, Error> {
        let commit = match self.forge.commit(self.repository, self.branch).await {
            Ok(commit) => commit,
            Err(Error::NotFound { .. }) => return Ok(Found::default()),
            Err(error) => return Err(error),
        };
        let mut found = Found::default();
        let Some(owners) = self.file(&commit, "OWNERS", &mut found).await? else { return Ok(found) };
        match names(&owners) {
            Ok(names) => found.people = names,
            Err(error) => found.fault = Some(format!("OWNERS cannot be read: {error}")),
        }
        if found.people.is_empty() {
            return Ok(found);
        }
        if let Some(aliases) = self.file(&commit, "OWNERS_ALIASES", &mut found).await? {
            match expanded(&found.people, &aliases) {
                Ok(people) => found.people.extend(people),
                Err(error) => found.fault = Some(format!("OWNERS_ALIASES cannot be read: {error}")),
            }
        }
        Ok(found)
    }

    /// A file as text. What is too large counts as not being there, and is told.
    async fn file(
        &self,
        commit: &forge::Commit,
        path: &str,
        found: &mut Found,
    ) -> Result<Option<String>, Error> {
        match self.forge.file(self.repository, commit, path, MAX_FILE).await {
            Ok(bytes) => Ok(Some(String::from_utf8_lossy(&bytes).into_owned())),
            Err(Error::NotFound { .. }) => Ok(None),
            Err(error @ Error::TooLarge { .. }) => {
                found.fault = Some(error.to_string());
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }
}
