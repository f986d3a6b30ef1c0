//! Gitea itself: its webhooks, as it sends them, and its statuses, as it shows them.

use std::fs;

use k8s_openapi::api::core::v1::Secret;
use kube::api::{Patch, PatchParams, PostParams};
use kube::{Api, ResourceExt as _};
use serde_json::json;
use testkit::gitea::{Client, CommitStatus, EVENTS, Gitea, Hook, NewPull, NewUser, Push};
use testkit::{DEADLINE, builders, eventually};

use crate::service::{ON_PULL, ON_PUSH, Service, annotation, definition, label};

/// What Gitea signs its events with.
const SECRET: &str = "a-secret-of-both";

/// A service whose Repository `app` is one at Gitea that a user owns.
struct Scene {
    service: Service,
    forge: Client,
    /// Its owner's client.
    owner: Client,
    /// `owner/app`
    name: String,
}

impl Scene {
    /// `knows_secret`: whether the Repository names the Secret with that of the webhook.
    async fn set(owner: &str, knows_secret: bool) -> anyhow::Result<Self> {
        let gitea = Gitea::shared().await;
        let forge = gitea.client()?;
        let (client, name) = (user(&forge, owner).await?, format!("{owner}/app"));
        forge.ensure_repository(&name, false).await?;

        let mut service = Service::install().await?;
        service.trust(gitea.url(), gitea.certificate_authority())?;
        let scopes = ["write:repository", "write:issue", "read:organization", "read:user"];
        let token = forge.new_token(owner, "konflux", &scopes).await?;
        let data = [("provider.token", &*token), ("webhook.secret", SECRET)];
        let secret = builders::secret(&service.tenant, "gitea", data);
        service.api::<Secret>().create(&PostParams::default(), &secret).await?;
        let mut provider = json!({"type": "gitea", "url": gitea.url(), "secret": {"name": "gitea"}});
        if knows_secret {
            provider["webhook_secret"] = json!({"name": "gitea"});
        }
        let url = format!("{}{name}", gitea.url());
        service.repository("app", &json!({"url": url, "git_provider": provider})).await?;
        service.run().await?;
        Ok(Self { service, forge, owner: client, name })
    }

    /// Has Gitea send its events to the service, signed so.
    async fn hook(&self, secret: &str) -> anyhow::Result<()> {
        let url = self.service.listener();
        self.forge.ensure_hook_of(&self.name, &Hook { url: &url, secret, events: &EVENTS }).await?;
        Ok(())
    }

    /// The owner pushes what a branch is to hold beside its definitions; returns the commit.
    async fn push(&self, branch: &str, readme: &str) -> anyhow::Result<String> {
        push(&self.owner, &self.name, branch, readme).await
    }

    /// Waits for a status of a commit.
    async fn status(&self, commit: &str, context: &str, state: &str) -> anyhow::Result<CommitStatus> {
        eventually(DEADLINE, &format!("the status {context} {state}"), async || {
            let statuses = self.forge.statuses(&self.name, commit).await?;
            let found = statuses.iter().find(|status| status.context == context && status.state == state);
            found.cloned().ok_or_else(|| anyhow::anyhow!("there are {statuses:?}"))
        })
        .await
    }

    /// Waits for a comment on a pull request.
    async fn commented(&self, pull: u64, text: &str) -> anyhow::Result<()> {
        eventually(DEADLINE, &format!("a comment with {text:?}"), async || {
            let comments = self.forge.comments(&self.name, pull).await?;
            anyhow::ensure!(comments.iter().any(|comment| comment.contains(text)), "there are {comments:?}");
            Ok(())
        })
        .await
    }
}

async fn user(forge: &Client, name: &str) -> anyhow::Result<Client> {
    forge.ensure_user(&NewUser { name, password: "a password", is_administrator: false }).await?;
    Ok(forge.with_password(name, "a password"))
}

async fn push(client: &Client, repository: &str, branch: &str, readme: &str) -> anyhow::Result<String> {
    let folder = tempfile::tempdir()?;
    let tekton = folder.path().join(".tekton");
    fs::create_dir(&tekton)?;
    fs::write(tekton.join("push.yaml"), definition("on-push", &ON_PUSH))?;
    fs::write(tekton.join("pull.yaml"), definition("on-pull", &ON_PULL))?;
    fs::write(folder.path().join("README.md"), readme)?;
    let push = Push { repository, branch, folder: folder.path(), message: "Change it" };
    Ok(client.push(&push).await?.commit().to_owned())
}

#[tokio::test]
async fn a_push_a_pull_request_and_a_comment_start_runs() -> anyhow::Result<()> {
    let scene = Scene::set("olive", true).await?;
    let service = &scene.service;
    scene.hook(SECRET).await?;
    let commit = scene.push("main", "one").await?;
    let run = service.has_runs(1).await?.remove(0);
    let labels = ["event-type", "url-org", "url-repository", "sha"].map(|key| label(&run, key));
    assert_eq!(labels, ["push", "olive", "app", &*commit]);
    assert_eq!(annotation(&run, "git-provider"), "gitea");
    scene.status(&commit, "Konflux / on-push", "success").await?;
    service.until(&run.name_any(), "the end", |run| label(run, "state") == "completed").await?;

    let head = scene.push("fix", "two").await?;
    let pull = NewPull { title: "Mend it", head: "fix", base: "main" };
    let number = scene.owner.ensure_pull(&scene.name, &pull).await?;
    scene.status(&head, "Konflux / on-pull", "success").await?;
    scene.commented(number, "has successfully validated your commit").await?;
    let runs = service.has_runs(2).await?;
    let of_pull = runs.iter().filter(|run| label(run, "pull-request") == number.to_string());
    let of_pull: Vec<_> =
        of_pull.map(|run| (label(run, "original-prname"), label(run, "event-type"))).collect();
    assert_eq!(of_pull, [("on-pull", "pull_request")]);

    let stranger = user(&scene.forge, "sally").await?;
    stranger.comment(&scene.name, number, "/test on-push").await?;
    service.told("RepositoryPermissionDenied").await?;
    scene.owner.comment(&scene.name, number, "/test on-push").await?;
    let runs = service.has_runs(3).await?;
    let tested = runs.iter().filter(|run| label(run, "event-type") == "test-comment");
    assert_eq!(tested.map(|run| label(run, "original-prname")).collect::<Vec<_>>(), ["on-push"]);
    scene.status(&head, "Konflux / on-push", "success").await?;
    Ok(())
}

#[tokio::test]
async fn s04_a_strangers_pull_request_waits_for_the_owners_word() -> anyhow::Result<()> {
    let scene = Scene::set("oscar", true).await?;
    scene.push("main", "one").await?;
    let stranger = user(&scene.forge, "stella").await?;
    let fork = stranger.ensure_fork(&scene.name).await?;
    scene.hook(SECRET).await?;
    let head = push(&stranger, &fork, "gift", "for you").await?;
    let pull = NewPull { title: "A gift", head: "stella:gift", base: "main" };
    let number = stranger.ensure_pull(&scene.name, &pull).await?;
    let waits = scene.status(&head, "Konflux", "pending").await?;
    anyhow::ensure!(waits.description.contains("approval"), "{waits:?}");
    scene.commented(number, "Pending approval").await?;
    stranger.comment(&scene.name, number, "/ok-to-test").await?;
    scene.owner.comment(&scene.name, number, "/ok-to-test").await?;
    scene.status(&head, "Konflux / on-pull", "success").await?;
    let runs = scene.service.has_runs(1).await?;
    assert_eq!(label(&runs[0], "event-type"), "ok-to-test-comment");
    Ok(())
}

#[tokio::test]
async fn a_webhook_of_the_whole_forge_is_proven_by_the_services_own_secret() -> anyhow::Result<()> {
    let scene = Scene::set("opal", false).await?;
    let namespace = scene.service.installed.namespace();
    let secrets: Api<Secret> = Api::namespaced(scene.service.admin(), namespace);
    let body = json!({"stringData": {"gitea.webhook.secret": "of-the-forge"}});
    secrets.patch("pipelines-as-code-secret", &PatchParams::default(), &Patch::Merge(&body)).await?;
    // As the Repository's Secret has it, but nothing names that.
    scene.hook(SECRET).await?;
    scene.push("main", "one").await?;
    let note = scene.service.told("RepositorySecretValidation").await?;
    anyhow::ensure!(note.contains("gitea.webhook.secret"), "{note}");

    scene.hook("of-the-forge").await?;
    let commit = scene.push("main", "two").await?;
    scene.status(&commit, "Konflux / on-push", "success").await?;
    assert_eq!(scene.service.runs().await?.len(), 1);
    Ok(())
}
