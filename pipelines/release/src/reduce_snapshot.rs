//! `reduce-snapshot`: leaves the one component that a Snapshot was made for.

use std::path::PathBuf;

use anyhow::{Context as _, ensure};
use application_service_api::Snapshot;
use fleet::ObjectKey;
use fleet_api::keys::COMPONENT;
use serde_json::Value;

use crate::cluster::object_key;
use crate::context::{Context, Flag, say};
use crate::workspace::Workspace;

/// Drops all components of a stored Snapshot but the one whose build it was made for.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Whether there is anything to do.
    #[arg(long, default_value = "false")]
    single_component: Flag,
    /// Snapshot, as <namespace>/<name>. Its label names the component.
    #[arg(long, value_parser = object_key)]
    snapshot: ObjectKey,
    #[arg(long, value_name = "DIR")]
    workspace: PathBuf,
    /// The stored spec of the Snapshot, in the workspace.
    #[arg(long)]
    snapshot_path: String,
}

pub async fn run(args: Args, context: &Context) -> anyhow::Result<()> {
    if !args.single_component.0 {
        say("All components of the Snapshot are released");
        return Ok(());
    }
    let workspace = Workspace::open(&args.workspace)?;
    let spec: Value = workspace.read_json(&args.snapshot_path)?;
    let object = context.cluster().await?.get::<Snapshot>(&args.snapshot).await?;
    let label = object["metadata"]["labels"][COMPONENT.as_str()].as_str().unwrap_or_default();
    if label.is_empty() {
        say(&format!("Snapshot {} was made for no component in particular: all are released", args.snapshot));
        return Ok(());
    }
    let reduced = reduce(spec, label).with_context(|| format!("reduce Snapshot {}", args.snapshot))?;
    workspace.write_json(&args.snapshot_path, &reduced)?;
    say(&format!("Component {label} of the Snapshot is released"));
    Ok(())
}

/// The spec with the component of this name alone.
fn reduce(mut spec: Value, name: &str) -> anyhow::Result<Value> {
    let components = spec.get_mut("components").and_then(Value::as_array_mut);
    let components = components.context("its spec has no list of components")?;
    components.retain(|component| component["name"].as_str() == Some(name));
    ensure!(
        components.len() == 1,
        "its label {} names component {name:?}, of which its spec has {}: expected one",
        COMPONENT.as_str(),
        components.len()
    );
    Ok(spec)
}

#[cfg(test)]
mod tests {
    use rstest::rstest;
    use serde_json::json;

    use super::*;

    #[test]
    fn one_component_is_left_and_all_else_stays() {
        let spec = json!({"application": "shop", "components": [
            {"name": "api", "containerImage": "a"}, {"name": "web", "containerImage": "w", "odd": [1]},
        ]});
        let expected = json!({"application": "shop", "components": [{"name": "web", "containerImage": "w", "odd": [1]}]});
        let reduced = reduce(spec, "web").unwrap();
        assert_eq!(reduced, expected);
        assert_eq!(reduce(reduced, "web").unwrap(), expected, "a step that runs again changes nothing");
    }

    #[rstest]
    #[case::none(json!({"components": [{"name": "api"}]}), "has 0")]
    #[case::two(json!({"components": [{"name": "web"}, {"name": "web"}]}), "has 2")]
    #[case::no_list(json!({}), "no list of components")]
    #[case::no_names(json!({"components": [1, null, {"name": ["web"]}]}), "has 0")]
    fn anything_but_one_is_refused(#[case] spec: Value, #[case] words: &str) {
        let error = reduce(spec, "web").unwrap_err().to_string();
        assert!(error.contains(words), "{error}");
    }
}
