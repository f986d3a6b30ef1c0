//! What has passed its tests is released: by the team itself, and by a release team, which takes nobody's word for it.
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use kube::{
    Api, Client, Config, ResourceExt as _,
    api::{DynamicObject, PostParams},
    config::{KubeConfigOptions, Kubeconfig},
};
use serde_json::json;

use super::{component, registry::Platform, tenant::NAMESPACE, trust};
use crate::{
    cluster::{self, Cluster},
    demo::{Built, Fact, Handmade, Merged, Show, follow},
    deploy::{Object, Target},
    ui,
};

mod handmade;
mod team;

/// The namespace of the release team.
pub const MANAGED: &str = "release-team-tenant";
/// Who asks for releases in the tenant.
const USER: &str = "alice";
/// The plan that names the release team's namespace.
const PLAN: &str = "greetings-to-customers";
/// Where the release team has images copied to, in the platform registry.
const DESTINATION: &str = "released/greeter";
/// What goes with an image: by the digest, with one of these behind it.
const ATTACHED: [&str; 3] = ["sig", "att", "sbom"];

/// How long a Release may take: the first one pulls what it runs in.
const LIMIT: Duration = Duration::from_mins(5);

/// The team's own pipeline. The Release is there since the merge; nobody has asked for it.
pub async fn own(show: &mut Show) -> anyhow::Result<Vec<Fact>> {
    let client = show.target()?.client.clone();
    let Some(Merged { release, at, .. }) = show.merged.clone() else { return Ok(nothing()) };
    let live = component::api(&client, "Release").get(&release).await?;
    let (live, is_good) = ended(&client, &Object::parse(serde_json::to_value(&live)?)?, at).await?;
    ensure!(is_good, "Release {NAMESPACE}/{release} has failed: {:#}", live.data["status"]["conditions"]);
    let status = &live.data["status"];
    ensure!(status["automated"] == true, "it was made by integration-service, and says {status}");
    let author = status["attribution"]["author"].as_str();
    let author = author.context("a Release that is done says who answers for it")?;
    for line in tasks(&client, &live, "tenantProcessing").await? {
        ui::note(&line);
    }
    let state = format!("Released, {author} answers for it by the plan");
    Ok(vec![fact(format!("Release {release}"), state, at)])
}

/// The release team's pipeline. The Release that has to fail is asked for too, so that both run side by side.
pub async fn managed(show: &mut Show) -> anyhow::Result<Vec<Fact>> {
    let client = show.target()?.client.clone();
    let (Some(merged), Some(built)) = (show.merged.clone(), show.built.clone()) else { return Ok(nothing()) };
    let cluster = Cluster::load(&show.args.cluster)?;
    let Some(registry) = cluster.registry()? else {
        ui::note("this cluster's registry is not ours: nothing is copied there");
        return Ok(Vec::new());
    };
    let mut facts = team::set_up(show, &registry).await?;
    let alice = client_of(show.target()?, USER).await?;

    let asked = Instant::now();
    let release = ask(&alice, &merged.snapshot).await?;
    show.handmade = handmade::ask_for(&cluster, &client, &alice, &built).await?;
    let (live, is_good) = ended(&client, &release, asked).await?;
    let name = live.name_any();
    ensure!(is_good, "Release {NAMESPACE}/{name} has failed: {:#}", live.data["status"]["conditions"]);
    for line in tasks(&client, &live, "managedProcessing").await? {
        ui::note(&line);
    }
    let author = live.data["status"]["attribution"]["author"].as_str();
    ensure!(author == Some(USER), "Release {NAMESPACE}/{name} is attributed to {author:?}, and {USER} asked");
    facts.push(fact(format!("Release {name}"), format!("Released, {USER} answers for it"), asked));
    facts.extend(copied(&client, &show.registry, &registry, &live, &merged, &built).await?);
    team::let_go(&client, &name).await?;
    Ok(facts)
}

/// The Release that was asked for together with the good one.
pub async fn refused(show: &mut Show) -> anyhow::Result<Vec<Fact>> {
    let client = show.target()?.client.clone();
    let Some(Handmade { release, image, asked }) = show.handmade.clone() else { return Ok(nothing()) };
    let (live, is_good) = ended(&client, &release, asked).await?;
    ensure!(!is_good, "{release} was released, and nobody has built {image}");
    let message = handmade::message(&live, &image)?;
    for line in message.lines() {
        ui::note(&format!("  {line}"));
    }
    let registry = Cluster::load(&show.args.cluster)?.registry()?.context("it was there a step ago")?;
    let (_, digest) = image.split_once('@').context("an image by digest")?;
    let found = Platform::new(&registry)?.digest(DESTINATION, digest).await?;
    ensure!(found.is_none(), "{image} was refused, and lies in {DESTINATION} all the same");
    let rule = handmade::rule(&message).context("no rule is named")?;
    Ok(vec![fact(format!("Release {}", live.name_any()), format!("refused: {rule}"), asked)])
}

fn nothing() -> Vec<Fact> {
    ui::note("nothing was built on this cluster: there is nothing to be released");
    Vec::new()
}

fn fact(object: impl Into<String>, state: impl Into<String>, asked: Instant) -> Fact {
    Fact { object: object.into(), state: state.into(), after: asked.elapsed() }
}

/// Asks for a Snapshot of the tenant to be released by the release team.
async fn ask(client: &Client, snapshot: &str) -> anyhow::Result<Object> {
    let release: DynamicObject = serde_json::from_value(json!({
        "apiVersion": "appstudio.redhat.com/v1alpha1",
        "kind": "Release",
        "metadata": {"generateName": format!("{PLAN}-"), "namespace": NAMESPACE},
        "spec": {"releasePlan": PLAN, "snapshot": snapshot},
    }))?;
    let created = component::api(client, "Release").create(&PostParams::default(), &release).await;
    let created = created.with_context(|| format!("create a Release of Snapshot {NAMESPACE}/{snapshot}"))?;
    Object::parse(serde_json::to_value(&created)?)
}

async fn ended(client: &Client, release: &Object, asked: Instant) -> anyhow::Result<(DynamicObject, bool)> {
    follow::until_ended(client, release, "Released", asked, LIMIT).await
}

/// A client that is this user, with the rights that roles give them.
async fn client_of(target: &Target, user: &str) -> anyhow::Result<Client> {
    let kubeconfig = Kubeconfig::read_from(&target.kubeconfig)?;
    let mut config = Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default()).await?;
    config.auth_info.impersonate = Some(user.to_owned());
    Ok(Client::try_from(config)?)
}

/// A line for each task of a phase's run.
async fn tasks(client: &Client, release: &DynamicObject, phase: &str) -> anyhow::Result<Vec<String>> {
    let run = release.data["status"][phase]["pipelineRun"].as_str();
    let run = run.with_context(|| format!("Release {}: status.{phase} names no run", release.name_any()))?;
    let (namespace, name) = run.split_once('/').context("a run is named with its namespace")?;
    let runs: Api<DynamicObject> =
        Api::namespaced_with(client.clone(), namespace, &component::resource("PipelineRun"));
    let mut lines = vec![format!("run {run}")];
    lines.extend(component::tasks(client, &runs.get(name).await?).await?);
    Ok(lines)
}

/// That the copy is the image that was built, with all that belongs to it, and that the policy holds for it where it is now.
async fn copied(
    client: &Client,
    fleet: &str,
    registry: &cluster::Registry,
    release: &DynamicObject,
    merged: &Merged,
    built: &Built,
) -> anyhow::Result<Vec<Fact>> {
    let asked = Instant::now();
    let (_, digest) = merged.image.split_once('@').context("an image by digest")?;
    let artifacts = release.data["status"]["artifacts"].to_string();
    ensure!(
        artifacts.contains(digest) && artifacts.contains(DESTINATION),
        "status.artifacts does not name {digest} in {DESTINATION}: {artifacts}"
    );
    let platform = Platform::new(registry)?;
    let found = platform.digest(DESTINATION, digest).await?;
    ensure!(found.as_deref() == Some(digest), "{DESTINATION} has {found:?} in the place of {digest}");
    for suffix in ATTACHED {
        let tag = format!("{}.{suffix}", digest.replace(':', "-"));
        ensure!(platform.digest(DESTINATION, &tag).await?.is_some(), "{DESTINATION} has no {tag}");
    }
    let latest = platform.digest(DESTINATION, "latest").await?;
    ensure!(latest.as_deref() == Some(digest), "latest of {DESTINATION} is {latest:?}");
    let image = format!("{}/{DESTINATION}@{digest}", registry.name);
    let mut facts = vec![fact(format!("the copy {image}"), format!("with {}", ATTACHED.join(", ")), asked)];
    let bundle = format!("{fleet}/konflux/task-{}:0.1", trust::TASK);
    let source = Built { commit: merged.commit.clone(), ..built.clone() };
    let verdict = trust::judge(client, &bundle, &source, &image).await?;
    ensure!(verdict.result == "SUCCESS" || verdict.result == "WARNING", "{}", verdict.told());
    facts.push(Fact {
        object: "the copy, by the policy slsa3".to_owned(),
        state: verdict.told(),
        after: verdict.after,
    });
    Ok(facts)
}
