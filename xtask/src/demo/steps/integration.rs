//! What a pull request builds is tested before anybody merges it, and told there; what was merged is tested again, promoted, and
//! offered for release.
use std::{
    fs,
    path::Path,
    time::{Duration, Instant, SystemTime},
};

use anyhow::{Context as _, ensure};
use kube::{Client, api::ListParams};

use super::{component, registry::use_registry, tenant::NAMESPACE};
use crate::{
    demo::{Fact, Merged, Show, follow},
    deploy::{self, Applier, Object},
    forge::scene::{Proposal, Scene},
    paths, ui,
};
use tested::Tested;

mod tested;

/// Folder of the example, in the checkout.
const EXAMPLE: &str = "examples/first-test";
/// What the repository with the team's own test holds, in the checkout.
const TESTS: &str = "pipelines/samples/integration-test";
/// That repository at the forge.
const TESTS_REPOSITORY: &str = "integration-tests";
/// Who pushes, and merges.
const USER: &str = "alice";
/// The branch that is proposed.
const BRANCH: &str = "say-when";
/// The scenario whose verdict is that of a release.
const POLICY: &str = "enterprise-contract";

/// How the forge shows what has passed, without and with warnings.
const PASSED: [&str; 2] = ["success", "warning"];

/// How long one service may take to answer another by an object, or the forge.
const LIMIT: Duration = Duration::from_mins(2);
/// How long all tests of a Snapshot may take: the first ones pull what they run in.
const TEST_LIMIT: Duration = Duration::from_mins(5);

pub async fn run(show: &mut Show) -> anyhow::Result<Vec<Fact>> {
    let client = show.target()?.client.clone();
    let Some(scene) = &show.scene else {
        ui::note("nothing was built on this cluster: there is nothing to be tested");
        return Ok(Vec::new());
    };
    let tests = Scene::anew(&show.args.cluster, USER, TESTS_REPOSITORY).await?;
    let tests = tests.context("the forge has been there a step ago")?;
    tests.push(&paths::repository()?.join(TESTS), "Test what was built").await?;
    let mut facts = scenarios(&client, &show.registry).await?;

    let before = promoted(&client).await?;
    let proposal = propose(scene).await?;
    let asked = Instant::now();
    let offered = tested::follow(&client, "pull_request", &proposal.commit, asked).await?;
    facts.push(fact("Snapshot of the pull request", offered.told()?, asked.elapsed()));
    facts.extend(told(scene, &proposal, &offered, asked).await?);
    ensure!(promoted(&client).await? == before, "a pull request has moved what is promoted");
    let releases = releases(&client, &offered).await?;
    ensure!(releases.is_empty(), "a pull request is released by {releases:?}");

    let commit = scene.merge(proposal.number).await?;
    let merged = Instant::now();
    let pushed = tested::follow(&client, "push", &commit, merged).await?;
    facts.push(fact("Snapshot of the merge", pushed.told()?, merged.elapsed()));
    let image = pushed.image()?.to_owned();
    let (release, passed_on) = passed_on(&client, &pushed, merged).await?;
    facts.extend(passed_on);
    show.merged = Some(Merged { snapshot: pushed.name, image, commit, release, at: Instant::now() });
    Ok(facts)
}

fn fact(object: impl Into<String>, state: impl Into<String>, after: Duration) -> Fact {
    Fact { object: object.into(), state: state.into(), after }
}

/// Applies the example, and waits until its scenarios can be run.
async fn scenarios(client: &Client, registry: &str) -> anyhow::Result<Vec<Fact>> {
    let mut objects = deploy::kustomize(&paths::repository()?.join(EXAMPLE)).await?;
    for object in &mut objects {
        use_registry(object, registry);
    }
    let asked = Instant::now();
    Applier::discover(client.clone(), true).await?.apply_all(&objects, |_| {}).await?;
    let scenarios: Vec<&Object> =
        objects.iter().filter(|object| object.kind() == "IntegrationTestScenario").collect();
    let (_, facts) = follow::until(client, &scenarios, "IntegrationTestScenarioValid", asked).await?;
    Ok(facts)
}

/// Opens a pull request of what is on `main`, and a line that no demo before has written.
async fn propose(scene: &Scene) -> anyhow::Result<Proposal> {
    let folder = tempfile::tempdir().context("make a folder for the repository")?;
    let sample = paths::repository()?.join(component::SAMPLE);
    for entry in fs::read_dir(&sample).with_context(|| format!("read {}", sample.display()))? {
        let entry = entry?;
        fs::copy(entry.path(), folder.path().join(entry.file_name()))?;
    }
    // How it is built is in the repository since the step before.
    for event in ["push", "pull-request"] {
        let path = format!(".tekton/{}-{event}.yaml", component::NAME);
        write(&folder.path().join(&path), &scene.file(&path).await?)?;
    }
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH)?.as_secs();
    write(&folder.path().join("said-at.txt"), format!("{now} s after the epoch\n").as_bytes())?;
    scene.propose(folder.path(), BRANCH, "Say when it was said").await
}

fn write(path: &Path, content: &[u8]) -> anyhow::Result<()> {
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder)?;
    }
    fs::write(path, content).with_context(|| format!("write {}", path.display()))
}

/// Waits until the pull request shows each scenario, and what became of each rule.
async fn told(
    scene: &Scene,
    proposal: &Proposal,
    tested: &Tested,
    asked: Instant,
) -> anyhow::Result<Vec<Fact>> {
    let step = ui::step("the pull request tells of it");
    let mut facts = Vec::new();
    let until = Instant::now() + LIMIT;
    for scenario in tested.scenarios()? {
        let context = format!(" / {scenario}");
        loop {
            let statuses = scene.statuses(&proposal.commit).await?;
            let status = statuses.into_iter().find(|status| status.context.contains(&context));
            if let Some(status) = status.as_ref().filter(|status| PASSED.contains(&&*status.state)) {
                facts.push(fact(status.context.clone(), status.state.clone(), asked.elapsed()));
                break;
            }
            ensure!(
                Instant::now() < until,
                "the forge shows {status:?} for {scenario}, and should show success"
            );
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    }
    let rules = loop {
        let comments = scene.comments(proposal.number).await?;
        let of_policy = comments.iter().filter(|text| text.contains(POLICY));
        if let Some(rules) = of_policy.map(|text| rules(text)).find(|rules| !rules.is_empty()) {
            break rules;
        }
        ensure!(Instant::now() < until, "no comment tells of the rules of {POLICY}: {comments:?}");
        tokio::time::sleep(Duration::from_millis(200)).await;
    };
    step.done_with(&proposal.url);
    for rule in rules {
        ui::note(&format!("  {rule}"));
    }
    Ok(facts)
}

/// Lines of a comment that tell what became of a rule, without the marks of Markdown.
fn rules(comment: &str) -> Vec<String> {
    let words = ["violated ", "warning ", "met "];
    let found = comment.lines().filter_map(|line| {
        let begin = words.iter().filter_map(|word| line.find(word)).min()?;
        // A code has a dot, and the words around it have none.
        let rule = &line[begin..];
        rule.split_whitespace()
            .nth(1)
            .is_some_and(|code| code.contains('.'))
            .then(|| rule.trim_end().replace('\\', ""))
    });
    found.collect()
}

/// Waits until what was pushed is what later Snapshots hold, and until it is offered for release.
async fn passed_on(client: &Client, pushed: &Tested, merged: Instant) -> anyhow::Result<(String, Vec<Fact>)> {
    let step = ui::step("the image is promoted");
    let image = pushed.image()?;
    let until = Instant::now() + LIMIT;
    loop {
        let found = promoted(client).await?;
        if found.as_deref() == Some(image) {
            break;
        }
        ensure!(
            Instant::now() < until,
            "status.lastPromotedImage of the Component is {found:?}, and not {image}"
        );
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    step.done_with(image);
    let mut facts = vec![fact("Component greeter", format!("promoted {image}"), merged.elapsed())];

    let step = ui::step("a Release is asked for");
    let release = loop {
        if let [release] = &releases(client, pushed).await?[..] {
            break release.clone();
        }
        ensure!(
            Instant::now() < until,
            "no Release of Snapshot {NAMESPACE}/{}: look at its conditions and Events",
            pushed.name
        );
        tokio::time::sleep(Duration::from_millis(200)).await;
    };
    step.done_with(&release);
    facts.push(fact(format!("Release {release}"), "asked for", merged.elapsed()));
    Ok((release, facts))
}

/// The image that later Snapshots of the Application hold.
async fn promoted(client: &Client) -> anyhow::Result<Option<String>> {
    let component = component::api(client, "Component").get(component::NAME).await?;
    Ok(component.data["status"]["lastPromotedImage"].as_str().map(str::to_owned))
}

/// Names of the Releases of a Snapshot.
async fn releases(client: &Client, tested: &Tested) -> anyhow::Result<Vec<String>> {
    let of_snapshot = ListParams::default().fields(&format!("spec.snapshot={}", tested.name));
    let found = component::api(client, "Release").list(&of_snapshot).await.context("list Releases")?;
    Ok(found.items.into_iter().filter_map(|release| release.metadata.name).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn example_is_as_the_demo_needs_it() {
        let mut objects = deploy::kustomize(&paths::repository().unwrap().join(EXAMPLE)).await.unwrap();
        assert!(objects.iter().all(|object| object.namespace() == Some(NAMESPACE)));
        for object in &mut objects {
            use_registry(object, "r.test");
        }
        let of = |name: &str| &objects.iter().find(|object| object.name() == name).unwrap().content["spec"];
        let bundle = |reference: &serde_json::Value| reference["params"][0]["value"].clone();
        assert_eq!(bundle(&of(POLICY)["resolverRef"]), "r.test/konflux/pipeline-enterprise-contract:devel");
        let own = &of("greetings")["tenantPipeline"]["pipelineRef"];
        assert_eq!(bundle(own), "r.test/konflux/pipeline-tenant-release:devel");
        let own = &of("images-can-be-pulled")["resolverRef"]["params"];
        let url = own[0]["value"].as_str().unwrap();
        assert!(url.ends_with(&format!("/{USER}/{TESTS_REPOSITORY}")), "{url}");
        let file = own[2]["value"].as_str().unwrap();
        assert!(paths::repository().unwrap().join(TESTS).join(file).is_file(), "{file}");
        let application = &of("greetings")["application"];
        assert!(objects.iter().all(|object| object.content["spec"]["application"] == *application));
    }

    #[test]
    fn rules_are_found_in_what_a_comment_says() {
        let comment = "### enterprise-contract met all\n- violated a.b: no such task\n- met c\\_x.d\n> warning e.f: old\n";
        assert_eq!(rules(comment), ["violated a.b: no such task", "met c_x.d", "warning e.f: old"]);
        assert!(rules("what is met is good. So is this").is_empty());
    }
}
