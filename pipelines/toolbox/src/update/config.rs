//! The settings of an update: the part of Renovate's configuration that is understood here.
//!
//! What is not understood is left out, but for conditions of rules: a rule with one of those matches nothing, as it would
//! otherwise be wider than meant.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::{Map, Value};

/// Settings of one update, which may be of several repositories at one forge.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct Config {
    /// `github`, `gitlab`, `gitea` or `forgejo`.
    pub(crate) platform: String,
    /// Address of the forge's API, as `https://api.github.com/` or `https://git.example/api/v4/`.
    pub(crate) endpoint: String,
    /// Whom the token belongs to.
    pub(crate) username: String,
    /// `Name <address>`. Absent means that the forge says who commits.
    pub(crate) git_author: Option<String>,
    pub(crate) repositories: Vec<RepositoryEntry>,
    /// One repository, as MintMaker writes it.
    pub(crate) repository: Option<String>,
    /// Of `repository`. Empty means the default branch.
    pub(crate) base_branches: Vec<String>,
    /// `regex` (also `custom.regex`), `tekton` and `dockerfile`. Empty means all.
    pub(crate) enabled_managers: Vec<String>,
    pub(crate) custom_managers: Vec<CustomManager>,
    /// Names under which images are, by other names under which they are written.
    pub(crate) registry_aliases: BTreeMap<String, String>,
    pub(crate) package_rules: Vec<PackageRule>,
    pub(crate) tekton: ManagerSettings,
    pub(crate) dockerfile: ManagerSettings,
    /// Directories and files that are left alone, as globs.
    pub(crate) ignore_paths: Vec<String>,
    pub(crate) pr_concurrent_limit: Option<usize>,
    #[serde(flatten)]
    pub(crate) proposal: ProposalSettings,
}

/// A repository, by name or with the branches that are updated.
#[derive(Clone, Debug, Deserialize)]
#[serde(untagged)]
pub(crate) enum RepositoryEntry {
    Name(String),
    #[serde(rename_all = "camelCase")]
    Branches {
        repository: String,
        #[serde(default)]
        base_branches: Vec<String>,
    },
}

/// References that regular expressions find.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct CustomManager {
    /// `regex`.
    pub(crate) custom_type: String,
    /// Regular expressions for paths.
    pub(crate) file_match: Vec<String>,
    /// As `file_match` in newer versions: regular expressions between slashes, or globs.
    pub(crate) manager_file_patterns: Vec<String>,
    /// With groups `currentDigest`, `currentValue` and `depName`.
    pub(crate) match_strings: Vec<String>,
    /// `docker`.
    pub(crate) datasource_template: Option<String>,
    pub(crate) current_value_template: Option<String>,
    pub(crate) dep_name_template: Option<String>,
    pub(crate) package_name_template: Option<String>,
}

/// Settings of a manager.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct ManagerSettings {
    pub(crate) enabled: Option<bool>,
    /// Regular expressions for paths.
    pub(crate) file_match: Vec<String>,
    /// As `file_match` in newer versions: regular expressions between slashes, or globs.
    pub(crate) manager_file_patterns: Vec<String>,
    /// Globs, of which a path has to match one.
    pub(crate) include_paths: Vec<String>,
    pub(crate) package_rules: Vec<PackageRule>,
    #[serde(flatten)]
    pub(crate) proposal: ProposalSettings,
}

/// What is said of the references that all conditions are true for. Later rules win.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct PackageRule {
    pub(crate) match_package_names: Option<Vec<String>>,
    pub(crate) match_dep_names: Option<Vec<String>>,
    pub(crate) match_package_patterns: Option<Vec<String>>,
    pub(crate) match_dep_patterns: Option<Vec<String>>,
    pub(crate) match_managers: Option<Vec<String>>,
    pub(crate) match_update_types: Option<Vec<String>>,
    pub(crate) match_file_names: Option<Vec<String>>,
    pub(crate) match_base_branches: Option<Vec<String>>,
    pub(crate) enabled: Option<bool>,
    /// The tag whose digest is proposed, whatever is newer.
    pub(crate) follow_tag: Option<String>,
    #[serde(flatten)]
    pub(crate) proposal: ProposalSettings,
    #[serde(flatten)]
    pub(crate) rest: Map<String, Value>,
}

/// How updates are proposed. Absent means what a wider setting says.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct ProposalSettings {
    pub(crate) group_name: Option<String>,
    pub(crate) branch_name: Option<String>,
    pub(crate) branch_prefix: Option<String>,
    pub(crate) additional_branch_prefix: Option<String>,
    pub(crate) branch_topic: Option<String>,
    pub(crate) commit_message_prefix: Option<String>,
    pub(crate) commit_message_topic: Option<String>,
    pub(crate) commit_message_suffix: Option<String>,
    /// `enabled` puts `chore(deps): ` in front.
    pub(crate) semantic_commits: Option<String>,
    pub(crate) pr_header: Option<String>,
    pub(crate) pr_footer: Option<String>,
    pub(crate) labels: Option<Vec<String>>,
    /// A request with this label is left alone.
    pub(crate) stop_updating_label: Option<String>,
    /// Cron expressions, of which one has to be true. What is none counts as true.
    pub(crate) schedule: Option<Vec<String>>,
    pub(crate) pin_digests: Option<bool>,
}

/// A file that holds no settings.
#[derive(Debug, thiserror::Error)]
pub(crate) enum InvalidConfig {
    #[error("it is neither JSON nor `module.exports = ` and JSON")]
    Json(#[source] serde_json::Error),
    #[error("{field}: {reason}")]
    Field { field: &'static str, reason: String },
}

/// A repository and the branches of it that are updated; none means the default branch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Task {
    pub(crate) repository: String,
    pub(crate) base_branches: Vec<String>,
}

impl Config {
    /// Reads JSON, or JavaScript that exports nothing but JSON.
    pub(crate) fn parse(text: &str) -> Result<Self, InvalidConfig> {
        let text = text.trim();
        let json = text.strip_prefix("module.exports").map_or(text, |rest| {
            rest.trim_start().strip_prefix('=').unwrap_or(rest).trim().trim_end_matches(';')
        });
        serde_json::from_str(json).map_err(InvalidConfig::Json)
    }

    /// All repositories, each once.
    pub(crate) fn tasks(&self) -> Vec<Task> {
        let single = self
            .repository
            .iter()
            .map(|name| Task { repository: name.clone(), base_branches: self.base_branches.clone() });
        let listed = self.repositories.iter().map(|entry| match entry {
            RepositoryEntry::Name(name) => {
                Task { repository: name.clone(), base_branches: self.base_branches.clone() }
            }
            RepositoryEntry::Branches { repository, base_branches } => {
                Task { repository: repository.clone(), base_branches: base_branches.clone() }
            }
        });
        let mut tasks: Vec<Task> = Vec::new();
        for task in single.chain(listed) {
            match tasks.iter_mut().find(|known| known.repository == task.repository) {
                Some(known) => {
                    let new = task.base_branches.into_iter().filter(|one| !known.base_branches.contains(one));
                    let new: Vec<String> = new.collect();
                    known.base_branches.extend(new);
                }
                None => tasks.push(task),
            }
        }
        tasks
    }

    /// Whether references are looked for by this manager.
    pub(crate) fn is_enabled(&self, manager: &str) -> bool {
        let is_named = |name: &String| name.strip_prefix("custom.").unwrap_or(name) == manager;
        self.enabled_managers.is_empty() || self.enabled_managers.iter().any(is_named)
    }
}

impl PackageRule {
    /// A condition that is not understood here.
    pub(crate) fn unknown_condition(&self) -> Option<&str> {
        let is_condition = |key: &&String| key.starts_with("match") || key.starts_with("exclude");
        self.rest.keys().find(is_condition).map(String::as_str)
    }
}

impl ProposalSettings {
    /// Lays `other`, which is said of less, over this.
    pub(crate) fn overlay(&mut self, other: &Self) {
        macro_rules! take {
            ($($field:ident),+) => {
                $(if other.$field.is_some() { self.$field.clone_from(&other.$field); })+
            };
        }
        take!(
            group_name,
            branch_name,
            branch_prefix,
            additional_branch_prefix,
            branch_topic,
            commit_message_prefix,
            commit_message_topic,
            commit_message_suffix,
            semantic_commits,
            pr_header,
            pr_footer,
            labels,
            stop_updating_label,
            schedule,
            pin_digests
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case::json(r#"{"platform": "github", "repositories": [{"repository": "a/b", "baseBranches": ["x"]}]}"#)]
    #[case::javascript(
        "module.exports = {\"platform\": \"github\", \"repository\": \"a/b\", \"baseBranches\": [\"x\"]};\n"
    )]
    fn reads_both_forms(#[case] text: &str) {
        let config = Config::parse(text).unwrap();
        assert_eq!(config.platform, "github");
        assert_eq!(config.tasks(), [Task { repository: "a/b".into(), base_branches: vec!["x".into()] }]);
    }

    #[test]
    fn names_of_repositories_are_enough_and_each_counts_once() {
        let text = r#"{"repositories": ["a/b", {"repository": "a/c", "baseBranches": ["x"]},
            {"repository": "a/c", "baseBranches": ["x", "y"]}]}"#;
        let tasks = Config::parse(text).unwrap().tasks();
        assert_eq!(tasks.len(), 2);
        assert_eq!(tasks[0].base_branches, [""; 0]);
        assert_eq!(tasks[1].base_branches, ["x", "y"]);
    }

    #[test]
    fn a_rule_says_what_is_not_understood_of_it() {
        let text = r#"{"packageRules": [{"matchCategories": ["x"]}, {"enabled": false, "automerge": true}]}"#;
        let rules = Config::parse(text).unwrap().package_rules;
        assert_eq!(rules[0].unknown_condition(), Some("matchCategories"));
        assert_eq!(rules[1].unknown_condition(), None);
    }

    #[test]
    fn what_is_neither_is_refused() {
        assert!(Config::parse("module.exports = async () => ({})").is_err());
    }

    #[test]
    fn managers_have_two_names() {
        let config = Config::parse(r#"{"enabledManagers": ["custom.regex", "tekton"]}"#).unwrap();
        assert!(
            config.is_enabled("regex") && config.is_enabled("tekton") && !config.is_enabled("dockerfile")
        );
        assert!(Config::default().is_enabled("dockerfile"));
    }
}
