//! What the definitions say besides their schemas: other programs find the kinds by it.

use rstest::rstest;

use crate::KINDS;

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

const RUN: &[(&str, &str)] = &[
    ("Succeeded", ".status.conditions[?(@.type==\"Succeeded\")].status"),
    ("Reason", ".status.conditions[?(@.type==\"Succeeded\")].reason"),
    ("StartTime", ".status.startTime"),
    ("CompletionTime", ".status.completionTime"),
];

const REQUEST: &[(&str, &str)] = &[
    ("OwnerKind", ".metadata.ownerReferences[0].kind"),
    ("Owner", ".metadata.ownerReferences[0].name"),
    ("Succeeded", ".status.conditions[?(@.type==\"Succeeded\")].status"),
    ("Reason", ".status.conditions[?(@.type==\"Succeeded\")].reason"),
    ("StartTime", ".metadata.creationTimestamp"),
    ("EndTime", ".status.conditions[?(@.type==\"Succeeded\")].lastTransitionTime"),
];

/// The specification's table (section 2); the first version is the one that is stored.
#[rstest]
#[case("Task", "tasks.tekton.dev", &[], &["v1", "v1beta1"], true, &[])]
#[case("Pipeline", "pipelines.tekton.dev", &[], &["v1", "v1beta1"], true, &[])]
#[case("TaskRun", "taskruns.tekton.dev", &["tr", "trs"], &["v1", "v1beta1"], true, RUN)]
#[case("PipelineRun", "pipelineruns.tekton.dev", &["pr", "prs"], &["v1", "v1beta1"], true, RUN)]
#[case("CustomRun", "customruns.tekton.dev", &[], &["v1beta1"], false, RUN)]
#[case("StepAction", "stepactions.tekton.dev", &[], &["v1alpha1", "v1beta1"], false, &[])]
#[case("VerificationPolicy", "verificationpolicies.tekton.dev", &[], &["v1alpha1"], false, &[])]
#[case("ResolutionRequest", "resolutionrequests.resolution.tekton.dev", &[], &["v1beta1", "v1alpha1"], true, REQUEST)]
fn names_versions_and_columns(
    #[case] kind: &str,
    #[case] name: &str,
    #[case] short_names: &[&str],
    #[case] versions: &[&str],
    #[case] is_converted: bool,
    #[case] columns: &[(&str, &str)],
) -> anyhow::Result<()> {
    let crd = KINDS.definition(kind)?;
    assert_eq!((crd.metadata.name.as_deref(), crd.spec.scope.as_str()), (Some(name), "Namespaced"));
    assert_eq!(crd.spec.names.short_names.as_deref().unwrap_or_default(), short_names);
    assert_eq!(
        crd.spec.names.categories.as_deref(),
        Some(&["tekton", "tekton-pipelines"].map(str::to_owned)[..])
    );
    assert_eq!(crd.spec.versions.iter().map(|version| version.name.as_str()).collect::<Vec<_>>(), versions);
    let strategy = crd.spec.conversion.as_ref().map(|conversion| conversion.strategy.as_str());
    assert_eq!(strategy == Some("Webhook"), is_converted, "{strategy:?}");
    for (index, version) in crd.spec.versions.iter().enumerate() {
        assert_eq!((version.served, version.storage), (true, index == 0));
        let shown = version.additional_printer_columns.iter().flatten();
        let shown: Vec<_> = shown.map(|column| (column.name.as_str(), column.json_path.as_str())).collect();
        assert_eq!(shown, columns);
        let schema = serde_json::to_value(&version.schema)?;
        assert_eq!(schema["openAPIV3Schema"]["x-kubernetes-preserve-unknown-fields"], true);
    }
    Ok(())
}
