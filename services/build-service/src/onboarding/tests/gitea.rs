//! A real Gitea, by a token.

use build_service_api::ErrorId;
use fleet::Clock;
use futures::FutureExt as _;
use futures::future::BoxFuture;
use serde_json::json;
use testkit::gitea::{Client, Gitea, NewUser, Push, Role};

use super::fixture::{Fixture, Open, Repo};
use super::{comes_and_goes, keeps_what_users_have_changed, looks};
use crate::git::testing::{Cluster, Outside, gits, outside, source_of};

const PASSWORD: &str = "a password";

struct World {
    administrator: Client,
    repository: String,
    seen: Fixture,
    _outside: Outside,
}

impl Repo for World {
    fn open(&self) -> BoxFuture<'_, Vec<Open>> {
        async {
            let open = self.administrator.pulls(&self.repository).await.unwrap();
            let open = open.into_iter().map(|pull| Open {
                number: pull.number,
                title: pull.title,
                body: pull.body,
                head: pull.head,
                base: pull.base,
            });
            open.collect()
        }
        .boxed()
    }

    fn merge(&self, number: u64) -> BoxFuture<'_, ()> {
        async move { self.administrator.merge(&self.repository, number).await.unwrap() }.boxed()
    }

    fn text<'a>(&'a self, branch: &'a str, path: &'a str) -> BoxFuture<'a, Option<String>> {
        async move {
            // Of a branch that is not there Gitea shows the default branch.
            let head = self.administrator.commit(&self.repository, branch).await.unwrap()?;
            let content = self.administrator.file(&self.repository, &head, path).await.ok()?;
            Some(String::from_utf8(content).unwrap())
        }
        .boxed()
    }

    fn write<'a>(&'a self, branch: &'a str, path: &'a str, text: Option<&'a str>) -> BoxFuture<'a, ()> {
        async move {
            let base = self.seen.access().await.head(&self.seen.source, branch).await.unwrap();
            let content = text.map(|text| text.as_bytes().to_vec());
            let change = forge::FileChange { path: path.to_owned(), content, executable: false };
            let commit = forge::NewCommit {
                branch: branch.to_owned(),
                base,
                changes: vec![change],
                message: "Change".to_owned(),
                author: None,
            };
            self.seen.access().await.changes.push(&self.seen.source.repository, &commit).await.unwrap();
        }
        .boxed()
    }

    fn delete_branch<'a>(&'a self, branch: &'a str) -> BoxFuture<'a, ()> {
        async move {
            let gone =
                self.seen.access().await.changes.delete_branch(&self.seen.source.repository, branch).await;
            assert!(gone.unwrap());
        }
        .boxed()
    }
}

/// `test` is a name of its own.
async fn world(test: &str) -> World {
    let gitea = Gitea::shared().await;
    let administrator = gitea.client().unwrap();
    let (user, repository) = (format!("{test}-robot"), format!("{test}/app"));
    let new = NewUser { name: &user, password: PASSWORD, is_administrator: false };
    administrator.ensure_user(&new).await.unwrap();
    administrator.ensure_organization(test).await.unwrap();
    administrator.ensure_member(test, "Owners", Role::Admin, &user).await.unwrap();
    administrator.ensure_repository(&repository, true).await.unwrap();
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir(folder.path().join(".tekton")).unwrap();
    std::fs::write(folder.path().join(".tekton/other.yaml"), "kind: Task\n").unwrap();
    let push = Push { repository: &repository, branch: "main", folder: folder.path(), message: "Begin" };
    administrator.push(&push).await.unwrap();
    let token = administrator.new_token(&user, test, &["write:repository"]).await.unwrap();

    let outside = outside();
    outside.outbound.trust_further(gitea.certificate_authority()).unwrap();
    let cluster = Cluster::default();
    cluster.credentials("token", "basic-auth", "localhost", "", json!({ "password": token }));
    let gits = gits(&cluster, &outside, "https://github.com", Clock::system());
    let url = format!("{}/{repository}", gitea.url().trim_end_matches('/'));
    let source = source_of(&url, None, Some("gitea"));
    World { administrator, repository, seen: Fixture { gits, source }, _outside: outside }
}

#[tokio::test]
async fn pipelines_come_and_go() {
    let world = world("comes").await;
    comes_and_goes(&world.seen, &world).await;
}

#[tokio::test]
async fn pipelines_of_users_are_kept() {
    let world = world("kept").await;
    keeps_what_users_have_changed(&world.seen, &world).await;
}

#[tokio::test]
async fn a_repository_is_looked_at() {
    looks(&world("looked").await.seen, ErrorId::ForgejoBranchDoesNotExist).await;
}
