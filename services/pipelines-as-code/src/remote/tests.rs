use std::collections::BTreeMap;
use std::sync::Arc;

use axum::Router;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse as _, Redirect};
use axum::routing::get;
use fleet::Secret;
use fleet::outbound::{Options, Url};
use forge::{Access, Branch, Provider, Repository, User};
use parking_lot::Mutex;
use pipelines_as_code_api::pipeline_run::{EventType, GitProvider};
use rstest::rstest;
use serde_json::{Value, json};
use testkit::forge::{GitHub, Visibility};
use testkit::pki::Authority;

use super::*;
use crate::event::Trigger;
use crate::settings::Catalog;

fn task(name: &str, image: &str) -> String {
    format!(
        "apiVersion: tekton.dev/v1beta1\nkind: Task\nmetadata:\n  name: {name}\n  labels: {{of: {image}}}\n\
         spec: {{steps: [{{image: {image}}}]}}\n"
    )
}

/// A hub and a server of somebody's: `path -> content`. Counts what is asked for.
#[derive(Clone, Default)]
struct Web {
    contents: Arc<Mutex<BTreeMap<String, String>>>,
    calls: Arc<Mutex<Vec<(String, HeaderMap)>>>,
}

impl Web {
    async fn start(&self) -> String {
        let answer = |State(web): State<Self>, Path(path): Path<String>, headers: HeaderMap| async move {
            web.calls.lock().push((path.clone(), headers));
            if path == "moved" {
                return Redirect::temporary("http://localhost:1/secret").into_response();
            }
            match web.contents.lock().get(&path) {
                Some(content) => content.clone().into_response(),
                None => StatusCode::NOT_FOUND.into_response(),
            }
        };
        let router = Router::new().route("/{*path}", get(answer)).with_state(self.clone());
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move { axum::serve(listener, router).await });
        format!("http://{address}")
    }

    fn put(&self, path: &str, content: impl Into<String>) {
        self.contents.lock().insert(path.to_owned(), content.into());
    }

    fn calls(&self) -> Vec<String> {
        self.calls.lock().iter().map(|(path, _)| path.clone()).collect()
    }
}

struct World {
    github: GitHub,
    forge: Box<dyn Forge>,
    resolver: Resolver,
    settings: Settings,
    event: Event,
    definitions: Definitions,
    web: Web,
    /// Where `web` answers.
    origin: String,
}

/// The event's repository is `acme/app`, and `acme/private` is another that only the token sees.
async fn world(of_app: &[(&str, &str)]) -> World {
    let authority = Authority::new("remote-test").unwrap();
    let folder = tempfile::tempdir().unwrap();
    let bundle = folder.path().join("ca.crt");
    std::fs::write(&bundle, authority.cert_pem()).unwrap();
    let github = GitHub::start(&authority).unwrap();
    let web = Web::default();
    let origin = web.start().await;
    let options = Options {
        allow: format!("{},{origin}", github.url().trim_start_matches("https://")).parse().unwrap(),
        ca_bundle: Some(bundle),
        ..Options::default()
    };
    let registry = prometheus::Registry::new();
    let outbound = outbound::Client::new("test", options, fleet::Clock::system(), &registry).unwrap();
    let commit = github.edit(|model| {
        model.user("acme");
        for name in ["acme/app", "acme/private"] {
            model.repository(name).unwrap().visibility = Visibility::Private;
        }
        let remote = task("remote", "private");
        let files = [("tasks/remote.yaml", Some(remote.as_bytes()))];
        model.commit("acme/private", "feature/x", "Add a task", &files).unwrap();
        let files: Vec<_> = of_app.iter().map(|(path, text)| (*path, Some(text.as_bytes()))).collect();
        model
            .commit("acme/app", "main", "Begin", &[&files[..], &[("README.md", Some(b"x"))]].concat())
            .unwrap()
    });
    let token = Secret::new(github.token("acme", &["repo"]));
    let access = Access { token: Some(&token), ..Access::default() };
    let forge =
        forge::converse(Provider::GitHub, &Url::parse(github.url()).unwrap(), access, &outbound).unwrap();
    let catalog = |id: &str, name: &str| Catalog {
        id: id.to_owned(),
        name: name.to_owned(),
        url: format!("{origin}/v1/"),
    };
    let repository = Repository::new("acme", "app").unwrap();
    World {
        event: Event {
            provider: GitProvider::GitHub,
            server: github.url().to_owned(),
            event_type: EventType::Push,
            trigger: Trigger::Push,
            repository: repository.clone(),
            repository_id: None,
            url: format!("{}/acme/app", github.url()),
            default_branch: "main".to_owned(),
            head: Branch::default(),
            base: Branch::default(),
            commit: Some(commit.parse().unwrap()),
            before: None,
            commit_message: None,
            commit_url: None,
            sender: User::default(),
            pull_request: None,
            comment: None,
            incoming: None,
            installation: None,
            rerun_of: None,
        },
        definitions: Definitions {
            repository,
            commit: commit.parse().unwrap(),
            runs: Vec::new(),
            pipelines: Vec::new(),
            tasks: Vec::new(),
            problems: Vec::new(),
        },
        settings: Settings {
            catalogs: vec![catalog("default", "tekton"), catalog("own", "team")],
            ..Settings::default()
        },
        resolver: Resolver::new(outbound),
        github,
        forge,
        web,
        origin,
    }
}

impl World {
    /// The server's answer, with a run of these annotations and this spec.
    async fn resolve(&self, annotations: &[(&str, &str)], spec: Value) -> Result<Value, Error> {
        let of_event = self.resolver.of_event(&*self.forge, &self.event, &self.settings);
        let run = of_event.resolve(&self.definitions, &run(annotations, &spec)).await?;
        Ok(serde_json::to_value(run.spec).unwrap())
    }

    /// Image of the task that `name` refers to.
    async fn image(&self, annotations: &[(&str, &str)], name: &str) -> Result<String, Error> {
        let spec = json!({"pipelineSpec": {"tasks": [{"name": "a", "taskRef": {"name": name}}]}});
        let spec = self.resolve(annotations, spec).await?;
        let task = &spec["pipelineSpec"]["tasks"][0];
        assert!(task["taskRef"].is_null(), "{task}");
        Ok(task["taskSpec"]["steps"][0]["image"].as_str().unwrap().to_owned())
    }

    async fn error(&self, annotations: &[(&str, &str)]) -> String {
        let error = self.image(annotations, "any").await.unwrap_err();
        assert!(!error.is_transient(), "{error}");
        error.to_string()
    }

    fn forge_calls(&self) -> usize {
        self.github.traffic().calls().len()
    }
}

fn run(annotations: &[(&str, &str)], spec: &Value) -> PipelineRun {
    let annotations: BTreeMap<String, &str> = annotations
        .iter()
        .map(|(key, value)| (format!("pipelinesascode.tekton.dev/{key}"), *value))
        .collect();
    serde_json::from_value(json!({
        "apiVersion": "tekton.dev/v1",
        "kind": "PipelineRun",
        "metadata": {"name": "r", "annotations": annotations, "labels": {"kept": "yes"}},
        "spec": spec,
    }))
    .unwrap()
}

fn local_task(name: &str, image: &str) -> Task {
    tekton::decode::lenient(&task(name, image)).unwrap()
}

#[tokio::test]
async fn follows_each_form_of_a_reference() {
    let world = world(&[("tasks/in-app.yaml", &task("in-app", "app"))]).await;
    world.web.put("v1/resource/tekton/task/git-clone", r#"{"data": {"latestVersion": {"version": "0.9"}}}"#);
    world.web.put("v1/resource/tekton/task/git-clone/0.9/raw", task("git-clone", "latest"));
    world.web.put("v1/resource/tekton/task/git-clone/0.3/raw", task("git-clone", "old"));
    world.web.put("v1/resource/team/task/lint/1.0/raw", task("lint", "own"));
    world.web.put("open/any.yaml", task("any", "web"));
    let shown = format!("{}/acme/private/blob/feature%2Fx/tasks/remote.yaml", world.github.url());
    let open = format!("{}/open/any.yaml", world.origin);
    for (reference, name, image) in [
        ("tasks/in-app.yaml", "in-app", "app"),
        ("./tasks/in-app.yaml", "in-app", "app"),
        (&shown, "remote", "private"),
        (&open, "any", "web"),
        ("git-clone", "git-clone", "latest"),
        ("git-clone:0.3", "git-clone", "old"),
        ("own://lint:1.0", "lint", "own"),
    ] {
        assert_eq!(world.image(&[("task", reference)], name).await.unwrap(), image, "{reference}");
    }
    let calls = world.web.calls.lock();
    assert!(calls.iter().all(|(_, headers)| !headers.contains_key("authorization")), "a stranger's server");
}

#[tokio::test]
async fn fetches_once_per_event() {
    let world = world(&[("tasks/in-app.yaml", &task("in-app", "app"))]).await;
    world.web.put("open/any.yaml", task("any", "web"));
    let list = format!("[tasks/in-app.yaml, ./tasks/in-app.yaml, {}/open/any.yaml, gone]", world.origin);
    let spec = json!({"pipelineSpec": {"tasks": []}});
    let before = world.forge_calls();
    let of_event = world.resolver.of_event(&*world.forge, &world.event, &world.settings);
    let (one, other) = (run(&[("task", &list)], &spec), run(&[("task-1", &list)], &spec));
    let (one, other) = tokio::join!(
        of_event.resolve(&world.definitions, &one),
        of_event.resolve(&world.definitions, &other)
    );
    assert_eq!(one.unwrap_err().to_string().replace("task", "task-1"), other.unwrap_err().to_string());
    assert_eq!(world.forge_calls() - before, 1, "{}", world.github.traffic());
    let mut calls = world.web.calls();
    calls.sort();
    assert_eq!(calls, ["open/any.yaml", "v1/resource/tekton/task/gone"]);
}

#[tokio::test]
async fn the_nearest_definition_wins() {
    let pipeline = |annotation: &str| {
        format!(
            "apiVersion: tekton.dev/v1\nkind: Pipeline\nmetadata:\n  name: p\n  annotations: {{{annotation}}}\n\
             spec: {{tasks: [{{name: x, taskRef: {{name: t}}}}], finally: [{{name: y, taskRef: {{name: u}}}}]}}\n"
        )
    };
    let of_pipeline = pipeline("pipelinesascode.tekton.dev/task: '[x/of-pipeline.yaml, x/u.yaml]'");
    let mut world = world(&[
        ("x/p.yaml", &of_pipeline),
        ("x/of-pipeline.yaml", &task("t", "of-pipeline")),
        ("x/of-run.yaml", &task("t", "of-run")),
        ("x/u.yaml", &task("u", "u")),
    ])
    .await;
    world.definitions.tasks = vec![local_task("t", "of-tekton"), local_task("u", "of-tekton")];
    world.definitions.pipelines = vec![tekton::decode::lenient(&pipeline("")).unwrap()];
    let spec = || json!({"pipelineRef": {"name": "p"}, "params": [{"name": "a", "value": "b"}]});
    let images = |spec: &Value| {
        let image = |list: &str| {
            let task = &spec["pipelineSpec"][list][0]["taskSpec"];
            task["steps"][0]["image"].as_str().unwrap().to_owned()
        };
        (image("tasks"), image("finally"))
    };
    let pair = |one: &str, other: &str| (one.to_owned(), other.to_owned());

    let of_tekton = world.resolve(&[], spec()).await.unwrap();
    assert_eq!(images(&of_tekton), pair("of-tekton", "of-tekton"));
    assert_eq!(of_tekton["pipelineRef"], Value::Null);
    assert_eq!(of_tekton["params"], json!([{"name": "a", "value": "b"}]));
    assert_eq!(
        of_tekton["pipelineSpec"]["tasks"][0]["taskSpec"]["metadata"],
        json!({"labels": {"of": "of-tekton"}})
    );

    let remote = world.resolve(&[("pipeline", "x/p.yaml")], spec()).await.unwrap();
    assert_eq!(images(&remote), pair("of-pipeline", "u"));

    let nearest = [("pipeline", "x/p.yaml"), ("task", "x/of-run.yaml")];
    assert_eq!(images(&world.resolve(&nearest, spec()).await.unwrap()), pair("of-run", "u"));

    world.settings.remote_tasks = false;
    assert_eq!(images(&world.resolve(&nearest, spec()).await.unwrap()), pair("of-tekton", "of-tekton"));
}

#[tokio::test]
async fn leaves_what_others_resolve() {
    let world = world(&[]).await;
    let spec = json!({"pipelineSpec": {
        "tasks": [
            {"name": "a", "taskRef": {"resolver": "bundles", "params": [{"name": "bundle", "value": "i"}]}},
            {"name": "b", "taskRef": {"name": "t", "kind": "ClusterTask"}},
            {"name": "c", "taskRef": {"name": "t", "kind": "Wait", "apiVersion": "custom.test/v1"}},
            {"name": "d", "taskSpec": {"steps": [{"name": "s", "image": "i"}]}},
        ],
    }});
    assert_eq!(world.resolve(&[], spec.clone()).await.unwrap(), spec);
    let spec = json!({"pipelineRef": {"resolver": "git", "params": [{"name": "url", "value": "u"}]}});
    let annotations = [("task", "gone"), ("pipeline", "gone")];
    assert_eq!(world.resolve(&annotations, spec.clone()).await.unwrap(), spec, "nothing is needed");
    assert_eq!((world.forge_calls(), world.web.calls().len()), (0, 0));
}

#[tokio::test]
async fn tekton_by_its_version_is_no_custom_task() {
    let mut world = world(&[]).await;
    world.definitions.tasks = vec![local_task("t", "i")];
    let task_ref = json!({"name": "t", "kind": "Task", "apiVersion": "tekton.dev/v1beta1"});
    let spec = json!({"pipelineSpec": {"tasks": [{"name": "a", "taskRef": task_ref}]}});
    let spec = world.resolve(&[], spec).await.unwrap();
    assert_eq!(spec["pipelineSpec"]["tasks"][0]["taskSpec"]["steps"][0]["image"], "i");
}

#[tokio::test]
async fn says_what_to_add() {
    let world = world(&[]).await;
    let spec = json!({"pipelineSpec": {"tasks": [{"name": "compile", "taskRef": {"name": "maven"}}]}});
    let error = world.resolve(&[], spec).await.unwrap_err().to_string();
    assert!(error.contains("Task \"maven\", which \"compile\" of the pipeline refers to"), "{error}");
    assert!(error.contains("annotation pipelinesascode.tekton.dev/task with the place"), "{error}");
    let error = world.resolve(&[], json!({"pipelineRef": {"name": "build"}})).await.unwrap_err().to_string();
    assert!(error.contains("Pipeline \"build\" is not in .tekton/"), "{error}");
    assert!(error.contains("annotation pipelinesascode.tekton.dev/pipeline with the place"), "{error}");
}

#[rstest]
#[case::missing_file("tasks/gone.yaml", "\"tasks/gone.yaml\" is nowhere")]
#[case::upwards("tasks/../../secret.yaml", "is no path in a repository")]
#[case::absolute("/etc/passwd", "is no path in a repository")]
#[case::nothing_between("tasks//a.yaml", "is no path in a repository")]
#[case::backslash("tasks\\..\\/a.yaml", "is no path in a repository")]
#[case::not_in_the_hub("gone", "\"gone\" is nowhere")]
#[case::unknown_catalog(
    "other://x",
    "there is no catalog \"other\"; an administrator has configured default, own"
)]
#[case::path_in_the_hub("own://../../x", "is no name in a hub")]
#[case::query_in_the_hub("x?y", "is no name in a hub")]
#[case::version_in_the_hub("x:1:2", "is no name in a hub")]
#[case::other_scheme("file:///etc/passwd", "there is no catalog \"file\"")]
#[case::metadata_of_a_cloud("http://169.254.169.254/latest/meta-data", "not called")]
#[case::loopback("https://127.0.0.1:6443/api", "not called: its address is none on the internet")]
#[case::loopback_by_name("https://localhost:1/api", "not called")]
#[case::plain("http://example.com/a.yaml", "http:// is not permitted")]
#[case::password("https://u:p@example.com/a.yaml", "must not contain a user name or password")]
#[case::no_url("https://", "is no URL")]
#[case::empty("empty.yaml/empty.yaml", "\"empty.yaml/empty.yaml\" is empty")]
#[case::another_kind("x/pipeline.yaml", "holds no Task that can be read: no document in it is of kind Task")]
#[case::broken("x/broken.yaml", "holds no Task that can be read: line 2: it is no YAML")]
#[case::mistyped(
    "x/mistyped.yaml",
    "holds no Task that can be read: line 6: spec.steps[0].image: invalid type"
)]
#[case::unnamed("x/unnamed.yaml", "holds no Task that can be read: line 1: it has no metadata.name")]
#[case::no_list("a b", "\"a b\" is no list")]
#[tokio::test]
async fn refuses_and_names_the_annotation(#[case] reference: &str, #[case] expected: &str) {
    let world = world(&[
        ("empty.yaml/empty.yaml", "\n  \n"),
        ("x/pipeline.yaml", "apiVersion: tekton.dev/v1\nkind: Pipeline\nmetadata: {name: p}\n"),
        ("x/broken.yaml", "a: 1\nb: [\n"),
        (
            "x/mistyped.yaml",
            "apiVersion: tekton.dev/v1\nkind: Task\nmetadata: {name: t}\nspec:\n  steps:\n  - image: 5\n",
        ),
        ("x/unnamed.yaml", "apiVersion: tekton.dev/v1\nkind: Task\nspec: {}\n"),
    ])
    .await;
    let error = world.error(&[("task-2", reference)]).await;
    assert!(error.starts_with("annotation pipelinesascode.tekton.dev/task-2: "), "{error}");
    assert!(error.contains(expected), "{error}");
}

#[tokio::test]
async fn does_not_follow_to_where_it_may_not_go() {
    let world = world(&[]).await;
    let error = world.error(&[("task", &format!("{}/moved", world.origin))]).await;
    assert!(error.contains("not called"), "{error}");
}

#[tokio::test]
async fn large_texts_are_refused() {
    let world = world(&[]).await;
    world.web.put("large", "# x\n".repeat(1_000_000));
    let error = world.error(&[("task", &format!("{}/large", world.origin))]).await;
    assert!(error.contains("larger than 1572864 bytes"), "{error}");
}

#[tokio::test]
async fn a_server_that_fails_may_work_later() {
    let world = world(&[]).await;
    let reference = "https://raw.githubusercontent.com.invalid/a/b/c/d.yaml";
    let error = world.image(&[("task", reference)], "any").await.unwrap_err();
    assert!(error.is_transient(), "{error}");
}

#[tokio::test]
async fn one_pipeline_only() {
    let two = "kind: Pipeline\napiVersion: tekton.dev/v1\nmetadata: {name: p}\nspec: {}\n---\n".repeat(2);
    let world = world(&[("x/two.yaml", &two)]).await;
    let spec = || json!({"pipelineRef": {"name": "p"}});
    let error = world.resolve(&[("pipeline", "[x/a.yaml, x/b.yaml]")], spec()).await.unwrap_err();
    assert!(error.to_string().contains("a run has one pipeline, and 2 are named"), "{error}");
    let error = world.resolve(&[("pipeline", "x/two.yaml")], spec()).await.unwrap_err().to_string();
    assert!(error.contains("it has 2 pipelines"), "{error}");
}
