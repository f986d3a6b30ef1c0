//! `collect-data`: all that a release pipeline is told, read once, as files for the steps after it.
//!
//! ```text
//! Release ─ data ──────────────┐ tenant: checked, lowest
//! ReleasePlan ─ data ──────────┼▶ data.json
//! ReleasePlanAdmission ─ data ─┘ release team: wins
//! Snapshot ─ spec ─────────────▶ snapshot_spec.json
//! ```

mod sources;

use std::path::PathBuf;

use anyhow::bail;
use application_service_api::Snapshot;
use fleet::ObjectKey;
use kube::Resource;
use release_service_api::{Release, ReleasePlan, ReleasePlanAdmission, ReleaseServiceConfig};
use serde_json::{Value, json};

use self::sources::Sources;
use crate::cluster::{Cluster, Named, is_not_found, object_key};
use crate::context::{Context, Results, say};
use crate::workspace::Workspace;

/// Stores the objects of a release and its merged data in the workspace.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Release, as <namespace>/<name>.
    #[arg(long, value_parser = object_key)]
    release: ObjectKey,
    #[arg(long, value_parser = object_key)]
    release_plan: ObjectKey,
    /// Empty in a pipeline of the tenant's own.
    #[arg(long, default_value = "")]
    release_plan_admission: Named,
    /// One that is not there counts as one without settings.
    #[arg(long, default_value = "")]
    release_service_config: Named,
    #[arg(long, value_parser = object_key)]
    snapshot: ObjectKey,
    #[arg(long, value_name = "DIR")]
    workspace: PathBuf,
    /// Folder of the run in the workspace.
    #[arg(long)]
    subdirectory: String,
    #[command(flatten)]
    results: Results,
}

/// What was read.
#[derive(Clone, Debug, PartialEq)]
struct Collected {
    release: Value,
    plan: Value,
    admission: Option<Value>,
    config: Option<Value>,
    snapshot: Value,
}

pub async fn run(args: Args, context: &Context) -> anyhow::Result<()> {
    let workspace = Workspace::open(&args.workspace)?;
    let cluster = context.cluster().await?;
    let collected = read(&args, &cluster).await?;
    let files = Files::of(&args, &collected)?;
    for (name, content) in &files.contents {
        let path = format!("{}/{name}", args.subdirectory);
        workspace.write_json(&path, content)?;
        say(&format!("Wrote {path}"));
    }
    workspace.folder(&files.results_folder)?;
    for (name, value) in &files.results {
        args.results.write(name, value)?;
    }
    Ok(())
}

async fn read(args: &Args, cluster: &Cluster) -> anyhow::Result<Collected> {
    let admission = match &args.release_plan_admission.0 {
        Some(key) => Some(cluster.get::<ReleasePlanAdmission>(key).await?),
        None => None,
    };
    let config = match &args.release_service_config.0 {
        Some(key) => Some(config(key, cluster).await?),
        None => None,
    };
    Ok(Collected {
        release: cluster.get::<Release>(&args.release).await?,
        plan: cluster.get::<ReleasePlan>(&args.release_plan).await?,
        admission,
        config,
        snapshot: cluster.get::<Snapshot>(&args.snapshot).await?,
    })
}

/// The service works without settings, and names the object anyway.
async fn config(key: &ObjectKey, cluster: &Cluster) -> anyhow::Result<Value> {
    match cluster.get::<ReleaseServiceConfig>(key).await {
        Err(error) if is_not_found(&error) => Ok(json!({
            "apiVersion": ReleaseServiceConfig::api_version(&()),
            "kind": ReleaseServiceConfig::kind(&()),
            "metadata": {"namespace": key.namespace, "name": key.name},
            "spec": {},
        })),
        answer => answer,
    }
}

/// What becomes of what was read.
#[derive(Clone, Debug, PartialEq)]
struct Files {
    /// By name within the folder of the run.
    contents: Vec<(&'static str, Value)>,
    results: Vec<(&'static str, String)>,
    /// Where later steps put what goes into the status of the Release.
    results_folder: String,
}

impl Files {
    fn of(args: &Args, collected: &Collected) -> anyhow::Result<Self> {
        let spec = collected.snapshot.get("spec").cloned().unwrap_or(Value::Null);
        let Value::Object(_) = spec else { bail!("Snapshot {} has no spec", args.snapshot) };
        let data_of = |object: &Value| object.pointer("/spec/data").cloned().unwrap_or(Value::Null);
        let release = format!("Release {}", args.release);
        let plan = format!("ReleasePlan {}", args.release_plan);
        let sources = Sources {
            tenant: vec![(release, data_of(&collected.release)), (plan, data_of(&collected.plan))],
            admission: collected.admission.as_ref().map(data_of),
        };
        let data = sources.merged()?;
        let fragment =
            spec.pointer("/components/0/containerImage").and_then(Value::as_str).unwrap_or_default();
        let path = |name: &str| format!("{}/{name}", args.subdirectory);
        let mut results = vec![
            ("release", path("release.json")),
            ("releasePlan", path("release_plan.json")),
            ("snapshotSpec", path("snapshot_spec.json")),
            ("data", path("data.json")),
            ("resultsDir", path("results")),
            ("fbcFragment", fragment.to_owned()),
            ("singleComponentMode", single_component(&data)?.to_string()),
        ];
        let optional =
            |object: &Option<Value>, name| object.as_ref().map_or_else(String::new, |_| path(name));
        results.push(("releasePlanAdmission", optional(&collected.admission, "release_plan_admission.json")));
        results.push(("releaseServiceConfig", optional(&collected.config, "release_service_config.json")));
        let mut contents = vec![
            ("release.json", collected.release.clone()),
            ("release_plan.json", collected.plan.clone()),
            ("snapshot_spec.json", spec),
            ("data.json", data),
        ];
        contents.extend(collected.admission.clone().map(|object| ("release_plan_admission.json", object)));
        contents.extend(collected.config.clone().map(|object| ("release_service_config.json", object)));
        Ok(Self { contents, results, results_folder: path("results") })
    }
}

/// Whether a release is of the one component that its Snapshot was made for: `singleComponentMode` of the data.
fn single_component(data: &Value) -> anyhow::Result<bool> {
    match data.get("singleComponentMode") {
        None | Some(Value::Null) => Ok(false),
        Some(Value::Bool(is_so)) => Ok(*is_so),
        Some(Value::String(text)) if text == "true" || text == "false" => Ok(text == "true"),
        Some(other) => {
            bail!("singleComponentMode of the data of the release is {other}: expected true or false")
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;
    use rstest::rstest;

    use super::*;

    #[derive(Parser)]
    struct Command {
        #[command(flatten)]
        args: Args,
    }

    fn args() -> Args {
        let flags = "x --release=t/r --release-plan=t/p --release-plan-admission=m/a --release-service-config=s/c \
                     --snapshot=t/s --workspace=/w --subdirectory=run";
        Command::try_parse_from(flags.split_whitespace()).unwrap().args
    }

    fn collected() -> Collected {
        Collected {
            release: json!({"spec": {"data": {"a": 1, "b": 1}}}),
            plan: json!({"spec": {"data": {"b": 2}}}),
            admission: Some(json!({"spec": {"data": {"mapping": {"components": []}}}})),
            config: Some(json!({"spec": {}})),
            snapshot: json!({"metadata": {"name": "s"}, "spec": {"components": [{"containerImage": "r/x@sha256:1"}]}}),
        }
    }

    fn result(files: &Files, name: &str) -> String {
        files.results.iter().find(|(found, _)| *found == name).unwrap().1.clone()
    }

    fn content(files: &Files, name: &str) -> Option<Value> {
        files.contents.iter().find(|(found, _)| *found == name).map(|(_, content)| content.clone())
    }

    #[test]
    fn results_are_where_the_files_are() {
        let files = Files::of(&args(), &collected()).unwrap();
        let results = [
            ("release", "release.json"),
            ("releasePlan", "release_plan.json"),
            ("releasePlanAdmission", "release_plan_admission.json"),
            ("releaseServiceConfig", "release_service_config.json"),
            ("snapshotSpec", "snapshot_spec.json"),
            ("data", "data.json"),
        ];
        for (name, file) in results {
            assert_eq!(result(&files, name), format!("run/{file}"));
            assert!(content(&files, file).is_some(), "{file}");
        }
        assert_eq!(
            content(&files, "data.json"),
            Some(json!({"a": 1, "b": 2, "mapping": {"components": []}}))
        );
        assert_eq!(content(&files, "snapshot_spec.json"), Some(collected().snapshot["spec"].clone()));
        assert_eq!(result(&files, "fbcFragment"), "r/x@sha256:1");
        assert_eq!(result(&files, "resultsDir"), "run/results");
    }

    #[test]
    fn a_tenants_own_pipeline_has_neither_admission_nor_settings() {
        let files = Files::of(&args(), &Collected { admission: None, config: None, ..collected() }).unwrap();
        for name in ["releasePlanAdmission", "releaseServiceConfig"] {
            assert_eq!(result(&files, name), "");
        }
        assert_eq!(files.contents.len(), 4);
    }

    #[test]
    fn a_snapshot_without_components_has_no_first_image() {
        let files = Files::of(&args(), &Collected { snapshot: json!({"spec": {}}), ..collected() }).unwrap();
        assert_eq!(result(&files, "fbcFragment"), "");
    }

    #[test]
    fn what_a_snapshot_says_is_stored_as_it_is() {
        let hostile = json!({"components": [{"name": "$(touch /x)\n\u{1b}[2J", "containerImage": "../../etc@sha256:zz\n--force"}]});
        let files =
            Files::of(&args(), &Collected { snapshot: json!({"spec": hostile}), ..collected() }).unwrap();
        assert_eq!(content(&files, "snapshot_spec.json"), Some(hostile));
    }

    #[rstest]
    #[case::absent(json!({}), Some(false))]
    #[case::set(json!({"singleComponentMode": true}), Some(true))]
    #[case::text(json!({"singleComponentMode": "true"}), Some(true))]
    #[case::off(json!({"singleComponentMode": "false"}), Some(false))]
    #[case::typo(json!({"singleComponentMode": "yes"}), None)]
    fn single_component_mode(#[case] data: Value, #[case] expected: Option<bool>) {
        assert_eq!(single_component(&data).ok(), expected);
    }
}
