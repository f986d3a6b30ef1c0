//! What the payloads of all forges have in common.

use forge::{Commit, Repository};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer};
use serde_json::Value;

/// Decodes a payload, and names the field that is not as it should be.
pub(super) fn read<T: DeserializeOwned>(body: &Value) -> Result<T, String> {
    serde_path_to_error::deserialize(body).map_err(|error| format!("{}: {}", error.path(), error.inner()))
}

/// What a field has, or nothing where it is `null`: forges send that as well as leaving a field out.
pub(super) fn or_default<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de> + Default,
{
    Option::deserialize(deserializer).map(Option::unwrap_or_default)
}

/// A commit's name, which forges send as zeros where there is no commit.
pub(super) fn commit(name: &str) -> Option<Commit> {
    name.bytes().any(|digit| digit != b'0').then(|| name.parse().ok()).flatten()
}

/// As [`commit`], where there has to be one.
pub(super) fn needed_commit(field: &str, name: &str) -> Result<Commit, String> {
    commit(name).ok_or_else(|| format!("{field}: {name:?} is not the full name of a commit"))
}

/// Owner and name of a repository, out of `group/subgroup/name`.
pub(super) fn repository(field: &str, full_name: &str) -> Result<Repository, String> {
    let (owner, name) = full_name.rsplit_once('/').unwrap_or(("", full_name));
    Repository::new(owner, name).map_err(|error| format!("{field}: {error}"))
}

/// The forge's address, out of a page of it and the path of that page.
pub(super) fn server(page: &str, path: &str) -> String {
    let page = page.trim_end_matches('/');
    page.strip_suffix(path).unwrap_or(page).trim_end_matches('/').to_owned()
}

/// A label of a pull request.
#[derive(Deserialize)]
pub(super) struct Label {
    #[serde(alias = "title")]
    pub(super) name: String,
}

pub(super) fn names(labels: Option<Vec<Label>>) -> Vec<String> {
    labels.unwrap_or_default().into_iter().map(|label| label.name).collect()
}
