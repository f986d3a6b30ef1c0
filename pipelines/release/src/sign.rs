//! `sign`: signs what was released, with a key of ours or by asking the private cluster.
//!
//! ```text
//! mapped Snapshot ─▶ each manifest × each tag ─┬─ not signed by this key ─▶ signature beside the image
//!                                              └─ InternalRequest ─▶ signing pipeline of the private cluster
//! ```
//! What is signed names the image as users pull it: `<public repository>:<tag>`. Settings are the admission's alone: a tenant must
//! not choose the key, nor who asks.

mod direct;
mod key;
mod requests;

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context as _, bail, ensure};
use registry::{Digest, Document, Reference};
use serde::Deserialize;
use serde_json::Value;

use crate::apply_mapping::facts::Moments;
use crate::apply_mapping::mapped::Snapshot;
use crate::context::{Context, say};
use crate::internal_request::uid;
use crate::push_snapshot::plan::{self, Push, Rules};
use crate::workspace::Workspace;

/// Manifests of one index.
const MAX_MANIFESTS: usize = 512;

/// Signs the images that were pushed.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Folder that the steps of the run share; all other paths begin there.
    #[arg(long, value_name = "FOLDER")]
    workspace: PathBuf,
    /// The mapped Snapshot.
    #[arg(long, value_name = "PATH")]
    snapshot: String,
    /// Data of Release, ReleasePlan and ReleasePlanAdmission, merged: `images` says which tags there are.
    #[arg(long, value_name = "PATH", default_value = "")]
    data: String,
    /// The ReleasePlanAdmission, whose `data.sign` says how to sign. Empty means the merged data's.
    #[arg(long, value_name = "PATH", default_value = "")]
    admission: String,
    /// The Release: who asked for it, and when it began.
    #[arg(long, value_name = "PATH", default_value = "")]
    release: String,
    /// Folder of a mounted Secret with `cosign.key` and `cosign.password`, or `x509.pem`. It may have neither.
    #[arg(long, value_name = "FOLDER")]
    key_folder: Option<PathBuf>,
    /// Namespace of the run, for InternalRequests.
    #[arg(long, default_value = "")]
    namespace: String,
    #[arg(long, value_parser = uid)]
    pipeline_run_uid: Option<String>,
    #[arg(long, value_parser = uid)]
    task_run_uid: Option<String>,
}

/// `data.sign`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Settings {
    /// `k8s://<namespace>/<name>` of a Secret. Absent means the mounted one.
    key: Option<String>,
    /// A transparency log that shall know of the signatures.
    rekor_url: Option<String>,
    /// Pipeline of the private cluster.
    #[serde(default = "signing_pipeline")]
    request: String,
    #[serde(default = "signing_config_map")]
    config_map_name: String,
    /// Image of that pipeline's program. Absent means its own default.
    pipeline_image: Option<String>,
    #[serde(default = "four")]
    concurrent_limit: u16,
    /// Seconds for one request.
    #[serde(default = "three_minutes")]
    request_timeout: u64,
}

fn signing_pipeline() -> String {
    "hacbs-signing-pipeline".to_owned()
}

fn signing_config_map() -> String {
    "signing-config-map".to_owned()
}

fn four() -> u16 {
    4
}

fn three_minutes() -> u64 {
    180
}

/// One manifest, with all the names that it is signed by.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Item {
    /// Where it is, by its digest.
    manifest: Reference,
    digest: Digest,
    /// `<public repository>:<tag>`.
    identities: Vec<String>,
}

pub async fn run(args: Args, context: &Context) -> anyhow::Result<()> {
    let workspace = Workspace::open(&args.workspace)?;
    let read = |path: &str| -> anyhow::Result<Value> {
        if path.is_empty() { Ok(Value::Null) } else { workspace.read_json(path) }
    };
    let data = read(&args.data)?;
    let admission = read(&args.admission)?;
    let (settings, place) = if args.admission.is_empty() {
        (&data["sign"], "data.sign")
    } else {
        (&admission["spec"]["data"]["sign"], "data.sign of the ReleasePlanAdmission")
    };
    if settings.is_null() {
        say(&format!("There is no {place}: nothing is signed"));
        return Ok(());
    }
    let settings = Settings::deserialize(settings).with_context(|| place.to_owned())?;
    let release = read(&args.release)?;
    let rules = Rules::new(&data["images"], Moments::new(&release, context.clock.now()))?;
    let snapshot: Snapshot = workspace.read_json(&args.snapshot).context("read the mapped Snapshot")?;
    let items = items(&plan::pushes(&snapshot, &rules)?, context).await?;

    let key = match &settings.key {
        Some(name) => Some(key::of_secret(name, context).await?),
        None => args.key_folder.as_deref().map(key::of_folder).transpose()?.flatten(),
    };
    if let Some(key) = key {
        return direct::sign(&items, &key, settings.rekor_url.as_deref(), context).await;
    }
    let (Some(pipeline_run_uid), Some(task_run_uid)) = (args.pipeline_run_uid, args.task_run_uid) else {
        bail!(
            "{place} names no key, and there is no run that InternalRequests could be of: set sign.key or mount a key"
        );
    };
    ensure!(!args.namespace.is_empty(), "InternalRequests need the namespace of the run");
    let requester = release["status"]["attribution"]["author"].as_str().unwrap_or_default();
    ensure!(
        !requester.is_empty(),
        "the Release has no status.attribution.author: nobody asks for its signatures"
    );
    let origin =
        crate::internal_request::Origin { namespace: args.namespace, pipeline_run_uid, task_run_uid };
    let limits = crate::internal_request::Limits {
        open: usize::from(settings.concurrent_limit.clamp(1, 64)),
        timeout: Duration::from_secs(settings.request_timeout),
    };
    requests::sign(requests::requests(&items, &settings, requester), origin, &limits, context).await
}

/// Every manifest of every image in every place, where it was released to.
async fn items(pushes: &[Push], context: &Context) -> anyhow::Result<Vec<Item>> {
    let mut items: Vec<Item> = Vec::new();
    for push in pushes {
        let identities: Vec<String> = push.tags.iter().map(|tag| format!("{}:{tag}", push.public)).collect();
        let Some(digest) = push.image.digest() else { continue };
        let top = push.repository.at(digest.clone());
        let manifest = context.registry.manifest(&top, &context.keychain).await;
        let manifest = manifest.with_context(|| format!("{top}: only what was pushed is signed"))?;
        let mut digests = vec![digest.clone()];
        if let Document::Index(children) = manifest.document()? {
            digests.extend(children.into_iter().map(|child| child.digest));
        }
        ensure!(digests.len() <= MAX_MANIFESTS, "{top} has more than {MAX_MANIFESTS} manifests");
        for digest in digests {
            items.push(Item {
                manifest: push.repository.at(digest.clone()),
                digest,
                identities: identities.clone(),
            });
        }
    }
    Ok(items)
}

#[cfg(test)]
mod tests;
