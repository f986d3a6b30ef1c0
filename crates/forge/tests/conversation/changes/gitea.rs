//! A real Gitea.

use forge::{Changes, Error, Opened, Provider};
use testkit::gitea::{Client, Gitea, Hook, NewUser, Role};

use super::{TARGET, all, commit, hook, opened, request, write};
use crate::gitea::push;
use crate::scene::MAIN;
use crate::world::{fails, repository, world_trusting};

const PASSWORD: &str = "a password";
const SCOPES: [&str; 2] = ["write:repository", "write:issue"];

struct Fixture {
    administrator: Client,
    forge: Box<dyn Changes>,
    /// `<test>/app`
    app: String,
}

/// `test` is a name of its own, and that of the user who may do everything.
async fn fixture(test: &'static str, scopes: &[&str]) -> Fixture {
    let gitea = Gitea::shared().await;
    let administrator = gitea.client().unwrap();
    let organization = format!("{test}-org");
    let app = format!("{organization}/app");
    let user = NewUser { name: test, password: PASSWORD, is_administrator: false };
    administrator.ensure_user(&user).await.unwrap();
    administrator.ensure_organization(&organization).await.unwrap();
    administrator.ensure_member(&organization, "Owners", Role::Admin, test).await.unwrap();
    administrator.ensure_repository(&app, true).await.unwrap();
    push(&administrator, &app, "main", "Begin", &MAIN).await;
    let token = administrator.new_token(test, test, scopes).await.unwrap();
    let world = world_trusting(gitea.certificate_authority());
    let forge = world.change(Provider::Gitea, gitea.url(), &token);
    Fixture { administrator, forge, app }
}

#[tokio::test]
async fn changes() {
    let world = fixture("changes", &SCOPES).await;
    all(&*world.forge, &repository(&world.app)).await;
}

/// Acceptance scenario 10: a branch that was merged is in the way of the next request.
#[tokio::test]
async fn a_merged_branch_has_nothing_to_propose() {
    let world = fixture("merged", &SCOPES).await;
    let (forge, repository) = (&world.forge, repository(&world.app));
    let main = forge.branch_head(&repository, "main").await.unwrap().unwrap();
    forge.push(&repository, &commit("x", &main, vec![write("a", b"a")])).await.unwrap();
    let open = opened(forge.open_request(&repository, &request("x", &[])).await.unwrap()).unwrap();
    world.administrator.merge(&world.app, open.number).await.unwrap();
    assert_eq!(forge.open_request(&repository, &request("x", &[])).await.unwrap(), Opened::NoDifference);
    fails!(forge.open_request(&repository, &request("none", &[])).await, Error::NotFound { .. });
}

#[tokio::test]
async fn a_webhook_with_another_secret_is_replaced_with_its_other_events() {
    let world = fixture("hooks", &SCOPES).await;
    let (forge, repository) = (&world.forge, repository(&world.app));
    let others = [
        Hook { url: "https://other.test", secret: "x", events: &["push"] },
        Hook { url: TARGET, secret: "x", events: &["release"] },
    ];
    for other in &others {
        world.administrator.ensure_hook_of(&world.app, other).await.unwrap();
    }
    let hooks = async || {
        let mut hooks = world.administrator.hooks_of(&world.app).await.unwrap();
        hooks.sort_unstable();
        hooks
    };
    assert!(forge.ensure_hook(&repository, &hook("one")).await.unwrap());
    assert_eq!(hooks().await, [TARGET, "https://other.test"]);
    assert!(!forge.ensure_hook(&repository, &hook("one")).await.unwrap());
    assert!(forge.ensure_hook(&repository, &hook("two")).await.unwrap(), "the secret is another");
    assert_eq!(hooks().await, [TARGET, "https://other.test"]);
    let events = world.administrator.hook_events(&world.app, TARGET).await.unwrap();
    for event in ["push", "pull_request", "issue_comment", "release"] {
        assert!(events.iter().any(|known| known == event), "{event} of {events:?}");
    }
    assert!(forge.delete_hook(&repository, TARGET).await.unwrap());
    assert_eq!(hooks().await, ["https://other.test"]);
}

#[tokio::test]
async fn a_token_may_be_for_less() {
    let world = fixture("less", &["read:repository"]).await;
    let (forge, repository) = (&world.forge, repository(&world.app));
    let main = forge.branch_head(&repository, "main").await.unwrap().unwrap();
    let new = commit("x", &main, vec![write("a", b"a")]);
    let text = fails!(forge.push(&repository, &new).await, Error::Forbidden { .. });
    assert!(text.contains("scope"), "{text}");
    let wrong = world_trusting(Gitea::shared().await.certificate_authority());
    let wrong = wrong.change(
        Provider::Gitea,
        Gitea::shared().await.url(),
        "0123456789012345678901234567890123456789",
    );
    fails!(wrong.about(&repository).await, Error::Unauthorized { .. });
}
