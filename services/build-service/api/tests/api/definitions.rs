//! What the definitions say besides schemas.

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

#[rstest]
#[case::selector("BuildPipelineSelector", "buildpipelineselectors", false)]
#[case::check("DependencyUpdateCheck", "dependencyupdatechecks", true)]
fn names(#[case] kind: &str, #[case] plural: &str, #[case] has_status: bool) -> anyhow::Result<()> {
    let crd = KINDS.definition(kind)?;
    assert_eq!((crd.spec.group.as_str(), crd.spec.scope.as_str()), ("appstudio.redhat.com", "Namespaced"));
    assert_eq!((crd.spec.names.plural.as_str(), crd.spec.names.short_names), (plural, None));
    let [version] = crd.spec.versions.as_slice() else { anyhow::bail!("it has one version") };
    assert_eq!((version.name.as_str(), version.served, version.storage), ("v1alpha1", true, true));
    let status = version.subresources.as_ref().and_then(|all| all.status.as_ref());
    assert_eq!((status.is_some(), &version.additional_printer_columns), (has_status, &None));
    Ok(())
}
