//! What settings and actions of the spec change.

use application_service_api::Application;
use image_controller_api::ImageRepository;
use k8s_openapi::api::core::v1::{Secret, ServiceAccount};
use kube::ResourceExt as _;
use kube::api::{Api, ApiResource, DeleteParams, DynamicObject, Patch, PatchParams};
use serde_json::{Value, json};
use testkit::{DEADLINE, builders, eventually, wait_for, wait_gone};

use crate::service::{
    Service, define_remote_secrets, image_repository, login, message, of_component, state, status,
};

const UPDATE: &str = "image-controller.appstudio.redhat.com/update-component-image";

async fn remote_secrets(service: &Service) -> anyhow::Result<Api<DynamicObject>> {
    define_remote_secrets(service.plane).await?;
    let resource = ApiResource {
        group: "appstudio.redhat.com".to_owned(),
        version: "v1beta1".to_owned(),
        api_version: "appstudio.redhat.com/v1beta1".to_owned(),
        kind: "RemoteSecret".to_owned(),
        plural: "remotesecrets".to_owned(),
    };
    Ok(Api::namespaced_with(service.admin(), &service.tenant, &resource))
}

#[tokio::test]
async fn credentials_go_through_remote_secrets_where_they_are_wanted() -> anyhow::Result<()> {
    let mut service = Service::install().await?;
    let remote_secrets = remote_secrets(&service).await?;
    service.flag("--credentials-mode=remote-secret");
    service.run().await?;
    service.component("web", &json!({})).await?;
    service.create(&of_component("images", &json!({UPDATE: "true"}))).await?;
    let ready = service.ready("images").await?;
    let credentials = status(&ready)["credentials"].clone();
    assert_eq!(credentials["push-remote-secret"], "images-image-push");
    assert_eq!(credentials["push-secret"], "images-image-push");
    assert_eq!(credentials["pull-remote-secret"], "images-image-pull");

    let url = service.url("shop/web");
    for (name, account) in [("images-image-push", "appstudio-pipeline"), ("images-image-pull", "default")] {
        let remote_secret = json!(remote_secrets.get(name).await?);
        assert_eq!(
            remote_secret["spec"],
            json!({
                "secret": {
                    "name": name,
                    "type": "kubernetes.io/dockerconfigjson",
                    "linkedTo": [{"serviceAccount": {"reference": {"name": account}}}],
                },
                "targets": [{"namespace": &*service.tenant}],
            })
        );
        assert_eq!(remote_secret["metadata"]["labels"]["appstudio.redhat.com/internal"], "true");
        let upload = service.api::<Secret>().get(&format!("upload-secret-{name}")).await?;
        assert_eq!(upload.labels()["appstudio.redhat.com/upload-secret"], "remotesecret");
        assert_eq!(upload.annotations()["appstudio.redhat.com/remotesecret-name"], name);
        login(&upload, &url)?;
        assert!(service.api::<Secret>().get_opt(name).await?.is_none(), "that is another service's to make");
    }
    // The image waits until both are delivered.
    let components = service.api::<application_service_api::Component>();
    for name in ["images-image-push", "images-image-pull"] {
        assert_eq!(components.get("web").await?.spec.container_image, None);
        let condition = json!({
            "type": "Deployed", "status": "True", "reason": "Injected", "message": "",
            "lastTransitionTime": "2024-01-01T00:00:00Z",
        });
        let body = json!({"status": {"conditions": [condition]}});
        remote_secrets.patch_status(name, &PatchParams::default(), &Patch::Merge(&body)).await?;
    }
    wait_for(&components, "web", "the image", DEADLINE, |web: &application_service_api::Component| {
        web.spec.container_image.as_deref() == Some(&url)
    })
    .await?;

    // An upload that nobody has taken up is brought up to date instead of a dead end.
    service.patch("images", &json!({"spec": {"credentials": {"regenerate-token": true}}})).await?;
    service.until("images", "the request to go", |object| object.spec.credentials.is_none()).await?;
    let upload = service.api::<Secret>().get("upload-secret-images-image-push").await?;
    let (robot, token) = login(&upload, &url)?;
    assert_eq!(service.quay.edit(|model| model.robots[&robot].token.clone()), token);
    Ok(())
}

#[tokio::test]
async fn with_an_account_per_component_pulling_is_for_applications_and_namespaces() -> anyhow::Result<()> {
    let service = Service::start_with(&["--build-service-account=per-component"]).await?;
    let accounts = service.api::<ServiceAccount>();
    for name in ["build-pipeline-web", "konflux-integration-runner"] {
        accounts.create(&Default::default(), &builders::service_account(&service.tenant, name)).await?;
    }
    let applications = service.api::<Application>();
    let shop = json!({"metadata": {"name": "shop"}, "spec": {"displayName": "Shop"}});
    applications.create(&Default::default(), &serde_json::from_value(shop)?).await?;
    service.component("web", &json!({})).await?;
    service.create(&of_component("images", &json!({}))).await?;
    let ensured = "image-controller.appstudio.redhat.com/namespace-pull-secret-ensured";
    service
        .until("images", "the account of the namespace", |object| {
            object.annotations().get(ensured).is_some_and(|value| value == "true")
        })
        .await?;
    service.linked("build-pipeline-web", &["images-image-push"], &[]).await?;
    service.linked("konflux-integration-runner", &["shop-pull"], &["shop-pull"]).await?;
    assert_eq!(service.links("default").await?, (vec![], vec![]));
    let url = service.url("shop/web");
    let pull = |robots: Vec<String>| robots.into_iter().find(|name| name.ends_with("_pull"));
    let robot = pull(service.robots()).unwrap_or_default();
    service.logs_in("shop-pull", &url, &robot).await?;
    let shop = applications.get("shop").await?;
    assert_eq!(
        shop.finalizers(),
        ["application-secret-link-to-integration-tests-sa.appstudio.openshift.io/finalizer"]
    );

    let of_namespace = service.url("").trim_end_matches('/').to_owned();
    let (robot, _) = service.login("components-namespace-pull", &of_namespace).await?;
    service.logs_in("components-namespace-pull", &of_namespace, &robot).await?;
    let permissions =
        service.quay.edit(|model| model.repositories[&service.repository("shop/web")].permissions.clone());
    assert!(
        permissions.iter().any(|(user, role)| user.ends_with(&robot) && role == "read"),
        "{permissions:?}"
    );

    let ask = json!({"spec": {"credentials": {"regenerate-namespace-pull-token": true}}});
    service.patch("images", &ask).await?;
    service.until("images", "the request to go", |object| object.spec.credentials.is_none()).await?;
    service.logs_in("components-namespace-pull", &of_namespace, &robot).await?;
    assert_eq!(service.quay.edit(|model| model.robots[&robot].rotations), 1);
    // Rotated tokens come into the Secret of the Application too.
    service.patch("images", &json!({"spec": {"credentials": {"regenerate-token": true}}})).await?;
    let robot = pull(service.robots()).unwrap_or_default();
    eventually(DEADLINE, "the new token", async || {
        anyhow::ensure!(service.quay.edit(|model| model.robots[&robot].rotations) == 1);
        service.logs_in("shop-pull", &url, &robot).await
    })
    .await?;

    // With the last repository goes what was for all of them.
    service.api::<ImageRepository>().delete("images", &DeleteParams::default()).await?;
    wait_gone(&service.api::<ImageRepository>(), "images", DEADLINE).await?;
    assert_eq!(service.robots(), Vec::<String>::new());
    wait_gone(&service.api::<Secret>(), "components-namespace-pull", DEADLINE).await?;
    service.linked("konflux-integration-runner", &[], &[]).await?;
    applications.delete("shop", &DeleteParams::default()).await?;
    wait_gone(&applications, "shop", DEADLINE).await
}

#[tokio::test]
async fn linking_is_verified_when_asked() -> anyhow::Result<()> {
    let service = Service::start().await?;
    service.create(&image_repository("web", &json!({}))).await?;
    service.ready("web").await?;
    service.linked("appstudio-pipeline", &["web-image-push"], &[]).await?;
    let lists: Value = json!({
        "secrets": [{"name": "mine"}, {"name": "web-image-push"}, {"name": "web-image-push"}],
        "imagePullSecrets": [{"name": "web-image-push"}, {"name": "theirs"}],
    });
    let accounts = service.api::<ServiceAccount>();
    accounts.patch("appstudio-pipeline", &PatchParams::default(), &Patch::Merge(&lists)).await?;
    service.patch("web", &json!({"spec": {"credentials": {"verify-linking": true}}})).await?;
    service.until("web", "the request to go", |object| object.spec.credentials.is_none()).await?;
    service.linked("appstudio-pipeline", &["mine", "web-image-push"], &["theirs"]).await?;
    // And a link that is taken away comes back.
    let lists = json!({"secrets": [{"name": "mine"}]});
    accounts.patch("appstudio-pipeline", &PatchParams::default(), &Patch::Merge(&lists)).await?;
    service.linked("appstudio-pipeline", &["mine", "web-image-push"], &["theirs"]).await
}

#[tokio::test]
async fn notifications_follow_the_spec() -> anyhow::Result<()> {
    let service = Service::start_with(&["--registry-check-interval=1"]).await?;
    let one = |title: &str, url: &str| json!({"title": title, "event": "repo_push", "method": "webhook", "config": {"url": url}});
    let hooks = "https://hooks.example";
    let spec = json!({"notifications": [one("a", hooks), one("b", hooks)]});
    service.create(&image_repository("web", &spec)).await?;
    let titles = |object: &ImageRepository| {
        let all = object.status.iter().flat_map(|status| &status.notifications);
        all.filter_map(|one| one.title.clone()).collect::<Vec<_>>()
    };
    service.until("web", "both", |object| titles(object) == ["a", "b"]).await?;
    let name = service.repository("web");
    // Somebody else's stays.
    service.quay.edit(|model| {
        let notifications = &mut model.repositories.get_mut(&name).expect("it was made").notifications;
        let mut foreign = notifications[0].clone();
        (foreign.uuid, foreign.title) = ("foreign".to_owned(), "foreign".to_owned());
        notifications[1].failures = 3;
        notifications.push(foreign);
    });
    eventually(DEADLINE, "the failures to be forgotten", async || {
        let failures = service.quay.edit(|model| model.repositories[&name].notifications[1].failures);
        anyhow::ensure!(failures == 0, "{failures}");
        Ok(())
    })
    .await?;
    service.patch("web", &json!({"spec": {"notifications": [one("b", "https://other.example")]}})).await?;
    service.until("web", "one", |object| titles(object) == ["b"]).await?;
    service.quay.edit(|model| {
        let notifications = &model.repositories[&name].notifications;
        let mut shown: Vec<_> = notifications.iter().map(|one| one.title.as_str()).collect();
        shown.sort_unstable();
        assert_eq!(shown, ["b", "foreign"]);
        let b = notifications.iter().find(|one| one.title == "b").expect("it is there");
        assert!(b.config.to_string().contains("other.example"), "{}", b.config);
    });

    service.quay.traffic().fail(
        "POST /repository/{repository}/notification/",
        1,
        testkit::forge::Fault::Answer(400),
    );
    service.patch("web", &json!({"spec": {"notifications": [one("c", hooks)]}})).await?;
    let told = service.until("web", "the message", |object| {
        message(object) == "Error while adding a notification (c) to Quay"
    });
    assert_eq!(state(&told.await?), Some("ready"));
    Ok(())
}
