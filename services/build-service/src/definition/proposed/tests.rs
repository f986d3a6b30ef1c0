use build_service_api::build_pipeline_selector::PipelineParam;
use pipelines_engine_api::PipelineRun;
use serde_json::json;

use super::*;
use crate::devfile::Dockerfile;

fn pipeline(spec: &Value) -> Resolved {
    Resolved { spec: spec.clone(), known: serde_json::from_value(spec.clone()).unwrap() }
}

fn full() -> Resolved {
    pipeline(&json!({
        "params": [
            {"name": "git-url"}, {"name": "revision"}, {"name": "output-image"}, {"name": "image-expires-after"},
            {"name": "dockerfile"}, {"name": "path-context"},
            {"name": "build-args", "type": "array", "default": ["a", "b"]}, {"name": "hermetic", "default": "true"},
        ],
        "workspaces": [{"name": "workspace"}, {"name": "git-auth", "optional": true}, {"name": "netrc", "optional": true}],
        "tasks": [{"name": "build", "taskRef": {"name": "build"}, "unknown": "kept"}],
    }))
}

fn proposed<'a>(
    pipeline: &'a Resolved,
    dockerfile: &'a Dockerfile,
    params: &'a [PipelineParam],
) -> Proposed<'a> {
    Proposed {
        built: Built {
            component: "api",
            application: "shop",
            namespace: "team",
            image: "images.example/shop/api",
            context: "backend",
            dockerfile: Some(dockerfile),
            params,
            account: None,
        },
        branch: "main",
        link: "https://git.example/acme/app?rev={{revision}}",
        dockerfile_outside: None,
        pipeline,
        copied: &[],
        expiration: "5d",
    }
}

fn dockerfile() -> Dockerfile {
    Dockerfile { uri: "Dockerfile".into(), build_context: ".".into() }
}

#[test]
fn the_file_for_pushes() {
    let (pipeline, dockerfile) = (full(), dockerfile());
    let files = proposed(&pipeline, &dockerfile, &[]).files().unwrap();
    assert_eq!(files[0].0, ".tekton/api-push.yaml");
    insta::assert_snapshot!(files[0].1);
}

#[test]
fn the_file_for_pull_requests() {
    let (pipeline, dockerfile) = (full(), dockerfile());
    let files = proposed(&pipeline, &dockerfile, &[]).files().unwrap();
    assert_eq!(files[1].0, ".tekton/api-pull-request.yaml");
    insta::assert_snapshot!(files[1].1);
}

#[test]
fn the_same_input_gives_the_same_bytes_and_reads_as_it_was_written() {
    let (pipeline, dockerfile) = (full(), dockerfile());
    let proposed = proposed(&pipeline, &dockerfile, &[]);
    assert_eq!(proposed.files().unwrap(), proposed.files().unwrap());
    for (event, (_, text)) in Event::ALL.into_iter().zip(proposed.files().unwrap()) {
        let read: Value = serde_saphyr::from_str(&text).unwrap();
        assert_eq!(read, proposed.run(event));
        assert!(tekton::decode::lenient::<PipelineRun>(&text).is_ok());
    }
}

#[test]
fn params_of_the_user_win_and_others_are_given_only_where_they_are_declared() {
    let pipeline = pipeline(&json!({
        "params": [{"name": "git-url"}, {"name": "revision"}, {"name": "hermetic", "default": "true"}, {"name": "bare"}],
        "tasks": [],
    }));
    let (dockerfile, params) = (
        dockerfile(),
        [("revision", "v1"), ("extra", "x")]
            .map(|(name, value)| PipelineParam { name: name.into(), value: value.into() }),
    );
    let copied = ["hermetic", "bare", "absent"].map(str::to_owned);
    let proposed = Proposed { copied: &copied, ..proposed(&pipeline, &dockerfile, &params) };
    assert_eq!(
        proposed.params(Event::PullRequest),
        json!([
            {"name": "extra", "value": "x"}, {"name": "git-url", "value": "{{source_url}}"},
            {"name": "hermetic", "value": "true"}, {"name": "revision", "value": "v1"},
        ])
    );
    assert_eq!(proposed.workspaces(), json!([]));
}

#[test]
fn copies_defaults_of_all_types() {
    let (pipeline, dockerfile) = (full(), dockerfile());
    let copied = ["build-args".to_owned()];
    let proposed = Proposed { copied: &copied, ..proposed(&pipeline, &dockerfile, &[]) };
    let params = proposed.params(Event::Push);
    assert_eq!(params[0], json!({"name": "build-args", "value": ["a", "b"]}), "{params}");
}

#[test]
fn names_the_account_where_each_component_has_one() {
    let (pipeline, dockerfile) = (full(), dockerfile());
    let mut proposed = proposed(&pipeline, &dockerfile, &[]);
    assert!(proposed.run(Event::Push)["spec"]["taskRunTemplate"].is_null());
    let account = component_account("api");
    proposed.built.account = Some(&account);
    assert_eq!(
        proposed.run(Event::Push)["spec"]["taskRunTemplate"]["serviceAccountName"],
        "build-pipeline-api"
    );
}
