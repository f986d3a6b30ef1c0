//! Repositories and robots of a registry that asks for tokens: made, found again, and gone without a rest.

use image_controller::registry::{Error, Role};
use image_controller_api::Visibility;
use k8s_openapi::api::core::v1::Secret;
use kube::Api;
use kube::api::ListParams;
use reqwest::StatusCode;
use testkit::{ControlPlane, DEADLINE, eventually};

use crate::tokens::{ORGANIZATION, Tenants};

async fn records(tenants: &Tenants) -> anyhow::Result<usize> {
    let admin = ControlPlane::shared().await.admin();
    let secrets = Api::<Secret>::namespaced(admin, tenants.installed.namespace());
    let labelled = ListParams::default().labels("image-controller.appstudio.redhat.com/registry-record");
    Ok(secrets.list(&labelled).await?.items.len())
}

/// As after a crash at any point: each call is made twice.
#[tokio::test]
async fn everything_can_be_done_again() -> anyhow::Result<()> {
    let tenants = Tenants::start().await?;
    let backend = tenants.backend.as_ref();
    assert_eq!(backend.find("team/web").await?, None);
    let mut tokens = Vec::new();
    for _ in 0..2 {
        backend.create("team/web", Visibility::Private, "made").await?;
        let robot = backend.robot("team_web", "pushes").await?;
        assert_eq!(robot.name, format!("{ORGANIZATION}+team_web"));
        tokens.push(robot.token);
        backend.grant("team/web", "team_web", Role::Write).await?;
        backend.grant("team/web", &format!("{ORGANIZATION}+team_web"), Role::Write).await?;
    }
    assert_eq!(tokens[0], tokens[1], "the robot that is there is found");
    assert_eq!(records(&tenants).await?, 2);
    assert_eq!(backend.find("team/web").await?, Some(Visibility::Private));
    // One that is there keeps its visibility.
    backend.create("team/web", Visibility::Public, "made").await?;
    assert_eq!(backend.find("team/web").await?, Some(Visibility::Private));
    for _ in 0..2 {
        backend.delete("team/web").await?;
        backend.delete_robot("team_web").await?;
    }
    assert_eq!(records(&tenants).await?, 0);
    Ok(())
}

#[tokio::test]
async fn a_repository_goes_with_its_images() -> anyhow::Result<()> {
    let tenants = Tenants::start().await?;
    let (docker, backend) = (&tenants.docker, tenants.backend.as_ref());
    let name = format!("{ORGANIZATION}/team/web");
    let provision = async || {
        backend.create("team/web", Visibility::Public, "").await?;
        let robot = backend.robot("team_web", "").await?;
        backend.grant("team/web", "team_web", Role::Write).await?;
        anyhow::Ok(robot)
    };
    let robot = provision().await?;
    let login = Some((robot.name.as_str(), robot.token.expose().as_str()));
    for (tag, text) in [("v1", "one"), ("v2", "two"), ("latest", "two")] {
        eventually(DEADLINE, "a push", async || {
            let status = docker.push(&name, tag, text, login).await?;
            anyhow::ensure!(status == StatusCode::CREATED, "{status}");
            Ok(())
        })
        .await?;
    }
    // A token from before outlives the repository for some minutes; there is nothing left for it.
    let token = docker.token(&name, "pull", login).await?;
    backend.delete("team/web").await?;
    for tag in ["v1", "v2", "latest"] {
        assert_eq!(docker.pull_with(&name, tag, &token).await?, StatusCode::NOT_FOUND, "{tag}");
    }
    // Whoever has the name next begins with nothing.
    provision().await?;
    eventually(DEADLINE, "the new repository to be known", async || {
        let status = docker.pull(&name, "v1", None).await?;
        anyhow::ensure!(status == StatusCode::NOT_FOUND, "{status}");
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_robot_stays_in_its_namespace() -> anyhow::Result<()> {
    let tenants = Tenants::start().await?;
    let backend = tenants.backend.as_ref();
    for repository in ["one/web", "one/api", "two/web"] {
        backend.create(repository, Visibility::Private, "").await?;
    }
    backend.robot("robot", "").await?;
    backend.grant("one/web", "robot", Role::Read).await?;
    backend.grant("one/api", "robot", Role::Read).await?;
    let refused = backend.grant("two/web", "robot", Role::Read).await;
    let Err(Error::Refused { step, detail }) = refused else { panic!("{refused:?}") };
    assert!(step.contains("org/two/web") && detail.contains("namespace one"), "{step}: {detail}");
    Ok(())
}

#[tokio::test]
async fn what_is_not_there_is_named() -> anyhow::Result<()> {
    let tenants = Tenants::start().await?;
    let backend = tenants.backend.as_ref();
    let told = |result: Result<(), Error>| match result {
        Err(Error::Refused { step, detail }) => format!("{step}: {detail}"),
        other => panic!("{other:?}"),
    };
    assert!(told(backend.set_visibility("team/none", Visibility::Public).await).contains("org/team/none"));
    assert!(told(backend.rotate("none").await.map(drop)).contains("none"));
    backend.create("team/web", Visibility::Public, "").await?;
    assert!(told(backend.grant("team/web", "none", Role::Read).await).contains("org+none"));
    assert!(
        told(backend.create("team/../other", Visibility::Public, "").await)
            .contains("no name of a repository")
    );
    assert!(matches!(backend.notifications("team/web").await, Err(Error::Unsupported)));
    assert_eq!(backend.url("team/web"), format!("{}/org/team/web", tenants.registry.address()));
    Ok(())
}
