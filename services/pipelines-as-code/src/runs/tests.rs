use fleet::Secret;
use forge::{Branch, User};
use pipelines_as_code_api::annotations::written;
use pipelines_as_code_api::labels;
use pipelines_as_code_api::pipeline_run::GitProvider;
use rstest::rstest;
use serde_json::{Value, json};

use super::*;
use crate::event::{PullRequest, Trigger};

const COMMIT: &str = "8cc5aef17d528ca5ab893dd430004fec8bf9beaa";

fn branch(name: &str, project: u64) -> Branch {
    Branch {
        name: name.to_owned(),
        repository_url: "https://github.com/acme/app".to_owned(),
        clone_url: "https://github.com/acme/app.git".to_owned(),
        repository_id: Some(project),
    }
}

fn push() -> Event {
    Event {
        provider: GitProvider::GitHub,
        server: "https://github.com".to_owned(),
        event_type: EventType::Push,
        trigger: Trigger::Push,
        repository: forge::Repository::new("acme", "app").unwrap(),
        repository_id: Some(7),
        url: "https://github.com/acme/app".to_owned(),
        default_branch: "main".to_owned(),
        head: branch("refs/heads/main", 7),
        base: branch("refs/heads/main", 7),
        commit: Some(COMMIT.parse().unwrap()),
        before: None,
        commit_message: None,
        commit_url: None,
        sender: User { login: "Jane[bot]".to_owned(), id: None },
        pull_request: None,
        comment: None,
        incoming: None,
        installation: None,
        rerun_of: None,
    }
}

fn pull_request() -> Event {
    Event {
        event_type: EventType::PullRequest,
        trigger: Trigger::PullRequest,
        head: branch("feature", 8),
        base: branch("main", 7),
        pull_request: Some(PullRequest { number: 12, ..PullRequest::default() }),
        ..push()
    }
}

fn repository(limit: Option<i64>) -> Repository {
    serde_json::from_value(json!({
        "apiVersion": "pipelinesascode.tekton.dev/v1alpha1",
        "kind": "Repository",
        "metadata": {"name": "app-repository", "namespace": "team-tenant", "uid": "u1"},
        "spec": {"url": "https://github.com/acme/app", "concurrency_limit": limit},
    }))
    .unwrap()
}

fn definition(run: &Value) -> Definition {
    Definition {
        name: "app-on-push".to_owned(),
        path: ".tekton/push.yaml".to_owned(),
        line: 1,
        run: serde_json::from_value(run.clone()).unwrap(),
    }
}

fn of_file() -> Value {
    json!({
        "apiVersion": "tekton.dev/v1",
        "kind": "PipelineRun",
        "metadata": {
            "name": "app-on-push",
            "namespace": "another-tenant",
            "finalizers": ["somebody/else"],
            "ownerReferences": [{"apiVersion": "v1", "kind": "Pod", "name": "p", "uid": "x"}],
            "labels": {"appstudio.openshift.io/component": "app"},
            "annotations": {
                "pipelinesascode.tekton.dev/max-keep-runs": "3",
                "build.appstudio.redhat.com/target_branch": "main",
            },
        },
        "spec": {
            "params": [{"name": "secret", "value": "{{ git_auth_secret }}"}, {"name": "other", "value": "{{ other }}"}],
            "pipelineSpec": {"tasks": [{"name": "a", "taskSpec": {"steps": [{"name": "s", "image": "i"}]}}]},
            "workspaces": [{"name": "git", "secret": {"secretName": "{{git_auth_secret}}"}}],
        },
    })
}

/// What a run is made of, to be changed by each test.
struct Scene {
    event: Event,
    repository: Repository,
    settings: Settings,
    info: ControllerInfo,
    order: Vec<String>,
    log_url: Option<String>,
    traceparent: Option<&'static str>,
    of_file: Value,
}

impl Scene {
    fn new(event: Event) -> Self {
        Self {
            event,
            repository: repository(None),
            settings: Settings::default(),
            info: ControllerInfo {
                name: "default".to_owned(),
                configmap: "pipelines-as-code".to_owned(),
                secret: "pipelines-as-code-secret".to_owned(),
            },
            order: vec!["team-tenant/app-on-push-f7kfj".to_owned(), "team-tenant/b-xxxxx".to_owned()],
            log_url: Some("https://konflux.test/run".to_owned()),
            traceparent: Some("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"),
            of_file: of_file(),
        }
    }

    fn making(&self) -> Making<'_> {
        Making {
            event: &self.event,
            repository: &self.repository,
            delivery: "d1",
            clone_url: "https://github.com/acme/app.git",
            commit_title: "Begin: ä first [line]",
            commit_url: "https://github.com/acme/app/commit/8cc5aef",
            settings: &self.settings,
            controller_info: &self.info,
            order: &self.order,
            event_type: self.event.event_type,
            log_url: self.log_url.clone(),
            traceparent: self.traceparent,
        }
    }

    fn run(&self) -> PipelineRun {
        let definition = definition(&self.of_file);
        make(&self.making(), &definition, definition.run.clone())
    }

    fn annotation(&self, key: fleet_api::AnnotationKey) -> Option<String> {
        key.of(&self.run().metadata.annotations).map(str::to_owned)
    }

    fn label(&self, key: fleet_api::LabelKey) -> Option<String> {
        key.of(&self.run().metadata.labels).map(str::to_owned)
    }
}

/// All of it, as the API server gets it.
#[test]
fn a_run_of_a_push() {
    insta::assert_json_snapshot!(Scene::new(push()).run());
}

#[test]
fn a_paused_run_of_a_pull_request() {
    let mut scene = Scene::new(Event { installation: Some(42), ..pull_request() });
    scene.repository = repository(Some(1));
    insta::assert_json_snapshot!(scene.run());
}

#[test]
fn a_limit_pauses_and_orders_runs() {
    let mut scene = Scene::new(push());
    assert!(!is_paused(&scene.run()));
    assert_eq!(scene.annotation(written::STATE).unwrap(), "started");
    assert_eq!(scene.annotation(written::EXECUTION_ORDER), None);
    scene.repository = repository(Some(2));
    assert!(is_paused(&scene.run()));
    assert_eq!(scene.annotation(written::STATE).unwrap(), "queued");
    assert_eq!(scene.label(labels::STATE).unwrap(), "queued");
    assert_eq!(
        scene.annotation(written::EXECUTION_ORDER).unwrap(),
        "team-tenant/app-on-push-f7kfj,team-tenant/b-xxxxx"
    );
}

#[test]
fn gitlab_has_projects_and_groups() {
    let event = Event {
        provider: GitProvider::GitLab,
        event_type: EventType::GitLabMergeRequest,
        repository: forge::Repository::new("group/sub", "app").unwrap(),
        ..pull_request()
    };
    let scene = Scene::new(event);
    assert_eq!(scene.annotation(written::SOURCE_PROJECT_ID).unwrap(), "8");
    assert_eq!(scene.annotation(written::TARGET_PROJECT_ID).unwrap(), "7");
    assert_eq!(scene.annotation(written::URL_ORG).unwrap(), "group-sub");
    assert_eq!(scene.annotation(written::EVENT_TYPE).unwrap(), "Merge Request");
    assert_eq!(scene.label(labels::EVENT_TYPE).unwrap(), "Merge_Request");
    assert_eq!(Scene::new(pull_request()).annotation(written::SOURCE_PROJECT_ID), None);
}

#[rstest]
#[case::app(GitProvider::GitHub, Some(42), Some("42"), None)]
#[case::webhook(GitProvider::GitHub, None, None, None)]
#[case::enterprise(GitProvider::GitHubEnterprise, Some(42), Some("42"), Some("https://ghe.test"))]
#[case::gitea(GitProvider::Gitea, Some(42), None, None)]
fn github_has_an_installation(
    #[case] provider: GitProvider,
    #[case] installation: Option<u64>,
    #[case] expected: Option<&str>,
    #[case] ghe_url: Option<&str>,
) {
    let scene = Scene::new(Event { provider, installation, server: "https://ghe.test".into(), ..push() });
    assert_eq!(scene.annotation(written::INSTALLATION_ID).as_deref(), expected);
    assert_eq!(scene.annotation(written::GHE_URL).as_deref(), ghe_url);
}

#[test]
fn people_at_bitbucket_are_organisations() {
    let repository = forge::Repository::new("~jane", "app").unwrap();
    let scene = Scene::new(Event { provider: GitProvider::BitbucketServer, repository, ..push() });
    assert_eq!(scene.annotation(written::URL_ORG).unwrap(), "jane");
}

#[test]
fn a_comment_may_have_been_waited_for() {
    let scene = Scene::new(pull_request());
    let definition = definition(&scene.of_file);
    let making = Making { event_type: EventType::OnComment, ..scene.making() };
    let run = make(&making, &definition, definition.run.clone());
    assert_eq!(written::EVENT_TYPE.of(&run.metadata.annotations), Some("on-comment"));
}

/// A file says what it likes, but not in our name.
#[test]
fn a_file_does_not_speak_for_us() {
    let mut scene = Scene::new(push());
    scene.log_url = None;
    scene.traceparent = None;
    let keys = [
        "state",
        "sha",
        "repository",
        "pull-request",
        "check-run-id",
        "installation-id",
        "git-auth-secret",
        "execution-order",
        "log-url",
        "ghe-url",
        "source-project-id",
        "target-project-id",
        "original-prname",
    ];
    let honest = scene.run();
    for key in keys {
        let key = format!("pipelinesascode.tekton.dev/{key}");
        scene.of_file["metadata"]["annotations"][&key] = "forged".into();
        scene.of_file["metadata"]["labels"][&key] = "forged".into();
    }
    for key in ["cause", "traceparent", "uid"] {
        scene.of_file["metadata"]["annotations"][format!("fleet.konflux-ci.dev/{key}")] = "forged".into();
    }
    scene.of_file["metadata"]["labels"]["app.kubernetes.io/managed-by"] = "forged".into();
    let forged = scene.run();
    assert_eq!(forged.metadata.annotations, honest.metadata.annotations);
    let ours = |labels: &std::collections::BTreeMap<String, String>| {
        labels.iter().filter(|(_, value)| *value == "forged").map(|(key, _)| key.clone()).collect::<Vec<_>>()
    };
    // Labels that we never write are nobody's to believe.
    let left = ours(&forged.metadata.labels.unwrap());
    assert!(
        left.iter().all(|key| ![
            "state",
            "sha",
            "repository",
            "pull-request",
            "check-run-id",
            "original-prname"
        ]
        .iter()
        .any(|ours| key.ends_with(&format!("/{ours}")))),
        "{left:?}"
    );
}

#[test]
fn without_secrets_nothing_names_one() {
    let mut scene = Scene::new(push());
    scene.settings.secret_auto_create = false;
    assert_eq!(scene.annotation(written::GIT_AUTH_SECRET), None);
    assert_eq!(json!(scene.run().spec.params[0].value), "{{ git_auth_secret }}");
}

fn secret(scene: &Scene, clone_url: &str, user: &str) -> Result<Value, InvalidCloneUrl> {
    let mut run = scene.run();
    run.metadata.uid = Some("run-uid".to_owned());
    let making = Making { clone_url, ..scene.making() };
    let token = Secret::new("t_@k/%en".to_owned());
    let mut secret = serde_json::to_value(git_auth_secret(&making, &run, &token, user)?).unwrap();
    for value in secret["data"].as_object_mut().unwrap().values_mut() {
        let decoded = data_encoding::BASE64.decode(value.as_str().unwrap().as_bytes()).unwrap();
        *value = String::from_utf8(decoded).unwrap().into();
    }
    Ok(secret)
}

#[test]
fn a_secret_goes_with_its_run() {
    let scene = Scene::new(push());
    let secret = secret(&scene, "https://github.com/acme/app.git", "").unwrap();
    assert_eq!(secret["metadata"]["name"], json!(scene.annotation(written::GIT_AUTH_SECRET)));
    insta::assert_json_snapshot!(secret);
}

#[rstest]
#[case::port_and_user(
    "https://git.test:8443/a/b.git",
    "jane@x",
    "https://jane%40x:t_%40k%2F%25en@git.test:8443/a/b.git",
    "https://git.test:8443"
)]
#[case::plain("http://git.test/a/b.git", "", "http://git:t_%40k%2F%25en@git.test/a/b.git", "http://git.test")]
#[case::user_in_the_address(
    "https://somebody:x@git.test/a",
    "",
    "https://git:t_%40k%2F%25en@git.test/a",
    "https://git.test"
)]
fn git_finds_the_credential(
    #[case] clone_url: &str,
    #[case] user: &str,
    #[case] credentials: &str,
    #[case] server: &str,
) {
    let data = secret(&Scene::new(push()), clone_url, user).unwrap()["data"].take();
    assert_eq!(data[".git-credentials"], credentials);
    assert_eq!(data[".gitconfig"], format!("[credential \"{server}\"]\n\thelper = store\n"));
    assert_eq!(data["git-provider-token"], "t_@k/%en");
}

#[rstest]
#[case::ssh("ssh://git@github.com/acme/app.git")]
#[case::scp("git@github.com:acme/app.git")]
#[case::nothing("")]
fn git_needs_an_address_with_a_host(#[case] clone_url: &str) {
    let error = secret(&Scene::new(push()), clone_url, "").unwrap_err();
    assert!(error.to_string().contains(&format!("{clone_url:?}, which is no address")), "{error}");
}

fn changed(change: impl FnOnce(&mut PipelineRun)) -> bool {
    let wanted = Scene::new(push()).run();
    let mut existing = wanted.clone();
    change(&mut existing);
    adopts(&existing, &wanted)
}

fn with_label(key: &'static str, value: &'static str) -> impl FnOnce(&mut PipelineRun) {
    move |run| _ = run.metadata.labels.as_mut().unwrap().insert(key.to_owned(), value.to_owned())
}

#[test]
fn adopts_what_an_earlier_attempt_made() {
    assert!(changed(|_| {}));
    assert!(changed(with_label("pipelinesascode.tekton.dev/state", "completed")), "it has ended");
    assert!(changed(with_label("pipelinesascode.tekton.dev/check-run-id", "5")), "it was reported");
    assert!(changed(with_label("any", "label")), "somebody else's");
    assert!(changed(|run| run.metadata.owner_references = Some(vec![Default::default()])), "was adopted");
}

#[test]
fn adopts_nothing_else() {
    let with_cause = |value: Option<&'static str>| {
        move |run: &mut PipelineRun| {
            let annotations = run.metadata.annotations.as_mut().unwrap();
            annotations.remove("fleet.konflux-ci.dev/cause");
            annotations
                .extend(value.map(|value| ("fleet.konflux-ci.dev/cause".to_owned(), value.to_owned())));
        }
    };
    assert!(!changed(with_cause(Some("d2"))), "another delivery's");
    assert!(!changed(with_cause(None)), "made by hand");
    assert!(!changed(with_label("pipelinesascode.tekton.dev/repository", "other")), "another Repository's");
    assert!(
        !changed(with_label("pipelinesascode.tekton.dev/original-prname", "other")),
        "another definition's"
    );
    assert!(!changed(with_label("pipelinesascode.tekton.dev/sha", "other")), "another commit's");
    let deleted = Some(serde_json::from_value(json!("2024-01-01T00:00:00Z")).unwrap());
    assert!(!changed(|run| run.metadata.deletion_timestamp = deleted), "about to go");
}
