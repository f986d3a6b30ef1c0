//! Renovate's settings, as JSON (specification, sections 4.10 and 5).

use std::collections::BTreeMap;

use build_service_api::names::NUDGE_PULL_REQUEST_LABEL;
use forge::{AppInfo, Provider};
use serde_json::{Map, Value, json};

use crate::git::Source;

/// Who commits where no App does.
const AUTHOR: (&str, &str) = ("redhat-appstudio", "rhtap@redhat.com");

/// What is said below each pull request.
const FOOTER: &str = "To have this built, comment `/ok-to-test`.";

/// Where proposals go, and in whose name: an App's, or that of `user`, whose the token is.
pub(crate) fn forge(source: &Source, app: Option<&AppInfo>, user: Option<&str>) -> Map<String, Value> {
    let (user, author) = match app {
        Some(app) => {
            let user = format!("{}[bot]", app.slug);
            let author = format!("{user} <{user}@users.noreply.github.com>");
            (user, author)
        }
        None => (user.unwrap_or(AUTHOR.0).to_owned(), format!("{} <{}>", AUTHOR.0, AUTHOR.1)),
    };
    object(json!({
        "platform": platform(source.provider),
        "endpoint": endpoint(source),
        "username": user,
        "gitAuthor": author,
        "onboarding": false,
        "requireConfig": "ignored",
        "forkProcessing": "enabled",
        "dependencyDashboard": false,
    }))
}

/// Renovate's name of a forge.
pub(crate) fn platform(provider: Provider) -> &'static str {
    match provider {
        Provider::GitLab => "gitlab",
        Provider::Gitea => "gitea",
        Provider::GitHub | Provider::BitbucketCloud | Provider::BitbucketServer => "github",
    }
}

/// Address of a forge's API.
fn endpoint(source: &Source) -> String {
    let server = source.server.as_str().trim_end_matches('/');
    let api = match source.provider {
        Provider::GitLab => "/api/v4",
        Provider::Gitea => "/api/v1",
        _ if source.server.host_str() == Some("github.com") => return "https://api.github.com/".to_owned(),
        _ => "/api/v3",
    };
    format!("{}{api}/", server.strip_suffix(api).unwrap_or(server))
}

/// An image that was built, to be proposed where it is used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Nudge<'a> {
    /// Component that was built.
    pub(crate) component: &'a str,
    /// Registry and repository of its image.
    pub(crate) image: &'a str,
    pub(crate) tag: &'a str,
    /// Repositories that it is released to.
    pub(crate) distributions: &'a [String],
    /// Regular expressions for files, if the run says.
    pub(crate) files: Option<&'a str>,
    /// Component that it is proposed to, unless its name shall not be part of the branch's.
    pub(crate) nudged: Option<&'a str>,
    /// What users set by a ConfigMap.
    pub(crate) custom: &'a BTreeMap<String, String>,
}

impl Nudge<'_> {
    /// What is added to [`forge`] to propose the image.
    pub(crate) fn settings(&self, repository: &str, branch: Option<&str>) -> Map<String, Value> {
        let Self { component, image, tag, distributions, .. } = *self;
        let names: Vec<&str> =
            std::iter::once(image).chain(distributions.iter().map(String::as_str)).collect();
        let digest = "(:.*)?@(?<currentDigest>sha256:[a-f0-9]+)";
        let expressions: Vec<String> =
            names.iter().map(|name| format!("{}{digest}", escaped(name))).collect();
        let aliases: BTreeMap<&str, &str> = distributions.iter().map(|name| (name.as_str(), image)).collect();
        let branch_name = match self.nudged {
            Some(nudged) => format!("konflux/component-updates/{nudged}-{component}"),
            None => format!("konflux/component-updates/{component}"),
        };
        let mut rule = object(json!({
            "matchPackageNames": names,
            "groupName": format!("Component Update {component}"),
            "branchName": branch_name,
            "commitMessageTopic": component,
            "prFooter": FOOTER,
            "recreateWhen": "always",
            "rebaseWhen": "behind-base-branch",
            "enabled": true,
            "followTag": tag,
        }));
        rule.extend(self.custom_rule());
        object(json!({
            "repositories": [{"repository": repository, "baseBranches": Vec::from_iter(branch)}],
            "enabledManagers": ["regex"],
            "customManagers": [{
                "fileMatch": self.files(),
                "customType": "regex",
                "datasourceTemplate": "docker",
                "matchStrings": expressions,
                "currentValueTemplate": tag,
                "depNameTemplate": image,
            }],
            "registryAliases": aliases,
            "packageRules": [{"matchPackagePatterns": ["*"], "enabled": false}, rule],
        }))
    }

    fn files(&self) -> Vec<&str> {
        let custom = self.custom.get("fileMatch").map(String::as_str).filter(|text| !text.trim().is_empty());
        let text = self.files.or(custom).unwrap_or(build_service_api::annotations::DEFAULT_NUDGE_FILES);
        list(text, ',')
    }

    /// Of the ConfigMap what is known; anything else could turn the update into something else.
    fn custom_rule(&self) -> Map<String, Value> {
        let mut rule = Map::new();
        for key in ["automerge", "platformAutomerge", "ignoreTests", "gitLabIgnoreApprovals"] {
            let value = self.custom.get(key).and_then(|text| text.trim().parse::<bool>().ok());
            rule.extend(value.map(|value| (key.to_owned(), json!(value))));
        }
        for key in ["automergeType", "commitMessagePrefix", "commitMessageSuffix"] {
            let value = self.custom.get(key).map(|text| text.trim()).filter(|text| !text.is_empty());
            rule.extend(value.map(|value| (key.to_owned(), json!(value))));
        }
        if let Some(schedule) = self.custom.get("automergeSchedule") {
            rule.insert("automergeSchedule".into(), json!(list(schedule, ';')));
        }
        let mut labels = vec![NUDGE_PULL_REQUEST_LABEL];
        labels.extend(self.custom.get("labels").map(|text| list(text, ',')).unwrap_or_default());
        labels.dedup();
        rule.insert("labels".into(), json!(labels));
        rule
    }
}

/// What is added to [`forge`] to keep references to task bundles in `.tekton` new.
pub(crate) fn tekton(repository: &str, branches: &[String], pattern: &str) -> Map<String, Value> {
    let rule = json!({
        "matchPackagePatterns": [pattern],
        "matchDepPatterns": [pattern],
        "groupName": "RHTAP references",
        "branchName": "konflux/references/{{baseBranch}}",
        "commitMessageTopic": "RHTAP references",
        "semanticCommits": "enabled",
        "prFooter": FOOTER,
        "recreateWhen": "always",
        "rebaseWhen": "behind-base-branch",
        "enabled": true,
    });
    object(json!({
        "repositories": [{"repository": repository, "baseBranches": branches}],
        "enabledManagers": ["tekton"],
        "tekton": {
            "fileMatch": ["\\.yaml$", "\\.yml$"],
            "includePaths": [".tekton/**"],
            "packageRules": [{"matchPackagePatterns": ["*"], "enabled": false}, rule],
        },
    }))
}

/// A name as a regular expression. Only what RE2 and JavaScript both take is escaped.
fn escaped(name: &str) -> String {
    let mut escaped = String::with_capacity(name.len());
    for character in name.chars() {
        if r".+*?()|[]{}^$\".contains(character) {
            escaped.push('\\');
        }
        escaped.push(character);
    }
    escaped
}

fn list(text: &str, separator: char) -> Vec<&str> {
    text.split(separator).map(str::trim).filter(|item| !item.is_empty()).collect()
}

fn object(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(object) => object,
        _ => Map::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn nudge<'a>(custom: &'a BTreeMap<String, String>, distributions: &'a [String]) -> Nudge<'a> {
        Nudge {
            component: "lib",
            image: "reg.example:5000/acme/lib+x",
            tag: "b7",
            distributions,
            files: None,
            nudged: Some("app"),
            custom,
        }
    }

    #[test]
    fn a_nudge_updates_nothing_but_its_image() {
        let distributions = ["public.example/lib".to_owned()];
        let settings = nudge(&BTreeMap::new(), &distributions).settings("acme/app", Some("main"));
        assert_eq!(settings["repositories"], json!([{"repository": "acme/app", "baseBranches": ["main"]}]));
        assert_eq!(settings["packageRules"][0], json!({"matchPackagePatterns": ["*"], "enabled": false}));
        let rule = &settings["packageRules"][1];
        assert_eq!(rule["matchPackageNames"], json!(["reg.example:5000/acme/lib+x", "public.example/lib"]));
        assert_eq!(rule["branchName"], "konflux/component-updates/app-lib");
        assert_eq!(rule["groupName"], "Component Update lib");
        assert_eq!((&rule["followTag"], &rule["labels"]), (&json!("b7"), &json!(["konflux-nudge"])));
        let manager = &settings["customManagers"][0];
        assert_eq!(manager["fileMatch"], json!([".*Dockerfile.*", ".*.yaml", ".*Containerfile.*"]));
        assert_eq!(
            manager["matchStrings"],
            json!([
                r"reg\.example:5000/acme/lib\+x(:.*)?@(?<currentDigest>sha256:[a-f0-9]+)",
                r"public\.example/lib(:.*)?@(?<currentDigest>sha256:[a-f0-9]+)",
            ])
        );
        assert_eq!(settings["registryAliases"], json!({"public.example/lib": "reg.example:5000/acme/lib+x"}));
    }

    #[test]
    fn the_default_branch_is_not_named() {
        let settings = nudge(&BTreeMap::new(), &[]).settings("acme/app", None);
        assert_eq!(settings["repositories"][0]["baseBranches"], json!([]));
    }

    #[test]
    fn users_set_what_is_theirs_to_set() {
        let custom = [
            ("automerge", "true"),
            ("automergeType", "pr"),
            ("ignoreTests", "perhaps"),
            ("automergeSchedule", "after 10pm; before 5am"),
            ("labels", "bot, updates"),
            ("fileMatch", "a.*, b.*"),
            ("branchName", "main"),
        ];
        let custom = custom.map(|(key, value)| (key.to_owned(), value.to_owned())).into();
        let settings = Nudge { nudged: None, ..nudge(&custom, &[]) }.settings("acme/app", None);
        let rule = &settings["packageRules"][1];
        assert_eq!((&rule["automerge"], &rule["automergeType"]), (&json!(true), &json!("pr")));
        assert_eq!(rule.get("ignoreTests"), None, "no word for true or false");
        assert_eq!(rule["automergeSchedule"], json!(["after 10pm", "before 5am"]));
        assert_eq!(rule["labels"], json!(["konflux-nudge", "bot", "updates"]));
        assert_eq!(
            rule["branchName"], "konflux/component-updates/lib",
            "a branch of their choice could be any"
        );
        assert_eq!(settings["customManagers"][0]["fileMatch"], json!(["a.*", "b.*"]));
    }

    #[test]
    fn the_run_says_which_files_before_the_users_do() {
        let custom = [("fileMatch".to_owned(), "a".to_owned())].into();
        let settings = Nudge { files: Some("x,y"), ..nudge(&custom, &[]) }.settings("acme/app", None);
        assert_eq!(settings["customManagers"][0]["fileMatch"], json!(["x", "y"]));
    }

    #[test]
    fn references_in_tekton_are_those_of_the_pattern() {
        let settings = tekton("acme/app", &["main".to_owned()], "^quay.io/catalog/");
        assert_eq!(settings["enabledManagers"], json!(["tekton"]));
        assert_eq!(settings["tekton"]["includePaths"], json!([".tekton/**"]));
        assert_eq!(settings["tekton"]["packageRules"][1]["matchDepPatterns"], json!(["^quay.io/catalog/"]));
        assert_eq!(settings["tekton"]["packageRules"][1]["branchName"], "konflux/references/{{baseBranch}}");
    }
}
