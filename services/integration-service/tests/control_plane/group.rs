//! Pull requests of branches of one name in several repositories (annex, L12), at a forge that is played.

use application_service_api::Snapshot;
use fleet::Clock;
use integration_service_api::{annotations, labels};
use jiff::SignedDuration;
use k8s_openapi::api::core::v1::Secret;
use kube::ResourceExt as _;
use pipelines_as_code_api::Repository;
use pipelines_engine_api::PipelineRun;
use release_service_api::Release;
use serde_json::{Value, json};
use testkit::builders::{self, Build as _};
use testkit::forge::{Access, Fault, GitHub, NewPull};
use testkit::{DEADLINE, eventually};

use crate::service::{
    Service, annotation, as_pairs, component_with_image, ended_at, image, label, plan, pull_request_run,
    reason, results, scenario_with,
};

const KEYS: &str = "pipelinesascode.tekton.dev";
const PULL: &str = "GET /repos/{owner}/{repo}/pulls/{number}";

/// Pull requests of a branch `fix` of the repositories of two Components, and a third one without.
struct World {
    service: Service,
    github: GitHub,
}

impl World {
    async fn start() -> anyhow::Result<Self> {
        let mut service = Service::install().await?;
        let github = GitHub::start(&service.authority)?;
        service.allow(github.url());
        service.run().await?;
        github.edit(|model| {
            for repository in ["acme/web", "acme/api"] {
                model.repository(repository)?;
            }
            model.member("acme", "robot", Access::Admin)?;
            anyhow::Ok(())
        })?;
        let token = github.token("robot", &["repo"]);
        service.create::<Secret>(&builders::secret(&service.tenant, "token", [("token", &*token)])).await?;
        for (number, name) in (90..).zip(["web", "api", "db"]) {
            service.create(&component_with_image(name, number)).await?;
            let provider =
                json!({"type": "github", "url": github.url(), "secret": {"name": "token", "key": "token"}});
            let repository = json!({
                "apiVersion": "pipelinesascode.tekton.dev/v1alpha1", "kind": "Repository", "metadata": {"name": name},
                "spec": {"url": format!("{}/acme/{name}", github.url()), "git_provider": provider},
            });
            service.create::<Repository>(&serde_json::from_value(repository)?).await?;
        }
        service.create(&plan("plan", "true")).await?;
        service.create(&scenario_with("together", &json!({"contexts": [{"name": "group"}]}))).await?;
        Ok(Self { service, github })
    }

    /// Opens a pull request, and has its build run.
    async fn open(&self, name: &str) -> anyhow::Result<()> {
        let full_name = format!("acme/{name}");
        let (sha, number) = self.github.edit(|model| {
            let sha = model.commit(&full_name, "fix", "Fix it", &[("a", Some(b"b"))])?;
            let (from, author) = (full_name.as_str(), "alice");
            let new =
                NewPull { title: "Fix it", body: "", author, from, head: "fix", base: "main", draft: false };
            anyhow::Ok((sha, model.open_pull(&full_name, new)?))
        })?;
        let run = pull_request_run(name, name, number)
            .label(format!("{KEYS}/sha"), sha)
            .annotation(format!("{KEYS}/repo-url"), format!("{}/{full_name}", self.github.url()))
            .annotation(format!("{KEYS}/source-branch"), "fix");
        self.service.create(&run).await?;
        Ok(())
    }

    /// Lets the build end well.
    async fn finish(&self, name: &str, number: u64) -> anyhow::Result<String> {
        // Before it was made: the group's Snapshot is later than all of its builds.
        let began = (Clock::system().now() - SignedDuration::from_mins(1)).to_string();
        let results = results(name, number);
        let status = ended_at(&began, "True", "Succeeded", &as_pairs(&results));
        self.service.patch_status::<PipelineRun>(name, &status).await?;
        self.service.sign(name).await?;
        Ok(self.service.snapshot_of(name).await?.name_any())
    }

    /// Waits until a member says this of its group.
    async fn says(&self, snapshot: &str, status: &str) -> anyhow::Result<String> {
        let said = |snapshot: &Snapshot| {
            let text =
                annotation(snapshot, annotations::CREATE_GROUP_SNAPSHOT_STATUS.as_str()).unwrap_or("null");
            serde_json::from_str::<Value>(text).unwrap_or_default()
        };
        let what = format!("the group to be {status}");
        let found =
            self.service.until(snapshot, &what, |snapshot| said(snapshot)["status"] == status).await?;
        Ok(said(&found)["message"].as_str().unwrap_or_default().to_owned())
    }

    async fn groups(&self) -> anyhow::Result<Vec<Snapshot>> {
        let all = self.service.all::<Snapshot>().await?;
        Ok(all
            .into_iter()
            .filter(|snapshot| label(snapshot, labels::TYPE.as_str()) == Some("group"))
            .collect())
    }
}

#[tokio::test]
async fn pull_requests_of_one_branch_are_tested_together() -> anyhow::Result<()> {
    let mut world = World::start().await?;
    world.open("web").await?;
    world.open("api").await?;
    let web = world.finish("web", 1).await?;
    let message = world.says(&web, "waiting").await?;
    assert!(message.contains("Component api") && message.contains("is running"), "{message}");
    assert_eq!(world.groups().await?.len(), 0);

    world.github.traffic().fail(PULL, 2, Fault::Answer(500));
    let api = world.finish("api", 2).await?;
    world.says(&web, "created").await?;
    world.says(&api, "created").await?;
    let groups = world.groups().await?;
    assert_eq!(groups.len(), 1, "{groups:?}");
    let group = &groups[0];
    let images: Vec<_> = group.spec.components.iter().map(|entry| entry.container_image.clone()).collect();
    assert_eq!(images, [image("api", 2), image("db", 92), image("web", 1)]);
    let info: Value =
        serde_json::from_str(annotation(group, annotations::GROUP_TEST_INFO.as_str()).unwrap_or(""))?;
    assert_eq!((&info[0]["snapshot"], &info[1]["snapshot"]), (&json!(api), &json!(web)));

    // It is tested, told to both, and goes nowhere.
    world.service.has_entry(&group.name_any(), "together", "TestPassed").await?;
    for repository in ["acme/web", "acme/api"] {
        eventually(DEADLINE, "a status at each pull request", async || {
            let found: Vec<(String, String)> = world.github.edit(|model| {
                let statuses = &model.repo(repository)?.statuses;
                anyhow::Ok(statuses.iter().map(|one| (one.context.clone(), one.state.clone())).collect())
            })?;
            let wanted = ("Konflux / together / pr group".to_owned(), "success".to_owned());
            anyhow::ensure!(found.contains(&wanted), "{repository} has {found:?}");
            Ok(())
        })
        .await?;
    }
    let done = world.service.has_reason(&group.name_any(), "AppStudioTestSucceeded", "Passed").await?;
    assert_eq!(reason(&done, "AddedToGlobalCandidateList"), None);
    assert_eq!(world.service.all::<Release>().await?.len(), 0);

    // A crash before a member said so: it is not made twice.
    world.service.kill().await?;
    let nothing =
        json!({"metadata": {"annotations": {(annotations::CREATE_GROUP_SNAPSHOT_STATUS.as_str()): null}}});
    world.service.patch::<Snapshot>(&api, &nothing).await?;
    world.service.run().await?;
    let message = world.says(&api, "created").await?;
    assert!(message.contains(&group.name_any()), "{message}");
    assert_eq!(world.groups().await?.len(), 1);
    Ok(())
}

#[tokio::test]
async fn who_is_alone_says_so() -> anyhow::Result<()> {
    let world = World::start().await?;
    world.open("web").await?;
    let web = world.finish("web", 1).await?;
    world.says(&web, "alone").await?;
    assert_eq!(world.github.traffic().count(PULL), 0, "no forge is asked");

    // The other one is closed before its build ends.
    world.open("api").await?;
    world.github.edit(|model| model.delete_ref("acme/api", "refs/heads/fix"))?;
    let api = world.finish("api", 2).await?;
    let message = world.says(&api, "alone").await?;
    assert!(message.contains("not open"), "{message}");
    assert_eq!(world.groups().await?.len(), 0);
    Ok(())
}

#[tokio::test]
async fn a_build_that_failed_makes_no_group_until_it_is_built_again() -> anyhow::Result<()> {
    let world = World::start().await?;
    world.open("web").await?;
    world.open("api").await?;
    let web = world.finish("web", 1).await?;
    world.service.fail("api").await?;
    let message = world.says(&web, "failed").await?;
    assert!(message.contains("Component api"), "{message}");

    let mut again: PipelineRun = world.service.api::<PipelineRun>().get("api").await?;
    again.metadata = kube::api::ObjectMeta {
        name: Some("again".to_owned()),
        labels: again.metadata.labels,
        annotations: again.metadata.annotations,
        ..Default::default()
    };
    again.status = None;
    world.service.create(&again).await?;
    let began = (Clock::system().now() + SignedDuration::from_mins(1)).to_string();
    let results = results("api", 3);
    let status = ended_at(&began, "True", "Succeeded", &as_pairs(&results));
    world.service.patch_status::<PipelineRun>("again", &status).await?;
    world.service.sign("again").await?;
    world.service.snapshot_of("again").await?;
    world.says(&web, "created").await?;
    assert_eq!(world.groups().await?.len(), 1);
    Ok(())
}
