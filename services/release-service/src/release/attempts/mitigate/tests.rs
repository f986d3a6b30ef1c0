use super::*;
use rstest::rstest;

fn memory(thousandths: u64, most: Option<u64>) -> Limits {
    Limits { memory: Some(MemoryLimits { thousandths, most }), time: None }
}

fn time(increment: u64, most: Option<u64>) -> Limits {
    let minutes = Duration::from_mins;
    Limits { memory: None, time: Some(TimeLimits { increment: minutes(increment), most: most.map(minutes) }) }
}

fn failure(reason: &str, had: Mitigation) -> Failure {
    Failure {
        reason: reason.to_owned(),
        last_task: Some("push".to_owned()),
        last_step: Some("copy".to_owned()),
        had,
        ..Failure::default()
    }
}

fn had_memory(limit: Option<&str>, request: Option<&str>) -> Failure {
    let had = Mitigation {
        memory_limit: limit.map(str::to_owned),
        memory_request: request.map(str::to_owned),
        ..Mitigation::default()
    };
    failure(Attempt::OOM_KILL, had)
}

fn timeouts(pipeline: Option<&str>, tasks: Option<&str>, finally: Option<&str>) -> Spec {
    let [pipeline, tasks, finally] = [pipeline, tasks, finally].map(|text| text.map(str::to_owned));
    Spec { task_run_specs: Vec::new(), timeouts: TimeoutFields { pipeline, tasks, finally } }
}

fn with(mitigated: Mitigated) -> (Mitigation, Value) {
    match mitigated {
        Mitigated::With { mitigation, task_run_specs } => (mitigation, json!(task_run_specs)),
        other => panic!("{other:?}"),
    }
}

const GIB: u64 = 1 << 30;

#[rstest]
#[case::doubled(memory(2_000, None), had_memory(Some("1Gi"), Some("512Mi")), Some(("2Gi", Some("1Gi"))))]
#[case::capped(memory(4_000, Some(3 * GIB)), had_memory(Some("1Gi"), Some("1Gi")), Some(("3Gi", Some("3Gi"))))]
#[case::without_a_request(memory(2_000, None), had_memory(Some("1Gi"), None), Some(("2Gi", None)))]
#[case::at_the_cap(memory(2_000, Some(GIB)), had_memory(Some("1Gi"), None), None)]
#[case::above_the_cap(memory(2_000, Some(GIB)), had_memory(Some("2Gi"), None), None)]
#[case::limited_elsewhere(memory(2_000, Some(GIB)), had_memory(None, None), Some(("1Gi", None)))]
#[case::not_limited(memory(2_000, None), had_memory(None, None), None)]
fn gets_more_memory(
    #[case] limits: Limits,
    #[case] failure: Failure,
    #[case] expected: Option<(&str, Option<&str>)>,
) {
    let mitigated = mitigate(&limits, &failure, &Spec::default(), None);
    let Some((limit, request)) = expected else {
        return assert_eq!(mitigated, Mitigated::Exhausted);
    };
    let (mitigation, specs) = with(mitigated);
    assert_eq!(
        (mitigation.memory_limit.as_deref(), mitigation.memory_request.as_deref()),
        (Some(limit), request)
    );
    let resources = &specs[0]["stepSpecs"][0]["computeResources"];
    assert_eq!(
        (&specs[0]["pipelineTaskName"], &specs[0]["stepSpecs"][0]["name"]),
        (&json!("push"), &json!("copy"))
    );
    assert_eq!(
        (&resources["limits"]["memory"], resources["requests"]["memory"].as_str()),
        (&json!(limit), request)
    );
}

#[rstest]
#[case::of_its_step(
    json!([{"pipelineTaskName": "other"}, {"pipelineTaskName": "push", "serviceAccountName": "x", "stepSpecs": [
        {"name": "copy", "computeResources": {"limits": {"cpu": "1", "memory": "1Gi"}}}]}]),
    json!([{"pipelineTaskName": "other"}, {"pipelineTaskName": "push", "serviceAccountName": "x", "stepSpecs": [
        {"name": "copy", "computeResources": {"limits": {"cpu": "1", "memory": "2Gi"}}}]}])
)]
#[case::of_the_task_as_a_whole(
    json!([{"pipelineTaskName": "push", "computeResources": {"limits": {"memory": "1Gi"}}}]),
    json!([{"pipelineTaskName": "push", "computeResources": {"limits": {"memory": "2Gi"}}}])
)]
fn keeps_what_else_a_task_has(#[case] specs: Value, #[case] expected: Value) {
    let spec = Spec { task_run_specs: specs.as_array().unwrap().clone(), ..Spec::default() };
    let (_, specs) = with(mitigate(&memory(2_000, None), &had_memory(Some("1Gi"), None), &spec, None));
    assert_eq!(specs, expected);
}

fn late(task_timeout: &str) -> Failure {
    let had = Mitigation { task_timeout: Some(task_timeout.to_owned()), ..Mitigation::default() };
    failure(Attempt::TASK_RUN_TIMEOUT, had)
}

#[rstest]
#[case::all_grow(timeouts(Some("2h"), Some("1h50m"), Some("10m")), Some("2h20m0s"), Some("2h30m0s"))]
#[case::rest_is_for_finally(timeouts(Some("2h"), Some("1h30m"), None), Some("2h0m0s"), Some("2h30m0s"))]
#[case::run_is_long_enough(timeouts(Some("9h"), Some("1h"), Some("10m")), Some("1h30m0s"), Some("9h0m0s"))]
#[case::only_the_whole_is_limited(timeouts(Some("2h"), None, None), None, Some("2h30m0s"))]
#[case::nothing_is_limited(timeouts(None, None, None), None, None)]
fn a_task_gets_more_time(#[case] spec: Spec, #[case] tasks: Option<&str>, #[case] whole: Option<&str>) {
    let (mitigation, specs) = with(mitigate(&time(30, Some(240)), &late("1h0m0s"), &spec, None));
    assert_eq!(mitigation.task_timeout.as_deref(), Some("1h30m0s"));
    assert_eq!(specs[0]["timeout"], "1h30m0s");
    assert_eq!(
        (mitigation.tasks_timeout.as_deref(), mitigation.pipelines_timeout.as_deref()),
        (tasks, whole)
    );
}

#[rstest]
#[case::of_all_tasks(timeouts(Some("2h"), Some("1h50m"), Some("10m")), Some(("2h20m0s", "2h30m0s")))]
#[case::up_to_the_cap(timeouts(Some("4h"), Some("3h50m"), Some("10m")), Some(("4h0m0s", "4h10m0s")))]
#[case::at_the_cap(timeouts(Some("5h"), Some("4h"), Some("1h")), None)]
#[case::unlimited(timeouts(None, None, None), None)]
fn a_run_gets_more_time(#[case] spec: Spec, #[case] expected: Option<(&str, &str)>) {
    let failure = failure(Attempt::PIPELINE_RUN_TIMEOUT, Mitigation::default());
    let mitigated = mitigate(&time(30, Some(240)), &failure, &spec, None);
    let Some((tasks, whole)) = expected else { return assert_eq!(mitigated, Mitigated::Exhausted) };
    let (mitigation, _) = with(mitigated);
    assert_eq!(
        (mitigation.tasks_timeout.as_deref(), mitigation.pipelines_timeout.as_deref()),
        (Some(tasks), Some(whole))
    );
}

#[test]
fn a_task_at_the_cap_gets_no_more() {
    assert_eq!(mitigate(&time(30, Some(60)), &late("1h"), &Spec::default(), None), Mitigated::Exhausted);
}

#[test]
fn what_an_attempt_got_stays_with_those_after_it() {
    let carried = Mitigation { tasks_timeout: Some("3h".to_owned()), ..Mitigation::default() };
    let mitigated = mitigate(
        &memory(2_000, None),
        &had_memory(Some("1Gi"), None),
        &timeouts(Some("4h"), Some("3h"), None),
        Some(&carried),
    );
    let (mitigation, _) = with(mitigated);
    assert_eq!(
        (mitigation.tasks_timeout.as_deref(), mitigation.memory_limit.as_deref()),
        (Some("3h"), Some("2Gi"))
    );
}

#[test]
fn without_settings_it_is_repeated_as_it_was() {
    let spec = Spec { task_run_specs: vec![json!({"pipelineTaskName": "push"})], ..Spec::default() };
    let mitigated = mitigate(&Limits::default(), &had_memory(Some("1Gi"), None), &spec, None);
    assert_eq!(mitigated, Mitigated::AsBefore { task_run_specs: spec.task_run_specs });
}
