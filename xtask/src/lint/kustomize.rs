//! Every kustomization of deploy/kustomize builds; a component that none of them uses builds alone.
use std::path::{Component, Path, PathBuf};

use anyhow::Context as _;
use serde::Deserialize;

use crate::{ourselves, program::Program};

/// What kustomization.yaml says about others.
#[derive(Debug, Default, Deserialize)]
struct Kustomization {
    /// `Component` for a part that builds only within another; absent means `Kustomization`.
    #[serde(default)]
    kind: Option<String>,
    #[serde(default)]
    components: Vec<PathBuf>,
}

pub(super) async fn check(root: &Path, files: &[PathBuf]) -> anyhow::Result<String> {
    let found = read(root, files)?;
    let kubectl = ourselves::kube_binary().await?;
    let alone = tempfile::tempdir().context("create a folder for the build of components")?;
    let mut faults = Vec::new();
    let mut built = 0;
    for (folder, kustomization) in &found {
        let target = if !is_component(kustomization) {
            root.join(folder)
        } else if is_used(folder, &found) {
            continue;
        } else {
            let text = on_its_own(&alone.path().canonicalize()?, &root.join(folder));
            std::fs::write(alone.path().join("kustomization.yaml"), text)?;
            alone.path().to_owned()
        };
        let finished = Program::new(&kubectl).args(["kubectl", "kustomize"]).arg(&target).run().await?;
        if finished.status.success() {
            built += 1;
        } else {
            faults.push(format!("{}: {}", folder.display(), finished.stderr.trim_end()));
        }
    }
    anyhow::ensure!(faults.is_empty(), "{}", faults.join("\n"));
    Ok(format!("{built} built"))
}

/// A kustomization in `folder` of nothing but the component. kustomize takes relative paths only.
fn on_its_own(folder: &Path, component: &Path) -> String {
    let up = "../".repeat(folder.components().count() - 1);
    let down = component.strip_prefix("/").unwrap_or(component).display();
    format!("apiVersion: kustomize.config.k8s.io/v1beta1\nkind: Kustomization\ncomponents:\n  - {up}{down}\n")
}

fn is_component(kustomization: &Kustomization) -> bool {
    kustomization.kind.as_deref() == Some("Component")
}

/// Folders with a kustomization.
fn read(root: &Path, files: &[PathBuf]) -> anyhow::Result<Vec<(PathBuf, Kustomization)>> {
    let mut found = Vec::new();
    for path in files
        .iter()
        .filter(|path| path.starts_with("deploy/kustomize") && path.ends_with("kustomization.yaml"))
    {
        let text =
            std::fs::read_to_string(root.join(path)).with_context(|| format!("read {}", path.display()))?;
        let kustomization =
            serde_saphyr::from_str(&text).with_context(|| format!("parse {}", path.display()))?;
        found.push((path.parent().unwrap_or(path).to_owned(), kustomization));
    }
    Ok(found)
}

/// Whether another kustomization lists this component, and so builds it.
fn is_used(component: &Path, found: &[(PathBuf, Kustomization)]) -> bool {
    found.iter().any(|(folder, kustomization)| {
        kustomization.components.iter().any(|path| resolve(folder, path) == component)
    })
}

/// `path` as seen from `folder`, without `.` and `..`.
pub(super) fn resolve(folder: &Path, path: &Path) -> PathBuf {
    let mut resolved = PathBuf::new();
    for part in folder.join(path).components() {
        match part {
            Component::CurDir => {}
            Component::ParentDir => {
                resolved.pop();
            }
            other => resolved.push(other),
        }
    }
    resolved
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kustomization(kind: &str, components: &[&str]) -> Kustomization {
        Kustomization { kind: Some(kind.into()), components: components.iter().map(PathBuf::from).collect() }
    }

    #[test]
    fn component_of_an_overlay_is_built_with_it() {
        let found = [
            ("components/ha".into(), kustomization("Component", &[])),
            ("components/monitoring".into(), kustomization("Component", &[])),
            ("overlays/dev".into(), kustomization("Kustomization", &["../../components/ha/"])),
        ];
        assert!(is_used(Path::new("components/ha"), &found));
        assert!(!is_used(Path::new("components/monitoring"), &found));
    }

    #[test]
    fn component_alone_is_named_by_a_relative_path() {
        let text = on_its_own(Path::new("/tmp/x"), Path::new("/srv/repository/components/ha"));
        assert!(text.ends_with("components:\n  - ../../srv/repository/components/ha\n"), "{text}");
    }
}
