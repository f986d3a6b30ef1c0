//! Runs kustomize, that of the kubectl which tools/kube builds: one on the machine would be of any age.
use std::path::Path;

use anyhow::Context as _;
use serde_json::Value;

use super::Object;
use crate::program::Program;

/// All objects that the kustomization in this folder makes.
pub async fn kustomize(folder: &Path) -> anyhow::Result<Vec<Object>> {
    objects(&kustomize_text(folder).await?)
}

/// What kustomize prints for the kustomization in this folder.
pub async fn kustomize_text(folder: &Path) -> anyhow::Result<String> {
    anyhow::ensure!(
        folder.is_dir(),
        "{} is no folder: --overlay names one with a kustomization.yaml",
        folder.display()
    );
    let kube = testkit::tools::kube_binary()?;
    let finished = Program::new(kube).args(["kubectl", "kustomize", "--"]).arg(folder).run().await?;
    if !finished.status.success() {
        let reason = finished.stderr.trim().trim_start_matches("error: ");
        anyhow::bail!("{} cannot be rendered: {reason}", folder.display());
    }
    Ok(finished.stdout)
}

/// The documents of kustomize's output.
pub fn objects(text: &str) -> anyhow::Result<Vec<Object>> {
    // Inside a document such a line would be indented.
    let documents = text.split("\n---\n").filter(|document| !document.trim().is_empty());
    documents
        .map(|document| {
            // As Kubernetes has it: a value `on` is text, and so is a key 012.
            let options =
                serde_saphyr::options! { strict_booleans: true, leading_zero_numbers_as_strings: true };
            let content: Value = serde_saphyr::from_str_with_options(document, options)
                .with_context(|| format!("kustomize printed what is no YAML:\n{document}"))?;
            Object::parse(content)
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::paths;

    #[test]
    fn documents_become_objects() {
        let text = "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: a\ndata:\n  x: |\n    1\n    ---\n    2\n---\n\
                    apiVersion: v1\nkind: Secret\nmetadata:\n  name: b\n";
        let found = objects(text).unwrap();
        assert_eq!(found.iter().map(ToString::to_string).collect::<Vec<_>>(), ["ConfigMap a", "Secret b"]);
        assert_eq!(found[0].content["data"]["x"], "1\n---\n2\n");
    }

    async fn refusal(files: &[(&str, &str)]) -> String {
        let folder = tempfile::tempdir().unwrap();
        for (name, text) in files {
            std::fs::write(folder.path().join(name), text).unwrap();
        }
        kustomize(folder.path()).await.unwrap_err().to_string()
    }

    #[tokio::test]
    async fn malformed_yaml_is_named_by_file_and_line() {
        let files = [("kustomization.yaml", "resources: [a.yaml]\n"), ("a.yaml", "kind: [\n  x: y\n")];
        let text = refusal(&files).await;
        assert!(text.contains("a.yaml") && text.contains("line"), "{text}");
    }

    #[tokio::test]
    async fn missing_file_and_missing_kustomization_are_named() {
        let text = refusal(&[("kustomization.yaml", "resources: [absent.yaml]\n")]).await;
        assert!(text.contains("absent.yaml"), "{text}");
        let text = refusal(&[]).await;
        assert!(text.contains("kustomization"), "{text}");
    }

    #[tokio::test]
    async fn every_overlay_renders() {
        let overlays = paths::repository().unwrap().join("deploy/kustomize/overlays");
        for overlay in std::fs::read_dir(overlays).unwrap() {
            let objects = kustomize(&overlay.unwrap().path()).await.unwrap();
            let unplaced = objects.iter().find(|object| object.origin.is_none());
            assert_eq!(unplaced, None, "set buildMetadata: [originAnnotations], or errors name no file");
        }
    }
}
