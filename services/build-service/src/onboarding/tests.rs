//! Requests and webhooks at fakes of GitHub and GitLab, and at a real Gitea.

mod fixture;
mod gitea;
mod github;
mod gitlab;
mod webhooks;

use build_service_api::ErrorId;

use self::fixture::{Fixture, Repo};
use super::{Looked, Proposal, file_exists, look, propose, withdraw};
use crate::failure::Failure;

const COMPONENT: &str = "app";
const PUSH: &str = ".tekton/app-push.yaml";
const PULL: &str = ".tekton/app-pull-request.yaml";

fn files(text: &str) -> Vec<(String, String)> {
    [PUSH, PULL].iter().map(|path| ((*path).to_owned(), format!("# {path}\n{text}\n"))).collect()
}

fn paths() -> Vec<String> {
    vec![PUSH.to_owned(), PULL.to_owned()]
}

impl Fixture {
    async fn propose(&self, text: &str) -> Result<Option<Proposal>, Failure> {
        propose(&self.access().await, &self.source, "main", &files(text), COMPONENT).await
    }

    async fn proposed(&self, text: &str) -> Proposal {
        self.propose(text).await.unwrap().unwrap()
    }

    async fn withdraw(&self) -> Option<String> {
        withdraw(&self.access().await, &self.source, "main", &paths(), COMPONENT).await.unwrap()
    }
}

/// Acceptance scenarios 3, 10 and 11, at a repository that has `.tekton/other.yaml` alone.
async fn comes_and_goes(world: &Fixture, repo: &dyn Repo) {
    // It is proposed once.
    let first = world.proposed("one").await;
    assert_eq!(first.replaced, Vec::<String>::new());
    assert_eq!(world.proposed("one").await, first);
    let open = repo.open().await;
    let [request] = &open[..] else { panic!("{open:?}") };
    assert_eq!((request.head.as_str(), request.base.as_str()), ("appstudio-app", "main"));
    assert_eq!(request.title, world.title("update app").await);
    assert!(
        request.body.contains("/ok-to-test") && !request.body.contains("other content"),
        "{}",
        request.body
    );
    // Others belong to the same request.
    assert_eq!(world.proposed("two").await.url, first.url);
    assert_eq!(repo.open().await.len(), 1);
    assert_eq!(repo.text("appstudio-app", PUSH).await.unwrap(), files("two")[0].1);
    assert_eq!(repo.text("main", PUSH).await, None);

    // What is merged is not proposed.
    repo.merge(request.number).await;
    assert_eq!(world.propose("two").await.unwrap(), None);
    assert!(repo.open().await.is_empty());
    // The branch that was merged is not in the way of the next request.
    let second = world.proposed("three").await;
    assert_ne!(second.url, first.url);
    assert_eq!(second.replaced, paths());
    let request = repo.open().await.remove(0);
    assert!(request.body.contains(&format!("- `{PUSH}`")), "{}", request.body);

    // Closing it deletes nothing, since it was not merged.
    assert_eq!(world.withdraw().await, None);
    assert!(repo.open().await.is_empty());
    assert_eq!(repo.text("appstudio-app", PUSH).await, None);
    assert!(repo.text("main", PUSH).await.is_some());

    // What was merged is deleted by another request.
    let purge = world.withdraw().await.unwrap();
    let open = repo.open().await;
    let [request] = &open[..] else { panic!("{open:?}") };
    assert_eq!(request.head, "appstudio-purge-app");
    assert_eq!(request.title, world.title("purge app").await);
    assert_eq!(world.withdraw().await, Some(purge));
    assert_eq!(repo.open().await.len(), 1);
    assert_eq!(repo.text("appstudio-purge-app", PUSH).await, None);
    assert!(repo.text("appstudio-purge-app", ".tekton/other.yaml").await.is_some());
    repo.merge(request.number).await;
    assert_eq!(world.withdraw().await, None);
    assert!(repo.open().await.is_empty());

    // And it may come again, and go again, though the branch of the first time may be there still.
    let third = world.proposed("three").await;
    repo.merge(repo.open().await[0].number).await;
    assert_eq!(world.propose("three").await.unwrap(), None);
    assert!(world.withdraw().await.is_some());
    assert_eq!(repo.open().await.len(), 1);
    assert!(!third.url.is_empty());
}

/// A user has changed one of the files.
async fn keeps_what_users_have_changed(world: &Fixture, repo: &dyn Repo) {
    repo.write("main", PULL, Some("# mine\n")).await;
    let proposal = world.proposed("one").await;
    assert_eq!(proposal.replaced, [PULL]);
    assert_eq!(repo.text("main", PULL).await.unwrap(), "# mine\n", "nothing is changed without a merge");
    let request = repo.open().await.remove(0);
    assert!(request.body.contains(&format!("- `{PULL}`")) && !request.body.contains(&format!("- `{PUSH}`")));
    // Only what is there is deleted.
    repo.delete_branch("appstudio-app").await;
    world.withdraw().await.unwrap();
    assert!(repo.text("appstudio-purge-app", PULL).await.is_none());
}

/// What is there is looked at.
async fn looks(world: &Fixture, missing: ErrorId) {
    let (access, source) = (&world.access().await, &world.source);
    let head = access.head(source, "main").await.unwrap().to_string();
    let seen = look(access, source).await.unwrap();
    assert_eq!(seen, Looked { is_private: true, commit: Some(head) });
    let named = |revision: &str| {
        let mut named = source.clone();
        named.revision = Some(revision.to_owned());
        named
    };
    assert_eq!(look(access, &named("0123abc")).await.unwrap().commit.as_deref(), Some("0123abc"));
    assert_eq!(look(access, &named("gone")).await.unwrap().commit, None);
    assert!(file_exists(access, source, "main", ".tekton/other.yaml").await.unwrap());
    assert!(!file_exists(access, source, "main", "Dockerfile").await.unwrap());
    for failure in [
        file_exists(access, source, "gone", "Dockerfile").await.map(drop),
        propose(access, source, "gone", &files("x"), COMPONENT).await.map(drop),
    ] {
        let Err(Failure::Permanent { id, detail }) = failure else { panic!("{failure:?}") };
        assert!(id == missing && detail.contains("\"gone\""), "{id:?}: {detail}");
    }
    // Nothing can be taken back from a branch that is no more.
    assert_eq!(withdraw(access, source, "gone", &paths(), COMPONENT).await.unwrap(), None);
}
