//! The Tasks and Pipelines of `pipelines/` as Tekton bundles, each by the digests of what it names.
//!
//! ```text
//! images by digest ─▶ tasks (konflux/toolbox ─▶ …@sha256) ─▶ konflux/task-<name>:<version>
//!                       └─▶ pipelines (konflux/task-… ─▶ …@sha256) ─▶ konflux/pipeline-<name>:devel
//! ```
//! So a pipeline's digest fixes all that runs. Beside the tag that moves, a task has one that never does, with the digest of its
//! bundle in it, and a pipeline one with the commit.
use std::collections::BTreeMap;

use anyhow::Context as _;
use futures::{StreamExt as _, TryStreamExt as _};
use serde_json::Value;

use super::{
    LATEST, PARALLEL_PUSHES, REPOSITORY,
    bundle::{self, Bundled},
    image::{self, Image},
    record,
    registry::{Client, Registry},
    revision::Revision,
    toolbox,
};
use crate::{
    deploy::counted,
    paths,
    pipelines::{Catalog, Task},
    ui,
};

/// The image of the program that judges images by policies.
pub const EC: &str = "ec";
/// The tag of pipelines that moves.
const DEVEL: &str = "devel";
/// Tasks that are run by themselves, which configuration names.
const NAMED: [&str; 1] = ["verify-enterprise-contract"];
/// Digits of a bundle's digest in the tag that never moves: as many as a commit has.
const FIXED: usize = 40;

/// What was pushed.
pub struct Pushed {
    /// What configuration names: pipelines, and tasks of [`NAMED`], by the name of their image.
    pub named: BTreeMap<String, record::Image>,
    /// Tasks: repository and moving tag (`…/konflux/task-init:0.2`), and the digest.
    pub tasks: BTreeMap<String, String>,
}

/// Pushes bundles of all Tasks and Pipelines. `images` are those that steps run in.
pub async fn push(
    registry: &Registry,
    client: &Client<'_>,
    images: &BTreeMap<String, record::Image>,
    revision: &Revision,
) -> anyhow::Result<Pushed> {
    let catalog = Catalog::read(&paths::repository()?)?;
    let step = ui::step(format!(
        "{} and {} as bundles",
        counted(catalog.tasks.len(), "task"),
        counted(catalog.pipelines.len(), "pipeline")
    ));
    let mut full_names = Names::of_images(registry, images);
    let tasks: Vec<(String, String)> = futures::stream::iter(&catalog.tasks)
        .map(|task| push_task(task, registry, client, &full_names))
        .buffer_unordered(PARALLEL_PUSHES)
        .try_collect()
        .await?;
    let tasks: BTreeMap<_, _> = tasks.into_iter().collect();
    for (tagged, digest) in &tasks {
        let short = tagged.strip_prefix(&format!("{}/", registry.prefix)).unwrap_or(tagged);
        full_names.0.insert(short.to_owned(), format!("{tagged}@{digest}"));
    }
    let mut named: BTreeMap<_, _> = NAMED
        .iter()
        .filter_map(|task| {
            let task = catalog.newest(task)?;
            let repository = format!("task-{}", task.folder.name);
            let tagged = format!("{}/{REPOSITORY}/{repository}:{}", registry.prefix, task.version);
            let reference = format!("{tagged}@{}", tasks.get(&tagged)?);
            let image = record::Image { reference, tag: task.version.clone(), architecture: String::new() };
            Some((repository, image))
        })
        .collect();
    for pipeline in &catalog.pipelines {
        let name = &pipeline.folder.name;
        let image = packed("pipeline", name, &pipeline.content, &full_names)?;
        let repository = format!("pipeline-{name}");
        step.waiting(&repository);
        let reference = client.push(&repository, DEVEL, &image).await?;
        let tag = revision.tag(&image.digest);
        push_tag(client, &repository, &tag, &image).await?;
        named.insert(repository, record::Image { reference, tag, architecture: String::new() });
    }
    step.done();
    Ok(Pushed { named, tasks })
}

async fn push_task(
    task: &Task,
    registry: &Registry,
    client: &Client<'_>,
    names: &Names,
) -> anyhow::Result<(String, String)> {
    let image = packed("task", &task.folder.name, &task.content, names)?;
    let repository = format!("task-{}", task.folder.name);
    client.push(&repository, &task.version, &image).await?;
    let digits: String = image.digest.trim_start_matches("sha256:").chars().take(FIXED).collect();
    push_tag(client, &repository, &format!("{}-{digits}", task.version), &image).await?;
    Ok((format!("{}/{REPOSITORY}/{repository}:{}", registry.prefix, task.version), image.digest))
}

/// Gives an image that was pushed one more tag.
async fn push_tag(client: &Client<'_>, repository: &str, tag: &str, image: &Image) -> anyhow::Result<()> {
    let target = client.connect(repository, tag).await?;
    client.push_manifest(&target, image.manifest.clone(), image::MANIFEST_TYPE).await
}

/// The bundle of one definition, with full names in place of short ones.
fn packed(kind: &str, name: &str, content: &Value, names: &Names) -> anyhow::Result<Image> {
    let mut content = content.clone();
    names.put_into(&mut content).with_context(|| format!("{kind} {name}"))?;
    let version = match content.get("apiVersion").and_then(Value::as_str) {
        Some("tekton.dev/v1beta1") => "v1beta1",
        _ => "v1",
    };
    let yaml = serde_saphyr::to_string(&content).with_context(|| format!("write {kind} {name}"))?;
    bundle::bundle(&[Bundled { version, kind: kind.to_owned(), name: name.to_owned(), yaml }])
}

/// Full names by short ones: `konflux/toolbox`, `konflux/task-init:0.2`.
struct Names(BTreeMap<String, String>);

impl Names {
    fn of_images(registry: &Registry, images: &BTreeMap<String, record::Image>) -> Self {
        let steps = [toolbox::TOOLBOX, toolbox::CLAMAV, toolbox::RELEASE_TASKS, EC]
            .into_iter()
            .filter_map(|name| Some((format!("{REPOSITORY}/{name}"), images.get(name)?.reference.clone())));
        // By their tag: they change without the tasks that look into them.
        let databases = [toolbox::CLAMAV_DATABASE, toolbox::VULNERABILITIES].into_iter().map(|name| {
            (format!("{REPOSITORY}/{name}"), format!("{}/{REPOSITORY}/{name}:{LATEST}", registry.prefix))
        });
        Self(steps.chain(databases).collect())
    }

    /// Replaces each text that is a short name. One that is not known is an error: it could not be pulled.
    fn put_into(&self, value: &mut Value) -> anyhow::Result<()> {
        match value {
            Value::String(text) => {
                if text.strip_prefix(REPOSITORY).is_some_and(|rest| rest.starts_with('/')) {
                    let full = self.0.get(text.as_str());
                    *text = full.with_context(|| format!("no image {text} was pushed"))?.clone();
                }
                Ok(())
            }
            Value::Array(items) => items.iter_mut().try_for_each(|item| self.put_into(item)),
            Value::Object(fields) => fields.values_mut().try_for_each(|field| self.put_into(field)),
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn names() -> Names {
        Names(BTreeMap::from([("konflux/toolbox".into(), "r.test/konflux/toolbox@sha256:00".into())]))
    }

    #[test]
    fn short_names_become_digests_wherever_they_stand() {
        let mut value = json!({"spec": {"steps": [{"image": "konflux/toolbox", "args": ["konfluxes/x"]}]}});
        names().put_into(&mut value).unwrap();
        let expected = json!({"spec": {"steps": [{"image": "r.test/konflux/toolbox@sha256:00", "args": ["konfluxes/x"]}]}});
        assert_eq!(value, expected);
    }

    #[test]
    fn a_name_that_was_not_pushed_is_an_error() {
        let error = names().put_into(&mut json!(["konflux/toolbax"])).unwrap_err().to_string();
        assert!(error.contains("konflux/toolbax"), "{error}");
    }

    #[test]
    fn the_same_definition_is_the_same_bundle() {
        let task =
            json!({"apiVersion": "tekton.dev/v1", "kind": "Task", "spec": {"image": "konflux/toolbox"}});
        let of = |content: &Value| packed("task", "x", content, &names()).unwrap().digest;
        assert_eq!(of(&task), of(&task));
        let mut older = task.clone();
        older["apiVersion"] = json!("tekton.dev/v1beta1");
        let image = packed("task", "x", &older, &names()).unwrap();
        let manifest: Value = serde_json::from_slice(&image.manifest).unwrap();
        assert_eq!(manifest["layers"][0]["annotations"]["dev.tekton.image.apiVersion"], "v1beta1");
    }
}
