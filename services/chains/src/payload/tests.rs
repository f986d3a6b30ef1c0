use super::*;
use pipelines_engine_api::{ParamValue, RunCondition, TaskRunResult};
use proptest::prelude::*;
use rstest::rstest;
use serde::Deserialize;
use serde_json::json;

/// Runs of a build as an engine leaves them, with steps out of order and children in another order than the Pipeline's.
#[derive(Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Recorded {
    pipeline_run: PipelineRun,
    task_runs: Vec<TaskRun>,
}

fn recorded() -> Recorded {
    serde_json::from_str(include_str!("testdata/build.json")).unwrap()
}

impl Recorded {
    fn task(&mut self, name: &str) -> &mut TaskRun {
        let is_of = |run: &&mut TaskRun| run.metadata.name.as_ref().unwrap().ends_with(name);
        self.task_runs.iter_mut().find(is_of).unwrap()
    }

    fn attested(&self, format: &str, settings: &Settings) -> (Payload, Value) {
        let payload =
            pipeline_run(format.parse().unwrap(), &self.pipeline_run, &self.task_runs, settings).unwrap();
        let statement = serde_json::from_slice(&payload.statement).unwrap();
        (payload, statement)
    }
}

fn settings() -> Settings {
    Settings {
        builder: Builder {
            id: "https://shard.example/chains".to_owned(),
            version: [("konflux".to_owned(), "0.1.0".to_owned())].into(),
        },
        build_type: BuildType::Slsa,
        deep_inspection: true,
    }
}

fn whole() -> Settings {
    Settings { build_type: BuildType::SlsaTekton, ..settings() }
}

/// A TaskRun with these results.
#[expect(clippy::needless_pass_by_value, reason = "a test reads better so")]
fn reporting(results: Value) -> TaskRun {
    serde_json::from_value(json!({
        "apiVersion": "tekton.dev/v1", "kind": "TaskRun", "metadata": {"name": "t", "namespace": "n"},
        "spec": {}, "status": {"results": results},
    }))
    .unwrap()
}

fn results(pairs: &[(&str, &str)]) -> Value {
    pairs.iter().map(|(name, value)| json!({"name": name, "value": value})).collect()
}

fn subjects(format: &str, run: &TaskRun) -> Vec<String> {
    let payload = task_run(format.parse().unwrap(), run, &settings()).unwrap();
    payload.subjects.iter().map(shown).collect()
}

/// Name and digests, of which all digits are the same, shortened.
fn shown(subject: &Subject) -> String {
    let digests: Vec<String> =
        subject.digest.iter().map(|(algorithm, hex)| format!("{algorithm}:{}", &hex[..1])).collect();
    format!("{}@{}", subject.name, digests.join(","))
}

fn sha256(digit: char) -> String {
    format!("sha256:{}", digit.to_string().repeat(64))
}

#[rstest]
#[case("in-toto")]
#[case("slsa/v2alpha2")]
#[case("slsa/v2alpha3")]
#[case("slsa/v2alpha4")]
fn statements_of_a_pipeline_run(#[case] format: &str) {
    let (_, statement) = recorded().attested(format, &settings());
    insta::assert_json_snapshot!(format!("pipeline_run_{}", format.replace('/', "_")), statement);
}

#[rstest]
#[case("in-toto")]
#[case("slsa/v2alpha2")]
#[case("slsa/v2alpha3")]
#[case("slsa/v2alpha4")]
fn statements_of_a_task_run(#[case] format: &str) {
    let payload = task_run(format.parse().unwrap(), recorded().task("build-container"), &whole()).unwrap();
    let statement: Value = serde_json::from_slice(&payload.statement).unwrap();
    insta::assert_json_snapshot!(format!("task_run_{}", format.replace('/', "_")), statement);
}

#[rstest]
#[case("slsa/v2alpha2")]
#[case("slsa/v2alpha3")]
fn whole_task_runs(#[case] format: &str) {
    let (_, statement) = recorded().attested(format, &whole());
    let content = dependencies(&statement)
        .iter()
        .filter(|dependency| dependency["name"] == "pipelineTask")
        .map(|dependency| decoded(&dependency["content"]))
        .next();
    insta::assert_json_snapshot!(format!("whole_task_run_{}", format.replace('/', "_")), content);
}

fn dependencies(statement: &Value) -> &Vec<Value> {
    statement["predicate"]["buildDefinition"]["resolvedDependencies"].as_array().unwrap()
}

fn decoded(content: &Value) -> Value {
    let bytes = data_encoding::BASE64.decode(content.as_str().unwrap().as_bytes()).unwrap();
    serde_json::from_slice(&bytes).unwrap()
}

#[rstest]
#[case("in-toto")]
#[case("slsa/v2alpha3")]
fn the_same_runs_give_the_same_bytes(#[case] format: &str) {
    let (first, _) = recorded().attested(format, &whole());
    let mut later = recorded();
    later.task_runs.reverse();
    // What chains itself writes while it signs.
    for run in &mut later.task_runs {
        run.metadata
            .annotations
            .get_or_insert_default()
            .insert("chains.tekton.dev/signed".into(), "true".into());
        run.metadata.resource_version = Some("78".into());
        run.metadata.finalizers = None;
    }
    let (second, _) = later.attested(format, &whole());
    assert_eq!(first.statement, second.statement);
}

#[rstest]
#[case::deep(true, &["images.dev.konflux.test/team/app@sha256:a", "images.dev.konflux.test/team/app@sha256:5"])]
#[case::shallow(false, &["images.dev.konflux.test/team/app@sha256:a"])]
fn subjects_of_a_pipeline_run(#[case] deep_inspection: bool, #[case] expected: &[&str]) {
    let (payload, statement) = recorded().attested("in-toto", &Settings { deep_inspection, ..settings() });
    assert_eq!(payload.subjects.iter().map(shown).collect::<Vec<_>>(), expected);
    assert_eq!(statement["subject"].as_array().unwrap().len(), expected.len());
}

#[test]
fn a_child_is_found_only_with_deep_inspection() {
    let mut runs = recorded();
    runs.pipeline_run.status.as_mut().unwrap().results.clear();
    let shallow = Settings { deep_inspection: false, ..settings() };
    assert_eq!(runs.attested("in-toto", &shallow).0.subjects, []);
    assert_eq!(runs.attested("in-toto", &settings()).0.subjects.len(), 2);
}

#[rstest]
#[case::one_image_in_three_forms(
    json!([
        {"name": "IMAGE_URL", "value": "quay.io/org/app:v1\n"}, {"name": "IMAGE_DIGEST", "value": sha256('a')},
        {"name": "IMAGES", "value": format!("quay.io/org/app@{}", sha256('a'))},
        {"name": "X_ARTIFACT_OUTPUTS", "value": {"uri": "quay.io/org/app:v1", "digest": sha256('a')}},
    ]),
    &["quay.io/org/app@sha256:a"], 0
)]
#[case::a_list_with_something_malformed(
    results(&[("IMAGES", &format!("quay.io/a/b@{},quay.io/a/c:v1\nquay.io/a/d@{}\n", sha256('a'), sha256('b')))]),
    &["quay.io/a/b@sha256:a", "quay.io/a/d@sha256:b"], 1
)]
#[case::pairs_by_prefix_in_their_order(
    results(&[
        ("z_IMAGE_URL", "quay.io/a/z"), ("z_IMAGE_DIGEST", &sha256('1')),
        ("IMAGE_DIGEST", &sha256('2')), ("IMAGE_URL", "quay.io/a/none"),
        ("b_IMAGE_URL", "quay.io/a/b"), ("b_IMAGE_DIGEST", &sha256('3')),
    ]),
    &["quay.io/a/none@sha256:2", "quay.io/a/b@sha256:3", "quay.io/a/z@sha256:1"], 0
)]
#[case::half_a_pair(results(&[("IMAGE_URL", "quay.io/a/b")]), &[], 1)]
#[case::empty_results_of_a_failed_task(results(&[("IMAGE_URL", ""), ("IMAGE_DIGEST", " \n")]), &[], 0)]
#[case::no_reference(results(&[("IMAGE_URL", "https://quay.io/a"), ("IMAGE_DIGEST", &sha256('a'))]), &[], 1)]
#[case::short_digest(results(&[("IMAGE_URL", "quay.io/a/b"), ("IMAGE_DIGEST", "sha256:abc")]), &[], 1)]
#[case::two_digests(
    results(&[("IMAGE_URL", &format!("quay.io/a/b@{}", sha256('b'))), ("IMAGE_DIGEST", &sha256('a'))]), &[], 1
)]
#[case::array_instead_of_text(
    json!([{"name": "IMAGE_URL", "value": ["quay.io/a/b"]}, {"name": "IMAGE_DIGEST", "value": sha256('a')}]), &[], 2
)]
#[case::other_artifact(
    results(&[("ARTIFACT_URI", "pkg:maven/a/b@1"), ("ARTIFACT_DIGEST", &format!("sha1:{}", "c".repeat(40)))]),
    &["pkg:maven/a/b@1@sha1:c"], 0
)]
#[case::digests_of_one_thing_by_two_algorithms(
    json!([
        {"name": "a_ARTIFACT_URI", "value": "file:x"}, {"name": "a_ARTIFACT_DIGEST", "value": sha256('a')},
        {"name": "b_ARTIFACT_OUTPUTS", "value": {"uri": "file:x", "digest": sha256('a').to_uppercase().replace("SHA", "sha")}},
    ]),
    &["file:x@sha256:a"], 0
)]
#[case::unknown_algorithm(
    results(&[("ARTIFACT_URI", "file:x"), ("ARTIFACT_DIGEST", "md5:d41d8cd98f00b204e9800998ecf8427e")]), &[], 1
)]
#[case::object_without_digest(json!([{"name": "ARTIFACT_OUTPUTS", "value": {"uri": "file:x"}}]), &[], 1)]
#[case::commit_with_capital_letters(
    results(&[("ARTIFACT_URI", "file:x"), ("ARTIFACT_DIGEST", &format!("sha1:{}", "C".repeat(40)))]), &[], 1
)]
fn outputs(#[case] results: Value, #[case] expected: &[&str], #[case] notes: usize) {
    let run = reporting(results);
    assert_eq!(subjects("in-toto", &run), expected);
    let payload = task_run(Format::SlsaV02, &run, &settings()).unwrap();
    assert_eq!(payload.notes.len(), notes, "{:?}", payload.notes);
    assert!(payload.notes.iter().all(|note| note.starts_with("TaskRun n/t: ")), "{:?}", payload.notes);
}

#[test]
fn notes_name_the_result_and_the_reason() {
    let run = reporting(results(&[("APP_IMAGE_URL", "quay.io/a/b"), ("APP_IMAGE_DIGEST", "sha256:abc")]));
    let (images, notes) = images(&run);
    assert_eq!(images, []);
    assert!(
        notes[0].starts_with(
            "TaskRun n/t: results APP_IMAGE_URL and APP_IMAGE_DIGEST: \"quay.io/a/b@sha256:abc\""
        ),
        "{notes:?}"
    );
}

/// What is signed as an image: never something that only looks like one.
#[rstest]
#[case::pair(results(&[("IMAGE_URL", "quay.io/a/b:v1"), ("IMAGE_DIGEST", &sha256('a'))]), true)]
#[case::list(results(&[("IMAGES", &format!("quay.io/a/b@{}", sha256('a')))]), true)]
#[case::marked_object(
    json!([{"name": "ARTIFACT_OUTPUTS", "value": {"uri": "quay.io/a/b", "digest": sha256('a'), "isBuildArtifact": "true"}}]), true
)]
#[case::object(json!([{"name": "ARTIFACT_OUTPUTS", "value": {"uri": "quay.io/a/b", "digest": sha256('a')}}]), false)]
#[case::package(
    json!([{"name": "ARTIFACT_OUTPUTS", "value": {"uri": "pkg:a/b", "digest": sha256('a'), "isBuildArtifact": "true"}}]), false
)]
#[case::artifact(results(&[("ARTIFACT_URI", "file:x/y"), ("ARTIFACT_DIGEST", &sha256('a'))]), false)]
fn images_to_sign(#[case] results: Value, #[case] is_signed: bool) {
    let (images, _) = images(&reporting(results));
    let expected = ImageRef { repository: "quay.io/a/b".to_owned(), digest: sha256('a').parse().unwrap() };
    assert_eq!(images, if is_signed { vec![expected] } else { Vec::new() });
}

#[test]
fn images_of_a_pipeline_run_are_its_own() {
    let (images, _) = pipeline_run_images(&recorded().pipeline_run);
    assert_eq!(images.iter().map(|image| image.digest.to_string()).collect::<Vec<_>>(), [sha256('a')]);
}

#[rstest]
#[case::marked("true", &["file:x@sha256:a"], &[])]
#[case::not_marked("false", &[], &["taskRunResults/ARTIFACT_OUTPUTS"])]
fn the_last_draft_asks_for_a_mark(
    #[case] mark: &str,
    #[case] expected: &[&str],
    #[case] byproducts: &[&str],
) {
    let value = json!({"uri": "file:x", "digest": sha256('a'), "isBuildArtifact": mark});
    let run = reporting(json!([{"name": "ARTIFACT_OUTPUTS", "value": value}]));
    assert_eq!(subjects("slsa/v2alpha4", &run), expected);
    assert_eq!(subjects("slsa/v2alpha3", &run), ["file:x@sha256:a"]);
    let statement = task_run(Format::SlsaV1(Draft::Alpha4), &run, &settings()).unwrap().statement;
    let statement: Value = serde_json::from_slice(&statement).unwrap();
    let found = statement["predicate"]["runDetails"]["byproducts"].as_array().cloned().unwrap_or_default();
    assert_eq!(found.iter().map(|one| one["name"].as_str().unwrap()).collect::<Vec<_>>(), byproducts);
}

#[test]
fn the_last_draft_reads_results_of_steps() {
    let mut run = reporting(json!([]));
    run.status.as_mut().unwrap().steps = serde_json::from_value(json!([
        {"name": "s", "results": results(&[("IMAGES", &format!("quay.io/a/b@{}", sha256('a')))])}
    ]))
    .unwrap();
    assert_eq!(subjects("slsa/v2alpha4", &run), ["quay.io/a/b@sha256:a"]);
    assert_eq!(subjects("slsa/v2alpha3", &run), [""; 0]);
}

#[rstest]
#[case::results_win(Some("https://p"), Some("https://r"), "git+https://r.git")]
#[case::then_params(Some("https://p.git"), None, "git+https://p.git")]
#[case::then_defaults(None, None, "git+https://d.git")]
#[case::prefix_stays(None, Some("git+https://r"), "git+https://r.git")]
fn where_the_source_is_read(
    #[case] param: Option<&str>,
    #[case] result: Option<&str>,
    #[case] expected: &str,
) {
    let commit = "b".repeat(40);
    let mut run = reporting(json!([{"name": "CHAINS-GIT_COMMIT", "value": commit}]));
    let status = run.status.as_mut().unwrap();
    status.task_spec =
        serde_json::from_value(json!({"params": [{"name": "CHAINS-GIT_URL", "default": "https://d"}]}))
            .unwrap();
    status.results.extend(result.map(|url| TaskRunResult {
        name: "CHAINS-GIT_URL".into(),
        type_: None,
        value: url.into(),
    }));
    run.spec.params.extend(param.map(|url| pipelines_engine_api::Param::new("CHAINS-GIT_URL", url)));
    let statement = task_run(Format::SlsaV02, &run, &settings()).unwrap().statement;
    let statement: Value = serde_json::from_slice(&statement).unwrap();
    assert_eq!(statement["predicate"]["materials"], json!([{"uri": expected, "digest": {"sha1": commit}}]));
}

#[test]
fn a_short_commit_is_left_out_with_a_note() {
    let run = reporting(results(&[("CHAINS-GIT_URL", "https://r"), ("CHAINS-GIT_COMMIT", "b1")]));
    let payload = task_run(Format::SlsaV02, &run, &settings()).unwrap();
    assert_eq!(payload.notes.len(), 1, "{:?}", payload.notes);
    assert!(!String::from_utf8(payload.statement).unwrap().contains("git+"));
}

/// As the engine leaves it where somebody was let into a pod. A tenant's annotation says nothing, either way.
#[rstest]
#[case::v02("in-toto", "/predicate/invocation/environment/tampered")]
#[case::v1("slsa/v2alpha3", "/predicate/buildDefinition/internalParameters/tampered")]
fn says_who_was_tampered_with(#[case] format: &str, #[case] pointer: &str) {
    let (_, clean) = recorded().attested(format, &settings());
    assert_eq!(clean.pointer(pointer), None);

    let mut runs = recorded();
    let condition: RunCondition = serde_json::from_value(
        json!({"type": "Tampered", "status": "True", "reason": "Exec", "message": "\"jane\" was let in"}),
    )
    .unwrap();
    runs.task("build-container").status.as_mut().unwrap().conditions.push(condition);
    let (payload, statement) = runs.attested(format, &settings());
    let expected =
        json!([{"kind": "TaskRun", "name": "app-on-push-x7k2p-build-container", "reason": "Exec"}]);
    assert_eq!(statement.pointer(pointer), Some(&expected));
    assert!(!String::from_utf8(payload.statement).unwrap().contains("jane"), "attestations are public");
    if format == "in-toto" {
        let tasks = &statement["predicate"]["buildConfig"]["tasks"];
        assert_eq!(tasks[1]["invocation"]["environment"]["tampered"], expected);
        assert_eq!(tasks[0]["invocation"]["environment"]["tampered"], Value::Null);
    }
}

/// A tampered task that the run no longer refers to is told of all the same.
#[test]
fn a_tampered_task_cannot_be_left_out() {
    let mut runs = recorded();
    let condition: RunCondition =
        serde_json::from_value(json!({"type": "Tampered", "status": "Unknown", "reason": "Attach"})).unwrap();
    runs.task("show-sbom").status.as_mut().unwrap().conditions.push(condition);
    runs.pipeline_run.status.as_mut().unwrap().child_references.clear();
    let (_, statement) = runs.attested("in-toto", &settings());
    assert_eq!(statement["predicate"]["invocation"]["environment"]["tampered"][0]["reason"], "Attach");
}

/// Which task a run is of is what the engine says, not what its label says.
#[test]
fn labels_neither_hide_nor_add_tasks() {
    let mut runs = recorded();
    let label = "tekton.dev/pipelineTask";
    runs.task("build-container").metadata.labels.as_mut().unwrap().remove(label);
    let mut stranger = runs.task("clone-repository").clone();
    stranger.metadata.name = Some("stranger".into());
    runs.task_runs.push(stranger);
    let (_, statement) = runs.attested("in-toto", &settings());
    let tasks = statement["predicate"]["buildConfig"]["tasks"].as_array().unwrap();
    let names: Vec<_> = tasks.iter().map(|task| task["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["clone-repository", "build-container", "show-sbom"]);
}

#[test]
fn every_run_of_a_matrix_is_told_of() {
    let mut runs = recorded();
    let mut second = runs.task("clone-repository").clone();
    second.metadata.name = Some("second".into());
    runs.task_runs.push(second);
    let references = &mut runs.pipeline_run.status.as_mut().unwrap().child_references;
    let mut reference =
        references.iter().find(|child| child.pipeline_task_name == "clone-repository").unwrap().clone();
    reference.name = "second".into();
    references.push(reference);
    let (_, statement) = runs.attested("in-toto", &settings());
    let tasks = statement["predicate"]["buildConfig"]["tasks"].as_array().unwrap();
    assert_eq!(tasks.iter().filter(|task| task["name"] == "clone-repository").count(), 2);
}

#[test]
fn a_task_that_never_ended_is_not_described() {
    let mut runs = recorded();
    runs.task("build-container").status.as_mut().unwrap().completion_time = None;
    let (_, statement) = runs.attested("in-toto", &settings());
    assert_eq!(statement["predicate"]["buildConfig"]["tasks"].as_array().unwrap().len(), 2);
}

#[test]
fn an_image_without_digest_is_an_error() {
    let mut runs = recorded();
    runs.task("clone-repository").status.as_mut().unwrap().steps[0].image_id = "sha256:abc".into();
    let error = pipeline_run(Format::SlsaV02, &runs.pipeline_run, &runs.task_runs, &settings()).unwrap_err();
    assert_eq!(
        error.to_string(),
        "TaskRun team-tenant/app-on-push-x7k2p-clone-repository: container \"clone\" ran image \"sha256:abc\", which names no \
         repository and digest, so provenance cannot say what ran; pull the image from a registry"
    );
}

#[test]
fn more_steps_in_status_than_in_the_task_are_no_error() {
    let mut runs = recorded();
    let status = runs.task("build-container").status.as_mut().unwrap();
    status.task_spec.as_mut().unwrap().steps.truncate(1);
    // It was skipped, and never had a container.
    status.steps[0].image_id.clear();
    let (_, statement) = runs.attested("in-toto", &settings());
    let steps = &statement["predicate"]["buildConfig"]["tasks"][1]["steps"];
    assert_eq!(
        steps[0],
        json!({"entryPoint": "", "arguments": null, "environment": {"container": "push"}, "annotations": null})
    );
}

#[rstest]
#[case("slsa/v2alpha1")]
#[case("in-toto ")]
#[case("")]
fn unknown_formats(#[case] word: &str) {
    let error = word.parse::<Format>().unwrap_err();
    assert!(error.to_string().contains("choose in-toto, slsa/v1"), "{error}");
}

#[test]
fn labels_say_what_is_reproducible() {
    let mut run = reporting(json!([]));
    let reproducible = |run: &TaskRun| {
        let statement = task_run(Format::SlsaV02, run, &settings()).unwrap().statement;
        serde_json::from_slice::<Value>(&statement).unwrap()["predicate"]["metadata"]["reproducible"].clone()
    };
    assert_eq!(reproducible(&run), false);
    run.metadata.labels = Some([("chains.tekton.dev/reproducible".to_owned(), "true".to_owned())].into());
    assert_eq!(reproducible(&run), true);
}

fn any_value() -> impl Strategy<Value = ParamValue> {
    prop_oneof![
        "\\PC{0,40}".prop_map(ParamValue::String),
        "(quay.io/a/b)?(:v1)?(@sha256:[a-f0-9]{60,66})?[,\n]?".prop_map(ParamValue::String),
        "(sha1|sha256|md5):[a-fA-F0-9]{38,66}".prop_map(ParamValue::String),
        prop::collection::vec("\\PC{0,10}", 0..3).prop_map(ParamValue::Array),
        prop::collection::btree_map("uri|digest|isBuildArtifact", "\\PC{0,10}", 0..4)
            .prop_map(ParamValue::Object),
    ]
}

fn any_results() -> impl Strategy<Value = Vec<TaskRunResult>> {
    let name = "([a-z]?_?(IMAGE_URL|IMAGE_DIGEST|IMAGES|ARTIFACT_URI|ARTIFACT_DIGEST|ARTIFACT_OUTPUTS|ARTIFACT_INPUTS))|CHAINS-GIT_(URL|COMMIT)|\\PC{0,8}";
    let result = (name, any_value()).prop_map(|(name, value)| TaskRunResult { name, type_: None, value });
    prop::collection::vec(result, 0..12)
}

proptest! {
    /// Whatever tasks report: no panic, only whole digests, and the same statement again.
    #[test]
    fn results_of_strangers(results in any_results(), image_id in "\\PC{0,20}|a@b:c|@:", format in 0_usize..4) {
        let format: Format = ["in-toto", "slsa/v2alpha2", "slsa/v2alpha3", "slsa/v2alpha4"][format].parse().unwrap();
        let mut runs = recorded();
        let status = runs.task("build-container").status.as_mut().unwrap();
        status.results = results;
        status.steps[0].image_id = image_id;
        if let Ok(payload) = pipeline_run(format, &runs.pipeline_run, &runs.task_runs, &whole()) {
            let again = pipeline_run(format, &runs.pipeline_run, &runs.task_runs, &whole()).unwrap();
            prop_assert_eq!(&payload.statement, &again.statement);
            for subject in &payload.subjects {
                prop_assert!(!subject.digest.is_empty());
                prop_assert!(subject.digest.values().all(|hex| hex.len() >= 40 && hex.bytes().all(|byte| byte.is_ascii_hexdigit())));
            }
        }
        let (images, _) = images(runs.task("build-container"));
        prop_assert!(images.iter().all(|image| image.repository.contains('/')));
    }
}
