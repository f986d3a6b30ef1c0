//! The tag pruner as a process, against a Quay that is none.

use std::process::{Output, Stdio};
use std::time::Duration;

use k8s_openapi::api::core::v1::ConfigMap;
use kube::Api;
use testkit::forge::Fault;
use testkit::pki::Authority;
use testkit::quay::{FakeQuay, ORGANIZATION, html};
use testkit::{ControlPlane, DEADLINE, eventually};
use tokio::process::{Child, Command};

const TAGS: &str = "GET /repository/{repository}/tag/";
const DELETE: &str = "DELETE /repository/{repository}/tag/{tag}";

/// Also of children of a crash: the program ends by itself.
const PATIENCE: Duration = Duration::from_mins(2);

struct Quay {
    fake: FakeQuay,
    folder: tempfile::TempDir,
}

impl Quay {
    fn start() -> anyhow::Result<Self> {
        rustls::crypto::aws_lc_rs::default_provider().install_default().ok();
        let authority = Authority::new("ca")?;
        let folder = tempfile::tempdir()?;
        std::fs::write(folder.path().join("ca.crt"), authority.cert_pem())?;
        Ok(Self { fake: FakeQuay::start(&authority)?, folder })
    }

    fn command(&self, flags: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_image-pruner"));
        command
            .env_clear()
            .env("QUAY_TOKEN", self.fake.token())
            .env("QUAYAPIURL", self.fake.api_url())
            .arg(format!("--namespace={ORGANIZATION}"))
            .arg(format!("--outbound-allow={}", self.fake.address()))
            .arg(format!("--ca-bundle={}", self.folder.path().join("ca.crt").display()))
            .args(["--metrics-addr=127.0.0.1:0", "--registry-calls-per-second=1000", "--log-format=text"])
            .args(flags)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true);
        command
    }

    async fn prune(&self, flags: &[&str]) -> anyhow::Result<Output> {
        let output = tokio::time::timeout(PATIENCE, self.command(flags).output()).await??;
        let log = String::from_utf8_lossy(&output.stderr);
        anyhow::ensure!(!log.contains(&self.fake.token()), "the token is in the log: {log}");
        Ok(output)
    }

    fn tags(&self, repository: &str) -> Vec<String> {
        self.fake.edit(|model| model.tags(repository).into_iter().map(str::to_owned).collect())
    }
}

/// A digest of 64 characters that are all different in their beginning.
fn hex(number: usize) -> String {
    format!("{number:064x}")
}

/// An image with a tag, and its attachments.
fn image(quay: &Quay, repository: &str, number: usize, suffixes: &[&str]) {
    quay.fake.edit(|model| {
        model.tag(repository, &format!("v{number}"), &format!("sha256:{}", hex(number)));
        for suffix in suffixes {
            model.tag(repository, &format!("sha256-{}{suffix}", hex(number)), "sha256:0");
        }
    });
}

/// Attachments of an image that is gone.
fn orphans(quay: &Quay, repository: &str, number: usize, suffixes: &[&str]) {
    quay.fake.edit(|model| {
        for suffix in suffixes {
            model.tag(repository, &format!("sha256-{}{suffix}", hex(number)), "sha256:0");
        }
    });
}

const ALL: [&str; 6] = [".sbom", ".att", ".src", ".sig", ".dockerfile", ""];

#[tokio::test]
async fn removes_what_belongs_to_nothing_over_all_pages() -> anyhow::Result<()> {
    let quay = Quay::start()?;
    // Three pages of repositories; of one of them three pages of tags, an image and its attachments on different ones.
    quay.fake.edit(|model| model.page_size = 2);
    for repository in ["a/one", "b/two", "c/three", "d/four", "e/five"] {
        image(&quay, repository, 1, &ALL);
        orphans(&quay, repository, 2, &ALL);
    }
    for number in 100..330 {
        image(&quay, "c/three", number, &[]);
    }
    orphans(&quay, "c/three", 329, &[".sig"]);
    orphans(&quay, "c/three", 900, &[".sig"]);

    let dry = quay.prune(&["--dry-run"]).await?;
    let log = String::from_utf8_lossy(&dry.stderr).into_owned();
    assert!(dry.status.success(), "{log}");
    assert_eq!(quay.fake.traffic().count(DELETE), 0);
    assert_eq!(log.matches("Would delete tag").count(), 31, "{log}");

    let output = quay.prune(&[]).await?;
    let log = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{log}");
    for repository in ["a/one", "b/two", "d/four", "e/five"] {
        assert_eq!(quay.tags(repository).len(), 7, "{repository}: {:?}", quay.tags(repository));
    }
    let three = quay.tags("c/three");
    assert_eq!(three.len(), 7 + 230 + 1, "{three:?}");
    assert!(three.contains(&format!("sha256-{}.sig", hex(329))));
    assert_eq!(quay.fake.traffic().count(DELETE), 31);
    assert!(
        log.contains("repositories=5") && log.contains("deleted=31") && log.contains("errors=0"),
        "{log}"
    );
    Ok(())
}

/// A tag that moved on leaves an image that a Snapshot may still name by its digest.
#[tokio::test]
async fn keeps_what_is_attached_to_an_image_without_a_tag() -> anyhow::Result<()> {
    let quay = Quay::start()?;
    orphans(&quay, "a/one", 7, &[".sig", ".sbom"]);
    quay.fake.edit(|model| {
        if let Some(repository) = model.repositories.get_mut("a/one") {
            repository.manifests.insert(format!("sha256:{}", hex(7)));
        }
    });
    assert!(quay.prune(&[]).await?.status.success());
    assert_eq!(quay.tags("a/one").len(), 2);
    Ok(())
}

#[tokio::test]
async fn removes_sources_by_tag_that_nobody_needs() -> anyhow::Result<()> {
    let quay = Quay::start()?;
    // Of v1 there is one by digest; of v2 only the one by tag; v3 is gone.
    image(&quay, "a/one", 1, &[".src"]);
    image(&quay, "a/one", 2, &[]);
    quay.fake.edit(|model| {
        for tag in ["v1.src", "v2.src", "v3.src"] {
            model.tag("a/one", tag, "sha256:0");
        }
    });
    assert!(quay.prune(&[]).await?.status.success());
    let source = format!("sha256-{}.src", hex(1));
    assert_eq!(quay.tags("a/one"), ["v1", source.as_str(), "v2", "v2.src"]);
    Ok(())
}

#[tokio::test]
async fn a_bad_repository_does_not_stop_the_rest() -> anyhow::Result<()> {
    let quay = Quay::start()?;
    for repository in ["a/one", "b/two"] {
        orphans(&quay, repository, 1, &[".sig"]);
    }
    // One at a time, so that the faults meet the first: as many as there are tries, with those of the client itself.
    quay.fake.traffic().fail(TAGS, 5, Fault::Answer(500));
    let output = quay.prune(&["--concurrency=1"]).await?;
    let log = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!output.status.success(), "somebody should look: {log}");
    assert!(log.contains("a/one") && log.contains("1 repositories were skipped"), "{log}");
    assert_eq!(quay.tags("a/one").len(), 1);
    assert_eq!(quay.tags("b/two"), [""; 0]);
    Ok(())
}

#[tokio::test]
async fn gets_over_a_bad_moment() -> anyhow::Result<()> {
    let quay = Quay::start()?;
    orphans(&quay, "a/one", 1, &[".sig", ".att"]);
    let traffic = quay.fake.traffic();
    traffic.fail("GET /repository", 1, html(502));
    traffic.fail(TAGS, 1, Fault::SecondaryLimit { status: 429, retry_after: 1 });
    traffic.fail("GET /repository/{repository}/manifest/{digest}", 1, Fault::Drop);
    // Gone when it is tried again.
    traffic.fail(DELETE, 1, Fault::LoseReply);
    let output = quay.prune(&[]).await?;
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(quay.tags("a/one"), [""; 0]);
    Ok(())
}

#[tokio::test]
async fn goes_on_where_it_was_killed() -> anyhow::Result<()> {
    let quay = Quay::start()?;
    quay.fake.edit(|model| model.page_size = 1);
    for repository in ["a/one", "b/two", "c/three"] {
        orphans(&quay, repository, 1, &[".sig"]);
    }
    let plane = ControlPlane::shared().await;
    let namespace = plane.namespace("pruner").await?;
    let cursor = [
        "--cursor=image-pruner".to_owned(),
        format!("--cursor-namespace={namespace}"),
        format!("--kubeconfig={}", plane.kubeconfig().display()),
        "--concurrency=1".to_owned(),
    ];
    let cursor: Vec<&str> = cursor.iter().map(String::as_str).collect();
    // The second repository takes for ever.
    quay.fake.traffic().fail(
        "GET /repository/{repository}/manifest/{digest}",
        1,
        Fault::Delay(Duration::ZERO),
    );
    quay.fake.traffic().fail("GET /repository/{repository}/manifest/{digest}", 1, Fault::Hang);
    let mut killed: Child = quay.command(&cursor).spawn()?;
    eventually(DEADLINE, "the second repository to be looked at", async || {
        let looked = quay.fake.traffic().count("GET /repository/{repository}/manifest/{digest}");
        anyhow::ensure!(looked == 2, "{looked}");
        Ok(())
    })
    .await?;
    killed.kill().await?;
    assert_eq!((quay.tags("a/one").len(), quay.tags("b/two").len()), (0, 1));

    quay.fake.traffic().forget();
    let output = quay.prune(&cursor).await?;
    let log = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{log}");
    assert_eq!(quay.fake.traffic().count(TAGS), 2, "the first is not looked at again: {log}");
    assert_eq!((quay.tags("b/two").len(), quay.tags("c/three").len()), (0, 0));
    // The next run begins anew.
    let map = Api::<ConfigMap>::namespaced(plane.admin(), &namespace).get("image-pruner").await?;
    assert_eq!(map.data, None);
    quay.fake.traffic().forget();
    assert!(quay.prune(&cursor).await?.status.success());
    assert_eq!(quay.fake.traffic().count(TAGS), 3);
    Ok(())
}

#[tokio::test]
async fn says_what_it_lacks() -> anyhow::Result<()> {
    let quay = Quay::start()?;
    let no_token = quay.command(&[]).env_remove("QUAY_TOKEN").output().await?;
    let text = String::from_utf8_lossy(&no_token.stderr).into_owned();
    assert!(!no_token.status.success() && text.contains("--quay-token"), "{text}");
    let blank = quay.command(&[]).env("QUAY_TOKEN", " ").output().await?;
    assert!(!blank.status.success());
    // A token that is not right.
    let wrong = quay.command(&[]).env("QUAY_TOKEN", "wrong").output();
    let wrong = tokio::time::timeout(PATIENCE, wrong).await??;
    let text = String::from_utf8_lossy(&wrong.stderr).into_owned();
    assert!(!wrong.status.success() && text.contains("401") && !text.contains("\"wrong\""), "{text}");
    Ok(())
}

#[tokio::test]
async fn a_large_repository_takes_little_memory() -> anyhow::Result<()> {
    const TAGS: usize = 200_000;
    const LIMIT: u64 = 64 * 1024;
    let quay = Quay::start()?;
    quay.fake.edit(|model| {
        for number in 0..TAGS / 2 {
            model.tag("a/one", &format!("v{number}"), &format!("sha256:{}", hex(number)));
            model.tag("a/one", &format!("sha256-{}.sbom", hex(number)), "sha256:0");
        }
    });
    orphans(&quay, "a/one", TAGS, &[".sbom"]);
    let mut child = quay.command(&[]).spawn()?;
    let pid = child.id().unwrap_or_default();
    let mut peak = 0;
    let status = loop {
        // High-water mark of its resident memory, in KiB.
        let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        let now = line.and_then(|line| line.split_whitespace().next()?.parse().ok()).unwrap_or(0);
        peak = peak.max(now);
        if let Ok(ended) = tokio::time::timeout(Duration::from_millis(20), child.wait()).await {
            break ended?;
        }
    };
    assert!(status.success());
    assert_eq!(quay.fake.traffic().count(DELETE), 1);
    assert!(peak > 0 && peak < LIMIT, "{peak} KiB at most");
    Ok(())
}
