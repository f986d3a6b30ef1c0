//! The transparency log, played: what was told is kept in memory, and known the second time.

use std::net::{Ipv4Addr, TcpListener};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::ensure;
use axum::extract::{Path, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use axum_server::tls_rustls::RustlsConfig;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use data_encoding::HEXLOWER;
use kube::api::{Patch, PatchParams};
use parking_lot::Mutex;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use testkit::{DEADLINE, eventually};

use crate::runs::{end, ended_task_run, image, task_run, task_status};
use crate::service::{Service, annotation, signed, wait_for};

/// A log that takes everything, each thing once.
struct Log {
    address: String,
    told: Arc<Told>,
}

#[derive(Default)]
struct Told {
    entries: Mutex<Vec<Vec<u8>>>,
    /// Keeps what it is told, and does not answer.
    is_silent: AtomicBool,
}

impl Log {
    async fn start(service: &Service) -> anyhow::Result<Self> {
        let told = Arc::new(Told::default());
        let router = Router::new()
            .route("/api/v1/log/entries", post(upload))
            .route("/api/v1/log/entries/{uuid}", get(entry))
            .with_state(Arc::clone(&told));
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        listener.set_nonblocking(true)?;
        let address = listener.local_addr()?.to_string();
        let leaf = service.authority.server("log", &["127.0.0.1"])?;
        let config = RustlsConfig::from_pem(leaf.cert_pem.into_bytes(), leaf.key_pem.into_bytes()).await?;
        tokio::spawn(axum_server::from_tcp_rustls(listener, config)?.serve(router.into_make_service()));
        Ok(Self { address, told })
    }

    fn len(&self) -> usize {
        self.told.entries.lock().len()
    }
}

impl Told {
    /// The number of an entry, and whether it was there.
    fn take(&self, body: Vec<u8>) -> (usize, bool) {
        let mut entries = self.entries.lock();
        if let Some(index) = entries.iter().position(|entry| *entry == body) {
            return (index, true);
        }
        entries.push(body);
        (entries.len() - 1, false)
    }
}

/// What the log keeps of a proposed entry: of envelopes only hashes.
fn canonical(mut proposed: Value) -> Vec<u8> {
    if proposed["kind"] == "intoto" {
        let envelope = proposed["spec"]["content"]["envelope"].as_str().unwrap_or_default().to_owned();
        let hash = |content: &[u8]| json!({"algorithm": "sha256", "value": HEXLOWER.encode(&Sha256::digest(content))});
        let parsed: Value = serde_json::from_str(&envelope).unwrap_or_default();
        let payload = STANDARD.decode(parsed["payload"].as_str().unwrap_or_default()).unwrap_or_default();
        proposed["spec"]["content"] =
            json!({"hash": hash(envelope.as_bytes()), "payloadHash": hash(&payload)});
    }
    proposed.to_string().into_bytes()
}

async fn upload(State(told): State<Arc<Told>>, Json(proposed): Json<Value>) -> Response {
    let body = canonical(proposed);
    let (index, was_there) = told.take(body);
    if told.is_silent.load(Ordering::SeqCst) {
        std::future::pending::<()>().await;
    }
    if was_there {
        let place = format!("/api/v1/log/entries/{index:064x}");
        return (StatusCode::CONFLICT, [(header::LOCATION, place)], Json(json!({"code": 409})))
            .into_response();
    }
    (StatusCode::CREATED, given(&told, index)).into_response()
}

async fn entry(State(told): State<Arc<Told>>, Path(uuid): Path<String>) -> Json<Value> {
    given(&told, usize::from_str_radix(&uuid, 16).unwrap_or(usize::MAX))
}

fn given(told: &Told, index: usize) -> Json<Value> {
    let body = told.entries.lock().get(index).map(|body| STANDARD.encode(body));
    let entry = json!({
        "body": body, "integratedTime": 1_711_965_900, "logID": "00", "logIndex": index,
        "verification": {"signedEntryTimestamp": STANDARD.encode("signed")},
    });
    Json(json!({format!("{index:064x}"): entry}))
}

async fn service(mode: &str) -> anyhow::Result<(Service, Log)> {
    let mut service = Service::install().await?;
    let log = Log::start(&service).await?;
    service.allow(&log.address);
    service
        .set(&[("transparency.enabled", mode), ("transparency.url", &format!("https://{}", log.address))])
        .await?;
    service.run().await?;
    Ok((service, log))
}

/// Annotations of the layers under a tag.
fn bundles(service: &Service, repository: &str, digest: &str, suffix: &str) -> Vec<Value> {
    let path = repository.split_once('/').map_or("", |(_, path)| path);
    let tag = format!("{}.{suffix}", digest.replace(':', "-"));
    let manifest = service.registry.manifest(path, &tag).unwrap_or_default();
    let manifest: Value = serde_json::from_slice(&manifest).unwrap_or_default();
    let layers = manifest["layers"].as_array().cloned().unwrap_or_default();
    layers.into_iter().map(|mut layer| layer["annotations"]["dev.sigstore.cosign/bundle"].take()).collect()
}

#[tokio::test]
async fn what_is_stored_carries_the_proof_of_the_log() -> anyhow::Result<()> {
    let (service, log) = service("true").await?;
    let (repository, digest) = service.push_image("app");
    ended_task_run(&service.task_runs(), "build", &image(&repository, &digest)).await?;
    let run = service.task_run_marked("build", "true").await?;
    ensure!(log.len() == 2, "image and statement");
    let found = annotation(&run, "chains.tekton.dev/transparency").unwrap_or_default();
    ensure!(found.starts_with(&format!("https://{}/api/v1/log/entries?logIndex=", log.address)), "{found}");
    ensure!(annotation(&run, "chains.fleet.konflux-ci.dev/progress").is_none());
    for suffix in ["sig", "att"] {
        let bundles = bundles(&service, &repository, &digest, suffix);
        ensure!(
            bundles.len() == 1
                && bundles[0].as_str().is_some_and(|text| text.contains("SignedEntryTimestamp")),
            "{bundles:?}"
        );
    }
    Ok(())
}

#[tokio::test]
async fn killed_while_the_log_is_told_it_tells_nothing_twice() -> anyhow::Result<()> {
    let (mut service, log) = service("true").await?;
    let (repository, digest) = service.push_image("app");
    log.told.is_silent.store(true, Ordering::SeqCst);
    let task_runs = service.task_runs();
    ended_task_run(&task_runs, "build", &image(&repository, &digest)).await?;
    eventually(DEADLINE, "the log to be told", async || {
        ensure!(log.len() == 1);
        Ok(())
    })
    .await?;
    service.kill();
    log.told.is_silent.store(false, Ordering::SeqCst);
    service.run().await?;
    service.task_run_marked("build", "true").await?;
    ensure!(log.len() == 2, "{} entries", log.len());
    ensure!(service.consumer()?.signatures(&repository, &digest).await?.len() == 1);
    Ok(())
}

#[tokio::test]
async fn scenario_10_a_manual_log_is_told_when_asked_and_once() -> anyhow::Result<()> {
    let (service, log) = service("manual").await?;
    let (repository, digest) = service.push_image("app");
    let task_runs = service.task_runs();
    ended_task_run(&task_runs, "quiet", &image(&repository, &digest)).await?;
    let quiet = service.task_run_marked("quiet", "true").await?;
    ensure!(log.len() == 0 && annotation(&quiet, "chains.tekton.dev/transparency").is_none());

    task_run(&task_runs, "asked").await?;
    let ask = json!({"metadata": {"annotations": {"chains.tekton.dev/transparency-upload": "true"}}});
    task_runs.patch("asked", &PatchParams::default(), &Patch::Merge(&ask)).await?;
    end(&task_runs, "asked", &task_status(&image(&repository, &digest))).await?;
    let asked = service.task_run_marked("asked", "true").await?;
    let told = log.len();
    ensure!(told == 2 && annotation(&asked, "chains.tekton.dev/transparency").is_some());

    let again = json!({"metadata": {"annotations": {"chains.tekton.dev/signed": null}}});
    let version = task_runs
        .patch("asked", &PatchParams::default(), &Patch::Merge(&again))
        .await?
        .metadata
        .resource_version;
    wait_for(&task_runs, "asked", "the mark", |run| {
        signed(run) == Some("true") && run.metadata.resource_version != version
    })
    .await?;
    ensure!(log.len() == told);
    Ok(())
}
