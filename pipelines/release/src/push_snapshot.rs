//! `push-snapshot`: copies the images of a mapped Snapshot to where they are released, with all that belongs to them.
//!
//! ```text
//! mapped Snapshot ─▶ plan ─▶ per component and repository:
//!                            manifests and blobs ─▶ signatures, attestations, SBOMs, referrers ─▶ tags ─▶ results
//! ```
//! Tags come last: nobody pulls an image whose signature is not there yet. What is there already is not sent again, so a run that
//! failed half-way can be run again. One component's failure stops no other; all of them are said at the end.

mod attachments;
mod copier;
mod outcome;
pub(crate) mod plan;
mod tree;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, bail};
use futures::StreamExt as _;
use serde_json::Value;
use step::results;

use crate::apply_mapping::facts::Moments;
use crate::apply_mapping::mapped::Snapshot;
use crate::context::{Context, say};
use crate::workspace::Workspace;

use copier::Copier;
pub use outcome::{Pushed, Results};
use plan::{Push, Rules};

/// File of the folder of results.
pub const RESULTS: &str = "push-snapshot-results.json";
/// Between a failure and the next try, twice as long each time.
const PAUSE: Duration = Duration::from_secs(2);

/// Copies the images of a mapped Snapshot to where they are released.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Folder that the steps of the run share; all other paths begin there.
    #[arg(long, value_name = "FOLDER")]
    workspace: PathBuf,
    /// The mapped Snapshot.
    #[arg(long, value_name = "PATH")]
    snapshot: String,
    /// Data of Release, ReleasePlan and ReleasePlanAdmission, merged: `images` says which tags.
    #[arg(long, value_name = "PATH", default_value = "")]
    data: String,
    /// The Release, whose start is in timestamps. Without it, that is now.
    #[arg(long, value_name = "PATH", default_value = "")]
    release: String,
    /// Folder where `push-snapshot-results.json` goes.
    #[arg(long, value_name = "PATH", default_value = "")]
    results_folder: String,
    /// How often an image is tried again.
    #[arg(long, default_value_t = 3)]
    retries: u32,
    /// How many images are copied at once.
    #[arg(long, default_value_t = 4, value_parser = clap::value_parser!(u8).range(1..=16))]
    concurrency: u8,
    /// Result `commonTags`: the tags that all images have got, separated by spaces.
    #[arg(long, value_name = "PATH")]
    result_common_tags: Option<PathBuf>,
}

pub async fn run(args: Args, context: &Context) -> anyhow::Result<()> {
    let workspace = Workspace::open(&args.workspace)?;
    let snapshot: Snapshot = workspace.read_json(&args.snapshot).context("read the mapped Snapshot")?;
    let read = |path: &str| -> anyhow::Result<Value> {
        if path.is_empty() { Ok(Value::Null) } else { workspace.read_json(path) }
    };
    let data = read(&args.data)?;
    let rules = Rules::new(&data["images"], Moments::new(&read(&args.release)?, context.clock.now()))?;
    let plan = plan::pushes(&snapshot, &rules)?;
    let common = plan::common_tags(&plan);

    let copier = Arc::new(Copier::new(context.registry.clone(), context.keychain.clone()));
    let pushing = plan.iter().map(async |push| patiently(push, &copier, args.retries).await);
    let ended: Vec<anyhow::Result<Pushed>> =
        futures::stream::iter(pushing).buffered(usize::from(args.concurrency)).collect().await;

    let mut results = Results::default();
    let mut faults = Vec::new();
    for (push, ended) in plan.iter().zip(ended) {
        match ended {
            Ok(pushed) => results.add(pushed),
            Err(error) => faults.push(format!("component {:?}: {error:#}", push.component)),
        }
    }
    if !args.results_folder.is_empty() {
        workspace
            .write_json(&format!("{}/{RESULTS}", args.results_folder.trim_end_matches('/')), &results)?;
    }
    say(&format!("{} of {} pushes are done: {}", plan.len() - faults.len(), plan.len(), copier.summary()));
    if !faults.is_empty() {
        bail!("{} of {} pushes failed:\n{}", faults.len(), plan.len(), faults.join("\n"));
    }
    match &args.result_common_tags {
        Some(path) => results::write(path, &fitting(common, results::room(path))),
        None => Ok(()),
    }
}

async fn patiently(push: &Push, copier: &Copier, retries: u32) -> anyhow::Result<Pushed> {
    let mut tries = 0;
    loop {
        let error = match copier.push(push).await {
            Ok(pushed) => {
                say(&format!("Released {} as {} {}", push.image, pushed.urls.len(), pushed.urls.join(" ")));
                return Ok(pushed);
            }
            Err(error) => error,
        };
        if tries >= retries || !is_transient(&error) {
            return Err(error);
        }
        let pause = PAUSE * 2_u32.saturating_pow(tries);
        tries += 1;
        say(&format!(
            "{}: try {} of {retries} again in {} s: {error:#}",
            push.component,
            tries,
            pause.as_secs()
        ));
        tokio::time::sleep(pause).await;
    }
}

/// Whether the same may work in a moment.
fn is_transient(error: &anyhow::Error) -> bool {
    error
        .chain()
        .any(|cause| cause.downcast_ref::<registry::Error>().is_some_and(registry::Error::is_transient))
}

/// As many tags as a result can carry: those who need all read the file.
fn fitting(tags: Vec<String>, room: usize) -> String {
    let mut text = String::new();
    for tag in tags {
        let space = usize::from(!text.is_empty());
        if text.len() + space + tag.len() > room {
            break;
        }
        if space > 0 {
            text.push(' ');
        }
        text.push_str(&tag);
    }
    text
}

#[cfg(test)]
mod tests;
