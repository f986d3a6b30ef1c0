//! Scenarios 1, 12 and 17: what the run of a phase is.

use anyhow::ensure;
use k8s_openapi::api::rbac::v1::{Role, RoleBinding};
use kube::ResourceExt as _;
use pipelines_engine_api::PipelineRun;
use release_service_api::{Phase, Release, ReleasePlanAdmission, labels};
use serde_json::{Value, json};
use testkit::builders::Build as _;
use testkit::engine::{RunScript, Runs};
use testkit::git_server::GitServer;

use crate::service::{
    ACCOUNT, ADMISSION, EC_BUNDLE, PLAN, POLICY, SNAPSHOT, Service, admission_with, bundle, message, plan,
    plan_with, policy, release, release_with,
};
use crate::track::endless;

/// On all runs.
const TYPE: &str = "pipelines.appstudio.openshift.io/type";

async fn service() -> anyhow::Result<Service> {
    let service = Service::start().await?;
    runs_on(&service);
    Ok(service)
}

/// So that what is there can be looked at.
fn runs_on(service: &Service) {
    for engine in [&service.engine, &service.tenant_engine] {
        for phase in ["managed", "managed-collectors", "tenant-collectors"] {
            engine.play(Runs::labelled(TYPE, phase), endless());
        }
    }
}

fn spec(run: &PipelineRun) -> Value {
    serde_json::to_value(&run.spec).unwrap_or_default()
}

fn pairs(run: &PipelineRun) -> Value {
    run.spec.params.iter().map(|param| json!([param.name, param.value])).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn scenario_1_a_managed_run_is_as_its_pipeline_expects() -> anyhow::Result<()> {
    let service = service().await?;
    let (tenant, managed, home) = (&service.tenant.name, &service.managed.name, &service.home.name);
    let carrier = r#"{"traceparent":"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"}"#;
    let given = release("r")
        .annotation("pac.test.appstudio.openshift.io/sha", "abc")
        .annotation("tekton.dev/pipelinerunSpanContext", carrier)
        .annotation("note", "mine");
    let made = service.tenant.create(&given).await?;
    let run = service.managed_run("r").await?;

    let policy = serde_json::to_string(&json!(policy(POLICY))["spec"])?;
    assert_eq!(
        pairs(&run),
        json!([
            ["release", format!("{tenant}/r")],
            ["releasePlan", format!("{tenant}/{PLAN}")],
            ["releasePlanAdmission", format!("{managed}/{ADMISSION}")],
            ["releaseServiceConfig", format!("{home}/release-service-config")],
            ["snapshot", format!("{tenant}/{SNAPSHOT}")],
            ["enterpriseContractPolicy", policy],
            ["verify_ec_task_bundle", EC_BUNDLE],
        ])
    );
    let spec = spec(&run);
    assert_eq!(spec["pipelineRef"], bundle("push"));
    assert_eq!(spec["taskRunTemplate"], json!({"serviceAccountName": ACCOUNT}));
    assert_eq!(spec["workspaces"][0]["name"], "release-workspace");
    assert_eq!(
        spec["workspaces"][0]["volumeClaimTemplate"]["spec"],
        json!({"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}})
    );
    assert_eq!(spec["timeouts"], Value::Null);
    assert_eq!(
        json!(run.labels()),
        json!({
            "appstudio.openshift.io/application": "shop",
            "appstudio.openshift.io/snapshot": SNAPSHOT,
            "appstudio.openshift.io/service": "release",
            TYPE: "managed",
            "release.appstudio.openshift.io/attempt": "0",
            "release.appstudio.openshift.io/name": "r",
            "release.appstudio.openshift.io/namespace": tenant,
        })
    );
    assert_eq!(
        json!(run.annotations()),
        json!({
            "operator-sdk/primary-resource": format!("{tenant}/r"),
            "operator-sdk/primary-resource-type": "Release.appstudio.redhat.com",
            "fleet.konflux-ci.dev/cause": made.uid(),
            "fleet.konflux-ci.dev/traceparent": "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            "pac.test.appstudio.openshift.io/sha": "abc",
            "tekton.dev/pipelinerunSpanContext": carrier,
        })
    );
    assert_eq!(run.finalizers(), ["appstudio.redhat.com/release-finalizer"]);
    assert!(run.owner_references().is_empty());

    let bindings = service.tenant.has::<RoleBinding>(1).await?;
    let binding = json!(bindings[0]);
    assert_eq!(binding["roleRef"]["name"], "release-pipeline-resource-role");
    assert_eq!(
        binding["subjects"],
        json!([{"kind": "ServiceAccount", "name": ACCOUNT, "namespace": managed}])
    );
    assert_eq!(binding["metadata"]["ownerReferences"][0]["uid"], json!(made.uid()));

    let status = json!(service.has_reason("r", "Processed", "Progressing").await?.status);
    let types: Vec<&Value> =
        status["conditions"].as_array().into_iter().flatten().map(|condition| &condition["type"]).collect();
    assert_eq!(types[..3], ["Released", "Validated", "Processed"]);
    let names =
        json!([format!("{managed}/{}", run.name_any()), format!("{tenant}/{}", bindings[0].name_any())]);
    assert_eq!(json!([status["processing"]["pipelineRun"], status["processing"]["roleBinding"]]), names);
    assert_eq!(status["managedProcessing"]["roleBindings"], json!({"tenantRoleBinding": names[1]}));
    assert_eq!(status["target"], json!(managed));
    Ok(())
}

fn git(url: &str, revision: &str) -> Value {
    json!({"resolver": "git", "params": [
        {"name": "url", "value": url},
        {"name": "revision", "value": revision},
        {"name": "pathInRepo", "value": "pipelines/push/push.yaml"},
    ]})
}

/// Makes a Release by a plan and an admission of the same name, the admission with these fields. What is made anew is looked for
/// before a Release is refused; a change might not have been heard of yet.
pub(crate) async fn admitted(service: &Service, name: &str, fields: &Value) -> anyhow::Result<Release> {
    service.managed.create(&admission_with(name, &service.tenant.name, fields)).await?;
    let plan = plan(name, &service.managed.name).label(labels::RELEASE_PLAN_ADMISSION.as_str(), name);
    service.tenant.create(&plan).await?;
    service.tenant.create(&release_with(name, SNAPSHOT, name, &json!({}))).await
}

/// The same of a pipeline in Git.
async fn from_git(service: &Service, name: &str, url: &str, revision: &str) -> anyhow::Result<Release> {
    let pipeline = json!({"pipelineRef": git(url, revision), "serviceAccountName": ACCOUNT});
    admitted(service, name, &json!({"pipeline": pipeline})).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pipeline_and_its_tasks_are_of_one_commit() -> anyhow::Result<()> {
    let server = GitServer::start().await?;
    let repository = server.repository("catalog")?;
    let commit = repository.commit(&[("pipelines/push/push.yaml", "kind: Pipeline")])?;
    repository.git(&["branch", "production"])?;
    let url = server.url("catalog");
    let mut service = Service::install().await?;
    service.allow(server.origin());
    service.prepare().await?;
    runs_on(&service);
    service.run().await?;

    from_git(&service, "r", &url, "production").await?;
    let run = service.managed_run("r").await?;
    assert_eq!(spec(&run)["pipelineRef"], git(&url, &commit));
    let params = pairs(&run);
    assert_eq!(params[7], json!(["taskGitUrl", url]));
    assert_eq!(params[8], json!(["taskGitRevision", commit]));
    ensure!(server.calls().len() == 1, "{:?}", server.calls());

    from_git(&service, "unknown", &url, "staging").await?;
    let refused = service.is_over("unknown").await?;
    let cause = message(&refused, "Processed");
    assert!(cause.contains("revision \"staging\"") && cause.contains("spec.pipeline"), "{cause}");
    assert_eq!(message(&refused, "Released"), "Release processing failed on managed pipelineRun creation");

    from_git(&service, "inside", "https://10.0.0.1/catalog", "main").await?;
    let cause = message(&service.is_over("inside").await?, "Processed");
    assert!(cause.contains("--outbound-allow"), "{cause}");
    // Of the one that runs.
    service.tenant.has::<RoleBinding>(1).await?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn scenario_12_pipelines_of_the_cluster_are_for_debugging() -> anyhow::Result<()> {
    let service = service().await?;
    let resolver = json!({"resolver": "cluster", "params": [{"name": "name", "value": "push"}]});
    let fields = json!({"pipeline": {"pipelineRef": resolver}});
    admitted(&service, "plain", &fields).await?;
    let refused = service.is_over("plain").await?;
    assert_eq!(message(&refused, "Released"), "Release validation failed");
    let cause = "tried using debug only options while debug mode is disabled in the ReleaseServiceConfig";
    assert_eq!(message(&refused, "Validated"), cause);

    service.configure(&json!({"debug": true})).await?;
    admitted(&service, "debugged", &fields).await?;
    assert_eq!(spec(&service.managed_run("debugged").await?)["pipelineRef"]["resolver"], "cluster");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn scenario_17_timeouts_are_the_admissions_or_the_defaults() -> anyhow::Result<()> {
    let mut service = Service::install().await?;
    service.prepare().await?;
    runs_on(&service);
    service.configure(&json!({"defaultTimeouts": {"pipeline": "4h0m0s", "finally": "15m0s"}})).await?;
    service.run().await?;
    let defaults = json!({"pipeline": "4h0m0s", "tasks": "3h45m0s", "finally": "15m0s"});
    let cases = [
        ("own", json!({"pipeline": "1h", "tasks": "30m"}), json!({"pipeline": "1h0m0s", "tasks": "30m0s"})),
        ("none", json!({}), defaults.clone()),
        ("finally", json!({"finally": "5m"}), defaults.clone()),
        ("zero", json!({"pipeline": "0h0m0s"}), defaults),
    ];
    for (name, timeouts, expected) in cases {
        let pipeline = json!({"pipelineRef": bundle("push"), "timeouts": timeouts});
        admitted(&service, name, &json!({"pipeline": pipeline})).await?;
        assert_eq!(spec(&service.managed_run(name).await?)["timeouts"], expected, "{name}");
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn collectors_of_both_sides_know_their_objects_and_get_what_they_need() -> anyhow::Result<()> {
    let mut service = Service::install().await?;
    service.flag("--collectors-bundle=images.example/run-collectors@sha256:1");
    service.prepare().await?;
    let collectors = json!({
        "items": [{"name": "issues", "type": "http-json"}], "serviceAccountName": "collector",
    });
    let (tenant, managed) = (service.tenant.name.clone(), service.managed.name.clone());
    service
        .tenant
        .create(&plan_with("collected", &json!({"target": managed, "collectors": collectors})))
        .await?;
    let fields = json!({"spec": {"collectors": collectors}});
    service.managed.patch::<ReleasePlanAdmission>(ADMISSION, &fields).await?;
    runs_on(&service);
    service.tenant_engine.play(Runs::labelled(TYPE, "tenant-collectors"), RunScript::new());
    service.run().await?;

    let made = service.tenant.create(&release_with("r", SNAPSHOT, "collected", &json!({}))).await?;
    let run: PipelineRun = service
        .managed
        .until(&Service::run_of(&made, Phase::ManagedCollectors, 0), "to be there", |_| true)
        .await?;
    assert_eq!(
        pairs(&run),
        json!([
            ["release", format!("{tenant}/r")],
            ["previousRelease", ""],
            ["collectorsResourceType", "releaseplanadmission"],
            ["collectorsResource", format!("{managed}/{ADMISSION}")],
        ])
    );
    let of_tenant: PipelineRun =
        service.tenant.api().get(&Service::run_of(&made, Phase::TenantCollectors, 0)).await?;
    assert_eq!(pairs(&of_tenant)[3], json!(["collectorsResource", format!("{tenant}/collected")]));
    assert_eq!(
        spec(&of_tenant)["pipelineRef"]["params"],
        json!([
            {"name": "bundle", "value": "images.example/run-collectors@sha256:1"},
            {"name": "name", "value": "run-collectors"},
            {"name": "kind", "value": "pipeline"},
        ])
    );
    // Both of the managed collectors: an account of the tenant's own gets none.
    let bindings =
        [service.tenant.has::<RoleBinding>(1).await?, service.managed.has::<RoleBinding>(1).await?];
    for binding in bindings.iter().flatten() {
        let subject = json!({"kind": "ServiceAccount", "name": "collector", "namespace": managed});
        assert_eq!(json!(binding.subjects), json!([subject]));
    }
    let status =
        json!(service.has_reason("r", "ManagedCollectorsPipelineProcessed", "Progressing").await?.status);
    let told = &status["collectorsProcessing"]["managedCollectorsProcessing"]["roleBindings"];
    assert_eq!(told["tenantRoleBinding"], json!(format!("{tenant}/{}", bindings[0][0].name_any())));
    assert_eq!(told["managedRoleBinding"], json!(format!("{managed}/{}", bindings[1][0].name_any())));
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn secrets_of_collectors_take_rights_that_an_administrator_gives() -> anyhow::Result<()> {
    let service = service().await?;
    let collectors = json!({
        "items": [{"name": "issues", "type": "http-json"}],
        "serviceAccountName": "collector",
        "secrets": ["tracker"],
    });
    let pipeline = json!({"pipelineRef": git("https://git.example/catalog", &"a".repeat(40))});
    let fields = json!({"collectors": collectors, "pipeline": pipeline});
    admitted(&service, "r", &fields).await?;
    let refused: Release = service.is_over("r").await?;
    let cause = message(&refused, "ManagedCollectorsPipelineProcessed");
    assert!(cause.contains("component release-collector-secrets"), "{cause}");
    service.managed.has::<Role>(0).await?;
    service.managed.has::<RoleBinding>(0).await?;
    service.tenant.has::<RoleBinding>(0).await?;

    let rights = json!({
        "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "Role",
        "metadata": {"name": "secrets-of-collectors"},
        "rules": [{"apiGroups": [""], "resources": ["secrets"], "verbs": ["get"]}],
    });
    service.managed.create::<Role>(&serde_json::from_value(rights)?).await?;
    let binding = json!({
        "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "RoleBinding",
        "metadata": {"name": "secrets-of-collectors"},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "secrets-of-collectors"},
        "subjects": [{"kind": "User", "apiGroup": "rbac.authorization.k8s.io", "name": service.installed.user()?}],
    });
    service.managed.create::<RoleBinding>(&serde_json::from_value(binding)?).await?;
    let made = admitted(&service, "again", &fields).await?;
    let run = Service::run_of(&made, Phase::ManagedCollectors, 0);
    service.managed.until::<PipelineRun>(&run, "to be there", |_| true).await?;
    let roles = service.managed.has::<Role>(2).await?;
    let of_collectors =
        roles.iter().find(|role| role.name_any().starts_with("again-role-for-managed-collectors-"));
    let rule = json!([{"apiGroups": [""], "resources": ["secrets"], "resourceNames": ["tracker"], "verbs": ["get"]}]);
    assert_eq!(of_collectors.map(|role| json!(role.rules)), Some(rule));
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tenants_own_pipeline_gets_its_own_parameters_and_no_rights() -> anyhow::Result<()> {
    let service = service().await?;
    service.tenant_engine.play(Runs::labelled(TYPE, "tenant"), endless());
    let pipeline = json!({
        "pipelineRef": {
            "resolver": "bundles", "ociStorage": "images.example/storage", "useEmptyDir": true,
            "params": [{"name": "bundle", "value": "images.example/own@sha256:1"}],
        },
        "serviceAccountName": "appstudio-pipeline",
        "params": [{"name": "channel", "value": "beta"}],
        "taskRunSpecs": [{"pipelineTaskName": "own", "stepSpecs": [{"name": "a", "computeResources": {"limits": {"memory": "1Gi"}}}]}],
    });
    service.tenant.create(&plan_with("own", &json!({"tenantPipeline": pipeline}))).await?;
    let made = service.tenant.create(&release_with("r", SNAPSHOT, "own", &json!({}))).await?;
    let run = Service::run_of(&made, Phase::Tenant, 0);
    let run: PipelineRun = service.tenant.until(&run, "to be there", |_| true).await?;
    let tenant = &service.tenant.name;
    assert_eq!(
        pairs(&run),
        json!([
            ["release", format!("{tenant}/r")],
            ["releasePlan", format!("{tenant}/own")],
            ["snapshot", format!("{tenant}/{SNAPSHOT}")],
            ["channel", "beta"],
            ["ociStorage", "images.example/storage"],
        ])
    );
    let spec = spec(&run);
    assert_eq!(spec["workspaces"], json!([{"name": "release-workspace", "emptyDir": {"sizeLimit": "1Gi"}}]));
    assert_eq!(spec["taskRunSpecs"], pipeline["taskRunSpecs"]);
    assert_eq!(spec["taskRunTemplate"]["serviceAccountName"], "appstudio-pipeline");
    service.tenant.has::<RoleBinding>(0).await?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn an_admission_without_an_account_makes_no_binding() -> anyhow::Result<()> {
    let service = service().await?;
    service.managed.delete::<ReleasePlanAdmission>(ADMISSION).await?;
    let pipeline = json!({"pipeline": {"pipelineRef": bundle("push")}});
    service.managed.create(&admission_with("other", &service.tenant.name, &pipeline)).await?;
    service.tenant.create(&release("r")).await?;
    let run = service.managed_run("r").await?;
    assert_eq!(spec(&run)["taskRunTemplate"], Value::Null);
    service.tenant.has::<RoleBinding>(0).await?;
    Ok(())
}
