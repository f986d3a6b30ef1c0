//! `create-release-record`: a release at a forge, with a tag and what was released.
//!
//! ```text
//! data.releaseRecord ─▶ where ─▶ tag, name ─┐
//! results of the push ─▶ notes ─────────────┴▶ forge ─▶ results/release-record-results.json
//! ```
//! The settings of a managed release are the admission's alone, with the repository: its token must not go where a tenant says.

mod notes;
mod place;
mod token;

use std::path::PathBuf;

use anyhow::{Context as _, bail, ensure};
use forge::{NewRelease, RecordedHow};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::apply_mapping::facts::{Moments, formatted};
use crate::apply_mapping::mapped::Snapshot;
use crate::apply_mapping::template::{Facts, Template};
use crate::context::{Context, say};
use crate::push_snapshot::{RESULTS, Results};
use crate::workspace::Workspace;

use place::Place;

/// File of the folder of results.
const OWN_RESULTS: &str = "release-record-results.json";

/// Makes a release at a forge, or brings the one up to date that it made before.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Folder that the steps of the run share; all other paths begin there.
    #[arg(long, value_name = "FOLDER")]
    workspace: PathBuf,
    /// The mapped Snapshot.
    #[arg(long, value_name = "PATH")]
    snapshot: String,
    /// Data of Release and ReleasePlan, for a tenant's own pipeline.
    #[arg(long, value_name = "PATH", default_value = "")]
    data: String,
    /// The ReleasePlanAdmission, whose `data.releaseRecord` counts alone if it is given.
    #[arg(long, value_name = "PATH", default_value = "")]
    admission: String,
    /// The Release.
    #[arg(long, value_name = "PATH")]
    release: String,
    /// Folder with the results of the push, where those of this step go, too.
    #[arg(long, value_name = "PATH")]
    results_folder: String,
    /// Folder of a mounted Secret with `token` or `password`. It may have neither.
    #[arg(long, value_name = "FOLDER")]
    token_folder: Option<PathBuf>,
}

/// `data.releaseRecord`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Settings {
    /// `https://github.com`: where the token belongs.
    server: String,
    /// `github`, `gitlab`, `gitea`. Absent means by the server's name.
    provider: Option<String>,
    /// `owner/name`. Absent means the repositories of the components, in a tenant's own pipeline.
    repository: Option<String>,
    /// With variables, as tags of images.
    tag: String,
    /// For people. Absent means the tag.
    name: Option<String>,
    /// Markdown that the notes begin with.
    notes: Option<String>,
    /// `k8s://<namespace>/<name>` of a Secret. Absent means the mounted one.
    token_secret: Option<String>,
}

pub async fn run(args: Args, context: &Context) -> anyhow::Result<()> {
    let workspace = Workspace::open(&args.workspace)?;
    let is_managed = !args.admission.is_empty();
    let settings = if is_managed {
        workspace.read_json::<Value>(&args.admission)?["spec"]["data"]["releaseRecord"].take()
    } else if args.data.is_empty() {
        Value::Null
    } else {
        workspace.read_json::<Value>(&args.data)?["releaseRecord"].take()
    };
    if settings.is_null() {
        say("There is no data.releaseRecord: no forge is told");
        return Ok(());
    }
    let settings: Settings = serde_json::from_value(settings).context("data.releaseRecord")?;
    ensure!(
        !is_managed || settings.repository.is_some(),
        "data.releaseRecord.repository is missing: a managed release names the repository that its token may write to"
    );
    let snapshot: Snapshot = workspace.read_json(&args.snapshot).context("read the mapped Snapshot")?;
    let release: Value = workspace.read_json(&args.release)?;
    let folder = args.results_folder.trim_end_matches('/');
    let pushed: Results =
        workspace.read_json(&format!("{folder}/{RESULTS}")).context("read what was pushed")?;
    let places = place::places(&settings, &snapshot)?;
    let token = token::read(settings.token_secret.as_deref(), args.token_folder.as_deref(), context).await?;

    let moments = Moments::new(&release, context.clock.now());
    let (mut records, mut faults) = (Vec::new(), Vec::new());
    for place in &places {
        let new = NewRelease {
            tag: tag(&settings.tag, place, &pushed, &moments)?,
            target: place.commit.clone(),
            name: String::new(),
            notes: notes::notes(settings.notes.as_deref(), &release, &pushed),
        };
        let new = NewRelease { name: settings.name.clone().unwrap_or_else(|| new.tag.clone()), ..new };
        match record(place, &new, &token, context).await {
            Ok(url) => records.push(json!({"repository": place.url(), "tag": new.tag, "url": url})),
            Err(error) => faults.push(format!("release {:?} at {}: {error:#}", new.tag, place.url())),
        }
    }
    workspace.write_json(&format!("{folder}/{OWN_RESULTS}"), &json!({ "releaseRecords": records }))?;
    if faults.is_empty() { Ok(()) } else { bail!("{}", faults.join("\n")) }
}

fn tag(text: &str, place: &Place, pushed: &Results, moments: &Moments) -> anyhow::Result<String> {
    let template: Template = text.parse().context("data.releaseRecord.tag")?;
    let digest = pushed.images.first().map(|image| image.shasum.trim_start_matches("sha256:").to_owned());
    let facts = Facts {
        release_timestamp: formatted("%s", moments.release)?,
        git_sha: place.commit.as_ref().map(ToString::to_string),
        digest_sha: digest.unwrap_or_default(),
        ..Facts::default()
    };
    template.fill(&facts).context("data.releaseRecord.tag")
}

async fn record(
    place: &Place,
    new: &NewRelease,
    token: &fleet::Secret<String>,
    context: &Context,
) -> anyhow::Result<String> {
    let access = forge::Access { token: Some(token), ..forge::Access::default() };
    let forge = forge::release(place.provider, &place.server, access, &context.outbound)?;
    let mut recorded = forge.ensure_release(&place.repository, new).await;
    if let Err(forge::Error::Conflict { .. }) = recorded {
        // Somebody made it meanwhile: maybe we, whose answer got lost.
        recorded = forge.ensure_release(&place.repository, new).await;
    }
    let recorded = recorded?;
    if recorded.how == RecordedHow::Foreign {
        say(&format!(
            "Release {:?} at {} was made by somebody else and is left as it is",
            new.tag,
            place.url()
        ));
    } else {
        say(&format!("Release {:?} at {}: {}", new.tag, place.url(), recorded.how));
    }
    Ok(recorded.url)
}

#[cfg(test)]
mod tests;
