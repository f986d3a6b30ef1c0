//! `ec track`

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context as _, bail, ensure};
use clap::ArgAction;
use enterprise_contract_api::annotations::{BUNDLE_KIND, BUNDLE_KIND_TASK};
use fleet::outbound::Url;
use git::{Git, Limits};
use registry::{Blob, Digest, Document, Reference};
use serde_json::{Value, json};

use super::{Context, Outcome};
use crate::track::{Records, Tracked, effective_on};
use crate::{sources, yaml};

const CONFIG: &str = "application/vnd.unknown.config.v1+json";
const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
const DATA: &str = "application/vnd.cncf.openpolicyagent.data.layer.v1+json";
const TITLE: &str = "org.opencontainers.image.title";
/// Where the records are in a bundle.
const PLACE: &str = "data/data/trusted_tekton_tasks.yml";

/// For the history of a path: all commits and folders, without files.
const LIMITS: Limits =
    Limits { timeout: Duration::from_mins(2), transfer: 512 * 1024 * 1024, content: 1024 * 1024 };

#[derive(Clone, Debug, clap::Subcommand)]
pub(super) enum Command {
    /// Record versions of tasks as trusted, in 30 days' time.
    #[command(alias = "tekton-task")]
    Bundle(Args),
}

#[derive(Clone, Debug, clap::Args)]
pub(super) struct Args {
    /// Bundle of a task. May be repeated, or separated by commas.
    #[arg(short, long, value_delimiter = ',', value_name = "IMAGE")]
    bundle: Vec<String>,
    /// Task in a Git repository, as git+https://HOST/REPOSITORY//PATH@COMMIT. Without @COMMIT only with --freshen. May be
    /// repeated, or separated by commas.
    #[arg(short, long, value_delimiter = ',', value_name = "TASK")]
    git: Vec<String>,
    /// Records so far: a file, or oci:IMAGE.
    #[arg(short, long, value_name = "FILE")]
    input: Option<String>,
    /// Where records are written to: a file, or oci:IMAGE. Standard output if absent.
    #[arg(short, long, value_name = "FILE")]
    output: Option<String>,
    /// Write records to where they were read from.
    #[arg(short, long, num_args = 0..=1, require_equals = true, default_missing_value = "true", default_value_t = false, action = ArgAction::Set, value_name = "BOOL")]
    replace: bool,
    /// Leave out what has expired.
    #[arg(short, long, num_args = 0..=1, require_equals = true, default_missing_value = "true", default_value_t = true, action = ArgAction::Set, value_name = "BOOL")]
    prune: bool,
    /// Also look for newer versions of all that is recorded: where their tags are now, and the last commits that changed them.
    #[arg(long, num_args = 0..=1, require_equals = true, default_missing_value = "true", default_value_t = false, action = ArgAction::Set, value_name = "BOOL")]
    freshen: bool,
    /// In how many days new versions are in effect.
    #[arg(long, default_value_t = 30, value_name = "DAYS")]
    in_effect_days: u16,
}

pub(super) async fn run(command: Command, context: &Context) -> Outcome {
    let Command::Bundle(args) = command;
    ensure!(!args.replace || args.input.is_some(), "--replace needs --input, which is what it replaces");
    ensure!(!args.replace || args.output.is_none(), "--replace and --output exclude each other");
    let before = match &args.input {
        Some(input) => read(input, context).await.with_context(|| format!("--input {input}"))?,
        None => Value::Null,
    };
    let mut records = Records::parse(before).map_err(anyhow::Error::msg).context("--input")?;
    let now = context.environment.clock.now();
    let from = effective_on(now, args.in_effect_days);
    let git = Git::new(context.environment.sigstore.outbound.clone());

    let recorded: Vec<Tracked> = if args.freshen { records.tracked().collect() } else { Vec::new() };
    for bundle in &args.bundle {
        let reference: Reference = bundle.parse().context("--bundle")?;
        add_bundle(&mut records, &reference, from, context).await?;
    }
    for task in &args.git {
        let (key, commit) = match task.rsplit_once('@') {
            Some((key, commit)) if git::is_commit(commit) => (key, Some(commit)),
            _ => (task.as_str(), None),
        };
        let tracked = Tracked::parse(key).filter(|tracked| matches!(tracked, Tracked::Git { .. }));
        let tracked = tracked.with_context(|| {
            format!("--git {task:?}: expected git+https://host/repository//path@commit, with all 40 digits of the commit")
        })?;
        match commit {
            Some(commit) => records.add(&tracked, commit, from),
            None if args.freshen => add_git(&mut records, &tracked, from, &git).await?,
            None => {
                bail!("--git {task:?}: name the commit behind @, or have the last one found by --freshen")
            }
        }
    }
    for tracked in recorded {
        match &tracked {
            Tracked::Git { .. } => add_git(&mut records, &tracked, from, &git).await?,
            Tracked::Bundle { repository, tag } if !tag.is_empty() => {
                let reference: Reference = format!("{repository}:{tag}").parse()?;
                add_bundle(&mut records, &reference, from, context).await?;
            }
            // Without a tag there is nothing that could have moved.
            Tracked::Bundle { .. } => {}
        }
    }

    let document = records.tidied(now, args.prune).document();
    let text = yaml::print(&document).map_err(anyhow::Error::msg)?;
    let output = if args.replace { &args.input } else { &args.output };
    match output {
        None => super::say(&text)?,
        Some(output) => write(output, text, context).await.with_context(|| format!("write {output}"))?,
    }
    Ok(ExitCode::SUCCESS)
}

/// An image that holds no task is passed over.
async fn add_bundle(
    records: &mut Records,
    reference: &Reference,
    from: jiff::Timestamp,
    context: &Context,
) -> anyhow::Result<()> {
    let environment = &context.environment;
    let manifest = environment.registry.manifest(reference, &environment.keychain).await?;
    let Document::Image(image) = manifest.document()? else {
        bail!("{reference} is an index of images, not a bundle")
    };
    let is_task = |layer: &registry::Descriptor| {
        layer.annotations.get(BUNDLE_KIND).is_some_and(|kind| kind.eq_ignore_ascii_case(BUNDLE_KIND_TASK))
    };
    if !image.layers.iter().any(is_task) {
        tracing::warn!(bundle = %reference, "It holds no task, and is not recorded");
        return Ok(());
    }
    let tag = reference.tag().unwrap_or_default().to_owned();
    let tracked = Tracked::Bundle { repository: reference.name(), tag };
    records.add(&tracked, manifest.digest.as_str(), from);
    Ok(())
}

async fn add_git(
    records: &mut Records,
    tracked: &Tracked,
    from: jiff::Timestamp,
    git: &Git,
) -> anyhow::Result<()> {
    let Tracked::Git { url, path } = tracked else { return Ok(()) };
    let address: Url = url.parse().with_context(|| tracked.key())?;
    let commit = git.last_change(&address, None, path, LIMITS).await.with_context(|| tracked.key())?;
    records.add(tracked, &commit, from);
    Ok(())
}

fn bundle(place: &str) -> Option<&str> {
    place.strip_prefix("oci:").map(|image| image.trim_start_matches(':').trim_start_matches("//"))
}

async fn read(input: &str, context: &Context) -> anyhow::Result<Value> {
    if let Some(image) = bundle(input) {
        let fetched = context.environment.sources.fetch(&format!("oci::{image}")).await?;
        return Ok(sources::merge(&[fetched], None)?);
    }
    let text = std::fs::read(input)?;
    yaml::parse(&text).map_err(anyhow::Error::msg)
}

async fn write(output: &str, text: String, context: &Context) -> anyhow::Result<()> {
    let Some(image) = bundle(output) else {
        return Ok(std::fs::write(PathBuf::from(output), text)?);
    };
    let environment = &context.environment;
    let (registry, keychain) = (&environment.registry, &environment.keychain);
    let to: Reference = image.parse()?;
    let now = environment.clock.now();
    let layer = Blob::bytes(text.clone().into_bytes());
    // For people: the last one is what made this image.
    let command: Vec<String> = std::env::args().collect();
    let config = json!({
        "created": now, "architecture": "", "os": "",
        "history": [{"created": now, "created_by": command.join(" ")}],
        "rootfs": {"type": "layers", "diff_ids": [Digest::of(text.as_bytes()).to_string()]},
    });
    let config = Blob::bytes(config.to_string().into_bytes());
    for blob in [&layer, &config] {
        registry.push_blob(&to, blob, keychain).await?;
    }
    let described = |kind: &str, blob: &Blob| json!({"mediaType": kind, "digest": blob.digest().to_string(), "size": blob.size()});
    let mut data = described(DATA, &layer);
    data["annotations"] = json!({TITLE: PLACE});
    let manifest = json!({
        "schemaVersion": 2, "mediaType": MANIFEST, "config": described(CONFIG, &config), "layers": [data],
    });
    registry.push_manifest(&to, MANIFEST, manifest.to_string(), keychain).await?;
    Ok(())
}
