//! The run that looks through a branch, and what it works with.

use std::collections::BTreeMap;

use application_service_api::Component;
use build_service_api::labels::mintmaker as labels;
use build_service_api::names::mintmaker::{CONFIG_KEY, SERVICE_ACCOUNT, TOKEN_KEY};
use build_service_api::{DependencyUpdateCheck, annotations};
use fleet::names::hash;
use fleet::{ObjectKey, Secret as Hidden};
use fleet_api::keys;
use jiff::tz::TimeZone;
use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::{ConfigMap, Secret};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, OwnerReference};
use kube::{Resource as _, ResourceExt as _};
use pipelines_engine_api::PipelineRun;
use pipelines_engine_api::pipeline_run::PENDING;
use serde_json::{Map, Value, json};

use super::args::Args;
use super::branch::{Place, branch_hash, branch_name};
use crate::git::Source;
use crate::renovate::{config, step};

/// Longest value of a label.
const LONGEST: usize = 63;

const TIMEOUT: &str = "1h";
const CONFIG_FOLDER: &str = "/etc/renovate/config";
const TOKEN_FOLDER: &str = "/etc/renovate/secret";
const DOCKER_FOLDER: &str = "/home/renovate/.docker";
const DOCKER_KEY: &str = ".dockerconfigjson";
/// Where the tasks of a run share files.
const SHARED: &str = "shared-data";
/// Where images have the database of vulnerabilities.
const DATABASE: &str = "/data/osv-db";

/// What a run looks through.
pub(super) struct Purpose<'a> {
    pub(super) check: &'a DependencyUpdateCheck,
    pub(super) component: &'a Component,
    pub(super) source: &'a Source,
    pub(super) branch: &'a str,
    /// The commit that the branch is at.
    pub(super) commit: &'a str,
}

impl Purpose<'_> {
    fn branch_name(&self) -> String {
        branch_name(self.source, self.branch)
    }

    /// For whom the run was made: a repeated attempt finds it by this.
    fn cause(&self) -> String {
        format!("{} {}", self.check.uid().unwrap_or_default(), self.branch_name())
    }

    /// `renovate-<MMDDhhmm>-<hash>`, by the time of the check.
    pub(super) fn name(&self) -> String {
        let created = self.check.creation_timestamp().map(|time| time.0).unwrap_or_default();
        let at = created.to_zoned(TimeZone::UTC).strftime("%m%d%H%M").to_string();
        format!("renovate-{at}-{}", hash(8, &[&self.cause()]))
    }

    /// The run. It does not begin before it is let go. `authority` is the ConfigMap with certificates that are trusted.
    pub(super) fn run(&self, args: &Args, authority: &str, has_logins: bool) -> PipelineRun {
        let name = self.name();
        let Self { component, source, .. } = self;
        let namespace = component.namespace().unwrap_or_default();
        let marks = [
            (labels::APPLICATION, component.spec.application.as_str()),
            (labels::COMPONENT, &component.name_any()),
            (labels::NAMESPACE, &namespace),
            (labels::GIT_PLATFORM, platform(source)),
            (labels::GIT_HOST, &source.host),
            (labels::REPOSITORY, &source.repository.to_string()),
            (labels::BRANCH, self.branch),
            (labels::REPO_BRANCH_HASH, &branch_hash(&self.branch_name())),
        ];
        let marks: BTreeMap<_, _> =
            marks.iter().map(|(key, value)| (key.as_str(), label_value(value))).collect();
        let task = json!({
            "workspaces": [{"name": SHARED}],
            "steps": steps(args, has_logins),
            "volumes": volumes(&name, authority),
        });
        let run = json!({
            "metadata": {
                "name": name,
                "namespace": self.check.namespace(),
                "labels": marks,
                "annotations": {
                    keys::CAUSE.as_str(): self.cause(),
                    annotations::COMMIT_SHA.as_str(): self.commit,
                },
            },
            "spec": {
                "status": PENDING,
                "timeouts": {"pipeline": TIMEOUT},
                "taskRunTemplate": {"serviceAccountName": SERVICE_ACCOUNT},
                "workspaces": [{"name": SHARED, "emptyDir": {}}],
                "pipelineSpec": {
                    "workspaces": [{"name": SHARED}],
                    "tasks": [{
                        "name": "build",
                        "taskSpec": task,
                        "workspaces": [{"name": SHARED, "workspace": SHARED}],
                    }],
                },
            },
        });
        serde_json::from_value(run).expect("it is a PipelineRun")
    }
}

/// The host and owner of a run's repository, of its cause: labels have lost some of their characters.
pub(super) fn place(run: &PipelineRun) -> Place {
    let cause = keys::CAUSE.of(&run.metadata.annotations).unwrap_or_default();
    let name = cause.split_once(' ').map_or("", |(_, name)| name);
    let (host, path) = name.split_once('/').unwrap_or((name, ""));
    let path = path.rsplit_once('@').map_or(path, |(path, _)| path);
    let owner = path.rsplit_once('/').map_or("", |(owner, _)| owner);
    Place { host: host.to_owned(), owner: owner.to_lowercase() }
}

/// The Component that a run was made for.
pub(super) fn component(run: &PipelineRun) -> Option<ObjectKey> {
    let labels = &run.metadata.labels;
    Some(ObjectKey::new(labels::NAMESPACE.of(labels)?, labels::COMPONENT.of(labels)?))
}

/// The settings of a run, which go with it: `base` of the platform team, then what its repository needs.
pub(super) fn config_map(
    run: &PipelineRun,
    base: Value,
    source: &Source,
    branch: &str,
    forge: Map<String, Value>,
) -> ConfigMap {
    let mut settings = base;
    let repository = source.repository.to_string();
    let own = json!({
        "repository": repository,
        "repositories": [repository],
        "baseBranches": [branch],
    });
    overlay(&mut settings, Value::Object(forge));
    overlay(&mut settings, own);
    if let Some(settings) = settings.as_object_mut() {
        settings.entry("hostRules").or_insert_with(|| json!([]));
    }
    let text = serde_json::to_string_pretty(&settings).expect("JSON is JSON");
    ConfigMap {
        metadata: metadata_of(run),
        data: Some([(CONFIG_KEY.to_owned(), format!("module.exports = {text};\n"))].into()),
        ..ConfigMap::default()
    }
}

/// Token and logins of a run, which go with it. The token of a GitHub App comes later.
pub(super) fn secret(
    run: &PipelineRun,
    token: Option<&Hidden<String>>,
    logins: Option<&Hidden<String>>,
) -> Secret {
    let entries = [(TOKEN_KEY, token), (DOCKER_KEY, logins)];
    let data = entries
        .into_iter()
        .filter_map(|(key, value)| Some((key.to_owned(), ByteString(value?.expose().clone().into_bytes()))));
    Secret { metadata: metadata_of(run), data: Some(data.collect()), ..Secret::default() }
}

/// Lays JSON over other JSON: objects are merged, anything else is replaced.
pub(super) fn overlay(base: &mut Value, over: Value) {
    match (base, over) {
        (Value::Object(base), Value::Object(over)) => {
            for (key, value) in over {
                overlay(base.entry(key).or_insert(Value::Null), value);
            }
        }
        (base, over) => *base = over,
    }
}

/// Renovate's name of a forge, by which the label differs.
fn platform(source: &Source) -> &'static str {
    match config::platform(source.provider) {
        "gitea" => "forgejo",
        other => other,
    }
}

fn metadata_of(run: &PipelineRun) -> ObjectMeta {
    ObjectMeta {
        name: Some(run.name_any()),
        namespace: run.namespace(),
        owner_references: Some(vec![OwnerReference {
            api_version: PipelineRun::api_version(&()).into_owned(),
            kind: PipelineRun::kind(&()).into_owned(),
            name: run.name_any(),
            uid: run.uid().unwrap_or_default(),
            ..OwnerReference::default()
        }]),
        ..ObjectMeta::default()
    }
}

fn volumes(name: &str, authority: &str) -> Value {
    let mut trusted = step::trusted_ca();
    trusted["configMap"]["name"] = json!(authority);
    json!([
        {"name": "config", "configMap": {"name": name}},
        // Not optional: the pod waits until the token is there.
        {"name": "token", "secret": {"secretName": name, "items": [{"key": TOKEN_KEY, "path": TOKEN_KEY}]}},
        {"name": "logins", "secret": {
            "secretName": name, "optional": true, "items": [{"key": DOCKER_KEY, "path": "config.json"}],
        }},
        trusted,
    ])
}

fn steps(args: &Args, has_logins: bool) -> Vec<Value> {
    let updater = &args.updater;
    let mut steps = Vec::new();
    let mut container = step::base(updater);
    let mounts = [("config", CONFIG_FOLDER), ("token", TOKEN_FOLDER), ("logins", DOCKER_FOLDER)];
    // A folder of an optional Secret that lacks the key would be there, and empty.
    for (volume, path) in mounts.into_iter().filter(|(volume, _)| *volume != "logins" || has_logins) {
        step::push(
            &mut container,
            "volumeMounts",
            json!({"name": volume, "mountPath": path, "readOnly": true}),
        );
    }
    let (config, token) = (format!("{CONFIG_FOLDER}/{CONFIG_KEY}"), format!("{TOKEN_FOLDER}/{TOKEN_KEY}"));
    if updater.is_renovate() {
        if !args.osv_database_image.is_empty() {
            let mut database = step::base(updater);
            let script = format!("#!/bin/sh\ncp -r {DATABASE} $(workspaces.{SHARED}.path)/osv-db\n");
            for (field, value) in
                [("name", "prepare-db"), ("image", &args.osv_database_image), ("script", &script)]
            {
                database.insert(field.to_owned(), json!(value));
            }
            steps.push(Value::Object(database));
        }
        let resources = json!({
            "requests": {"cpu": "300m", "memory": "3584Mi"},
            "limits": {"memory": "3584Mi"},
        });
        container.insert("computeResources".into(), resources);
        for (name, value) in [
            ("RENOVATE_CONFIG_FILE", config.as_str()),
            ("OSV_OFFLINE_ROOT_DIR", &format!("$(workspaces.{SHARED}.path)/osv-db")),
        ] {
            step::push(&mut container, "env", json!({"name": name, "value": value}));
        }
        let script = format!("#!/bin/sh\nRENOVATE_TOKEN=$(cat {token}) renovate\n");
        container.insert("script".into(), json!(script));
    } else {
        let mut command = vec!["toolbox".to_owned(), "update".to_owned()];
        command.extend([format!("--config={config}"), format!("--token-file={token}")]);
        if has_logins {
            command.push(format!("--auth-file={DOCKER_FOLDER}/config.json"));
        }
        container.insert("command".into(), json!(command));
    }
    steps.push(Value::Object(container));
    steps
}

/// What may be the value of a label: `/` becomes `_`, and so does whatever else may not be in it.
pub(super) fn label_value(text: &str) -> String {
    let mut value = String::new();
    let mut is_bad_before = false;
    for character in text.chars() {
        let is_good = character.is_ascii_alphanumeric() || "-_.".contains(character);
        match (character, is_good) {
            (_, true) => value.push(character),
            ('/', _) => value.push('_'),
            _ if !is_bad_before => value.push('_'),
            _ => {}
        }
        is_bad_before = !is_good && character != '/';
    }
    let is_edge = |character: char| !character.is_ascii_alphanumeric();
    let value = value.trim_matches(is_edge);
    let cut = &value[..value.len().min(LONGEST)];
    cut.trim_end_matches(is_edge).to_owned()
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;
    use rstest::rstest;

    use super::super::branch::tests::component;
    use super::*;

    #[rstest]
    #[case("acme/app", "acme_app")]
    #[case("feature/a b  c", "feature_a_b_c")]
    #[case("-edges-", "edges")]
    #[case("ünder_", "nder")]
    #[case("", "")]
    #[case(&"a".repeat(80), &"a".repeat(63))]
    #[case(&format!("{}/b", "a".repeat(62)), &"a".repeat(62))]
    fn values_of_labels(#[case] text: &str, #[case] expected: &str) {
        assert_eq!(label_value(text), expected);
    }

    fn made(flags: &[&str], has_logins: bool) -> PipelineRun {
        let component = component("tenant/web", "shop", "https://gitlab.com/Acme/sub/app", Some("main"));
        let source = Source::of(&component).unwrap().unwrap();
        let mut check = DependencyUpdateCheck::new("nightly", Default::default());
        check.metadata.uid = Some("uid-check".to_owned());
        check.metadata.namespace = Some("mintmaker".to_owned());
        check.metadata.creation_timestamp = serde_json::from_value(json!("2024-03-01T12:34:56Z")).unwrap();
        let args = Args::try_parse_from([&["mintmaker"], flags].concat()).unwrap();
        Purpose { check: &check, component: &component, source: &source, branch: "main", commit: "c0ffee" }
            .run(&args, "trusted-ca", has_logins)
    }

    #[test]
    fn is_found_by_what_it_is_for() {
        let run = made(&[], false);
        let name = run.name_any();
        assert!(name.starts_with("renovate-03011234-") && name.len() == 26, "{name}");
        assert_eq!(name, made(&[], true).name_any());
        assert_eq!(place(&run), Place { host: "gitlab.com".into(), owner: "acme/sub".into() });
        assert_eq!(component_key(&run), "tenant/web");
        let labels = run.labels();
        assert_eq!(labels["mintmaker.appstudio.redhat.com/repository"], "Acme_sub_app");
        assert_eq!(labels["mintmaker.appstudio.redhat.com/git-platform"], "gitlab");
        assert_eq!(
            labels["mintmaker.appstudio.redhat.com/repo-branch-hash"],
            branch_hash("gitlab.com/Acme/sub/app@main")
        );
        assert_eq!(run.spec.status, PENDING);
    }

    fn component_key(run: &PipelineRun) -> String {
        super::component(run).unwrap().to_string()
    }

    #[test]
    fn works_by_the_toolbox_or_by_renovate() {
        let step = |run: &PipelineRun, index: usize| {
            run.spec.pipeline_spec.as_ref().unwrap().tasks[0].task_spec.as_ref().unwrap().task.steps[index]
                .clone()
        };
        let ours = step(&made(&[], true), 0);
        assert_eq!(ours.command[..2], ["toolbox", "update"]);
        assert_eq!(ours.command[4], "--auth-file=/home/renovate/.docker/config.json");
        assert_eq!(step(&made(&[], false), 0).command.len(), 4);
        let run = made(&["--renovate-image=renovate:37", "--osv-database-image=osv:1"], false);
        assert_eq!(step(&run, 0).name, "prepare-db");
        let renovate = step(&run, 1);
        assert_eq!(renovate.image, "renovate:37");
        assert!(renovate.script.contains("RENOVATE_TOKEN=$(cat /etc/renovate/secret/renovate-token)"));
    }

    #[test]
    fn later_settings_win_and_objects_are_merged() {
        let mut base = json!({"a": {"x": 1, "y": [1]}, "b": 1});
        overlay(&mut base, json!({"a": {"y": [2], "z": 3}, "c": 1}));
        assert_eq!(base, json!({"a": {"x": 1, "y": [2], "z": 3}, "b": 1, "c": 1}));
    }

    #[test]
    fn settings_are_javascript_for_one_branch() {
        let component = component("tenant/web", "shop", "https://gitlab.com/acme/app", None);
        let source = Source::of(&component).unwrap().unwrap();
        let base = json!({"prConcurrentLimit": 20, "repositories": ["somebody/else"], "platform": "github"});
        let forge = Map::from_iter([("platform".to_owned(), json!("gitlab"))]);
        let map = config_map(&made(&[], false), base, &source, "main", forge);
        let text = &map.data.unwrap()["config.js"];
        let json = text.strip_prefix("module.exports = ").unwrap().trim_end().trim_end_matches(';');
        let settings: Value = serde_json::from_str(json).unwrap();
        assert_eq!(settings["repositories"], json!(["acme/app"]));
        assert_eq!(settings["platform"], "gitlab");
        assert_eq!((&settings["prConcurrentLimit"], &settings["hostRules"]), (&json!(20), &json!([])));
    }
}
