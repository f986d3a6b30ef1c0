use rstest::rstest;
use serde_json::{Value, json};

use super::*;
use crate::task_run::pod::credentials::Credential;

/// What a pod is made of, to be changed by a test.
struct Case {
    run: TaskRun,
    spec: TaskSpec,
    config: Config,
    bindings: Vec<pipelines_engine_api::WorkspaceBinding>,
    entrypoint: Entrypoint,
    account: Account,
    limit_ranges: Vec<LimitRange>,
    images: BTreeMap<String, Image>,
    node: Option<Node>,
}

fn case(spec: Value) -> Case {
    Case {
        run: serde_json::from_value(json!({
            "apiVersion": "tekton.dev/v1", "kind": "TaskRun",
            "metadata": {
                "name": "run", "namespace": "n", "uid": "u", "labels": {"l": "1"},
                "annotations": {"a": "1", "kubectl.kubernetes.io/last-applied-configuration": "{}"},
            },
            "spec": {"serviceAccountName": "builder", "timeout": "10m"},
        }))
        .unwrap(),
        spec: serde_json::from_value(spec).unwrap(),
        config: Config::default(),
        bindings: Vec::new(),
        entrypoint: Entrypoint::ConfigMap { name: "entrypoint-1".into() },
        account: Account::default(),
        limit_ranges: Vec::new(),
        images: BTreeMap::new(),
        node: None,
    }
}

impl Case {
    fn try_make(&self) -> Result<Made, Fault> {
        let workspaces = volumes::workspaces(&self.spec.workspaces, &self.bindings, "u");
        make(&Plan {
            run: &self.run,
            spec: &self.spec,
            attempt: 0,
            config: &self.config,
            workspaces: &workspaces,
            entrypoint: &self.entrypoint,
            release: "v1",
            tools_image: "tools",
            account: &self.account,
            limit_ranges: &self.limit_ranges,
            images: &self.images,
            node: self.node.as_ref(),
        })
    }

    fn pod(&self) -> Pod {
        self.try_make().unwrap().pod
    }

    fn spec(&self) -> PodSpec {
        self.pod().spec.unwrap()
    }
}

fn mounts(container: &Container) -> BTreeMap<&str, &VolumeMount> {
    container.volume_mounts.iter().flatten().map(|mount| (&*mount.mount_path, mount)).collect()
}

#[test]
fn a_plain_task_has_neither_init_containers_nor_a_gate() {
    let pod = case(
        json!({"steps": [{"name": "a", "image": "i", "script": "echo"}, {"image": "j", "command": ["x"]}]}),
    )
    .pod();
    assert_eq!(pod.metadata.name.as_deref(), Some("run-pod"));
    let labels = pod.metadata.labels.unwrap();
    assert_eq!((&*labels["l"], &*labels["tekton.dev/taskRun"]), ("1", "run"));
    let annotations = pod.metadata.annotations.unwrap();
    assert_eq!(annotations["tekton.dev/ready"], "READY");
    assert!(!annotations.contains_key("kubectl.kubernetes.io/last-applied-configuration"));
    let spec = pod.spec.unwrap();
    assert_eq!(spec.init_containers, None);
    assert_eq!(spec.restart_policy.as_deref(), Some("Never"));
    assert_eq!(spec.service_account_name.as_deref(), Some("builder"));
    assert_eq!(spec.active_deadline_seconds, Some(900));
    let names: Vec<_> = spec.containers.iter().map(|container| &*container.name).collect();
    assert_eq!(names, ["step-a", "step-unnamed-1"]);
    let first = mounts(&spec.containers[0]);
    for path in
        ["/workspace", "/tekton/home", "/tekton/results", "/tekton/bin", "/tekton/creds", "/tekton/scripts"]
    {
        assert!(first.contains_key(path), "{path}");
    }
    assert!(!first.contains_key("/tekton/downward"));
    assert_eq!(first["/tekton/run/0"].read_only, None);
    assert_eq!(first["/tekton/run/1"].read_only, Some(true));
    assert!(!spec.volumes.unwrap().iter().any(|volume| volume.name == "tekton-internal-downward"));
}

#[test]
fn sidecars_make_the_first_step_wait() {
    let pod = case(json!({
        "steps": [{"name": "a", "image": "i", "command": ["x"]}],
        "sidecars": [{"name": "s", "image": "j", "script": "sleep"}],
    }))
    .pod();
    assert!(!pod.metadata.annotations.unwrap().contains_key("tekton.dev/ready"));
    let containers = pod.spec.unwrap().containers;
    assert_eq!(containers[1].name, "sidecar-s");
    assert!(containers[1].command.as_ref().unwrap()[0].starts_with("/tekton/scripts/sidecar-script-0-"));
    assert!(mounts(&containers[0]).contains_key("/tekton/downward"));
    assert!(containers[0].args.as_ref().unwrap().contains(&"-wait_file_content".to_owned()));
}

/// A runtime refuses a relative folder, and makes an absolute one as root.
#[rstest]
#[case::relative("src/app", None, Some("/workspace/src/app"))]
#[case::in_the_workspace("/workspace/src", None, Some("/workspace/src"))]
#[case::elsewhere("/opt", Some("/opt"), None)]
#[case::none("", None, None)]
fn folders_that_may_not_be_there_are_made_by_the_entrypoint(
    #[case] written: &str,
    #[case] of_container: Option<&str>,
    #[case] of_entrypoint: Option<&str>,
) {
    let steps = json!([{"name": "a", "image": "i", "command": ["c"], "workingDir": written}]);
    let container = &case(json!({"steps": steps})).spec().containers[0];
    let args = container.args.as_ref().unwrap();
    let flag = args.iter().position(|arg| arg == "-working_dir").map(|at| args[at + 1].as_str());
    assert_eq!((container.working_dir.as_deref(), flag), (of_container, of_entrypoint));
}

#[test]
fn the_template_is_what_steps_begin_with() {
    let container = &case(json!({
        "stepTemplate": {
            "image": "t", "command": ["tc"], "args": ["ta"], "workingDir": "/t",
            "env": [{"name": "A", "value": "t"}, {"name": "B", "value": "t"}],
            "volumeMounts": [{"name": "v", "mountPath": "/v"}],
        },
        "steps": [{"name": "a", "env": [{"name": "B", "value": "s"}, {"name": "C", "value": "s"}], "args": ["sa"]}],
        "volumes": [{"name": "v", "emptyDir": {}}],
    }))
    .spec()
    .containers[0];
    assert_eq!((container.image.as_deref(), container.working_dir.as_deref()), (Some("t"), Some("/t")));
    let env: Vec<_> =
        container.env.iter().flatten().map(|v| (&*v.name, v.value.as_deref().unwrap())).collect();
    assert_eq!(env, [("A", "t"), ("B", "s"), ("C", "s")]);
    assert!(container.args.as_ref().unwrap().ends_with(&["tc".to_owned(), "--".to_owned(), "sa".to_owned()]));
    assert!(mounts(container).contains_key("/v"));
}

#[test]
fn the_pod_template_has_the_last_word_but_for_what_is_forbidden() {
    let mut case = case(
        json!({"steps": [{"name": "a", "image": "i", "command": ["x"], "env": [{"name": "A", "value": "s"}]}]}),
    );
    case.run.spec.pod_template = Some(
        serde_json::from_value(json!({
            "env": [{"name": "A", "value": "p"}, {"name": "B", "value": "p"}],
            "nodeSelector": {"k": "v"}, "priorityClassName": "high",
        }))
        .unwrap(),
    );
    case.config.defaults.forbidden_env = ["B".to_owned()].into();
    let spec = case.spec();
    let env: Vec<_> =
        spec.containers[0].env.iter().flatten().map(|v| (&*v.name, v.value.as_deref().unwrap())).collect();
    assert_eq!(env, [("A", "p")]);
    assert_eq!(
        (&*spec.node_selector.unwrap()["k"], spec.priority_class_name.as_deref()),
        ("v", Some("high"))
    );
}

#[test]
fn workspaces_are_everywhere_or_where_they_are_named() {
    let mut case = case(json!({
        "workspaces": [{"name": "all"}, {"name": "some"}],
        "steps": [
            {"name": "a", "image": "i", "command": ["x"], "workspaces": [{"name": "some", "mountPath": "/here"}]},
            {"name": "b", "image": "i", "command": ["x"], "volumeMounts": [{"name": "own", "mountPath": "/workspace/all/"}]},
        ],
        "volumes": [{"name": "own", "emptyDir": {}}],
    }));
    case.bindings = serde_json::from_value(
        json!([{"name": "all", "emptyDir": {}}, {"name": "some", "secret": {"secretName": "s"}}]),
    )
    .unwrap();
    let spec = case.spec();
    let (a, b) = (mounts(&spec.containers[0]), mounts(&spec.containers[1]));
    assert!(a.contains_key("/workspace/all") && a.contains_key("/here"));
    assert!(!b.contains_key("/here") && !b.contains_key("/workspace/all"), "{b:?}");
    assert_eq!(b["/workspace/all/"].name, "own");
}

#[test]
fn an_image_without_a_command_is_pinned_and_says_what_it_runs() {
    let mut case = case(
        json!({"steps": [{"name": "a", "image": "i:tag"}, {"name": "b", "image": "i:tag", "args": ["y"]}]}),
    );
    assert!(case.try_make().unwrap_err().message.contains("\"i:tag\""));
    let program = containers::Program { entrypoint: vec!["e".into()], command: vec!["c".into()] };
    case.images.insert(
        "i:tag".into(),
        Image { reference: "i@sha256:1".into(), platforms: [("linux/amd64".to_owned(), program)].into() },
    );
    let spec = case.spec();
    let commands = |index: usize| {
        let env = spec.containers[index].env.as_ref().unwrap();
        env.iter()
            .find(|variable| variable.name == "TEKTON_PLATFORM_COMMANDS")
            .unwrap()
            .value
            .clone()
            .unwrap()
    };
    assert_eq!(spec.containers[0].image.as_deref(), Some("i@sha256:1"));
    assert_eq!(commands(0), r#"{"linux/amd64":["e","c"]}"#);
    assert_eq!(commands(1), r#"{"linux/amd64":["e"]}"#);
}

#[test]
fn credentials_are_mounted_in_every_step() {
    let mut case = case(json!({"steps": [{"name": "a", "image": "i", "command": ["x"]}]}));
    case.account.credentials =
        vec![Credential { secret: "s".into(), kind: credentials::Kind::DockerConfigJson }];
    let container = &case.spec().containers[0];
    assert!(mounts(container).contains_key("/tekton/creds-secrets/s"));
    assert!(container.args.as_ref().unwrap().contains(&"-docker-config=s".to_owned()));
}

#[test]
fn two_volumes_of_one_name_are_refused() {
    let fault = case(json!({
        "steps": [{"name": "a", "image": "i", "command": ["x"]}],
        "volumes": [{"name": "v", "emptyDir": {}}, {"name": "v", "secret": {"secretName": "s"}}],
    }))
    .try_make()
    .unwrap_err();
    assert!(fault.message.contains("\"v\""), "{}", fault.message);
}

#[test]
fn a_shared_claim_binds_pods_to_its_node() {
    let mut case = case(json!({"steps": [{"name": "a", "image": "i", "command": ["x"]}]}));
    case.node = Some(Node { name: "h".into(), is_required: true });
    case.run.spec.pod_template = Some(
        serde_json::from_value(json!({"affinity": {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {
            "nodeSelectorTerms": [{"matchExpressions": [{"key": "x", "operator": "Exists"}]}, {"matchExpressions": [{"key": "y", "operator": "Exists"}]}],
        }}}}))
        .unwrap(),
    );
    let required = case
        .spec()
        .affinity
        .unwrap()
        .node_affinity
        .unwrap()
        .required_during_scheduling_ignored_during_execution
        .unwrap();
    // Terms are alternatives.
    for term in &required.node_selector_terms {
        assert_eq!(term.match_expressions.as_ref().unwrap().len(), 1);
        let of_node = &term.match_fields.as_ref().unwrap()[0];
        assert_eq!(
            (&*of_node.key, of_node.values.as_deref()),
            ("metadata.name", Some(["h".to_owned()].as_slice()))
        );
    }
    case.node = Some(Node { name: "h".into(), is_required: false });
    let preferred = case
        .spec()
        .affinity
        .unwrap()
        .node_affinity
        .unwrap()
        .preferred_during_scheduling_ignored_during_execution
        .unwrap();
    assert_eq!(preferred[0].weight, 100);
}

#[test]
fn init_containers_only_where_they_are_asked_for_and_restricted() {
    let mut case = case(json!({"steps": [{"name": "a", "image": "i", "command": ["x"]}]}));
    case.entrypoint = Entrypoint::InitContainer { image: "e".into() };
    let init = case.spec().init_containers.unwrap();
    assert_eq!(init[0].command.as_ref().unwrap()[3], "/tekton/bin/entrypoint");
    assert_eq!(init[0].security_context.as_ref().unwrap().run_as_non_root, Some(true));
}

#[test]
fn a_run_without_a_limit_has_no_deadline() {
    let mut case = case(json!({"steps": [{"name": "a", "image": "i", "command": ["x"]}]}));
    case.run.spec.timeout = Some("0s".into());
    assert_eq!(case.spec().active_deadline_seconds, Some(NO_DEADLINE));
}

/// An account that nobody has chosen is nobody's way to the API server; of others the account says so, or the run's template.
#[rstest]
#[case::chosen(None, None, (Some("builder"), None))]
#[case::not_chosen(Some("default"), None, (Some("default"), Some(false)))]
#[case::asked_for(Some("default"), Some(true), (Some("default"), Some(true)))]
#[case::not_wanted(None, Some(false), (Some("builder"), Some(false)))]
fn a_token_is_there_for_an_account_that_was_chosen(
    #[case] instead: Option<&str>,
    #[case] of_template: Option<bool>,
    #[case] expected: (Option<&str>, Option<bool>),
) {
    let mut case = case(json!({"steps": [{"name": "a", "image": "i", "command": ["x"]}]}));
    case.account.instead = instead.map(str::to_owned);
    case.run.spec.pod_template =
        Some(PodTemplate { automount_service_account_token: of_template, ..PodTemplate::default() });
    let spec = case.spec();
    assert_eq!((spec.service_account_name.as_deref(), spec.automount_service_account_token), expected);
}

#[test]
fn contexts_of_security_are_left_out_where_the_cluster_has_its_own() {
    let mut case =
        case(json!({"steps": [{"name": "a", "image": "i", "command": ["x"]}], "results": [{"name": "r"}]}));
    case.entrypoint = Entrypoint::InitContainer { image: "e".into() };
    case.config.features.results_from = ResultsFrom::SidecarLogs;
    let contexts = |case: &Case| {
        let spec = case.spec();
        let all = spec.init_containers.unwrap().into_iter().chain(spec.containers);
        all.map(|container| (container.name, container.security_context.is_some())).collect::<Vec<_>>()
    };
    let expected = [("prepare", true), ("step-a", false), (result_log::CONTAINER, true)]
        .map(|(name, has)| (name.to_owned(), has));
    assert_eq!(contexts(&case), expected);
    case.config.features.set_security_context = false;
    assert!(contexts(&case).iter().all(|(_, has)| !has));
}

#[test]
fn a_collector_is_there_for_results_by_logs_only() {
    let mut case =
        case(json!({"steps": [{"name": "a", "image": "i", "command": ["x"]}], "results": [{"name": "r"}]}));
    let flag = "-result_from".to_owned();
    let spec = case.spec();
    assert_eq!(
        (spec.containers.len(), spec.containers[0].args.as_ref().unwrap().contains(&flag)),
        (1, false)
    );
    case.config.features.results_from = ResultsFrom::SidecarLogs;
    let pod = case.pod();
    assert_eq!(pod.metadata.annotations.unwrap()["tekton.dev/ready"], "READY", "nobody waits for it");
    let spec = pod.spec.unwrap();
    assert_eq!((spec.containers.len(), spec.containers[0].args.as_ref().unwrap().contains(&flag)), (2, true));
    assert_eq!(spec.containers[1].image.as_deref(), Some("tools"));
}

#[test]
fn every_container_that_says_nothing_has_the_configured_resources() {
    let mut case = case(json!({
        "steps": [{"name": "a", "image": "i", "command": ["x"]}, {"name": "b", "image": "i", "command": ["x"]}],
        "sidecars": [{"name": "s", "image": "i", "computeResources": {"requests": {"cpu": "7"}}}],
    }));
    case.entrypoint = Entrypoint::InitContainer { image: "e".into() };
    case.config.defaults.container_resources = serde_json::from_value(json!({
        "step-a": {"requests": {"cpu": "1"}}, "prefix-step": {"requests": {"cpu": "2"}}, "default": {"requests": {"cpu": "3"}},
    }))
    .unwrap();
    let spec = case.spec();
    let all = spec.init_containers.as_ref().unwrap().iter().chain(&spec.containers);
    let cpu = |container: &Container| {
        container.resources.as_ref().unwrap().requests.as_ref().unwrap()["cpu"].0.clone()
    };
    assert_eq!(all.map(cpu).collect::<Vec<_>>(), ["3", "1", "2", "7"]);
}

#[test]
fn overrides_come_after_the_template_and_a_pod_that_cannot_be_is_refused() {
    let mut case = case(json!({
        "stepTemplate": {"computeResources": {"requests": {"cpu": "1", "memory": "1Gi"}, "limits": {"memory": "2Gi"}}},
        "steps": [{"name": "a", "image": "i", "command": ["x"]}],
        "sidecars": [{"name": "s", "image": "i"}],
    }));
    case.run.spec.step_specs =
        serde_json::from_value(json!([{"name": "a", "computeResources": {"requests": {"cpu": "2"}}}]))
            .unwrap();
    case.run.spec.sidecar_specs =
        serde_json::from_value(json!([{"name": "s", "computeResources": {"limits": {"cpu": "3"}}}])).unwrap();
    let spec = case.spec();
    let step = spec.containers[0].resources.clone().unwrap();
    assert_eq!(
        (&*step.requests.as_ref().unwrap()["cpu"].0, &*step.limits.unwrap()["memory"].0),
        ("2", "2Gi")
    );
    assert_eq!(spec.containers[1].resources.as_ref().unwrap().limits.as_ref().unwrap()["cpu"].0, "3");
    case.run.spec.step_specs[0].compute_resources.limits = Some(
        [("memory".to_owned(), k8s_openapi::apimachinery::pkg::api::resource::Quantity("1".into()))].into(),
    );
    let fault = case.try_make().unwrap_err();
    assert_eq!(fault.reason, TaskRunReason::TaskRunValidationFailed);
    assert!(fault.message.contains("\"step-a\" requests 1Gi of \"memory\""), "{}", fault.message);
}

#[test]
fn where_sidecars_may_be_injected_the_first_step_waits_unless_it_is_told_not_to() {
    let mut case = case(json!({"steps": [{"name": "a", "image": "i", "command": ["x"]}]}));
    let waits = |case: &Case| !case.pod().metadata.annotations.unwrap().contains_key("tekton.dev/ready");
    assert!(!waits(&case));
    case.config.features.injected_sidecars = true;
    assert!(waits(&case));
    case.config.features.await_sidecar_readiness = false;
    assert!(!waits(&case));
}

#[test]
fn a_pod_without_a_manager_gets_the_configured_one() {
    let mut case = case(json!({"steps": [{"name": "a", "image": "i", "command": ["x"]}]}));
    case.config.defaults.managed_by = "me".to_owned();
    assert_eq!(case.pod().metadata.labels.unwrap()["app.kubernetes.io/managed-by"], "me");
    case.run.metadata.labels = Some([(labels::MANAGED_BY.to_string(), "you".to_owned())].into());
    assert_eq!(case.pod().metadata.labels.unwrap()["app.kubernetes.io/managed-by"], "you");
}

#[test]
fn known_hosts_can_be_demanded() {
    let mut case = case(json!({"steps": [{"name": "a", "image": "i", "command": ["x"]}]}));
    let secret: k8s_openapi::api::core::v1::Secret = serde_json::from_value(json!({
        "metadata": {"name": "s", "annotations": {"tekton.dev/git-0": "git.example"}},
        "type": "kubernetes.io/ssh-auth", "data": {"ssh-privatekey": ""},
    }))
    .unwrap();
    case.account.credentials = vec![credentials::Credential::of(&secret).unwrap()];
    assert!(case.try_make().is_ok());
    case.config.features.require_known_hosts = true;
    let fault = case.try_make().unwrap_err();
    assert!(fault.message.contains("known_hosts"), "{}", fault.message);
}
