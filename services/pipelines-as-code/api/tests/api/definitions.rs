//! What the definition says besides its schema.

use serde_json::Value;

use crate::{KINDS, refusals::repository};

#[test]
fn checked_in_definitions_are_generated_from_these_types() -> anyhow::Result<()> {
    assert_eq!(KINDS.stale()?, Vec::<String>::new());
    Ok(())
}

#[tokio::test]
async fn the_api_server_takes_all_names() -> anyhow::Result<()> {
    assert_eq!(KINDS.refused_names().await?, Vec::<String>::new());
    Ok(())
}

#[test]
fn names_and_columns() -> anyhow::Result<()> {
    let crd = KINDS.definition("Repository")?;
    assert_eq!(
        (crd.spec.group.as_str(), crd.spec.scope.as_str()),
        ("pipelinesascode.tekton.dev", "Namespaced")
    );
    let names = &crd.spec.names;
    assert_eq!((names.plural.as_str(), names.singular.as_deref()), ("repositories", Some("repository")));
    assert_eq!(names.short_names.as_deref(), Some(["repo".to_owned()].as_slice()));
    let [version] = crd.spec.versions.as_slice() else { anyhow::bail!("it has one version") };
    assert_eq!((version.name.as_str(), version.served, version.storage), ("v1alpha1", true, true));
    assert!(version.subresources.as_ref().is_some_and(|all| all.status.is_some()), "status is a subresource");
    let columns = version.additional_printer_columns.iter().flatten();
    assert_eq!(
        columns
            .map(|column| (column.name.as_str(), column.json_path.as_str(), column.type_.as_str()))
            .collect::<Vec<_>>(),
        [
            ("URL", ".spec.url", "string"),
            ("Succeeded", ".pipelinerun_status[-1].conditions[?(@.type==\"Succeeded\")].status", "string"),
            ("Reason", ".pipelinerun_status[-1].conditions[?(@.type==\"Succeeded\")].reason", "string"),
            ("StartTime", ".pipelinerun_status[-1].startTime", "date"),
            ("CompletionTime", ".pipelinerun_status[-1].completionTime", "date"),
        ]
    );
    Ok(())
}

/// The history is written by an update of the object itself, and may hold what we do not know.
#[test]
fn the_root_keeps_unknown_fields() -> anyhow::Result<()> {
    let version = serde_json::to_value(KINDS.version(&repository(&Value::Null))?)?;
    let root = &version["schema"]["openAPIV3Schema"];
    assert_eq!(root["x-kubernetes-preserve-unknown-fields"], true);
    assert_eq!(root["properties"]["pipelinerun_status"]["type"], "array");
    Ok(())
}

#[tokio::test]
async fn selects_by_url() -> anyhow::Result<()> {
    KINDS.selects(&repository(&Value::Null), "spec.url").await
}
