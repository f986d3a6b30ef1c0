//! GitLab: its own words for the same things, and tokens where others sign.

use k8s_openapi::api::core::v1::Secret;
use kube::api::{Patch, PatchParams, PostParams};
use kube::{Api, ResourceExt as _};
use reqwest::StatusCode;
use serde_json::json;
use testkit::engine::{RunScript, Runs};
use testkit::forge::gitlab::event::{self, Event};
use testkit::forge::{Access, Comment, CommentOn, CommitStatus, Delivery, GitLab, NO_COMMIT, NewPull};
use testkit::{DEADLINE, builders, eventually};

use crate::service::{ON_PULL, ON_PUSH, Service, annotation, definition, label};

/// The project, of a group with the member `jane` and the robot whose token the Repository has.
const PROJECT: &str = "acme/app";

/// What GitLab says with its events.
const TOKEN: &str = "a-token-of-both";

struct Scene {
    service: Service,
    gitlab: GitLab,
}

impl Scene {
    /// A service whose Repository `app` is at GitLab. `knows_token`: whether its Secret has the webhook's token.
    async fn set(knows_token: bool) -> anyhow::Result<Self> {
        let mut service = Service::install().await?;
        let gitlab = GitLab::start(&service.authority)?;
        gitlab.edit(|model| -> anyhow::Result<()> {
            model.organization("acme");
            model.member("acme", "jane", Access::Write)?;
            model.member("acme", "robot", Access::Write)?;
            model.user("mallory");
            model.repository(PROJECT)?;
            Ok(())
        })?;
        service.trust(gitlab.url(), "")?;
        let token = gitlab.token("robot", &["api"]);
        let data = [("provider.token", &*token), ("webhook.secret", TOKEN)];
        let secret = builders::secret(&service.tenant, "gitlab", data);
        service.api::<Secret>().create(&PostParams::default(), &secret).await?;
        let mut provider = json!({"type": "gitlab", "url": gitlab.url(), "secret": {"name": "gitlab"}});
        if knows_token {
            provider["webhook_secret"] = json!({"name": "gitlab"});
        }
        let url = format!("{}/{PROJECT}", gitlab.url());
        service.repository("app", &json!({"url": url, "git_provider": provider})).await?;
        service.run().await?;
        Ok(Self { service, gitlab })
    }

    /// Jane pushes files: the commit, and the event.
    fn push(&self, branch: &str, files: &[(&str, &str)]) -> anyhow::Result<(String, Event)> {
        self.gitlab.edit(|model| {
            let before = model.repo(PROJECT)?.head(branch).map_or(NO_COMMIT.to_owned(), str::to_owned);
            let files: Vec<(&str, Option<&[u8]>)> =
                files.iter().map(|(path, content)| (*path, Some(content.as_bytes()))).collect();
            let after = model.commit(PROJECT, branch, "Change it", &files)?;
            let reference = format!("refs/heads/{branch}");
            let event = event::push(model, PROJECT, &reference, &before, &after, "jane")?;
            Ok((after, event))
        })
    }

    /// Somebody writes a note on a merge request: the event.
    fn note(&self, author: &str, number: u64, text: &str) -> anyhow::Result<Event> {
        self.gitlab.edit(|model| {
            let id = model.comment(PROJECT, CommentOn::Pull(number), author, text)?;
            event::note(model, PROJECT, id)
        })
    }

    async fn send(&self, delivery: Delivery) -> anyhow::Result<StatusCode> {
        Ok(delivery.send(&self.service.http, &self.service.listener()).await?.status())
    }

    async fn deliver(&self, event: &Event) -> anyhow::Result<()> {
        assert_eq!(self.send(event.with_token(TOKEN)).await?, StatusCode::ACCEPTED, "{}", event.kind);
        Ok(())
    }

    fn statuses(&self, commit: &str) -> Vec<CommitStatus> {
        self.gitlab.edit(|model| {
            let all = model.repositories.iter().flat_map(|project| &project.statuses);
            all.filter(|status| status.sha == commit).cloned().collect()
        })
    }

    async fn status(&self, commit: &str, name: &str, state: &str) -> anyhow::Result<()> {
        eventually(DEADLINE, &format!("the status {name} {state}"), async || {
            let statuses = self.statuses(commit);
            let is_there = statuses.iter().any(|status| status.context == name && status.state == state);
            anyhow::ensure!(is_there, "there are {statuses:?}");
            Ok(())
        })
        .await
    }

    /// Waits for a note of the service with this text.
    async fn noted(&self, number: u64, text: &str) -> anyhow::Result<Comment> {
        eventually(DEADLINE, &format!("a note with {text:?}"), async || {
            let notes: Vec<Comment> = self.gitlab.edit(|model| {
                let project = model.repo(PROJECT)?;
                let on = CommentOn::Pull(number);
                let of_robot = project.comments_on(&on).filter(|note| note.author == "robot");
                anyhow::Ok(of_robot.cloned().collect())
            })?;
            let found = notes.iter().find(|note| note.body.contains(text)).cloned();
            found.ok_or_else(|| anyhow::anyhow!("there are {notes:?}"))
        })
        .await
    }
}

#[tokio::test]
async fn a_push_starts_a_run_whose_end_is_the_commits_status() -> anyhow::Result<()> {
    let scene = Scene::set(true).await?;
    let service = &scene.service;
    let (commit, event) = scene.push("main", &[(".tekton/push.yaml", &definition("on-push", &ON_PUSH))])?;
    scene.deliver(&event).await?;
    let run = service.has_runs(1).await?.remove(0);
    let labels = ["event-type", "url-org", "url-repository", "sha"].map(|key| label(&run, key));
    assert_eq!(labels, ["Push", "acme", "app", &*commit]);
    let project = scene.gitlab.edit(|model| anyhow::Ok(model.repo(PROJECT)?.id))?.to_string();
    let annotations = ["git-provider", "sender", "source-project-id"].map(|key| annotation(&run, key));
    assert_eq!(annotations, ["gitlab", "jane", &*project]);
    scene.status(&commit, "Konflux / on-push", "success").await?;
    service.until(&run.name_any(), "the end", |run| label(run, "state") == "completed").await?;

    // GitLab tries again under the same name, and a tag is no branch.
    scene.deliver(&event).await?;
    let tag = scene.gitlab.edit(|model| {
        model.set_ref(PROJECT, "refs/tags/v1", &commit)?;
        event::push(model, PROJECT, "refs/tags/v1", NO_COMMIT, &commit, "jane")
    })?;
    scene.deliver(&tag).await?;
    service.told("RepositoryNoMatch").await?;
    assert_eq!(service.runs().await?.len(), 1);
    Ok(())
}

#[tokio::test]
async fn who_does_not_know_the_token_reaches_nobody() -> anyhow::Result<()> {
    let scene = Scene::set(true).await?;
    let (_, event) = scene.push("main", &[(".tekton/push.yaml", &definition("never", &ON_PUSH))])?;
    scene.gitlab.traffic().forget();
    let deliveries = [
        ("another", event.with_token("another-token")),
        ("a part", event.with_token(&TOKEN[1..])),
        ("nothing", event.with_token("")),
        ("no", event.without_token()),
    ];
    for (said, delivery) in deliveries {
        assert_eq!(scene.send(delivery).await?, StatusCode::UNAUTHORIZED, "{said} token");
    }
    let note = scene.service.told("RepositorySecretValidation").await?;
    anyhow::ensure!(note.contains("x-gitlab-token"), "{note}");
    assert_eq!(scene.service.runs().await?.len(), 0);
    assert_eq!(scene.gitlab.traffic().count("*"), 0, "{}", scene.gitlab.traffic());
    Ok(())
}

#[tokio::test]
async fn one_token_of_the_whole_forge_is_as_good() -> anyhow::Result<()> {
    let scene = Scene::set(false).await?;
    let (commit, event) = scene.push("main", &[(".tekton/push.yaml", &definition("on-push", &ON_PUSH))])?;
    // Neither is there any, nor is that of the Repository's Secret meant: it is not named.
    assert_eq!(scene.send(event.of_system().with_token(TOKEN)).await?, StatusCode::UNAUTHORIZED);

    let namespace = scene.service.installed.namespace();
    let secrets: Api<Secret> = Api::namespaced(scene.service.admin(), namespace);
    let body = json!({"stringData": {"gitlab.webhook.secret": "of-the-forge"}});
    secrets.patch("pipelines-as-code-secret", &PatchParams::default(), &Patch::Merge(&body)).await?;
    // Secrets are remembered for a moment.
    eventually(DEADLINE, "the token to be known", async || {
        let status = scene.send(event.of_system().with_token("of-the-forge")).await?;
        anyhow::ensure!(status == StatusCode::ACCEPTED, "it answers {status}");
        Ok(())
    })
    .await?;
    scene.service.has_runs(1).await?;
    scene.status(&commit, "Konflux / on-push", "success").await
}

#[tokio::test]
async fn s04_a_strangers_merge_request_waits_for_a_members_word() -> anyhow::Result<()> {
    let scene = Scene::set(true).await?;
    let service = &scene.service;
    scene.push("main", &[(".tekton/pull.yaml", &definition("on-pull", &ON_PULL))])?;
    let (number, commit, opened) = scene.gitlab.edit(|model| -> anyhow::Result<_> {
        model.fork(PROJECT, "mallory")?;
        let commit = model.commit("mallory/app", "gift", "A gift", &[("gift.md", Some(b"for you"))])?;
        let (from, head, base) = ("mallory/app", "gift", "main");
        let new = NewPull { title: "A gift", body: "", author: "mallory", from, head, base, draft: false };
        let number = model.open_pull(PROJECT, new)?;
        Ok((number, commit, event::merge_request(model, PROJECT, number, "open", None, "mallory")?))
    })?;
    scene.deliver(&opened).await?;
    service.told("RepositoryPermissionDenied").await?;
    // A fork's commits have their statuses in the fork, where the robot may not set any: a note tells.
    scene.noted(number, "Pending approval").await?;
    assert_eq!(scene.statuses(&commit).len(), 0);
    for text in ["/ok-to-test", "/retest", "/test on-pull"] {
        scene.deliver(&scene.note("mallory", number, text)?).await?;
    }
    // What nobody runs for.
    let update =
        scene.gitlab.edit(|model| event::merge_request(model, PROJECT, number, "update", None, "jane"))?;
    assert_eq!(scene.send(update.with_token(TOKEN)).await?, StatusCode::OK);

    scene.gitlab.edit(|model| -> anyhow::Result<()> {
        model.repo_mut("mallory/app")?.collaborator("robot", Access::Write);
        Ok(())
    })?;
    scene.deliver(&scene.note("jane", number, "/ok-to-test")?).await?;
    let run = service.has_runs(1).await?.remove(0);
    assert_eq!(
        (label(&run, "event-type"), label(&run, "pull-request")),
        ("ok-to-test-comment", &*number.to_string())
    );
    scene.status(&commit, "Konflux / on-pull", "success").await?;
    let note = scene.noted(number, "has successfully validated your commit").await?;
    anyhow::ensure!(note.body.contains(&run.name_any()), "{}", note.body);

    service.engine.play(Runs::any(), RunScript::fails("Failed", "no disk left"));
    scene.deliver(&scene.note("jane", number, "/retest")?).await?;
    let again = service.has_runs(2).await?.into_iter().find(|other| other.name_any() != run.name_any());
    assert_eq!(again.as_ref().map(|run| label(run, "event-type")), Some("retest-all-comment"));
    scene.status(&commit, "Konflux / on-pull", "failed").await?;
    scene.noted(number, "no disk left").await?;

    // A push to it is another commit, which nobody approved.
    let later = scene.gitlab.edit(|model| -> anyhow::Result<_> {
        model.commit("mallory/app", "gift", "Another", &[("gift.md", Some(b"mine"))])?;
        event::merge_request(model, PROJECT, number, "update", Some(&commit), "mallory")
    })?;
    let head =
        later.payload["object_attributes"]["last_commit"]["id"].as_str().unwrap_or_default().to_owned();
    scene.deliver(&later).await?;
    scene.status(&head, "Konflux", "running").await?;
    assert_eq!(service.runs().await?.len(), 2);
    scene.deliver(&scene.note("jane", number, "/ok-to-test")?).await?;
    service.has_runs(3).await?;
    scene.status(&head, "Konflux", "success").await
}
