//! `toolbox update` as a run starts it, at a real Gitea, and with a registry that is played.

use std::collections::BTreeMap;
use std::fs;
use std::process::Output;

use anyhow::{Context as _, ensure};
use serde_json::{Value, json};
use tempfile::TempDir;
use testkit::gitea::{Client, Gitea, NewUser, Push};
use testkit::pki::Authority;
use testkit::registry::PlayedRegistry;
use tokio::process::Command;

/// A repository of a user of its own at a Gitea, and a registry.
struct Scene {
    forge: Client,
    repository: String,
    token: String,
    registry: PlayedRegistry,
    folder: TempDir,
}

impl Scene {
    /// With these files on branch `main`.
    async fn set(
        owner: &str,
        files: impl Fn(&PlayedRegistry) -> Vec<(&'static str, String)>,
    ) -> anyhow::Result<Self> {
        let gitea = Gitea::shared().await;
        let administrator = gitea.client()?;
        administrator
            .ensure_user(&NewUser { name: owner, password: "a password", is_administrator: false })
            .await?;
        let repository = format!("{owner}/app");
        administrator.ensure_repository(&repository, true).await?;
        let token = administrator
            .new_token(owner, "updates", &["write:repository", "write:issue", "read:user"])
            .await?;
        let authority = Authority::new("the registry of this test")?;
        let registry = PlayedRegistry::start(&authority)?;
        let folder = tempfile::tempdir()?;
        let bundle = format!("{}\n{}", authority.cert_pem(), gitea.certificate_authority());
        fs::write(folder.path().join("ca.crt"), bundle)?;
        let scene = Self {
            forge: administrator.with_password(owner, "a password"),
            repository,
            token,
            registry,
            folder,
        };
        scene.push("main", "Begin", &files(&scene.registry)).await?;
        Ok(scene)
    }

    async fn push(&self, branch: &str, message: &str, files: &[(&str, String)]) -> anyhow::Result<()> {
        let folder = tempfile::tempdir()?;
        for (path, text) in files {
            let path = folder.path().join(path);
            fs::create_dir_all(path.parent().context("a folder")?)?;
            fs::write(path, text)?;
        }
        self.forge
            .push(&Push { repository: &self.repository, branch, folder: folder.path(), message })
            .await?;
        Ok(())
    }

    /// Settings for this repository.
    fn config(&self, more: &Value) -> Value {
        let mut config = json!({
            "platform": "gitea",
            "endpoint": format!("{}/api/v1/", self.forge.url().trim_end_matches('/')),
            "username": "konflux",
            "gitAuthor": "konflux <konflux@example.com>",
            "repositories": [{"repository": self.repository, "baseBranches": []}],
        });
        for (key, value) in more.as_object().into_iter().flatten() {
            config[key] = value.clone();
        }
        config
    }

    async fn run(&self, config: &Value, digests: &BTreeMap<String, String>) -> anyhow::Result<Output> {
        let file = self.folder.path().join("config.json");
        fs::write(&file, config.to_string())?;
        let output = Command::new(env!("CARGO_BIN_EXE_toolbox"))
            .arg("update")
            .arg(format!("--work={}", self.folder.path().display()))
            .env("RENOVATE_CONFIG_FILE", &file)
            .env("RENOVATE_TOKEN", &self.token)
            .env("UPDATE_DIGESTS", serde_json::to_string(digests)?)
            .env("TOOLBOX_CA_BUNDLE", self.folder.path().join("ca.crt"))
            .output()
            .await?;
        let text = [output.stdout.as_slice(), &output.stderr].concat();
        let text = String::from_utf8_lossy(&text);
        ensure!(!text.contains(&self.token), "the token is in the log");
        Ok(output)
    }

    /// Runs it, which has to succeed. What it says.
    async fn update(&self, config: &Value, digests: &BTreeMap<String, String>) -> anyhow::Result<String> {
        let output = self.run(config, digests).await?;
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        ensure!(output.status.success(), "{said}\n{}", String::from_utf8_lossy(&output.stderr));
        Ok(said)
    }

    async fn file(&self, branch: &str, path: &str) -> anyhow::Result<String> {
        Ok(String::from_utf8(self.forge.file(&self.repository, branch, path).await?)?)
    }

    /// Branches of the open pull requests.
    async fn heads(&self) -> anyhow::Result<Vec<String>> {
        let pulls = self.forge.pulls(&self.repository).await?;
        Ok(pulls
            .into_iter()
            .map(|pull| pull.head.rsplit(':').next().unwrap_or_default().to_owned())
            .collect())
    }
}

fn digest(character: char) -> String {
    format!("sha256:{}", character.to_string().repeat(64))
}

const BRANCH: &str = "konflux/component-updates/app-lib";

/// As build-service writes it.
fn nudge(tag: &str) -> Value {
    json!({
        "enabledManagers": ["regex"],
        "customManagers": [{
            "fileMatch": [".*Dockerfile.*", ".*.yaml"], "customType": "regex", "datasourceTemplate": "docker",
            "matchStrings": [r"images\.example/lib(:.*)?@(?<currentDigest>sha256:[a-f0-9]+)"],
            "currentValueTemplate": tag, "depNameTemplate": "images.example/lib",
        }],
        "packageRules": [
            {"matchPackagePatterns": ["*"], "enabled": false},
            {"matchPackageNames": ["images.example/lib"], "groupName": "Component Update lib", "branchName": BRANCH,
             "commitMessageTopic": "lib", "prFooter": "comment `/ok-to-test`", "enabled": true, "followTag": tag,
             "labels": ["konflux-nudge"]},
        ],
    })
}

fn built(tag: &str, content: char) -> BTreeMap<String, String> {
    [(format!("images.example/lib:{tag}"), digest(content))].into()
}

#[tokio::test]
async fn a_new_image_is_proposed_once_and_the_newest_wins() -> anyhow::Result<()> {
    let scene = Scene::set("nudged", |_| {
        vec![
            ("Dockerfile", format!("FROM images.example/lib:b1@{}\nRUN true\n", digest('a'))),
            ("deploy/app.yaml", format!("image: images.example/lib@{}\n", digest('a'))),
            ("README.md", format!("images.example/lib@{}\n", digest('a'))),
        ]
    })
    .await?;
    let said = scene.update(&scene.config(&nudge("b7")), &built("b7", 'b')).await?;
    assert!(said.contains("Opened "), "{said}");
    let pulls = scene.forge.pulls(&scene.repository).await?;
    let [pull] = &pulls[..] else { anyhow::bail!("{pulls:?}") };
    assert_eq!(pull.title, "Update lib to bbbbbbb");
    assert!(pull.body.contains("/ok-to-test"), "{}", pull.body);
    assert_eq!(
        scene.file(BRANCH, "Dockerfile").await?,
        format!("FROM images.example/lib:b1@{}\nRUN true\n", digest('b'))
    );
    assert_eq!(
        scene.file(BRANCH, "deploy/app.yaml").await?,
        format!("image: images.example/lib@{}\n", digest('b'))
    );
    assert!(scene.file(BRANCH, "README.md").await?.contains(&digest('a')), "it is no file of the patterns");

    let head = scene.forge.commit(&scene.repository, BRANCH).await?;
    let said = scene.update(&scene.config(&nudge("b7")), &built("b7", 'b')).await?;
    assert!(said.contains("is there already"), "{said}");
    assert_eq!(
        scene.forge.commit(&scene.repository, BRANCH).await?,
        head,
        "nothing is pushed without a change"
    );

    let said = scene.update(&scene.config(&nudge("b8")), &built("b8", 'c')).await?;
    assert!(said.contains("Updated "), "{said}");
    let pulls = scene.forge.pulls(&scene.repository).await?;
    assert_eq!(pulls.len(), 1);
    assert_eq!(pulls[0].title, "Update lib to ccccccc");
    assert!(scene.file(BRANCH, "Dockerfile").await?.contains(&digest('c')));

    // Merged, the branch is old: the next proposal begins anew.
    scene.forge.merge(&scene.repository, pulls[0].number).await?;
    let said = scene.update(&scene.config(&nudge("b8")), &built("b8", 'c')).await?;
    assert!(said.contains("0 proposals"), "{said}");
    scene.update(&scene.config(&nudge("b9")), &built("b9", 'd')).await?;
    assert_eq!(scene.heads().await?, [BRANCH]);
    Ok(())
}

#[tokio::test]
async fn what_somebody_works_on_is_theirs() -> anyhow::Result<()> {
    let scene = Scene::set("stubborn", |_| {
        vec![("Dockerfile", format!("FROM images.example/lib@{}\n", digest('a')))]
    })
    .await?;
    scene.update(&scene.config(&nudge("b7")), &built("b7", 'b')).await?;
    scene.push(BRANCH, "Mend it", &[("Dockerfile", "FROM images.example/mine\n".to_owned())]).await?;
    let said = scene.update(&scene.config(&nudge("b8")), &built("b8", 'c')).await?;
    assert!(said.contains("is left alone"), "{said}");
    assert_eq!(scene.file(BRANCH, "Dockerfile").await?, "FROM images.example/mine\n");
    Ok(())
}

#[tokio::test]
async fn a_proposal_that_is_needless_is_withdrawn() -> anyhow::Result<()> {
    let scene =
        Scene::set("quick", |_| vec![("Dockerfile", format!("FROM images.example/lib@{}\n", digest('a')))])
            .await?;
    scene.update(&scene.config(&nudge("b7")), &built("b7", 'b')).await?;
    assert_eq!(scene.heads().await?, [BRANCH]);
    scene
        .push("main", "By hand", &[("Dockerfile", format!("FROM images.example/lib@{}\n", digest('b')))])
        .await?;
    let said = scene.update(&scene.config(&nudge("b7")), &built("b7", 'b')).await?;
    assert!(said.contains("Closed "), "{said}");
    assert_eq!(scene.heads().await?, [""; 0]);
    assert_eq!(scene.forge.commit(&scene.repository, BRANCH).await?, None);
    Ok(())
}

#[tokio::test]
async fn images_in_dockerfiles_and_bundles_follow_the_registry() -> anyhow::Result<()> {
    let scene = Scene::set("keeper", |registry| {
        let bundle = format!("{}/org/task-build:0.1", registry.address());
        let base = format!("{}/org/base:1.2", registry.address());
        vec![
            ("Dockerfile", format!("FROM {base}@{}\nCOPY --from={base} /a /a\n", digest('0'))),
            (".tekton/push.yaml", format!("params:\n- name: bundle\n  value: {bundle}\n")),
        ]
    })
    .await?;
    let platform = [("linux/amd64", &["/app"][..], &[][..])];
    for (repository, tag) in
        [("org/base", "1.2"), ("org/base", "1.3"), ("org/base", "2.0"), ("org/task-build", "0.2")]
    {
        scene.registry.push_image(repository, tag, &platform);
    }
    let config = json!({
        "branchPrefix": "konflux/mintmaker/",
        "additionalBranchPrefix": "{{baseBranch}}/",
        "tekton": {"branchPrefix": "konflux/references/", "groupName": "Konflux references"},
        "packageRules": [{"matchUpdateTypes": ["major"], "enabled": false}],
    });
    scene.update(&scene.config(&config), &BTreeMap::new()).await?;
    let mut heads = scene.heads().await?;
    heads.sort();
    assert_eq!(heads, ["konflux/mintmaker/main/base", "konflux/references/main/konflux-references"]);
    let dockerfile = scene.file("konflux/mintmaker/main/base", "Dockerfile").await?;
    let base = format!("{}/org/base:1.3", scene.registry.address());
    let first = dockerfile.lines().next().unwrap_or_default();
    assert!(
        first.starts_with(&format!("FROM {base}@sha256:")) && !first.contains(&digest('0')),
        "{dockerfile}"
    );
    assert!(dockerfile.ends_with(&format!("COPY --from={base} /a /a\n")), "{dockerfile}");
    let bundle = scene.file("konflux/references/main/konflux-references", ".tekton/push.yaml").await?;
    assert!(bundle.contains("task-build:0.2\n"), "{bundle}");
    Ok(())
}

#[tokio::test]
async fn one_repository_that_fails_does_not_keep_the_others_from_theirs() -> anyhow::Result<()> {
    let scene =
        Scene::set("several", |_| vec![("Dockerfile", format!("FROM images.example/lib@{}\n", digest('a')))])
            .await?;
    let mut config = scene.config(&nudge("b7"));
    config["repositories"] = json!(["nobody/nothing", scene.repository]);
    let output = scene.run(&config, &built("b7", 'b')).await?;
    assert!(!output.status.success());
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(said.contains("1 of 2 repositories") && said.contains("nobody/nothing"), "{said}");
    assert_eq!(scene.heads().await?, [BRANCH]);
    Ok(())
}
