//! Credentials of repositories, with forges that are fakes.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use build_service_api::ErrorId;
use build_service_api::events::EventReason;
use fleet::{Clock, ObjectKey};
use forge::Provider;
use futures::future::join_all;
use jiff::SignedDuration;
use rstest::rstest;
use serde_json::json;
use testkit::forge::{Access as Role, AppKey, GitHub, GitLab, Visibility};

use super::testing::{
    APP, Cluster, Outside, TENANT, app_data, app_key, github_with_app, gits, outside, outside_at, source_of,
};
use super::{Gits, Mode, NoAccess, Source};
use crate::failure::Failure;

const PERMISSIONS: [(&str, &str); 3] =
    [("contents", "write"), ("pull_requests", "write"), ("administration", "write")];

/// Asks for the tokens of an installation.
const TOKENS: &str = "POST /app/installations/{installation_id}/access_tokens";

struct World {
    outside: Outside,
    github: GitHub,
    cluster: Cluster,
    gits: Gits,
    /// Seconds that the clock is ahead.
    ahead: Arc<AtomicI64>,
}

/// `acme/app` and `acme/other` are private; the App is installed in `acme` unless it is `None`.
fn world(installed: Option<&[(&str, &str)]>) -> World {
    let ahead = Arc::new(AtomicI64::new(0));
    let clock = {
        let ahead = ahead.clone();
        let system = Clock::system();
        Clock::from_fn(move || system.now() + SignedDuration::from_secs(ahead.load(Ordering::SeqCst)))
    };
    let outside = outside_at(clock.clone());
    let github = github_with_app(&outside);
    github.edit(|model| {
        for name in ["acme/app", "acme/other"] {
            model.repository(name).unwrap().visibility = Visibility::Private;
        }
        if let Some(permissions) = installed {
            model.install(APP, "acme", permissions);
        }
    });
    let cluster = Cluster::default();
    cluster.platform(app_data(APP, app_key()));
    let gits = gits(&cluster, &outside, github.url(), clock);
    World { outside, github, cluster, gits, ahead }
}

impl World {
    fn source(&self, repository: &str) -> Source {
        source_of(&format!("{}/{repository}", self.github.url()), None, Some("github"))
    }

    async fn id(&self, repository: &str) -> Option<ErrorId> {
        id(self.gits.access(TENANT, &self.source(repository)).await.map(drop))
    }
}

fn id(result: Result<(), NoAccess>) -> Option<ErrorId> {
    match result.map_err(Failure::from) {
        Ok(()) => None,
        Err(Failure::Permanent { id, .. }) => Some(id),
        Err(failure) => panic!("{failure:?}"),
    }
}

/// Acceptance scenario 3: many Components of an organisation, and one token.
#[tokio::test]
async fn the_app_is_asked_once_for_what_many_need() {
    let world = world(Some(&PERMISSIONS));
    world.github.edit(|model| {
        for number in 0..40 {
            model.repository(&format!("acme/r{number}")).unwrap();
        }
    });
    let sources: Vec<Source> = (0..40).map(|number| world.source(&format!("acme/r{number}"))).collect();
    let found = join_all(sources.iter().map(|source| world.gits.access(TENANT, source))).await;
    for access in found {
        let Mode::App(Some(info)) = access.unwrap().mode else { panic!("no App") };
        assert_eq!((info.slug.as_str(), info.name.as_str()), ("konflux", "Konflux"));
    }
    let traffic = world.github.traffic();
    assert_eq!((traffic.count(TOKENS), traffic.count("GET /app")), (1, 1));
    assert_eq!(traffic.count("GET /repos/{owner}/{repo}/installation"), 40);
    world.gits.access(TENANT, &sources[0]).await.unwrap();
    assert_eq!(traffic.calls().len(), 42, "{traffic}");
    assert_eq!(traffic.count("GET /app/installations"), 0, "nobody looks through all installations");
}

#[tokio::test]
async fn a_token_is_renewed_before_it_ends() {
    let world = world(Some(&PERMISSIONS));
    let source = world.source("acme/app");
    let ask = async || {
        let access = world.gits.access(TENANT, &source).await.unwrap();
        access.changes.about(&source.repository).await.unwrap();
        world.github.traffic().count(TOKENS)
    };
    let pass = |minutes: i64| {
        world.ahead.fetch_add(minutes * 60, Ordering::SeqCst);
        world.github.edit(|model| model.advance(SignedDuration::from_mins(minutes)));
    };
    assert_eq!(ask().await, 1);
    pass(54);
    assert_eq!(ask().await, 1);
    pass(2);
    assert_eq!(ask().await, 2, "four minutes are too few");
}

/// Acceptance scenario 5: once it is installed it works.
#[tokio::test]
async fn an_app_that_is_not_installed_is_looked_for_again() {
    let world = world(None);
    assert_eq!(world.id("acme/app").await, Some(ErrorId::GitHubAppNotInstalled));
    let installation = world.github.edit(|model| model.install(APP, "acme", &PERMISSIONS));
    assert_eq!(world.id("acme/app").await, None);
    let suspend = |is_suspended: bool| {
        world.github.edit(|model| {
            let now = model.now();
            model.installation_mut(installation).unwrap().suspended_at = is_suspended.then_some(now);
        });
    };
    suspend(true);
    assert_eq!(world.id("acme/other").await, Some(ErrorId::GitHubAppSuspended));
    suspend(false);
    assert_eq!(world.id("acme/other").await, None);
}

#[tokio::test]
async fn another_key_or_app_has_its_own_number() {
    let world = world(Some(&PERMISSIONS));
    let other = AppKey::generate().unwrap();
    world.cluster.platform(app_data(APP, &other));
    assert_eq!(world.id("acme/app").await, Some(ErrorId::GitHubAppPrivateKeyNotMatched));
    assert_eq!(id(world.gits.probe().await.map(drop)), Some(ErrorId::GitHubAppPrivateKeyNotMatched));
    world.cluster.platform(app_data(8, &other));
    assert_eq!(world.id("acme/app").await, Some(ErrorId::GitHubAppDoesNotExist));
    assert_eq!(id(world.gits.probe().await.map(drop)), Some(ErrorId::GitHubAppDoesNotExist));
    world.cluster.platform(app_data(APP, app_key()));
    assert_eq!(world.gits.probe().await.unwrap().slug, "konflux");
    assert_eq!(world.id("acme/app").await, None);
}

/// Whoever knows the number of the platform's App has not its key.
#[tokio::test]
async fn nobody_gets_the_tokens_of_the_platform_by_its_number() {
    let world = world(Some(&PERMISSIONS));
    assert_eq!(world.id("acme/app").await, None);
    let own = AppKey::generate().unwrap();
    world.cluster.credentials("own", "basic-auth", "localhost", "", app_data(APP, &own));
    assert_eq!(world.id("acme/app").await, Some(ErrorId::GitHubAppPrivateKeyNotMatched));
}

/// What the App's key signs could be used at its own server.
#[tokio::test]
async fn no_other_server_hears_of_the_app() {
    let world = world(Some(&PERMISSIONS));
    let gits = gits(&world.cluster, &world.outside, "https://github.test", Clock::system());
    let source = world.source("acme/app");
    assert_eq!(id(gits.access(TENANT, &source).await.map(drop)), Some(ErrorId::PacSecretNotFound));
    assert_eq!(id(gits.reading(TENANT, &source).await.map(drop)), Some(ErrorId::PacSecretNotFound));
    assert_eq!(world.github.traffic().calls().len(), 0);
}

#[tokio::test]
async fn a_wrong_or_missing_secret_is_told() {
    let world = world(Some(&PERMISSIONS));
    let source = world.source("acme/app");
    world.cluster.platform(json!({ "github-application-id": "seven" }));
    let none = world.gits.access(TENANT, &source).await.map(drop).unwrap_err();
    let notice = none.notice.clone().unwrap();
    assert_eq!(notice.reason, EventReason::ErrorValidatingPacSecret);
    assert_eq!(notice.secret, Some(ObjectKey::new("build-service", "pipelines-as-code-secret")));
    assert_eq!(id(Err(none)), Some(ErrorId::PacSecretInvalid));
    world.cluster.remove("/api/v1/namespaces/build-service/secrets/pipelines-as-code-secret");
    let none = world.gits.access(TENANT, &source).await.map(drop).unwrap_err();
    let notice = none.notice.clone().unwrap();
    assert_eq!((notice.reason, notice.secret), (EventReason::PacSecretNotFound, None));
    assert_eq!(id(Err(none)), Some(ErrorId::PacSecretNotFound));
    world.cluster.credentials("bad", "basic-auth", "localhost", "", json!({ "password": "" }));
    let none = world.gits.access(TENANT, &source).await.map(drop).unwrap_err();
    assert_eq!(none.notice.clone().unwrap().secret, Some(ObjectKey::new(TENANT, "bad")));
    assert_eq!(id(Err(none)), Some(ErrorId::PacSecretInvalid));
}

/// Acceptance scenario 6, and a required difference: a key for SSH hides no token.
#[tokio::test]
async fn the_tenants_secret_that_fits_best_counts() {
    let outside = outside();
    let gitlab = GitLab::start(&outside.authority).unwrap();
    gitlab.edit(|model| {
        model.organization("acme");
        model.member("acme", "robot", Role::Admin).unwrap();
        model.repository("acme/sub/app").unwrap().visibility = Visibility::Private;
    });
    let cluster = Cluster::default();
    let gits = gits(&cluster, &outside, "https://github.com", Clock::system());
    let source = source_of(&format!("{}/acme/sub/app", gitlab.url()), None, Some("gitlab"));
    assert_eq!(id(gits.access(TENANT, &source).await.map(drop)), Some(ErrorId::PacSecretNotFound));
    cluster.credentials("key", "ssh-auth", "localhost", "acme/sub/app", json!({ "ssh-privatekey": "x" }));
    let only_ssh = gits.access(TENANT, &source).await.map(drop);
    assert_eq!(id(only_ssh), Some(ErrorId::GitLabSecretTypeNotSupported));
    let chosen = async |name: &str, host: &str, repositories: &str| {
        let token = gitlab.token("robot", &["api"]);
        let data = json!({ "password": token, "username": name });
        cluster.credentials(name, "basic-auth", host, repositories, data);
        let access = gits.access(TENANT, &source).await.unwrap();
        let Mode::Token(secret) = &access.mode else { panic!("{:?}", access.mode) };
        assert!(access.changes.about(&source.repository).await.unwrap().is_private);
        secret.name.clone()
    };
    assert_eq!(chosen("host", "localhost", "").await, "host");
    assert_eq!(chosen("elsewhere", "other.test", "acme/sub/app").await, "host");
    assert_eq!(chosen("group", "localhost", "acme/*").await, "group");
    assert_eq!(chosen("deeper", "localhost", "/acme/sub/*").await, "deeper");
    assert_eq!(chosen("exact", "localhost", "x/y, /acme/sub/app").await, "exact");
    assert_eq!(chosen("others", "localhost", "acme/sub/apps").await, "exact");
    let run = gits.run_token(TENANT, &source, SignedDuration::from_mins(30)).await.unwrap();
    assert_eq!((run.user.as_deref(), run.app), (Some("exact"), None));
}

#[rstest]
#[case("github", ErrorId::GitHubSecretTypeNotSupported)]
#[case("gitlab", ErrorId::GitLabSecretTypeNotSupported)]
#[case("forgejo", ErrorId::ForgejoSecretTypeNotSupported)]
#[tokio::test]
async fn a_key_for_ssh_is_not_enough(#[case] provider: &str, #[case] expected: ErrorId) {
    let (outside, cluster) = (outside(), Cluster::default());
    let gits = gits(&cluster, &outside, "https://git.test", Clock::system());
    cluster.credentials("key", "ssh-auth", "git.test", "", json!({ "ssh-privatekey": "x" }));
    let source = source_of("https://git.test/acme/app", None, Some(provider));
    assert_eq!(id(gits.access(TENANT, &source).await.map(drop)), Some(expected));
}

/// A simple build needs no App in the repository.
#[tokio::test]
async fn any_installation_reads_what_is_public() {
    let world = world(None);
    world.github.edit(|model| model.repository("free/app").map(drop).unwrap());
    let source = world.source("free/app");
    let reading = async || id(world.gits.reading(TENANT, &source).await.map(drop));
    assert_eq!(reading().await, Some(ErrorId::GitHubAppNotInstalled));
    let suspended = world.github.edit(|model| model.install(APP, "acme", &PERMISSIONS));
    world.github.edit(|model| {
        let now = model.now();
        model.installation_mut(suspended).unwrap().suspended_at = Some(now);
    });
    assert_eq!(reading().await, Some(ErrorId::GitHubAppNotInstalled));
    world.github.edit(|model| model.install(APP, "elsewhere", &PERMISSIONS));
    let access = world.gits.reading(TENANT, &source).await.unwrap();
    assert!(!access.changes.about(&source.repository).await.unwrap().is_private);
    assert_eq!(id(world.gits.access(TENANT, &source).await.map(drop)), Some(ErrorId::GitHubAppNotInstalled));
}

/// Section 9: a token in a tenant's namespace reaches one repository, and not its administration.
#[tokio::test]
async fn the_token_of_a_run_reaches_one_repository() {
    let world = world(Some(&PERMISSIONS));
    let source = world.source("acme/app");
    let least = SignedDuration::from_mins(30);
    let run = world.gits.run_token(TENANT, &source, least).await.unwrap();
    assert_eq!(run.app.unwrap().slug, "konflux");
    let server = fleet::outbound::Url::parse(world.github.url()).unwrap();
    let right = forge::Access { token: Some(&run.token), is_app: true, ..forge::Access::default() };
    let forge = forge::change(Provider::GitHub, &server, right, &world.outside.outbound).unwrap();
    assert!(forge.about(&source.repository).await.is_ok());
    let other = world.source("acme/other").repository;
    assert!(matches!(forge.about(&other).await, Err(forge::Error::NotFound { .. })));
    let hooks = forge.delete_hook(&source.repository, "https://x.test").await;
    assert!(matches!(hooks, Err(forge::Error::Forbidden { .. })), "{hooks:?}");
    // It is kept as long as enough of its time is left.
    let again = async |least| world.gits.run_token(TENANT, &source, least).await.unwrap().token;
    assert_eq!(again(least).await, run.token);
    assert_ne!(again(SignedDuration::from_mins(61)).await, run.token);
}

#[tokio::test]
async fn names_the_branch_that_is_missing() {
    let world = world(Some(&PERMISSIONS));
    let source = world.source("acme/app");
    let access = world.gits.access(TENANT, &source).await.unwrap();
    assert_eq!(access.branch(&source).await.unwrap(), "main");
    let Failure::Permanent { id, detail } = access.head(&source, "gone").await.unwrap_err() else {
        panic!("it is transient");
    };
    assert_eq!(id, ErrorId::GitHubNoResourceToOperateOn);
    assert!(detail.contains("\"gone\"") && detail.contains("localhost/acme/app"), "{detail}");
}
