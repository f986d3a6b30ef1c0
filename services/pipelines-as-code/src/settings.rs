//! The settings of ConfigMap `pipelines-as-code` (spec section 7).
//!
//! [`Settings`] is a value: each delivery and each reconcile looks at one from beginning to end. A key with a value that cannot be
//! keeps what it was before, and the others of the same ConfigMap count: see [`Settings::read`].

mod current;
mod values;

use std::collections::{BTreeMap, BTreeSet};

use ipnet::IpNet;
use regex::Regex;

pub use self::current::Current;
pub use self::values::Invalid;
use self::values::{
    Reader, addresses, catalog_id, count, flag, lines, no_limit, repositories, rule, text, web_url,
};

/// The data of a ConfigMap.
pub type Data = BTreeMap<String, String>;

/// Everything that an administrator may choose while we run.
#[derive(Clone, Debug)]
#[expect(clippy::struct_excessive_bools, reason = "each is a key of its own, as upstream has them")]
pub struct Settings {
    /// Begins the names of commit statuses and check runs.
    pub application_name: String,
    /// Whether each run gets a Secret with a token of the forge.
    pub secret_auto_create: bool,
    /// Whether a GitHub App's token is narrowed to the repository of the event.
    pub github_app_token_scoped: bool,
    /// What it covers besides, as `owner/name`.
    pub github_app_extra_repos: Vec<String>,
    /// Hubs that tasks are taken from. The first is the default one, for references that name none.
    pub catalogs: Vec<Catalog>,
    /// Whether tasks and pipelines may come from anywhere but `.tekton/`.
    pub remote_tasks: bool,
    /// Whether a report has the end of a failed step's log.
    pub error_log_snippet: bool,
    pub error_log_snippet_lines: usize,
    /// Whether logs are searched for places in files.
    pub error_detection: bool,
    /// How much of a log's end is searched. `None` means all of it.
    pub error_detection_max_lines: Option<usize>,
    /// Has the groups `filename`, `line` and `error`.
    pub error_detection_regexp: Regex,
    pub bitbucket_check_source_ip: bool,
    /// Besides those that Bitbucket publishes.
    pub bitbucket_additional_source_ip: Vec<IpNet>,
    /// Caps what the annotation `max-keep-runs` asks for.
    pub max_keep_run_upper_limit: Option<u32>,
    /// Where the annotation is absent.
    pub default_max_keep_runs: Option<u32>,
    /// Whether a repository that is created at GitHub gets a namespace and a Repository.
    pub auto_configure: bool,
    /// Name of that namespace, with `{{repo_owner}}` and `{{repo_name}}`.
    pub auto_configure_namespace: String,
    /// Whether an `/ok-to-test` holds for later pushes too.
    pub remember_ok_to_test: bool,
    /// Whether an `/ok-to-test` has to name the commit.
    pub require_ok_to_test_sha: bool,
    pub skip_push_event_for_pr_commits: bool,
    pub cancel_in_progress_on_pull_requests: bool,
    pub cancel_in_progress_on_push: bool,
    pub console: Console,
    /// URL of Tekton's dashboard, for clusters without a console of their own.
    pub dashboard_url: Option<String>,
}

/// A hub of Tekton tasks and pipelines.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Catalog {
    /// What comes before `://` in a reference.
    pub id: String,
    /// Of the catalog within the hub.
    pub name: String,
    /// Of the hub's API, without a `/` at its end.
    pub url: String,
}

impl Catalog {
    /// Id of the hub for references that name none.
    pub const DEFAULT: &str = "default";
}

/// The console that links lead to. What is not set is empty.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Console {
    pub name: String,
    pub url: String,
    /// Of a run; has placeholders.
    pub pr_details: String,
    /// Of a task's log; has placeholders.
    pub pr_tasklog: String,
    /// Of a namespace; has placeholders.
    pub namespace: String,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            application_name: "Pipelines as Code CI".to_owned(),
            secret_auto_create: true,
            github_app_token_scoped: true,
            github_app_extra_repos: Vec::new(),
            catalogs: vec![default_catalog()],
            remote_tasks: true,
            error_log_snippet: true,
            error_log_snippet_lines: 3,
            error_detection: true,
            error_detection_max_lines: Some(50),
            error_detection_regexp: default_error_regexp(),
            bitbucket_check_source_ip: true,
            bitbucket_additional_source_ip: Vec::new(),
            max_keep_run_upper_limit: None,
            default_max_keep_runs: None,
            auto_configure: false,
            auto_configure_namespace: "{{repo_name}}-pipelines".to_owned(),
            remember_ok_to_test: false,
            require_ok_to_test_sha: false,
            skip_push_event_for_pr_commits: true,
            cancel_in_progress_on_pull_requests: false,
            cancel_in_progress_on_push: false,
            console: Console::default(),
            dashboard_url: None,
        }
    }
}

fn default_catalog() -> Catalog {
    Catalog {
        id: Catalog::DEFAULT.to_owned(),
        name: "tekton".to_owned(),
        url: "https://api.hub.tekton.dev/v1".to_owned(),
    }
}

/// What compilers and linters print: `file:line:column: text`.
fn default_error_regexp() -> Regex {
    const PATTERN: &str = "^(?P<filename>[^:]*):(?P<line>[0-9]+):(?P<column>[0-9]+)?([ ]*)?(?P<error>.*)";
    Regex::new(PATTERN).expect("the pattern is valid")
}

impl Settings {
    /// What `data` says. Keys that are absent or empty have their defaults, unknown keys are ignored. A key whose value cannot be
    /// has what `self` has, and is told of.
    #[expect(clippy::too_many_lines, reason = "some for each key")]
    pub fn read(&self, data: &Data) -> (Self, Vec<Invalid>) {
        let default = Self::default();
        let mut reader = Reader::new(data);
        let settings = Self {
            application_name: reader.get(
                "application-name",
                text,
                default.application_name,
                &self.application_name,
            ),
            secret_auto_create: reader.get(
                "secret-auto-create",
                flag,
                default.secret_auto_create,
                &self.secret_auto_create,
            ),
            github_app_token_scoped: reader.get(
                "secret-github-app-token-scoped",
                flag,
                default.github_app_token_scoped,
                &self.github_app_token_scoped,
            ),
            github_app_extra_repos: reader.get(
                "secret-github-app-scope-extra-repos",
                repositories,
                default.github_app_extra_repos,
                &self.github_app_extra_repos,
            ),
            catalogs: self.catalogs(&mut reader),
            remote_tasks: reader.get("remote-tasks", flag, default.remote_tasks, &self.remote_tasks),
            error_log_snippet: reader.get(
                "error-log-snippet",
                flag,
                default.error_log_snippet,
                &self.error_log_snippet,
            ),
            error_log_snippet_lines: reader.get(
                "error-log-snippet-number-of-lines",
                count,
                default.error_log_snippet_lines,
                &self.error_log_snippet_lines,
            ),
            error_detection: reader.get(
                "error-detection-from-container-logs",
                flag,
                default.error_detection,
                &self.error_detection,
            ),
            error_detection_max_lines: reader.get(
                "error-detection-max-number-of-lines",
                lines,
                default.error_detection_max_lines,
                &self.error_detection_max_lines,
            ),
            error_detection_regexp: reader.get(
                "error-detection-simple-regexp",
                rule,
                default.error_detection_regexp,
                &self.error_detection_regexp,
            ),
            bitbucket_check_source_ip: reader.get(
                "bitbucket-cloud-check-source-ip",
                flag,
                default.bitbucket_check_source_ip,
                &self.bitbucket_check_source_ip,
            ),
            bitbucket_additional_source_ip: reader.get(
                "bitbucket-cloud-additional-source-ip",
                addresses,
                default.bitbucket_additional_source_ip,
                &self.bitbucket_additional_source_ip,
            ),
            max_keep_run_upper_limit: reader.get(
                "max-keep-run-upper-limit",
                no_limit,
                default.max_keep_run_upper_limit,
                &self.max_keep_run_upper_limit,
            ),
            default_max_keep_runs: reader.get(
                "default-max-keep-runs",
                no_limit,
                default.default_max_keep_runs,
                &self.default_max_keep_runs,
            ),
            auto_configure: reader.get(
                "auto-configure-new-github-repo",
                flag,
                default.auto_configure,
                &self.auto_configure,
            ),
            auto_configure_namespace: reader.get(
                "auto-configure-repo-namespace-template",
                text,
                default.auto_configure_namespace,
                &self.auto_configure_namespace,
            ),
            remember_ok_to_test: reader.get(
                "remember-ok-to-test",
                flag,
                default.remember_ok_to_test,
                &self.remember_ok_to_test,
            ),
            require_ok_to_test_sha: reader.get(
                "require-ok-to-test-sha",
                flag,
                default.require_ok_to_test_sha,
                &self.require_ok_to_test_sha,
            ),
            skip_push_event_for_pr_commits: reader.get(
                "skip-push-event-for-pr-commits",
                flag,
                default.skip_push_event_for_pr_commits,
                &self.skip_push_event_for_pr_commits,
            ),
            cancel_in_progress_on_pull_requests: reader.get(
                "enable-cancel-in-progress-on-pull-requests",
                flag,
                default.cancel_in_progress_on_pull_requests,
                &self.cancel_in_progress_on_pull_requests,
            ),
            cancel_in_progress_on_push: reader.get(
                "enable-cancel-in-progress-on-push",
                flag,
                default.cancel_in_progress_on_push,
                &self.cancel_in_progress_on_push,
            ),
            console: self.console.read(&mut reader),
            dashboard_url: reader.get(
                "tekton-dashboard-url",
                |value| web_url(value).map(Some),
                None,
                &self.dashboard_url,
            ),
        };
        (settings, reader.invalid())
    }

    /// The default hub, then those of `catalog-<n>-id`, `-name` and `-url` by their numbers. One that cannot be read, or that lacks
    /// a key, is as it was before.
    fn catalogs(&self, reader: &mut Reader) -> Vec<Catalog> {
        let default = default_catalog();
        let before = self.catalogs.first().cloned().unwrap_or_else(default_catalog);
        let mut catalogs = vec![Catalog {
            name: reader.get("hub-catalog-name", text, default.name, &before.name),
            url: reader.get("hub-url", web_url, default.url, &before.url),
            id: default.id,
        }];
        for number in catalog_numbers(reader.data()) {
            let read = (
                reader.need(&format!("catalog-{number}-id"), catalog_id),
                reader.need(&format!("catalog-{number}-name"), text),
                reader.need(&format!("catalog-{number}-url"), web_url),
            );
            if let (Some(id), Some(name), Some(url)) = read {
                catalogs.push(Catalog { id, name, url });
            } else {
                let id = reader.data().get(&format!("catalog-{number}-id")).map(|id| id.trim());
                catalogs.extend(
                    self.catalogs.iter().skip(1).find(|known| Some(known.id.as_str()) == id).cloned(),
                );
            }
        }
        catalogs
    }
}

fn catalog_numbers(data: &Data) -> BTreeSet<u32> {
    data.keys()
        .filter_map(|key| key.strip_prefix("catalog-")?.split_once('-'))
        .filter(|(_, field)| ["id", "name", "url"].contains(field))
        .filter_map(|(number, _)| number.parse().ok())
        .collect()
}

impl Console {
    fn read(&self, reader: &mut Reader) -> Self {
        Self {
            name: reader.get("custom-console-name", text, String::new(), &self.name),
            url: reader.get("custom-console-url", web_url, String::new(), &self.url),
            pr_details: reader.get("custom-console-url-pr-details", web_url, String::new(), &self.pr_details),
            pr_tasklog: reader.get("custom-console-url-pr-tasklog", web_url, String::new(), &self.pr_tasklog),
            namespace: reader.get("custom-console-url-namespace", web_url, String::new(), &self.namespace),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    fn data<const N: usize>(pairs: [(&str, &str); N]) -> Data {
        pairs.map(|(key, value)| (key.to_owned(), value.to_owned())).into()
    }

    fn read<const N: usize>(pairs: [(&str, &str); N]) -> (String, Vec<Invalid>) {
        let (settings, invalid) = Settings::default().read(&data(pairs));
        (format!("{settings:?}"), invalid)
    }

    #[test]
    fn nothing_means_the_defaults() {
        assert_eq!(read([]), (format!("{:?}", Settings::default()), Vec::new()));
        assert_eq!(read([("remote-tasks", " "), ("unknown", "x")]), read([]));
    }

    /// Each key of the specification's section 7 changes something.
    #[rstest]
    #[case("application-name", "Konflux")]
    #[case("secret-auto-create", "false")]
    #[case("secret-github-app-token-scoped", "false")]
    #[case("secret-github-app-scope-extra-repos", "a/b, a/c")]
    #[case("hub-url", "https://hub.test/v1")]
    #[case("hub-catalog-name", "mine")]
    #[case("remote-tasks", "false")]
    #[case("tekton-dashboard-url", "https://dashboard.test")]
    #[case("error-log-snippet", "false")]
    #[case("error-log-snippet-number-of-lines", "7")]
    #[case("error-detection-from-container-logs", "false")]
    #[case("error-detection-max-number-of-lines", "-1")]
    #[case("error-detection-simple-regexp", "(?P<filename>a)(?P<line>b)(?P<error>c)")]
    #[case("bitbucket-cloud-check-source-ip", "false")]
    #[case("bitbucket-cloud-additional-source-ip", "127.0.0.1, 10.0.0.0/8")]
    #[case("max-keep-run-upper-limit", "5")]
    #[case("default-max-keep-runs", "5")]
    #[case("auto-configure-new-github-repo", "true")]
    #[case("auto-configure-repo-namespace-template", "{{repo_owner}}-{{repo_name}}")]
    #[case("remember-ok-to-test", "true")]
    #[case("require-ok-to-test-sha", "true")]
    #[case("skip-push-event-for-pr-commits", "false")]
    #[case("enable-cancel-in-progress-on-pull-requests", "true")]
    #[case("enable-cancel-in-progress-on-push", "true")]
    #[case("custom-console-name", "Konflux")]
    #[case("custom-console-url", "https://console.test")]
    #[case("custom-console-url-pr-details", "https://console.test/{{ namespace }}/{{ pr }}")]
    #[case("custom-console-url-pr-tasklog", "https://console.test/{{ namespace }}/{{ pr }}/{{ task }}")]
    #[case("custom-console-url-namespace", "https://console.test/{{ namespace }}")]
    fn every_key_counts(#[case] key: &str, #[case] value: &str) {
        let (settings, invalid) = read([(key, value)]);
        assert_eq!(invalid, []);
        assert_ne!(settings, format!("{:?}", Settings::default()));
    }

    #[rstest]
    #[case("remote-tasks", "perhaps")]
    #[case("hub-url", "hub.test")]
    #[case("hub-url", "ftp://hub.test")]
    #[case("error-log-snippet-number-of-lines", "-3")]
    #[case("error-detection-max-number-of-lines", "-2")]
    #[case("error-detection-simple-regexp", "(")]
    #[case("error-detection-simple-regexp", "(?P<filename>a)")]
    #[case("bitbucket-cloud-additional-source-ip", "10.0.0.0/8, here")]
    #[case("max-keep-run-upper-limit", "many")]
    #[case("secret-github-app-scope-extra-repos", "owner")]
    #[case("catalog-1-id", "https")]
    fn a_bad_value_is_told_of(#[case] key: &str, #[case] value: &str) {
        let (settings, invalid) = read([(key, value)]);
        assert_eq!(settings, format!("{:?}", Settings::default()));
        assert!(invalid.iter().any(|invalid| invalid.key == key), "{invalid:?}");
    }

    #[test]
    fn a_bad_value_keeps_what_was_and_others_count() {
        let (before, _) =
            Settings::default().read(&data([("application-name", "Konflux"), ("remote-tasks", "false")]));
        let (after, invalid) = before.read(&data([("remote-tasks", "perhaps")]));
        assert_eq!(invalid.len(), 1);
        assert!(!after.remote_tasks);
        assert_eq!(after.application_name, "Pipelines as Code CI");
    }

    #[test]
    fn numbers_without_a_limit() {
        let (settings, _) = Settings::default()
            .read(&data([("error-detection-max-number-of-lines", "-1"), ("default-max-keep-runs", "0")]));
        assert_eq!((settings.error_detection_max_lines, settings.default_max_keep_runs), (None, None));
    }

    #[test]
    fn catalogs_come_after_the_default_one() {
        let all = data([
            ("catalog-10-id", "ten"),
            ("catalog-10-name", "tekton"),
            ("catalog-10-url", "https://ten.test/"),
            ("catalog-2-id", "two"),
            ("catalog-2-name", "tekton"),
            ("catalog-2-url", "https://two.test"),
        ]);
        let (settings, invalid) = Settings::default().read(&all);
        assert_eq!(invalid, []);
        let ids = |settings: &Settings| settings.catalogs.iter().map(|c| c.id.clone()).collect::<Vec<_>>();
        assert_eq!(ids(&settings), ["default", "two", "ten"]);
        assert_eq!(settings.catalogs[2].url, "https://ten.test");

        let (settings, invalid) =
            settings.read(&data([("catalog-2-id", "two"), ("catalog-2-name", "t"), ("catalog-2-url", "x")]));
        assert_eq!(ids(&settings), ["default", "two"]);
        assert_eq!(settings.catalogs[1].url, "https://two.test");
        assert_eq!(invalid[0].key, "catalog-2-url");
        let (settings, invalid) = settings.read(&data([("catalog-3-id", "three")]));
        assert_eq!(ids(&settings), ["default"]);
        assert_eq!(invalid.len(), 2);
    }
}
