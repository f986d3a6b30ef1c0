use fleet::Secret;
use fleet::outbound::{self, Options, Url};
use forge::{Access, Forge, Provider};
use proptest::prelude::*;
use rstest::rstest;
use serde_json::json;
use testkit::forge::{GitHub, Visibility};
use testkit::pki::Authority;

use crate::fuzz::fuzz;

use super::*;

const COMMIT: &str = "8cc5aef17d528ca5ab893dd430004fec8bf9beaa";

fn parse(files: &[(&str, &str)]) -> Result<Sources, Problem> {
    let repository = Repository::new("acme", "app").unwrap();
    let files = files.iter().map(|(path, text)| ((*path).to_owned(), text.as_bytes().to_vec()));
    Sources::parse(&repository, &COMMIT.parse().unwrap(), files)
}

fn value_of(key: &str) -> Option<Filled> {
    match key {
        "repo_name" => Some(Filled::Text("app".to_owned())),
        "revision" => Some(Filled::Text(COMMIT.to_owned())),
        "body.list" => Some(Filled::Json(json!(["a", "b"]))),
        "body.title" => Some(Filled::Text("x\"\nspec: {}\n---\nkind: Evil".to_owned())),
        _ => None,
    }
}

fn fill(files: &[(&str, &str)]) -> Result<Definitions, Invalid> {
    parse(files).unwrap().fill(&mut |key| value_of(key))
}

fn run(name: &str) -> String {
    format!(
        "apiVersion: tekton.dev/v1\nkind: PipelineRun\nmetadata:\n  {name}\nspec: {{pipelineRef: {{name: p}}}}\n"
    )
}

const PUSH: &str = "# What a push starts.
apiVersion: tekton.dev/v1beta1
kind: PipelineRun
metadata:
  generateName: '{{ repo_name }}-on-push-'
  annotations:
    title: \"{{ body.title }}\"
spec:
  serviceAccountName: builder
  params:
  - {name: revision, value: '{{ revision }}'}
  - name: list
    value: {{ body.list }}
  - {name: kept, value: '{{ what }}'}
  pipelineRef: {name: build}
---
apiVersion: tekton.dev/v1
kind: Pipeline
metadata: {name: build}
spec: {tasks: [{name: a, taskRef: {name: compile}}]}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: other}
---
just: notes
";

const TASKS: &str = "
apiVersion: tekton.dev/v1beta1
kind: Task
metadata: {name: compile}
spec:
  steps:
  - image: i
    resources: {limits: {cpu: 1}}
";

#[test]
fn reads_runs_pipelines_and_tasks_of_either_version() {
    let definitions = fill(&[(".tekton/push.yaml", PUSH), (".tekton/tasks/compile.yml", TASKS)]).unwrap();
    assert_eq!(definitions.problems, []);
    let [only] = definitions.runs.as_slice() else { panic!("{:?}", definitions.runs) };
    assert_eq!((&*only.name, &*only.path, only.line), ("app-on-push-", ".tekton/push.yaml", 2));
    let run = serde_json::to_value(&only.run).unwrap();
    assert_eq!(run["metadata"]["annotations"]["title"], "x\"\nspec: {}\n---\nkind: Evil");
    assert_eq!(
        run["spec"],
        json!({
            "taskRunTemplate": {"serviceAccountName": "builder"},
            "pipelineRef": {"name": "build"},
            "params": [
                {"name": "revision", "value": COMMIT},
                {"name": "list", "value": ["a", "b"]},
                {"name": "kept", "value": "{{ what }}"},
            ],
        })
    );
    assert_eq!(definitions.pipelines.len(), 1);
    assert_eq!(definitions.tasks.len(), 1);
    let limits = definitions.tasks[0].spec.steps[0].compute_resources.clone().unwrap().limits.unwrap();
    assert_eq!(limits["cpu"].0, "1");
}

#[test]
fn keys_are_those_of_all_files() {
    let sources = parse(&[("a.yaml", "a: {{ one }}"), ("b.yaml", "b: '{{ two }} {{ one }}'")]).unwrap();
    assert_eq!(sources.keys().collect::<Vec<_>>(), ["one", "two", "one"]);
}

#[test]
fn without_runs_there_is_nothing() {
    let definitions = fill(&[(".tekton/notes.yaml", "just: notes")]).unwrap();
    assert!(definitions.runs.is_empty() && definitions.problems.is_empty());
}

/// The line is that of the field, the rest of the file counts.
#[rstest]
#[case::type_of_a_field(
    "apiVersion: tekton.dev/v1\nkind: Task\nmetadata: {name: t}\nspec:\n  steps:\n  - name: a\n    image: 5\n",
    7,
    "Task cannot be read: spec.steps[0].image: invalid type"
)]
#[case::placeholder_that_became_a_number(
    "apiVersion: tekton.dev/v1\nkind: Task\nmetadata: {name: t}\nspec:\n  steps:\n  - image: {{ number }}\n",
    6,
    "spec.steps[0].image: invalid type: integer `7`"
)]
#[case::version(
    "apiVersion: tekton.dev/v1alpha1\nkind: Pipeline\nmetadata: {name: p}\n",
    1,
    "apiVersion \"tekton.dev/v1alpha1\""
)]
#[case::no_name("apiVersion: tekton.dev/v1\nkind: Task\nspec: {}\n", 1, "Task has no metadata.name")]
#[case::run_without_a_name(
    "apiVersion: tekton.dev/v1\nkind: PipelineRun\n\nmetadata: {labels: {}}\nspec: {}\n",
    4,
    "PipelineRun has no metadata.name"
)]
fn collects_what_cannot_be_read(#[case] text: &str, #[case] line: u32, #[case] expected: &str) {
    let text = format!("{text}---\n{}", run("name: good"));
    let sources = parse(&[(".tekton/a.yaml", &text)]).unwrap();
    let number = |key: &str| (key == "number").then(|| Filled::Text("7".to_owned()));
    let definitions = sources.fill(&mut { number }).unwrap();
    let [problem] = definitions.problems.as_slice() else { panic!("{:?}", definitions.problems) };
    assert_eq!(problem.line, Some(line), "{problem}");
    assert!(problem.text.contains(expected), "{problem}");
    assert!(problem.to_string().starts_with(&format!(".tekton/a.yaml:{line}: ")), "{problem}");
    assert_eq!(definitions.runs.len(), 1, "the others count");
}

#[rstest]
#[case::names("name: a", "name: a")]
#[case::generated("generateName: a-", "generateName: a-")]
#[case::name_and_generated("name: a", "generateName: a-")]
#[case::by_placeholders("name: 'app'", "name: '{{ repo_name }}'")]
fn two_runs_of_one_name_are_an_error(#[case] one: &str, #[case] other: &str) {
    let error = fill(&[(".tekton/a.yaml", &run(one)), (".tekton/b.yaml", &run(other))]).unwrap_err();
    assert_eq!((&*error.0.path, error.0.line), (".tekton/b.yaml", Some(4)), "{error}");
    assert!(error.to_string().contains(".tekton/a.yaml:1"), "{error}");
}

#[test]
fn the_name_counts_before_what_it_begins_with() {
    let text = run("{name: a, generateName: b-}");
    assert_eq!(fill(&[("a.yaml", &text)]).unwrap().runs[0].name, "a");
}

#[rstest]
#[case::open("a: 1\nb: [\n", Some(2), "it is no YAML")]
#[case::twice(
    "&name {{ x_y }}: 1\n*name : 2\n",
    Some(1),
    "it is no YAML: duplicate mapping key `{{ x_y }}` is not"
)]
#[case::tab("a:\n\tb: 1\n", Some(2), "it is no YAML")]
fn a_file_that_is_no_yaml_is_named(#[case] text: &str, #[case] line: Option<u32>, #[case] expected: &str) {
    let problem = parse(&[(".tekton/ok.yaml", "a: 1"), (".tekton/bad.yaml", text)]).unwrap_err();
    assert_eq!((&*problem.path, problem.line), (".tekton/bad.yaml", line), "{problem}");
    assert!(problem.text.contains(expected), "{problem}");
}

#[test]
fn bombs_are_refused() {
    let mut aliases = vec!["a0: &a0 [x, x, x, x, x, x, x, x, x, x]".to_owned()];
    for level in 1..9 {
        let many = vec![format!("*a{}", level - 1); 10].join(", ");
        aliases.push(format!("a{level}: &a{level} [{many}]"));
    }
    let long = "# ".repeat(tekton::documents::LONGEST);
    for text in [aliases.join("\n"), "[".repeat(5_000), long] {
        assert_eq!(parse(&[("bomb.yaml", &text)]).unwrap_err().path, "bomb.yaml");
    }
    let latin = Sources::parse(
        &Repository::new("acme", "app").unwrap(),
        &COMMIT.parse().unwrap(),
        [("latin.yaml".to_owned(), b"a: \xe4".to_vec())],
    );
    assert!(latin.unwrap_err().text.contains("UTF-8"));
}

/// A large body in many places would be many large bodies.
#[test]
fn values_are_limited_in_all() {
    let text = format!("a: ['{}']", vec!["{{ body }}"; 100].join("', '"));
    let sources = parse(&[("a.yaml", &text)]).unwrap();
    let fill = |body: &Filled, asked: &mut usize| {
        sources.fill(&mut |_| {
            *asked += 1;
            Some(body.clone())
        })
    };
    let (large, small) = ("x".repeat(1024 * 1024), "x".repeat(1024));
    for body in [Filled::Text(large.clone()), Filled::Json(json!({"a": [{"b": large}]}))] {
        let mut asked = 0;
        let error = fill(&body, &mut asked).unwrap_err();
        assert!(error.to_string().starts_with("a.yaml:1: the values of all placeholders"), "{error}");
        assert!(asked < 10, "{asked}");
    }
    assert!(fill(&Filled::Text(small), &mut 0).is_ok());
}

/// With a repository `acme/app`, and what may be read of it.
async fn reading(files: &[(&str, Option<&[u8]>)]) -> Result<Sources, ReadError> {
    let authority = Authority::new("definitions-test").unwrap();
    let folder = tempfile::tempdir().unwrap();
    let bundle = folder.path().join("ca.crt");
    std::fs::write(&bundle, authority.cert_pem()).unwrap();
    let options =
        Options { allow: "localhost".parse().unwrap(), ca_bundle: Some(bundle), ..Options::default() };
    let registry = prometheus::Registry::new();
    let outbound = outbound::Client::new("test", options, fleet::Clock::system(), &registry).unwrap();
    let github = GitHub::start(&authority).unwrap();
    let commit = github.edit(|model| {
        model.user("acme");
        model.repository("acme/app").unwrap().visibility = Visibility::Private;
        model.commit("acme/app", "main", "Begin", files).unwrap()
    });
    let token = Secret::new(github.token("acme", &["repo"]));
    let access = Access { token: Some(&token), ..Access::default() };
    let server = Url::parse(github.url()).unwrap();
    let forge: Box<dyn Forge> = forge::converse(Provider::GitHub, &server, access, &outbound).unwrap();
    read(&*forge, &Repository::new("acme", "app").unwrap(), &commit.parse().unwrap()).await
}

#[tokio::test]
async fn reads_all_directories_of_a_commit() {
    let sources = reading(&[
        (".tekton/push.yaml", Some(PUSH.as_bytes())),
        (".tekton/tasks/deep/compile.yml", Some(TASKS.as_bytes())),
        (".tekton/README.md", Some(b"[ no YAML")),
        ("other.yaml", Some(b"[ not ours")),
    ])
    .await
    .unwrap();
    let paths: Vec<_> = sources.files.iter().map(|file| file.path.as_str()).collect();
    assert_eq!(paths, [".tekton/push.yaml", ".tekton/tasks/deep/compile.yml"]);
    assert_eq!(sources.fill(&mut |key| value_of(key)).unwrap().runs.len(), 1);
}

#[tokio::test]
async fn no_directory_is_not_a_directory_without_runs() {
    let error = reading(&[("README.md", Some(b"x"))]).await.unwrap_err();
    assert!(matches!(error, ReadError::NoDirectory { .. }) && !error.is_transient(), "{error}");
    let sources = reading(&[(".tekton/README.md", Some(b"x"))]).await.unwrap();
    assert_eq!(sources.files.len(), 0);
    let error = reading(&[(".tekton/a.yaml", Some(b"a: ["))]).await.unwrap_err();
    assert!(
        matches!(error, ReadError::Invalid(_)) && error.to_string().starts_with(".tekton/a.yaml:"),
        "{error}"
    );
}

/// Like a file of `.tekton/`, more or less.
fn any_file() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        Just(run("name: '{{ repo_name }}'")),
        Just(TASKS.to_owned()),
        Just("---\n".to_owned()),
        Just("{{ body.title }}".to_owned()),
        Just("{{ body.list }}\n".to_owned()),
        Just("apiVersion: tekton.dev/v1beta1\nkind: Pipeline\n".to_owned()),
        "[a-z]{1,4}: ",
        "[ \n\t-]{1,4}",
        "[\\[\\]{}&*!|>'\"#%@,?]{1,2}",
        "\\PC{0,8}",
    ];
    proptest::collection::vec(piece, 0..30).prop_map(|pieces| pieces.concat())
}

/// Whatever is in there, there are definitions or an error, and an error names the file.
#[test]
fn never_panics() {
    fuzz(&any_file(), |text| {
        let filled = parse(&[(".tekton/a.yaml", &text)])
            .map_err(Invalid)
            .and_then(|sources| sources.fill(&mut |key| value_of(key)));
        match filled {
            Ok(definitions) => {
                prop_assert!(definitions.problems.iter().all(|problem| problem.line.is_some()));
            }
            Err(Invalid(problem)) => prop_assert_eq!(problem.path, ".tekton/a.yaml"),
        }
        Ok(())
    });
}
