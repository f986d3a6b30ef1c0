//! GitLab, by a token; the project lies in a subgroup.

use build_service_api::ErrorId;
use fleet::Clock;
use futures::FutureExt as _;
use futures::future::BoxFuture;
use serde_json::json;
use testkit::forge::{Access as Role, GitLab};

use super::fixture::{Fixture, Open, model, repo_of_fake};
use super::{comes_and_goes, keeps_what_users_have_changed, looks};
use crate::git::testing::{Cluster, Outside, gits, outside, source_of};

const REPOSITORY: &str = "acme/platform/app";

struct World {
    forge: GitLab,
    seen: Fixture,
    _outside: Outside,
}

repo_of_fake!(World);

fn world() -> World {
    let outside = outside();
    let forge = GitLab::start(&outside.authority).unwrap();
    forge.edit(|model| {
        model.organization("acme");
        model.member("acme", "robot", Role::Admin).unwrap();
        model::fill(model, REPOSITORY);
    });
    let cluster = Cluster::default();
    let token = forge.token("robot", &["api"]);
    cluster.credentials("token", "basic-auth", "localhost", "", json!({ "password": token }));
    let gits = gits(&cluster, &outside, "https://github.com", Clock::system());
    let source = source_of(&format!("{}/{REPOSITORY}.git", forge.url()), None, Some("gitlab"));
    World { forge, seen: Fixture { gits, source }, _outside: outside }
}

#[tokio::test]
async fn pipelines_come_and_go() {
    let world = world();
    comes_and_goes(&world.seen, &world).await;
}

#[tokio::test]
async fn pipelines_of_users_are_kept() {
    let world = world();
    keeps_what_users_have_changed(&world.seen, &world).await;
}

#[tokio::test]
async fn a_repository_is_looked_at() {
    looks(&world().seen, ErrorId::GitLabBranchDoesNotExist).await;
}
