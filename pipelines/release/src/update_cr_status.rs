//! `update-cr-status`: what the steps of a run found becomes the status of its Release.
//!
//! ```text
//! results/push-snapshot-results.json, … ──merged──▶ Release.status.artifacts
//! results/<managed|tenant>-<name>.json  ──────────▶ Release.status.collectors.<managed|tenant>.<name>
//! ```
//! The merge patch says the same each time, so a step that runs again changes nothing.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail, ensure};
use fleet::ObjectKey;
use release_service_api::Release;
use serde_json::{Map, Value, json};

use crate::cluster::object_key;
use crate::context::{Context, say};
use crate::merge::merge;
use crate::workspace::{self, Workspace};

/// The API server takes objects of about 1.5 MB, and the Release has more than this.
const LIMIT: usize = 512 << 10;

/// Merges the JSON files of a folder into a field of the status of a Release.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Release, as <namespace>/<name>.
    #[arg(long, value_parser = object_key)]
    resource: ObjectKey,
    /// Kind of the object.
    #[arg(long, value_enum, default_value = "release")]
    resource_type: ResourceType,
    /// Field of the status.
    #[arg(long, value_enum, default_value = "artifacts")]
    status_key: StatusKey,
    #[arg(long, value_name = "DIR")]
    workspace: PathBuf,
    /// The folder in the workspace. One that is not there counts as an empty one.
    #[arg(long)]
    results_dir_path: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum ResourceType {
    Release,
}

/// The fields that pipelines write. All others are of release-service.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum StatusKey {
    Artifacts,
    Collectors,
}

pub async fn run(args: Args, context: &Context) -> anyhow::Result<()> {
    let workspace = Workspace::open(&args.workspace)?;
    let folder = workspace.path(&args.results_dir_path)?;
    let files = files(&folder).with_context(|| format!("read the results in {:?}", args.results_dir_path))?;
    let (field, value) = match args.status_key {
        StatusKey::Artifacts => ("artifacts", artifacts(files)?),
        StatusKey::Collectors => ("collectors", collectors(files)?),
    };
    let size = value.to_string().len();
    ensure!(
        size <= LIMIT,
        "the results in {:?} have {size} bytes, and a Release takes {LIMIT} of them: let the steps report less",
        args.results_dir_path
    );
    let ResourceType::Release = args.resource_type;
    context.cluster().await?.merge_status::<Release>(&args.resource, &json!({ (field): value })).await?;
    say(&format!("Wrote {size} bytes to status.{field} of Release {}", args.resource));
    Ok(())
}

/// Names and contents, in order of names.
fn files(folder: &Path) -> anyhow::Result<Vec<(String, Value)>> {
    let entries = match folder.read_dir() {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries?,
    };
    let mut files = Vec::new();
    for entry in entries {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().into_owned();
        ensure!(entry.file_type()?.is_file(), "{name:?} is no file: only JSON files belong there");
        let content = workspace::read(&entry.path()).with_context(|| format!("read {name:?}"))?;
        let content = serde_json::from_slice(&content).with_context(|| format!("{name:?} is no JSON"))?;
        files.push((name, content));
    }
    files.sort_by(|(a, _), (b, _)| a.cmp(b));
    Ok(files)
}

/// All files as one object.
fn artifacts(files: Vec<(String, Value)>) -> anyhow::Result<Value> {
    let mut all = Value::Object(Map::new());
    for (name, content) in files {
        ensure!(content.is_object(), "{name:?} is no JSON object");
        all = merge(all, content);
    }
    Ok(all)
}

/// The output of each collector, by side and name.
fn collectors(files: Vec<(String, Value)>) -> anyhow::Result<Value> {
    let mut all: Map<String, Value> = Map::new();
    for (name, content) in files {
        let words = name.strip_suffix(".json").and_then(|stem| stem.split_once('-'));
        let Some((side @ ("managed" | "tenant"), collector)) =
            words.filter(|(_, collector)| is_label(collector))
        else {
            bail!("{name:?} is of no collector: expected managed-<name>.json or tenant-<name>.json")
        };
        let of_side = all.entry(side).or_insert_with(|| json!({}));
        of_side[collector] = content;
    }
    Ok(all.into())
}

/// Whether a collector may have this name, by the schema of plans and admissions.
fn is_label(name: &str) -> bool {
    let is_end = |c: Option<char>| c.is_some_and(|c| c.is_ascii_lowercase() || c.is_ascii_digit());
    let is_inner = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    name.chars().all(is_inner) && is_end(name.chars().next()) && is_end(name.chars().last())
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;
    use crate::testing::World;

    fn named(files: &[(&str, Value)]) -> Vec<(String, Value)> {
        files.iter().map(|(name, content)| ((*name).to_owned(), content.clone())).collect()
    }

    #[test]
    fn files_are_read_in_order_of_their_names() {
        let world = World::new();
        assert_eq!(files(&world.path("none")).unwrap(), []);
        for name in ["b", "a", "c"] {
            world.write(&format!("results/{name}.json"), json!({ "from": name }).to_string());
        }
        let all = artifacts(files(&world.path("results")).unwrap()).unwrap();
        assert_eq!(all, json!({"from": "c"}));
    }

    #[rstest]
    #[case::no_json("a.json", "{", "\"a.json\" is no JSON")]
    #[case::no_object("a.json", "[]", "\"a.json\" is no JSON object")]
    #[case::notes("notes.txt", "all went well", "\"notes.txt\" is no JSON")]
    fn what_is_no_result_is_refused_by_name(#[case] name: &str, #[case] content: &str, #[case] words: &str) {
        let world = World::new();
        world.write(&format!("results/{name}"), content);
        let error = files(&world.path("results")).and_then(artifacts).unwrap_err();
        assert!(format!("{error:#}").contains(words), "{error:#}");
    }

    #[test]
    fn links_and_folders_are_no_results() {
        let world = World::new();
        let secret = world.write("outside.json", "{\"token\": 1}");
        std::os::unix::fs::symlink(secret, world.path("results/a.json")).unwrap();
        let error = files(&world.path("results")).unwrap_err().to_string();
        assert!(error.contains("\"a.json\" is no file"), "{error}");
    }

    #[test]
    fn results_of_several_steps_are_all_kept() {
        let all = artifacts(named(&[
            ("a.json", json!({"images": [{"name": "api"}], "record": {"url": "u"}})),
            ("b.json", json!({"images": [{"name": "web"}], "record": {"tag": "t"}})),
        ]));
        let expected =
            json!({"images": [{"name": "api"}, {"name": "web"}], "record": {"url": "u", "tag": "t"}});
        assert_eq!(all.unwrap(), expected);
        assert_eq!(artifacts(Vec::new()).unwrap(), json!({}));
    }

    #[test]
    fn collectors_have_their_own_places() {
        let all = collectors(named(&[
            ("managed-issues.json", json!([1])),
            ("tenant-change-log.json", json!({"a": 1})),
            ("tenant-x.json", json!(null)),
        ]));
        let expected = json!({"managed": {"issues": [1]}, "tenant": {"change-log": {"a": 1}, "x": null}});
        assert_eq!(all.unwrap(), expected);
        assert_eq!(collectors(Vec::new()).unwrap(), json!({}));
    }

    #[rstest]
    #[case("issues.json")]
    #[case("other-issues.json")]
    #[case("tenant-.json")]
    #[case("tenant-issues")]
    #[case("tenant-Issues.json")]
    #[case("tenant-a.b.json")]
    #[case("tenant--a.json")]
    fn other_files_are_of_no_collector(#[case] name: &str) {
        let error = collectors(named(&[(name, json!({}))])).unwrap_err().to_string();
        assert!(error.contains(name) && error.contains("tenant-<name>.json"), "{error}");
    }
}
