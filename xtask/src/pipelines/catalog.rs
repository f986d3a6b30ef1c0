//! The Tasks and Pipelines of `pipelines/`, as they are checked in.
use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, ensure};
use pipelines_engine_api as tekton;
use serde_json::Value;

use super::read_yaml;

const TASKS: &str = "pipelines/tasks";
const PIPELINES: &str = "pipelines/pipelines";
/// Based on by all, used by none.
pub const TEMPLATE: &str = "template-build";

/// A folder with one definition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Folder {
    pub path: PathBuf,
    pub name: String,
    /// Of a task.
    pub version: Option<String>,
}

impl Folder {
    /// The definition.
    pub fn file(&self) -> PathBuf {
        self.path.join(format!("{}.yaml", self.name))
    }

    /// How recipes name it.
    pub fn id(&self) -> String {
        match &self.version {
            Some(version) => format!("{}/{version}", self.name),
            None => self.name.clone(),
        }
    }
}

/// A Task in one version.
#[derive(Clone, Debug)]
pub struct Task {
    pub folder: Folder,
    pub version: String,
    pub object: tekton::Task,
    /// As it is in its file.
    pub content: Value,
}

#[derive(Clone, Debug)]
pub struct Pipeline {
    pub folder: Folder,
    pub object: tekton::Pipeline,
    /// As it is in its file.
    pub content: Value,
}

/// All definitions.
#[derive(Clone, Debug, Default)]
pub struct Catalog {
    /// By name, then by version, the oldest first.
    pub tasks: Vec<Task>,
    /// By name, without the template.
    pub pipelines: Vec<Pipeline>,
}

impl Catalog {
    pub fn read(root: &Path) -> anyhow::Result<Self> {
        let mut catalog = Self::default();
        for folder in task_folders(root)? {
            let content = read_yaml(&folder.file())?;
            let object = typed(&folder, &content)?;
            let version = folder.version.clone().unwrap_or_default();
            catalog.tasks.push(Task { folder, version, object, content });
        }
        for folder in pipeline_folders(root)?.into_iter().filter(|folder| folder.name != TEMPLATE) {
            let content = read_yaml(&folder.file())?;
            let object = typed(&folder, &content)?;
            catalog.pipelines.push(Pipeline { folder, object, content });
        }
        Ok(catalog)
    }

    pub fn task(&self, name: &str, version: &str) -> Option<&Task> {
        self.tasks.iter().find(|task| task.folder.name == name && task.version == version)
    }

    pub fn newest(&self, name: &str) -> Option<&Task> {
        self.tasks.iter().rfind(|task| task.folder.name == name)
    }
}

/// The task and version that a pipeline's task refers to: resolver `bundles`, with `konflux/task-<name>:<version>`.
pub fn refers_to(reference: &tekton::TaskRef) -> Option<(String, String)> {
    let params: BTreeMap<_, _> =
        reference.params.iter().filter_map(|param| Some((&*param.name, param.value.as_str()?))).collect();
    let (name, bundle) = (*params.get("name")?, *params.get("bundle")?);
    let (repository, version) = bundle.rsplit_once(':')?;
    let is_ours = reference.resolver == "bundles"
        && params.get("kind") == Some(&"task")
        && repository.rsplit_once("task-").is_some_and(|(_, task)| task == name);
    is_ours.then(|| (name.to_owned(), version.to_owned()))
}

/// The task whose bundle is a param of release pipelines: release-service gives them the one that judges images.
pub fn comes_with_the_run(reference: &tekton::TaskRef) -> Option<&'static str> {
    const TASK: &str = "verify-enterprise-contract";
    let value = |name: &str| {
        reference.params.iter().find(|param| param.name == name).and_then(|param| param.value.as_str())
    };
    let is_it = reference.resolver == "bundles"
        && value("bundle") == Some("$(params.verify_ec_task_bundle)")
        && value("kind") == Some("task")
        && value("name") == Some(TASK);
    is_it.then_some(TASK)
}

fn typed<T: serde::de::DeserializeOwned>(folder: &Folder, content: &Value) -> anyhow::Result<T> {
    serde_json::from_value(content.clone()).with_context(|| format!("read {}", folder.file().display()))
}

/// Sorted by name and version.
pub fn task_folders(root: &Path) -> anyhow::Result<Vec<Folder>> {
    let mut folders = Vec::new();
    for (name, path) in children(&root.join(TASKS))? {
        for (version, path) in children(&path)? {
            let folder = Folder { path, name: name.clone(), version: Some(version) };
            folders.push(folder);
        }
    }
    Ok(folders)
}

/// Sorted by name.
pub fn pipeline_folders(root: &Path) -> anyhow::Result<Vec<Folder>> {
    let folders = children(&root.join(PIPELINES))?.into_iter();
    Ok(folders.map(|(name, path)| Folder { path, name, version: None }).collect())
}

/// Sub-folders by name.
fn children(folder: &Path) -> anyhow::Result<BTreeMap<String, PathBuf>> {
    let entries = fs::read_dir(folder).with_context(|| format!("read {}", folder.display()))?;
    let mut children = BTreeMap::new();
    for entry in entries {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            let name = entry.file_name().into_string();
            let name = name.map_err(|name| anyhow::anyhow!("{} is no text", name.display()))?;
            children.insert(name, entry.path());
        }
    }
    ensure!(!children.is_empty(), "{} has no folders", folder.display());
    Ok(children)
}
