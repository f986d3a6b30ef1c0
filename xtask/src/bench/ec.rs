//! `cargo xtask bench ec`: what judging images by the release policy costs.
//!
//! Images are small and their provenance is not: a dozen tasks with parameters, results and steps, as of a real build. Whether
//! they pass does not matter: every rule is asked either way.
use std::{
    net::TcpListener,
    path::{Path, PathBuf},
    process::Stdio,
    time::{Duration, Instant},
};

use anyhow::Context as _;
use attest::{PrivateKey, dsse, simple_signing::Payload};
use base64::{Engine as _, engine::general_purpose::STANDARD as BASE64};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use tempfile::TempDir;
use testkit::{pki::Authority, registry::PlayedRegistry};
use tokio::process::Command;

use super::{
    process::status_of,
    release,
    table::Table,
    units::{count, mebibytes, median, time},
};
use crate::{paths, program::interruptible, ui};

/// Runs, of which the middle one counts.
const RUNS: usize = 5;
/// Images of the larger Snapshot.
const MANY: usize = 20;
const TASKS: usize = 12;

const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
const STATEMENT: &str = "application/vnd.in-toto+json";

/// Measures how long judging takes, how much memory, and how many requests to the registry.
#[derive(Debug, clap::Args)]
pub(super) struct EcArgs {
    /// Measure this binary instead of a release build of this checkout.
    #[arg(long, value_name = "FILE")]
    binary: Option<PathBuf>,
}

pub(super) async fn run(args: EcArgs) -> anyhow::Result<()> {
    let table = interruptible(async {
        let binary = match &args.binary {
            Some(binary) => binary
                .canonicalize()
                .with_context(|| format!("--binary {}: is there such a file?", binary.display()))?,
            None => release("ec").await?,
        };
        measure(&binary).await
    })
    .await?;
    ui::answer(&table.to_string());
    Ok(())
}

async fn measure(binary: &Path) -> anyhow::Result<Table> {
    let world = World::new()?;
    let images: Vec<String> =
        (0..MANY).map(|number| world.image(number, None)).collect::<anyhow::Result<_>>()?;
    // Takes connections, and says nothing.
    let dead = TcpListener::bind("127.0.0.1:0").context("listen")?;
    let sbom = format!("{}/sbom@sha256:{}", dead.local_addr()?, "0".repeat(64));
    let image = world.image(MANY, Some(&sbom))?;
    let policy = world.policy()?;

    let mut table = Table::new("ec");
    let one = world.judge(binary, &policy, &images[..1]).await?;
    table.row("rules that were asked", "", one.rules.to_string());
    table.row("one image by the whole release policy", "≤ 1 s", time(one.time));
    table.row("… most memory", "≤ 60 MiB", mebibytes(one.memory));
    let many = world.judge(binary, &policy, &images).await?;
    table.row(format!("{MANY} images"), "≤ 4 s", time(many.time));
    table.row("… most memory", "≤ 150 MiB", mebibytes(many.memory));
    table.row("… requests to the registry for each", "≤ 14", format!("{:.1}", many.requests));
    let waited = world.judge(binary, &policy, &[image]).await?;
    table.row("one image whose results name a host that is dead", "≤ 5 s", time(waited.time));
    Ok(table)
}

/// A registry with signed images, and a policy.
struct World {
    registry: PlayedRegistry,
    key: PrivateKey,
    folder: TempDir,
}

/// The middle of several runs.
struct Measured {
    time: Duration,
    /// The most of all runs.
    memory: u64,
    /// For each image.
    requests: f64,
    rules: usize,
}

impl World {
    fn new() -> anyhow::Result<Self> {
        let authority = Authority::new("bench").context("make a certificate authority")?;
        let folder = TempDir::new().context("make a folder")?;
        std::fs::write(folder.path().join("ca.crt"), authority.cert_pem()).context("write the authority")?;
        let key = PrivateKey::generate().context("make a key")?;
        Ok(Self { registry: PlayedRegistry::start(&authority)?, key, folder })
    }

    /// The policy of this checkout, in JSON.
    fn policy(&self) -> anyhow::Result<String> {
        let policy = paths::repository()?.join("policy");
        let url = |folder: &str| format!("file::{}", policy.join(folder).display());
        let source = json!({"policy": [url("lib"), url("release")], "data": [url("data")]});
        Ok(json!({"publicKey": self.key.public().to_pem(), "sources": [source]}).to_string())
    }

    /// Adds an image, signed and attested, and returns its name. A result of its build names `sbom`.
    fn image(&self, number: usize, sbom: Option<&str>) -> anyhow::Result<String> {
        let repository = format!("org/app{number}");
        let labels =
            json!({"name": repository, "version": "1", "com.redhat.component": "app", "summary": "An app"});
        let config =
            json!({"architecture": "amd64", "os": "linux", "config": {"Labels": labels}}).to_string();
        let digest = self.push(&repository, "", &config, "application/vnd.oci.image.config.v1+json", &[]);
        let name = format!("{}/{repository}@{digest}", self.registry.address());
        let tag = |kind: &str| format!("sha256-{}.{kind}", digest.trim_start_matches("sha256:"));

        let payload = Payload::for_image(&repository, &digest.parse().context("a digest")?);
        let signature = BASE64.encode(self.key.sign(&payload)?);
        let annotations = json!({"dev.cosignproject.cosign/signature": signature});
        let signature = (payload, "application/vnd.dev.cosign.simplesigning.v1+json", annotations);
        self.push(&repository, &tag("sig"), "{}", MANIFEST, &[signature]);

        let statement = provenance(&repository, &name, &digest, sbom).to_string();
        let sig = BASE64.encode(self.key.sign(&dsse::pae(STATEMENT, statement.as_bytes()))?);
        let envelope = json!({
            "payloadType": STATEMENT, "payload": BASE64.encode(&statement), "signatures": [{"keyid": "", "sig": sig}],
        });
        let attestation =
            (envelope.to_string().into_bytes(), "application/vnd.dsse.envelope.v1+json", json!({}));
        self.push(&repository, &tag("att"), "{}", MANIFEST, &[attestation]);
        Ok(name)
    }

    fn push(
        &self,
        repository: &str,
        tag: &str,
        config: &str,
        config_type: &str,
        layers: &[(Vec<u8>, &str, Value)],
    ) -> String {
        let layers: Vec<Value> = layers
            .iter()
            .map(|(content, media_type, annotations)| {
                let digest = self.registry.push_blob(repository, content);
                json!({"mediaType": media_type, "digest": digest, "size": content.len(), "annotations": annotations})
            })
            .collect();
        let digest = self.registry.push_blob(repository, config.as_bytes());
        let config = json!({"mediaType": config_type, "digest": digest, "size": config.len()});
        let manifest = json!({"schemaVersion": 2, "mediaType": MANIFEST, "config": config, "layers": layers});
        self.registry.push_manifest(repository, tag, MANIFEST, manifest.to_string().as_bytes())
    }

    async fn judge(&self, binary: &Path, policy: &str, images: &[String]) -> anyhow::Result<Measured> {
        let step = ui::step(format!("judging {} images {RUNS} times", images.len()));
        let (mut times, mut memory) = (Vec::new(), 0);
        let before = self.registry.calls().len();
        for _ in 0..RUNS {
            let (time, most) = self.judge_once(binary, policy, images).await?;
            times.push(time);
            memory = memory.max(most);
        }
        let requests = count(self.registry.calls().len() - before) / count(images.len() * RUNS);
        let rules = self.rules(images.len())?;
        step.done();
        Ok(Measured { time: median(&times), memory, requests, rules })
    }

    /// Runs the program; how long it took, and the most memory that it had.
    async fn judge_once(
        &self,
        binary: &Path,
        policy: &str,
        images: &[String],
    ) -> anyhow::Result<(Duration, u64)> {
        let component = |image: &String| json!({"name": "app", "containerImage": image});
        let images = json!({"components": images.iter().map(component).collect::<Vec<_>>()});
        let began = Instant::now();
        let mut child = Command::new(binary)
            .args(["validate", "image", "--strict=false", "--show-successes", "--ignore-rekor=true"])
            .args([format!("--images={images}"), format!("--policy={policy}")])
            .arg(format!("--output=json={}", self.report().display()))
            .env_clear()
            .env("EC_CA_BUNDLE", self.folder.path().join("ca.crt"))
            .env("HOME", self.folder.path())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .with_context(|| format!("start {}", binary.display()))?;
        let pid = child.id().and_then(|id| i32::try_from(id).ok()).context("the program has a process id")?;
        let mut memory = 0;
        loop {
            // The most that it ever had; gone once it has ended.
            memory = status_of(pid, "VmHWM:").unwrap_or(memory);
            tokio::select! {
                status = child.wait() => {
                    let status = status?;
                    anyhow::ensure!(status.success(), "{} validate image: {status}", binary.display());
                    return Ok((began.elapsed(), memory));
                }
                () = tokio::time::sleep(Duration::from_millis(2)) => {}
            }
        }
    }

    fn report(&self) -> PathBuf {
        self.folder.path().join("report.json")
    }

    /// How many distinct rules the last report names. It has to be complete, or nothing was measured.
    fn rules(&self, images: usize) -> anyhow::Result<usize> {
        let report = std::fs::read(self.report()).context("read the report")?;
        let report: Value = serde_json::from_slice(&report).context("read the report")?;
        let components = report["components"].as_array().context("the report has components")?;
        anyhow::ensure!(components.len() == images, "the report has {} images of {images}", components.len());
        let found = |component: &Value, list: &str| component[list].as_array().cloned().unwrap_or_default();
        let is_signed = |component: &Value| {
            let codes = found(component, "successes");
            codes.iter().any(|finding| finding["metadata"]["code"] == "builtin.attestation.signature_check")
        };
        anyhow::ensure!(
            components.iter().all(is_signed),
            "an image of the report is not attested: {report:#}"
        );
        let lists = ["violations", "warnings", "successes"];
        let codes: std::collections::BTreeSet<String> = lists
            .iter()
            .flat_map(|list| found(&components[0], list))
            .filter_map(|finding| finding["metadata"]["code"].as_str().map(str::to_owned))
            .collect();
        Ok(codes.len())
    }
}

/// What a build of a PipelineRun says.
fn provenance(repository: &str, image: &str, digest: &str, sbom: Option<&str>) -> Value {
    let text = |seed: String| data_encoding::HEXLOWER.encode(&Sha256::digest(seed));
    let task = |number: usize| {
        let parameters: serde_json::Map<String, Value> =
            (0..20).map(|key| (format!("PARAMETER_{key}"), json!(text(format!("{number}-{key}"))))).collect();
        let steps: Vec<Value> = (0..6)
            .map(|step| {
                json!({
                    "entryPoint": text(format!("script {number}-{step}")).repeat(12),
                    "environment": {"container": format!("step-{step}"), "image": format!("registry.example/step@sha256:{}", text(format!("{step}")))},
                })
            })
            .collect();
        let mut results = vec![
            json!({"name": "TEST_OUTPUT", "type": "string", "value": r#"{"result": "SUCCESS", "timestamp": "1709294400", "successes": 3, "failures": 0, "warnings": 0}"#}),
        ];
        if number == 2 {
            let url = image.split('@').next().unwrap_or_default();
            results.push(json!({"name": "IMAGE_URL", "type": "string", "value": url}));
            results.push(json!({"name": "IMAGE_DIGEST", "type": "string", "value": digest}));
            results
                .extend(sbom.map(|sbom| json!({"name": "SBOM_BLOB_URL", "type": "string", "value": sbom})));
        }
        json!({
            "name": format!("task-{number}"),
            "ref": {"resolver": "bundles", "params": [
                {"name": "bundle", "value": format!("registry.example/tasks/task-{number}:0.1@sha256:{}", text(format!("task {number}")))},
                {"name": "name", "value": format!("task-{number}")}, {"name": "kind", "value": "task"},
            ]},
            "startedOn": "2024-03-01T11:50:00Z", "finishedOn": "2024-03-01T11:55:00Z", "status": "Succeeded",
            "invocation": {"parameters": parameters, "environment": {"labels": {"tekton.dev/task": format!("task-{number}")}}},
            "results": results, "steps": steps,
        })
    };
    json!({
        "_type": "https://in-toto.io/Statement/v0.1",
        "predicateType": "https://slsa.dev/provenance/v0.2",
        "subject": [{"name": repository, "digest": {"sha256": digest.trim_start_matches("sha256:")}}],
        "predicate": {
            "builder": {"id": "https://tekton.dev/chains/v2"},
            "buildType": "tekton.dev/v1beta1/PipelineRun",
            "buildConfig": {"tasks": (0..TASKS).map(task).collect::<Vec<_>>()},
            "metadata": {"buildStartedOn": "2024-03-01T11:50:00Z", "buildFinishedOn": "2024-03-01T12:00:00Z"},
            "materials": [{"uri": "git+https://git.example/app.git", "digest": {"sha1": "0".repeat(40)}}],
        },
    })
}
