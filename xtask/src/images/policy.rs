//! The policies of `policy/` and the data that they judge by, as bundles that `ec` reads.
//!
//! ```text
//! policy/lib + policy/release                       ─▶ konflux/policy-release
//! policy/lib + policy/{pipeline,task,build_task}    ─▶ konflux/policy-definition
//! policy/data + which bundles of tasks were pushed  ─▶ konflux/policy-data
//! ```
//! A layer is a file as it is, its path in an annotation (the layout of conftest's bundles). Tests stay here.
use std::{fs, path::Path};

use anyhow::{Context as _, ensure};
use serde_json::{Value, json};

use super::{
    LATEST,
    image::{self, Image, MANIFEST_TYPE},
    layer::{self, Layer},
    record,
    registry::Client,
    trusted::{self, TrustedTasks},
};
use crate::{paths, ui};

const POLICY_LAYER: &str = "application/vnd.cncf.openpolicyagent.policy.layer.v1+rego";
const DATA_LAYER: &str = "application/vnd.cncf.openpolicyagent.data.layer.v1+json";
const TITLE: &str = "org.opencontainers.image.title";

/// Where policies lie in the checkout.
const SOURCE: &str = "policy";
/// Bundles of Rego, and the folders that each is made of.
const POLICIES: [(&str, &[&str]); 2] = [
    ("policy-release", &["lib", "release"]),
    ("policy-definition", &["lib", "pipeline", "task", "build_task"]),
];
const DATA: (&str, &[&str]) = ("policy-data", &["data"]);

/// A file of a bundle.
struct File {
    /// In the bundle.
    path: String,
    media_type: &'static str,
    content: Vec<u8>,
}

/// Pushes all bundles, under a tag that moves. The data trust these tasks.
pub async fn push(
    client: &Client<'_>,
    trusted: &TrustedTasks,
) -> anyhow::Result<Vec<(&'static str, record::Image)>> {
    let root = paths::repository()?.join(SOURCE);
    let step = ui::step("policies and their data as bundles");
    let mut bundles = Vec::new();
    for (name, folders) in POLICIES {
        bundles.push((name, files(&root, folders, "rego", POLICY_LAYER)?));
    }
    let mut data = files(&root, DATA.1, "yml", DATA_LAYER)?;
    let content = serde_saphyr::to_string(trusted)?.into_bytes();
    data.push(File { path: format!("data/{}", trusted::FILE), media_type: DATA_LAYER, content });
    bundles.push((DATA.0, data));
    let mut pushed = Vec::new();
    for (name, files) in bundles {
        step.waiting(name);
        let reference = client.push(name, LATEST, &bundle(&files)?).await?;
        pushed.push((name, record::Image { reference, tag: LATEST.to_owned(), architecture: String::new() }));
    }
    step.done();
    Ok(pushed)
}

/// All files of these folders that are no tests, sorted by path.
fn files(
    root: &Path,
    folders: &[&str],
    extension: &str,
    media_type: &'static str,
) -> anyhow::Result<Vec<File>> {
    let mut found = Vec::new();
    for folder in folders {
        collect(root, &root.join(folder), extension, media_type, &mut found)?;
    }
    found.sort_by(|one, other| one.path.cmp(&other.path));
    ensure!(!found.is_empty(), "no file *.{extension} in {} of {}", folders.join(", "), root.display());
    Ok(found)
}

fn collect(
    root: &Path,
    folder: &Path,
    extension: &str,
    media_type: &'static str,
    into: &mut Vec<File>,
) -> anyhow::Result<()> {
    let read = || format!("read {}", folder.display());
    for entry in fs::read_dir(folder).with_context(read)? {
        let path = entry.with_context(read)?.path();
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        if path.is_dir() {
            collect(root, &path, extension, media_type, into)?;
        } else if path.extension().is_some_and(|found| found == extension)
            && !name.ends_with(&format!("_test.{extension}"))
        {
            let inside = path.strip_prefix(root)?.to_str().context("a path is text")?.to_owned();
            let content = fs::read(&path).with_context(|| format!("read {}", path.display()))?;
            into.push(File { path: inside, media_type, content });
        }
    }
    Ok(())
}

/// The same files give the same digest.
fn bundle(files: &[File]) -> anyhow::Result<Image> {
    let config = b"{}".to_vec();
    let (mut layers, mut described) = (Vec::new(), Vec::<Value>::new());
    for File { path, media_type, content } in files {
        let digest = layer::digest(content);
        described.push(json!({
            "mediaType": media_type, "digest": digest, "size": content.len(), "annotations": {TITLE: path},
        }));
        // A registry has one blob of files that are the same.
        layers.push(Layer { diff_id: digest.clone(), digest, data: content.as_slice().into() });
    }
    let manifest = serde_json::to_vec(&json!({
        "schemaVersion": 2,
        "mediaType": MANIFEST_TYPE,
        "config": image::config_descriptor(&config),
        "layers": described,
    }))?;
    let digest = layer::digest(&manifest);
    Ok(Image { architecture: "", content: digest.clone(), digest, layers, config, manifest })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_layer_is_a_file_and_tests_are_none() {
        let root = tempfile::tempdir().unwrap();
        let folder = root.path().join("release/labels");
        fs::create_dir_all(&folder).unwrap();
        for name in ["labels.rego", "labels_test.rego", "README.md"] {
            fs::write(folder.join(name), name).unwrap();
        }
        let found = files(root.path(), &["release"], "rego", POLICY_LAYER).unwrap();
        let image = bundle(&found).unwrap();
        let manifest: Value = serde_json::from_slice(&image.manifest).unwrap();
        let layers = manifest["layers"].as_array().unwrap();
        assert_eq!(layers.len(), 1, "{manifest}");
        assert_eq!(layers[0]["annotations"][TITLE], "release/labels/labels.rego");
        assert_eq!(layers[0]["mediaType"], POLICY_LAYER);
        assert_eq!(&*image.layers[0].data, b"labels.rego");
        assert_eq!(layers[0]["digest"], image.layers[0].digest);
    }

    #[test]
    fn a_bundle_of_nothing_is_an_error() {
        let root = tempfile::tempdir().unwrap();
        fs::create_dir(root.path().join("lib")).unwrap();
        let error = files(root.path(), &["lib"], "rego", POLICY_LAYER).err().unwrap().to_string();
        assert!(error.contains("lib"), "{error}");
    }
}
