//! Quay's API: what each call asks for, and what its answers mean.

use std::sync::Arc;
use std::time::Duration;

use fleet::outbound::{self, Options as OutboundOptions};
use fleet::{Clock, Secret};
use futures::future::join_all;
use image_controller::registry::{Backend, BackendKind, Connector, Error, Options, Role};
use image_controller_api::Visibility;
use image_controller_api::image_repository::{
    Notification, NotificationConfig, NotificationEvent, NotificationMethod,
};
use prometheus::Registry;
use rstest::rstest;
use testkit::ControlPlane;
use testkit::forge::Fault;
use testkit::pki::Authority;
use testkit::quay::{FakeQuay, ORGANIZATION, html};

/// A Quay, and the mounted Secret by which it is called.
struct Quay {
    fake: FakeQuay,
    connector: Connector,
    folder: tempfile::TempDir,
}

impl Quay {
    async fn start() -> anyhow::Result<Self> {
        rustls::crypto::aws_lc_rs::default_provider().install_default().ok();
        let authority = Authority::new("ca")?;
        let fake = FakeQuay::start(&authority)?;
        let folder = tempfile::tempdir()?;
        let write = |name: &str, content: &str| std::fs::write(folder.path().join(name), content);
        write("quaytoken", &format!("{}\n", fake.token()))?;
        write("organization", &format!(" {ORGANIZATION}\n"))?;
        write("quayapiurl", &fake.api_url())?;
        write("ca.crt", authority.cert_pem())?;
        let outbound = outbound::Client::new(
            "image-controller",
            OutboundOptions { allow: fake.address().parse()?, ..OutboundOptions::default() },
            Clock::system(),
            &Registry::new(),
        )?;
        let options = Options {
            registry_backend: BackendKind::Quay,
            registry_secret_dir: folder.path().to_owned(),
            registry_organization: None,
            registry_host: None,
            registry_calls_per_second: 1000,
            quay_additional_ca: Some(folder.path().join("ca.crt")),
            registry_token_key_dir: folder.path().to_owned(),
        };
        let client = ControlPlane::shared().await.admin();
        let connector = Connector::new(options, outbound, client, "unused", Clock::system());
        Ok(Self { fake, connector, folder })
    }

    async fn backend(&self) -> Result<Arc<dyn Backend>, Error> {
        self.connector.connect().await
    }

    fn count(&self, route: &str) -> usize {
        self.fake.traffic().count(route)
    }
}

const PUT_ROBOT: &str = "PUT /organization/{organization}/robots/{robot}";

#[tokio::test]
async fn makes_and_removes_what_is_asked_for() -> anyhow::Result<()> {
    let quay = Quay::start().await?;
    let backend = quay.backend().await?;
    assert_eq!(backend.url("team/app/web"), format!("{}/konflux/team/app/web", quay.fake.address()));
    assert_eq!(backend.find("team/app/web").await?, None);
    // Each twice, as after a crash.
    let mut tokens = Vec::new();
    for _ in 0..2 {
        backend.create("team/app/web", Visibility::Private, "of team").await?;
        let robot = backend.robot("team_app_web_01", "pushes").await?;
        assert_eq!(robot.name, "konflux+team_app_web_01");
        tokens.push(robot.token);
        backend.grant("team/app/web", "team_app_web_01", Role::Write).await?;
    }
    assert_eq!(tokens[0], tokens[1]);
    assert_eq!(backend.find("team/app/web").await?, Some(Visibility::Private));
    backend.set_visibility("team/app/web", Visibility::Public).await?;
    let rotated = backend.rotate("konflux+team_app_web_01").await?;
    assert_ne!(rotated.token, tokens[0]);
    quay.fake.edit(|model| {
        let repository = &model.repositories["team/app/web"];
        assert!(repository.is_public);
        assert_eq!(repository.description, "of team");
        assert_eq!(repository.permissions["team_app_web_01"], "write");
        assert_eq!(model.robots["team_app_web_01"].token, *rotated.token.expose());
    });
    for _ in 0..2 {
        backend.delete_robot("team_app_web_01").await?;
        backend.delete("team/app/web").await?;
    }
    quay.fake.edit(|model| assert!(model.robots.is_empty() && model.repositories.is_empty()));
    Ok(())
}

#[tokio::test]
async fn the_plan_has_its_limit() -> anyhow::Result<()> {
    let quay = Quay::start().await?;
    let backend = quay.backend().await?;
    quay.fake.edit(|model| model.private_limit = Some(1));
    backend.create("team/one", Visibility::Private, "").await?;
    assert_eq!(backend.create("team/two", Visibility::Private, "").await, Err(Error::PlanLimit));
    backend.create("team/two", Visibility::Public, "").await?;
    assert_eq!(backend.set_visibility("team/two", Visibility::Private).await, Err(Error::PlanLimit));
    Ok(())
}

/// Whether the same call may work later, for everything that can come back in place of an answer.
#[rstest]
#[case::bad_gateway(Fault::Answer(502), true)]
#[case::broken(Fault::Answer(500), true)]
#[case::page_with_an_error(html(502), true)]
#[case::page_instead_of_json(html(200), true)]
#[case::page_that_says_absent(html(404), true)]
#[case::page_that_refuses(html(400), true)]
#[case::too_many(Fault::SecondaryLimit { status: 429, retry_after: 7 }, true)]
#[case::cut(Fault::Drop, true)]
#[case::cut_after_the_work(Fault::LoseReply, true)]
#[case::bad_token(Fault::Answer(401), true)]
#[case::no_right(Fault::Answer(403), true)]
#[case::bad_request(Fault::Answer(400), false)]
#[case::conflict(Fault::Answer(409), false)]
#[tokio::test]
async fn tells_what_may_go_away_by_itself(
    #[case] fault: Fault,
    #[case] is_transient: bool,
) -> anyhow::Result<()> {
    let quay = Quay::start().await?;
    let backend = quay.backend().await?;
    quay.fake.traffic().fail("*", usize::MAX, fault.clone());
    let results = [
        backend.create("team/web", Visibility::Public, "").await,
        backend.find("team/web").await.map(drop),
        backend.robot("web", "").await.map(drop),
        backend.rotate("web").await.map(drop),
        backend.grant("team/web", "web", Role::Read).await,
    ];
    for result in results {
        let error = result.expect_err("nothing worked");
        match &error {
            Error::Transient { step, .. } if is_transient => assert!(step.contains("web"), "{step}"),
            Error::Refused { step, .. } if !is_transient => assert!(step.contains("web"), "{step}"),
            _ => panic!("{fault:?}: {error:?}"),
        }
        assert!(!error.to_string().contains(&quay.fake.token()), "{error}");
    }
    Ok(())
}

#[tokio::test]
async fn waits_as_long_as_it_is_told() -> anyhow::Result<()> {
    let quay = Quay::start().await?;
    let backend = quay.backend().await?;
    quay.fake.traffic().fail("*", 1, Fault::SecondaryLimit { status: 429, retry_after: 120 });
    let first = backend.create("team/web", Visibility::Public, "").await;
    let Err(Error::Transient { retry_after: Some(after), .. }) = first else { panic!("{first:?}") };
    assert!(after > Duration::from_secs(100) && after <= Duration::from_mins(2), "{after:?}");
    // Not asked again before.
    let second = backend.create("team/web", Visibility::Public, "").await;
    assert!(matches!(second, Err(Error::Transient { .. })), "{second:?}");
    assert_eq!(quay.count("POST /repository"), 1);
    Ok(())
}

#[tokio::test]
async fn a_crowd_is_a_queue() -> anyhow::Result<()> {
    let quay = Quay::start().await?;
    let backend = quay.backend().await?;
    quay.fake.traffic().fail(PUT_ROBOT, usize::MAX, Fault::Delay(Duration::from_millis(30)));
    let names: Vec<String> = (0..60).map(|number| format!("robot_{number}")).collect();
    for made in join_all(names.iter().map(|name| backend.robot(name, ""))).await {
        made?;
    }
    assert_eq!(quay.fake.edit(|model| model.robots.len()), 60);
    assert!(quay.fake.most_at_once() <= 4, "{}", quay.fake.most_at_once());
    assert_eq!(quay.count(PUT_ROBOT), 60, "nothing was asked for twice");
    Ok(())
}

#[tokio::test]
async fn reads_the_secret_each_time() -> anyhow::Result<()> {
    let quay = Quay::start().await?;
    quay.backend().await?.create("team/web", Visibility::Public, "").await?;
    let path = quay.folder.path().join("quaytoken");
    let rotated = Secret::new("another-token".to_owned());
    quay.fake.edit(|model| model.token.clone_from(rotated.expose()));
    let before = quay.backend().await?.find("team/web").await;
    assert!(matches!(before, Err(Error::Transient { .. })), "{before:?}");
    std::fs::write(&path, rotated.expose())?;
    assert_eq!(quay.backend().await?.find("team/web").await?, Some(Visibility::Public));
    for content in [None, Some(" \n")] {
        std::fs::remove_file(&path).ok();
        if let Some(content) = content {
            std::fs::write(&path, content)?;
        }
        let error = quay.backend().await.err();
        assert_eq!(error.map(|error| error.to_string()).as_deref(), Some("registry is not configured"));
    }
    Ok(())
}

/// Names come from objects of tenants, and become part of an address.
#[tokio::test]
async fn never_leaves_its_path() -> anyhow::Result<()> {
    let quay = Quay::start().await?;
    let backend = quay.backend().await?;
    for name in ["team/../../organization/konflux", "..", "team/web?x=1", "team//web", "team/%2e%2e/x", ""] {
        assert!(matches!(backend.delete(name).await, Err(Error::Refused { .. })), "{name}");
        assert!(
            matches!(backend.create(name, Visibility::Public, "").await, Err(Error::Refused { .. })),
            "{name}"
        );
    }
    for robot in ["../../repository/konflux/team", "a/b", "", "a__b", "A"] {
        assert!(matches!(backend.delete_robot(robot).await, Err(Error::Refused { .. })), "{robot}");
    }
    let uuid = backend.delete_notification("team/web", "../../other").await;
    assert!(matches!(uuid, Err(Error::Refused { .. })));
    assert!(quay.fake.traffic().calls().is_empty());
    Ok(())
}

#[tokio::test]
async fn notifications_are_made_changed_and_removed() -> anyhow::Result<()> {
    let quay = Quay::start().await?;
    let backend = quay.backend().await?;
    backend.create("team/web", Visibility::Public, "").await?;
    let wanted = |url: &str| Notification {
        title: "deploy".to_owned(),
        event: Some(NotificationEvent::RepoPush.into()),
        method: Some(NotificationMethod::Webhook.into()),
        config: Some(NotificationConfig { url: Some(url.to_owned()), email: None }),
    };
    let first = backend.add_notification("team/web", &wanted("https://a.test/")).await?;
    let second = backend.update_notification("team/web", &first, &wanted("https://b.test/")).await?;
    assert_ne!(first, second);
    quay.fake.edit(|model| {
        if let Some(repository) = model.repositories.get_mut("team/web") {
            repository.notifications[0].failures = 3;
        }
    });
    let listed = backend.notifications("team/web").await?;
    assert_eq!(listed.len(), 1);
    let known =
        (&*listed[0].title, &*listed[0].event, &*listed[0].method, &*listed[0].target, listed[0].failures);
    assert_eq!(known, ("deploy", "repo_push", "webhook", "https://b.test/", 3));
    backend.reset_notification("team/web", &second).await?;
    assert_eq!(backend.notifications("team/web").await?[0].failures, 0);
    for _ in 0..2 {
        backend.delete_notification("team/web", &second).await?;
    }
    assert_eq!(backend.notifications("team/web").await?, []);
    let refused = backend.add_notification("team/web", &wanted("")).await;
    assert!(matches!(refused, Err(Error::Refused { .. })), "{refused:?}");
    Ok(())
}
