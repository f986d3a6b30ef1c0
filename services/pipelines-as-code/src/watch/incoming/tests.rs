use super::*;
use rstest::rstest;

use crate::watch::testing;

fn entry(id: &str) -> Value {
    json!({"id": id, "branch": "main", "pipelineRun": "app-on-push"})
}

/// A Repository with these entries, and these outcomes.
fn repository(entries: &Value, outcomes: &Value) -> Repository {
    let mut repository = testing::repository(&json!({}));
    repository.annotations_mut().insert(INCOMING.into(), entries.to_string());
    repository.annotations_mut().insert(INCOMING_OUTCOME.into(), outcomes.to_string());
    repository
}

#[derive(Default)]
struct World {
    runs: Vec<Arc<PipelineRun>>,
    known: BTreeMap<String, IncomingOutcome>,
    handed_over: BTreeSet<String>,
}

impl World {
    fn decide(&self, repository: &Repository) -> Requests {
        let Self { runs, known, handed_over } = self;
        decide(&Observed { repository, runs, known, handed_over })
    }
}

fn ids(requests: &Requests) -> Vec<&str> {
    requests.hand_over.iter().map(|request| request.id.as_str()).collect()
}

/// The entries that stay, and the outcomes.
fn written(requests: &Requests) -> (Value, Value) {
    let annotations = requests.annotations.as_ref().expect("something is written");
    let read =
        |key: &str| annotations[key].as_str().map_or(Value::Null, |text| serde_json::from_str(text).unwrap());
    (read(INCOMING.as_str()), read(INCOMING_OUTCOME.as_str()))
}

#[test]
fn each_entry_is_handed_over_once() {
    let repository = repository(&json!([entry("1"), entry("2"), entry("2")]), &json!([]));
    let mut world = World::default();
    let requests = world.decide(&repository);
    assert_eq!((ids(&requests), &requests.annotations), (vec!["1", "2"], &None));
    world.handed_over = ["1".to_owned()].into();
    assert_eq!(ids(&world.decide(&repository)), ["2"]);
}

#[test]
fn the_outcome_takes_the_place_of_the_entry() {
    let repository = repository(&json!([entry("1"), entry("2")]), &json!([]));
    let run = testing::run("app-on-push-x").annotation("fleet.konflux-ci.dev/cause", "1").build();
    let failed = IncomingOutcome {
        id: "2".to_owned(),
        pipeline_run: None,
        message: Some("no such branch".to_owned()),
    };
    let world =
        World { runs: vec![Arc::new(run)], known: [("2".to_owned(), failed)].into(), ..World::default() };
    let requests = world.decide(&repository);
    assert_eq!(ids(&requests), Vec::<&str>::new());
    assert_eq!(
        written(&requests),
        (
            Value::Null,
            json!([{"id": "1", "pipelineRun": "app-on-push-x"}, {"id": "2", "message": "no such branch"}])
        )
    );
}

#[test]
fn an_entry_with_an_outcome_starts_nothing() {
    let repository = repository(&json!([entry("1"), entry("2")]), &json!([{"id": "1", "pipelineRun": "a"}]));
    let requests = World::default().decide(&repository);
    assert_eq!(ids(&requests), ["2"]);
    assert_eq!(written(&requests), (json!([entry("2")]), json!([{"id": "1", "pipelineRun": "a"}])));
}

#[rstest]
#[case::branch(json!({"id": "1", "branch": "", "pipelineRun": "a"}), "branch")]
#[case::run(json!({"id": "1", "branch": "main", "pipelineRun": ""}), "pipelineRun")]
#[case::params(json!({"id": "1", "branch": "main", "pipelineRun": "a", "params": {"a": 1}}), "cannot be read")]
fn what_asks_for_nothing_is_answered_at_once(#[case] entry: Value, #[case] names: &str) {
    let requests = World::default().decide(&repository(&json!([entry]), &json!([])));
    assert_eq!(ids(&requests), Vec::<&str>::new());
    let (left, outcomes) = written(&requests);
    assert_eq!(left, Value::Null);
    assert!(outcomes[0]["message"].as_str().unwrap().contains(names), "{outcomes}");
}

#[rstest]
#[case::no_list(json!({"id": "1"}))]
#[case::no_id(json!([{"branch": "main"}]))]
#[case::no_object(json!(["1"]))]
#[case::endless_id(json!([entry(&"x".repeat(200))]))]
fn what_cannot_be_answered_stays_and_is_told(#[case] entries: Value) {
    let requests = World::default().decide(&repository(&entries, &json!([])));
    assert_eq!((ids(&requests), &requests.annotations), (Vec::<&str>::new(), &None));
    assert!(requests.problem.is_some());
}

#[test]
fn outcomes_are_bounded() {
    let old: Vec<Value> = (0..40).map(|id| json!({"id": format!("old-{id}"), "pipelineRun": "a"})).collect();
    let entries = json!([{"id": "1", "branch": "", "pipelineRun": "a"}]);
    let (_, outcomes) = written(&World::default().decide(&repository(&entries, &json!(old))));
    let outcomes = outcomes.as_array().unwrap().clone();
    assert_eq!((outcomes.len(), outcomes.last().unwrap()["id"].as_str()), (MAX_OUTCOMES, Some("1")));
}

#[test]
fn a_restored_repository_asks_for_nothing() {
    let mut repository = repository(&json!([entry("1")]), &json!([]));
    repository.labels_mut().insert("velero.io/restore-name".to_owned(), "monday".to_owned());
    assert_eq!(World::default().decide(&repository), Requests::default());
}
