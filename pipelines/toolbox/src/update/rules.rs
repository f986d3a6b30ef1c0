//! What the settings say of one update.

use super::config::{Config, InvalidConfig, PackageRule, ProposalSettings};
use super::managers::{Dependency, Manager};
use super::patterns::Patterns;
use super::versions::UpdateType;

/// All rules, those of managers after those of all, for later ones win.
pub(crate) struct Rules {
    base: ProposalSettings,
    tekton: ProposalSettings,
    dockerfile: ProposalSettings,
    all: Vec<Rule>,
}

struct Rule {
    /// Rules that stand below a manager are for what it finds.
    manager: Option<Manager>,
    /// Any of those that are there has to match.
    names: Vec<Patterns>,
    managers: Option<Vec<String>>,
    update_types: Option<Vec<String>>,
    files: Option<Patterns>,
    branches: Option<Patterns>,
    is_enabled: Option<bool>,
    follow_tag: Option<String>,
    proposal: ProposalSettings,
}

/// How one reference is updated.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Treatment {
    pub(crate) is_enabled: bool,
    /// The tag whose digest is proposed.
    pub(crate) follow_tag: Option<String>,
    pub(crate) proposal: ProposalSettings,
}

impl Rules {
    pub(crate) fn new(config: &Config) -> Result<Self, InvalidConfig> {
        let of = |manager, rules: &[PackageRule]| {
            let known = rules.iter().filter(|rule| {
                let unknown = rule.unknown_condition();
                if let Some(condition) = unknown {
                    tracing::warn!(condition, "A rule is left out: its condition is not known here");
                }
                unknown.is_none()
            });
            known.map(|rule| Rule::new(manager, rule)).collect::<Result<Vec<_>, _>>()
        };
        let mut rules = of(None, &config.package_rules)?;
        rules.extend(of(Some(Manager::Tekton), &config.tekton.package_rules)?);
        rules.extend(of(Some(Manager::Dockerfile), &config.dockerfile.package_rules)?);
        Ok(Self {
            base: config.proposal.clone(),
            tekton: config.tekton.proposal.clone(),
            dockerfile: config.dockerfile.proposal.clone(),
            all: rules,
        })
    }

    /// What is said of a reference; `update` is absent while it is not known what can be proposed.
    pub(crate) fn of(
        &self,
        dependency: &Dependency,
        base_branch: &str,
        update: Option<UpdateType>,
    ) -> Treatment {
        let mut treatment = Treatment { is_enabled: true, follow_tag: None, proposal: self.base.clone() };
        match dependency.manager {
            Manager::Tekton => treatment.proposal.overlay(&self.tekton),
            Manager::Dockerfile => treatment.proposal.overlay(&self.dockerfile),
            Manager::Regex => {}
        }
        for rule in self.all.iter().filter(|rule| rule.matches(dependency, base_branch, update)) {
            if let Some(is_enabled) = rule.is_enabled {
                treatment.is_enabled = is_enabled;
            }
            if rule.follow_tag.is_some() {
                treatment.follow_tag.clone_from(&rule.follow_tag);
            }
            treatment.proposal.overlay(&rule.proposal);
        }
        treatment
    }

    /// What the branches of proposals are called that the settings name outright, of which some may have become needless.
    pub(crate) fn named_branches(&self) -> impl Iterator<Item = &ProposalSettings> {
        self.all
            .iter()
            .filter(|rule| rule.is_enabled == Some(true) && rule.proposal.branch_name.is_some())
            .map(|rule| &rule.proposal)
    }
}

impl Rule {
    fn new(manager: Option<Manager>, rule: &PackageRule) -> Result<Self, InvalidConfig> {
        let mut names = Vec::new();
        for (field, list) in
            [("matchPackageNames", &rule.match_package_names), ("matchDepNames", &rule.match_dep_names)]
        {
            names.extend(list.iter().map(|list| Patterns::names(field, list)));
        }
        for (field, list) in [
            ("matchPackagePatterns", &rule.match_package_patterns),
            ("matchDepPatterns", &rule.match_dep_patterns),
        ] {
            names.extend(list.iter().map(|list| Patterns::expressions(field, list)));
        }
        let files = rule.match_file_names.as_ref();
        let branches = rule.match_base_branches.as_ref();
        Ok(Self {
            manager,
            names: names.into_iter().collect::<Result<_, _>>()?,
            managers: rule.match_managers.clone(),
            update_types: rule.match_update_types.clone(),
            files: files.map(|list| Patterns::globs("matchFileNames", list)).transpose()?,
            branches: branches.map(|list| Patterns::names("matchBaseBranches", list)).transpose()?,
            is_enabled: rule.enabled,
            follow_tag: rule.follow_tag.clone(),
            proposal: rule.proposal.clone(),
        })
    }

    fn matches(&self, dependency: &Dependency, base_branch: &str, update: Option<UpdateType>) -> bool {
        let manager: &str = dependency.manager.into();
        let is_of = |name: &String| name.strip_prefix("custom.").unwrap_or(name) == manager;
        let is_update = |types: &Vec<String>| {
            update.is_some_and(|update| {
                let word: &str = update.into();
                types.iter().any(|one| one == word || (one == "pinDigest" && word == "digest"))
            })
        };
        self.manager.is_none_or(|manager| manager == dependency.manager)
            && (self.names.is_empty() || self.names.iter().any(|names| names.matches(&dependency.name)))
            && self.managers.as_ref().is_none_or(|managers| managers.iter().any(is_of))
            && self.update_types.as_ref().is_none_or(is_update)
            && self.files.as_ref().is_none_or(|files| files.matches(&dependency.file))
            && self.branches.as_ref().is_none_or(|branches| branches.matches(base_branch))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::update::managers::Places;
    use rstest::rstest;
    use serde_json::json;

    fn dependency(manager: Manager, name: &str) -> Dependency {
        Dependency {
            manager,
            file: "a/b.yaml".to_owned(),
            name: name.to_owned(),
            tag: Some("1".to_owned()),
            digest: None,
            places: Places { tag: None, digest: None, end: None },
        }
    }

    fn rules(json: &serde_json::Value) -> Rules {
        Rules::new(&Config::parse(&json.to_string()).unwrap()).unwrap()
    }

    #[test]
    fn later_rules_win() {
        let rules = rules(&json!({
            "branchPrefix": "konflux/",
            "packageRules": [
                {"matchPackagePatterns": ["*"], "enabled": false, "groupName": "none"},
                {"matchPackageNames": ["reg/app", "reg/dist"], "enabled": true, "followTag": "b7", "groupName": "nudge"},
            ],
        }));
        let app = rules.of(&dependency(Manager::Regex, "reg/app"), "main", None);
        assert!(app.is_enabled);
        assert_eq!(app.follow_tag.as_deref(), Some("b7"));
        assert_eq!(app.proposal.group_name.as_deref(), Some("nudge"));
        assert_eq!(app.proposal.branch_prefix.as_deref(), Some("konflux/"));
        assert!(!rules.of(&dependency(Manager::Regex, "reg/other"), "main", None).is_enabled);
    }

    /// As section 4.10 has it: the rules stand below the manager.
    #[test]
    fn rules_of_a_manager_are_for_what_it_finds() {
        let rules = rules(&json!({"tekton": {"packageRules": [
            {"matchPackagePatterns": ["*"], "enabled": false},
            {"matchPackagePatterns": ["^quay.io/catalog/"], "matchDepPatterns": ["^quay.io/catalog/"], "enabled": true},
        ]}}));
        let is_enabled = |manager, name| rules.of(&dependency(manager, name), "main", None).is_enabled;
        assert!(is_enabled(Manager::Tekton, "quay.io/catalog/task"));
        assert!(!is_enabled(Manager::Tekton, "quay.io/other/task"));
        assert!(is_enabled(Manager::Dockerfile, "quay.io/other/task"));
    }

    #[rstest]
    #[case::manager(json!({"matchManagers": ["custom.regex"]}), true)]
    #[case::other_manager(json!({"matchManagers": ["dockerfile"]}), false)]
    #[case::file(json!({"matchFileNames": ["a/**"]}), true)]
    #[case::other_file(json!({"matchFileNames": ["b/**"]}), false)]
    #[case::update(json!({"matchUpdateTypes": ["major"]}), true)]
    #[case::other_update(json!({"matchUpdateTypes": ["digest"]}), false)]
    #[case::branch(json!({"matchBaseBranches": ["/^rel/"]}), true)]
    #[case::other_branch(json!({"matchBaseBranches": ["main"]}), false)]
    #[case::all_have_to_be_true(json!({"matchManagers": ["regex"], "matchFileNames": ["b/**"]}), false)]
    #[case::unknown(json!({"matchCategories": ["x"]}), false)]
    #[case::none(json!({}), true)]
    fn conditions(#[case] mut rule: serde_json::Value, #[case] expected: bool) {
        rule["groupName"] = json!("hit");
        let rules = rules(&json!({"packageRules": [rule]}));
        let found = rules.of(&dependency(Manager::Regex, "reg/app"), "release", Some(UpdateType::Major));
        assert_eq!(found.proposal.group_name.is_some(), expected);
    }
}
