//! Scenario 16: steps that name no command run what their image says, if its registry can be read.

use k8s_openapi::api::core::v1::{Pod, Secret, ServiceAccount};
use kube::api::PostParams;
use serde_json::json;
use testkit::pki::Authority;
use testkit::registry::PlayedRegistry;

use crate::service::{Service, message, of_task_run, says};

/// An engine that may reach a registry, which ends with it.
struct World {
    service: Service,
    registry: PlayedRegistry,
    _folder: tempfile::TempDir,
}

async fn world() -> anyhow::Result<World> {
    let (authority, folder) = (Authority::new("images")?, tempfile::tempdir()?);
    let bundle = folder.path().join("ca.crt");
    std::fs::write(&bundle, authority.cert_pem())?;
    let registry = PlayedRegistry::start(&authority)?;
    let flags = ["--outbound-allow=127.0.0.1".to_owned(), format!("--ca-bundle={}", bundle.display())];
    Ok(World { service: Service::with(&[], &flags).await?, registry, _folder: folder })
}

#[tokio::test]
async fn scenario_16_a_private_image_is_pinned_and_its_commands_are_told() -> anyhow::Result<()> {
    let World { mut service, registry, _folder } = world().await?;
    let platforms: [(&str, &[&str], &[&str]); 2] =
        [("linux/amd64", &["/app"], &["-x"]), ("linux/arm64", &["/app-arm"], &[])];
    let digest = registry.push_image("private/app", "v1", &platforms);
    registry.lock("private/app", "robot", "secret");
    let auths = json!({"auths": {registry.address(): {"username": "robot", "password": "secret"}}});
    let secret: Secret = serde_json::from_value(json!({
        "metadata": {"name": "pull"}, "type": "kubernetes.io/dockerconfigjson",
        "stringData": {".dockerconfigjson": auths.to_string()},
    }))?;
    service.api::<Secret>().create(&PostParams::default(), &secret).await?;
    let account: ServiceAccount = serde_json::from_value(
        json!({"metadata": {"name": "puller"}, "imagePullSecrets": [{"name": "pull"}]}),
    )?;
    service.api::<ServiceAccount>().create(&PostParams::default(), &account).await?;

    let image = format!("{}/private/app", registry.address());
    let tag = json!({"steps": [{"name": "s", "image": format!("{image}:v1")}]});
    service.run_task("may", &json!({"serviceAccountName": "puller", "taskSpec": tag})).await?;
    assert_eq!(of_task_run(&service.end_of_task("may").await?), says("True", "Succeeded"));
    let pod = service.api::<Pod>().get("may-pod").await?.spec.unwrap_or_default();
    let container = &pod.containers[0];
    assert_eq!(container.image.as_deref(), Some(&*format!("{image}@{digest}")));
    let env = container.env.iter().flatten().find(|env| env.name == "TEKTON_PLATFORM_COMMANDS");
    let commands: serde_json::Value =
        serde_json::from_str(env.and_then(|env| env.value.as_deref()).unwrap_or_default())?;
    assert_eq!(commands, json!({"linux/amd64": ["/app", "-x"], "linux/arm64": ["/app-arm"]}));

    service.run_task("may-not", &json!({"taskSpec": tag})).await?;
    let refused = service.end_of_task("may-not").await?;
    assert_eq!(of_task_run(&refused), says("False", "PodCreationFailed"));
    let status = refused.status.unwrap_or_default();
    let why = message(&status.conditions);
    assert!(why.starts_with("[User error]") && why.contains("private/app:v1"), "{why}");
    assert_eq!(service.pods().await?, ["may-pod"]);
    service.stop().await
}

#[tokio::test]
async fn scenario_16_a_dead_registry_holds_nobody_else_up() -> anyhow::Result<()> {
    let World { mut service, registry, _folder } = world().await?;
    registry.push_image("app", "v1", &[("linux/amd64", &["/app"], &[])]);
    let of = |image: String| json!({"taskSpec": {"steps": [{"name": "s", "image": image}]}});
    // More than there are workers: none of them waits for an answer.
    for index in 0..40 {
        service.run_task(&format!("dead-{index}"), &of(format!("127.0.0.1:1/app:v{index}"))).await?;
    }
    service.run_task("alive", &of(format!("{}/app:v1", registry.address()))).await?;
    assert_eq!(of_task_run(&service.end_of_task("alive").await?), says("True", "Succeeded"));
    for index in [0, 39] {
        let waiting = service.task_says(&format!("dead-{index}"), "Pending").await?;
        assert_eq!(of_task_run(&waiting).0, "Unknown");
    }
    assert_eq!(service.pods().await?, ["alive-pod"]);
    service.stop().await
}
