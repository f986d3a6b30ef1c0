//! Killed at any moment, the service ends where it ends on a calm day: no second account, no second repository.

use std::fs;
use std::time::Duration;

use anyhow::ensure;
use application_service_api::Component;
use image_controller_api::ImageRepository;
use k8s_openapi::api::core::v1::Secret;
use kube::api::{DeleteParams, ListParams, Patch, PatchParams, PostParams};
use serde_json::{Value, json};
use tempfile::TempDir;
use testkit::drill::{Drill, Tenant};
use testkit::forge::Fault;
use testkit::pki::Authority;
use testkit::quay::FakeQuay;
use testkit::{ControlPlane, DEADLINE, eventually, wait_for, wait_gone};

use crate::service::{
    Service, component, configure, define_remote_secrets, message, of_component, state, status,
};

/// For a step of the flow: with faults many attempts fail, and the pauses between them grow to a minute.
const PATIENCE: Duration = Duration::from_mins(3);

/// A registry for all repetitions, each of which has a namespace of its own in it.
pub(crate) struct Scene {
    quay: FakeQuay,
    folder: TempDir,
}

impl Scene {
    pub(crate) async fn set() -> anyhow::Result<Self> {
        // What makes the account `default`.
        let plane = ControlPlane::shared().await;
        plane.controllers().await?;
        // The service watches it if it is there, and the drill looks at all that is watched.
        define_remote_secrets(plane).await?;
        let authority = Authority::new("everything in this test")?;
        let folder = tempfile::tempdir()?;
        fs::write(folder.path().join("ca.crt"), authority.cert_pem())?;
        let quay = FakeQuay::start(&authority)?;
        configure(folder.path(), &quay)?;
        Ok(Self { quay, folder })
    }

    pub(crate) fn drill(&self) -> Drill {
        let folder = self.folder.path().display();
        let flags = [
            format!("--outbound-allow={}", self.quay.address()),
            format!("--ca-bundle={folder}/ca.crt"),
            format!("--registry-secret-dir={folder}/registry"),
            "--registry-calls-per-second=1000".to_owned(),
            "--credentials-mode=secret".to_owned(),
        ];
        Drill::of("image-controller", env!("CARGO_BIN_EXE_image-controller"))
            .beside(["application-service"])
            .flags(flags.iter().map(String::as_str))
    }

    /// Robots of a namespace, and how often the token of each was replaced.
    fn robots(&self, namespace: &str) -> Vec<(String, usize)> {
        let stem = namespace.replace('-', "_");
        self.quay.edit(|model| {
            let robots = model.robots.iter().filter(|(name, _)| name.starts_with(&stem));
            robots.map(|(name, robot)| (name.clone(), robot.rotations)).collect()
        })
    }

    fn repositories(&self, namespace: &str) -> Vec<String> {
        let below = format!("{namespace}/");
        self.quay.edit(|model| {
            model.repositories.keys().filter(|name| name.starts_with(&below)).cloned().collect()
        })
    }

    /// A Component is given an image, another visibility and new tokens, and goes. Nothing is left.
    pub(crate) async fn flow(&self, tenant: &Tenant) -> anyhow::Result<()> {
        let objects = tenant.api::<ImageRepository>();
        let components = tenant.api::<Component>();
        wait_for(
            &tenant.api(),
            "default",
            "its account",
            PATIENCE,
            |_: &k8s_openapi::api::core::v1::ServiceAccount| true,
        )
        .await?;
        components.create(&PostParams::default(), &component("web", &json!({}))?).await?;
        let update = "image-controller.appstudio.redhat.com/update-component-image";
        objects.create(&PostParams::default(), &of_component("images", &json!({update: "true"}))).await?;
        wait_for(&components, "web", "its image", PATIENCE, |web: &Component| {
            web.spec.container_image.is_some()
        })
        .await?;
        let made =
            wait_for(&objects, "images", "the annotation to go", PATIENCE, |object: &ImageRepository| {
                state(object) == Some("ready")
                    && message(object).is_empty()
                    && !object.metadata.annotations.as_ref().is_some_and(|notes| notes.contains_key(update))
            })
            .await?;
        let credentials = &status(&made)["credentials"];
        let names = [&credentials["push-robot-account"], &credentials["pull-robot-account"]];
        let robots = self.robots(tenant);
        ensure!(json!(names) == json!(robots.iter().map(|(name, _)| name).collect::<Vec<_>>()), "{robots:?}");
        ensure!(self.repositories(tenant).len() == 1, "{:?}", self.repositories(tenant));

        let patch = async |spec: &Value| {
            let body = json!({ "spec": spec });
            objects.patch("images", &PatchParams::default(), &Patch::Merge(&body)).await
        };
        patch(&json!({"image": {"visibility": "private"}})).await?;
        wait_for(&objects, "images", "private", PATIENCE, |object: &ImageRepository| {
            status(object)["image"]["visibility"] == "private"
        })
        .await?;
        patch(&json!({"credentials": {"regenerate-token": true}})).await?;
        wait_for(&objects, "images", "new tokens", PATIENCE, |object: &ImageRepository| {
            let notes = object.metadata.annotations.as_ref();
            object.spec.credentials.is_none()
                && !notes.is_some_and(|notes| notes.contains_key("fleet.konflux-ci.dev/rotated"))
        })
        .await?;
        let rotations: Vec<_> = self.robots(tenant).iter().map(|(_, rotations)| *rotations).collect();
        ensure!(rotations == [1, 1], "tokens were replaced {rotations:?} times");

        objects.delete("images", &DeleteParams::default()).await?;
        wait_gone(&objects, "images", PATIENCE).await?;
        ensure!(self.robots(tenant).is_empty(), "{:?}", self.robots(tenant));
        ensure!(self.repositories(tenant).is_empty(), "{:?}", self.repositories(tenant));
        // The garbage collector would, some time later.
        tenant.api::<Secret>().delete_collection(&DeleteParams::default(), &ListParams::default()).await?;
        Ok(())
    }
}

#[tokio::test]
async fn killed_at_any_write_it_ends_where_it_ends_on_a_calm_day() -> anyhow::Result<()> {
    let scene = Scene::set().await?;
    eprintln!(
        "crash drill: {}",
        scene.drill().crash_after_each_write(async |tenant| scene.flow(tenant).await).await?
    );
    Ok(())
}

/// What is called while one is made.
async fn make(service: &mut Service, name: &str, killed_after: Option<usize>) -> anyhow::Result<usize> {
    service.quay.traffic().forget();
    if let Some(calls) = killed_after {
        service.quay.traffic().fail("*", calls, Fault::Delay(Duration::ZERO));
        service.quay.traffic().fail("*", 1, Fault::Hang);
    }
    service.component(name, &json!({})).await?;
    let mut object = of_component(name, &json!({}));
    let labels = object.metadata.labels.get_or_insert_default();
    labels.insert("appstudio.redhat.com/component".to_owned(), name.to_owned());
    service.create(&object).await?;
    if let Some(calls) = killed_after {
        eventually(DEADLINE, "the call to come", async || {
            ensure!(service.quay.traffic().calls().len() > calls, "{}", service.quay.traffic());
            Ok(())
        })
        .await?;
        service.kill();
        service.quay.traffic().heal();
        service.run().await?;
    }
    service.ready(name).await?;
    Ok(service.quay.traffic().calls().len())
}

#[tokio::test]
async fn scenario_10_killed_after_each_call_to_the_registry_it_makes_nothing_twice() -> anyhow::Result<()> {
    let mut service = Service::start().await?;
    let calls = make(&mut service, "calm", None).await?;
    ensure!((5..10).contains(&calls), "{calls} calls:\n{}", service.quay.traffic());
    for killed_after in 0..calls {
        let name = format!("killed-after-{killed_after}");
        make(&mut service, &name, Some(killed_after)).await?;
        let stem = name.replace('-', "_");
        let robots: Vec<_> = service.robots().into_iter().filter(|robot| robot.contains(&stem)).collect();
        ensure!(robots.len() == 2, "{name}: {robots:?}");
        let ready = service.ready(&name).await?;
        let credentials = &status(&ready)["credentials"];
        let url = service.url(&format!("shop/{name}"));
        for (secret, robot) in [("push", "push-robot-account"), ("pull", "pull-robot-account")] {
            let robot = credentials[robot].as_str().unwrap_or_default();
            service.logs_in(&format!("{name}-image-{secret}"), &url, robot).await?;
        }
    }
    let repositories = service.quay.edit(|model| model.repositories.len());
    ensure!(repositories == calls + 1, "{repositories} repositories");
    Ok(())
}
