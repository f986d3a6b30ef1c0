//! `apply-mapping`: which images of a Snapshot go where, under which tags.
//!
//! ```text
//! Snapshot's components ─┐
//!                        ├─ by name ─▶ merged ─▶ destinations are the admission's? ─▶ tags filled in ─▶ Snapshot, mapped
//! mapping.components ────┘
//! ```
//! The Snapshot's own file becomes `<file>.orig`, which a second run begins with again.

pub(crate) mod facts;
mod join;
pub mod mapped;
mod tags;
pub(crate) mod template;
#[cfg(test)]
pub(crate) mod testing;

use std::collections::BTreeMap;
use std::path::PathBuf;

use anyhow::{Context as _, bail, ensure};
use futures::{StreamExt as _, TryStreamExt as _};
use serde_json::{Map, Value, json};
use step::results;

use crate::context::{Context, Flag, say};
use crate::workspace::Workspace;

use facts::Moments;
use join::Components;

/// Components whose images are looked at together.
const TOGETHER: usize = 4;

/// Maps the components of a Snapshot to where they are released.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Folder that the steps of the run share; all other paths begin there.
    #[arg(long, value_name = "FOLDER")]
    workspace: PathBuf,
    /// The Snapshot's spec, which is replaced by the mapped one.
    #[arg(long, value_name = "PATH")]
    snapshot: String,
    /// Data of Release, ReleasePlan and ReleasePlanAdmission, merged. Empty means the admission's alone.
    #[arg(long, value_name = "PATH", default_value = "")]
    data: String,
    /// The ReleasePlanAdmission. Destinations have to be its own, if it is given.
    #[arg(long, value_name = "PATH", default_value = "")]
    admission: String,
    /// The Release, whose start is `release_timestamp`. Without it, that is now.
    #[arg(long, value_name = "PATH", default_value = "")]
    release: String,
    /// Whether a mapping that leaves no component is a failure.
    #[arg(long, default_value = "false")]
    fail_on_empty_result: Flag,
    /// Whether images without a mapping are released where they are, under the tags of `--in-place-tags`.
    #[arg(long, default_value = "false")]
    in_place: Flag,
    #[arg(long, value_name = "TAG", num_args = 0..)]
    in_place_tags: Vec<String>,
    /// Result `mapped`: whether there is a mapping.
    #[arg(long, value_name = "PATH")]
    result_mapped: PathBuf,
}

pub async fn run(args: Args, context: &Context) -> anyhow::Result<()> {
    let workspace = Workspace::open(&args.workspace)?;
    let kept = format!("{}.orig", args.snapshot);
    let original = if workspace.has(&kept)? { &kept } else { &args.snapshot };
    let snapshot: Value = workspace.read_json(original).context("read the Snapshot")?;
    let read = |path: &str| -> anyhow::Result<Value> {
        let is_there = !path.is_empty() && workspace.has(path)?;
        if is_there { workspace.read_json(path) } else { Ok(Value::Null) }
    };
    let admission = read(&args.admission)?;
    let mut data = read(&args.data)?;
    if args.data.is_empty() {
        data = admission["spec"]["data"].clone();
    }
    let components = join::components(&snapshot["components"], "components of the Snapshot")?;
    let mapping = match &data["mapping"] {
        Value::Null if args.in_place.0 => in_place(&components, &args.in_place_tags)?,
        Value::Null => {
            say("There is no mapping: the Snapshot stays as it is");
            return results::write(&args.result_mapped, "false");
        }
        mapping => mapping.clone(),
    };
    let wanted = join::components(&mapping["components"], "data.mapping.components")?;
    let mut mapped = join::join(&components, &wanted);
    if mapped.is_empty() {
        let names = |list: &Components| list.keys().cloned().collect::<Vec<_>>().join(", ");
        let message = format!(
            "no component of the Snapshot ({}) is one of data.mapping.components ({})",
            names(&components),
            names(&wanted)
        );
        ensure!(!args.fail_on_empty_result.0, "{message}: add one of the former to the latter");
        say(&message);
    }
    if !args.admission.is_empty() {
        let own =
            join::components(&admission["spec"]["data"]["mapping"]["components"], "the admission's mapping")?;
        join::check_destinations(&mapped, &components, &own)?;
    }
    let moments = Moments::new(&read(&args.release)?, context.clock.now());
    fill_tags(&mut mapped, &mapping["defaults"], &moments, context).await?;

    if original == &args.snapshot {
        workspace.write_json(&kept, &snapshot)?;
    }
    let mut released = snapshot;
    released["components"] = mapped.into_values().map(Value::Object).collect();
    workspace.write_json(&args.snapshot, &released)?;
    let count = released["components"].as_array().map_or(0, Vec::len);
    say(&format!("{count} of {} components are released", components.len()));
    results::write(&args.result_mapped, "true")
}

/// A mapping of each image to its own repository.
fn in_place(components: &Components, tags: &[String]) -> anyhow::Result<Value> {
    ensure!(!tags.is_empty(), "images are to be released in place, and there is no tag for them");
    let own = components.iter().map(|(name, component)| {
        let image = mapped::pinned(component.get("containerImage"), name)?;
        Ok(json!({"name": name, "repository": image.name(), "tags": tags}))
    });
    let own = own.collect::<anyhow::Result<Vec<Value>>>()?;
    Ok(json!({"components": own}))
}

/// Puts the tags of each component in place of their templates. All that is wrong is said at once.
async fn fill_tags(
    mapped: &mut Components,
    defaults: &Value,
    moments: &Moments,
    context: &Context,
) -> anyhow::Result<()> {
    let filled = mapped.iter().map(async |(name, component)| {
        Ok::<_, anyhow::Error>((name.clone(), filled(name, component, defaults, moments, context).await))
    });
    let filled: BTreeMap<String, anyhow::Result<Map<String, Value>>> =
        futures::stream::iter(filled).buffer_unordered(TOGETHER).try_collect().await?;
    let mut faults = Vec::new();
    for (name, component) in filled {
        match component {
            Ok(component) => {
                mapped.insert(name, component);
            }
            Err(error) => faults.push(format!("component {name:?}: {error:#}")),
        }
    }
    if faults.is_empty() { Ok(()) } else { bail!("{}", faults.join("\n")) }
}

async fn filled(
    name: &str,
    component: &Map<String, Value>,
    defaults: &Value,
    moments: &Moments,
    context: &Context,
) -> anyhow::Result<Map<String, Value>> {
    let image = mapped::pinned(component.get("containerImage"), name)?;
    let plan = tags::Plan::new(component, defaults)?;
    let facts =
        facts::of(&image, component, plan.timestamp_format(), plan.needs_image(), moments, context).await?;
    plan.fill(component.clone(), &facts)
}

#[cfg(test)]
mod tests;
