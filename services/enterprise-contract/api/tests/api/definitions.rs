//! What the definition says besides its schema.

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

#[test]
fn names() -> anyhow::Result<()> {
    let crd = KINDS.definition("EnterpriseContractPolicy")?;
    assert_eq!((crd.spec.group.as_str(), crd.spec.scope.as_str()), ("appstudio.redhat.com", "Namespaced"));
    let names = &crd.spec.names;
    assert_eq!(names.plural, "enterprisecontractpolicies");
    assert_eq!(names.short_names.as_deref(), Some(["ecp".to_owned()].as_slice()));
    assert_eq!(names.categories.as_deref(), Some(["all".to_owned()].as_slice()));
    let [version] = crd.spec.versions.as_slice() else { anyhow::bail!("it has one version") };
    assert_eq!((version.name.as_str(), version.served, version.storage), ("v1alpha1", true, true));
    assert!(version.subresources.as_ref().is_some_and(|all| all.status.is_some()), "status is a subresource");
    assert_eq!(version.additional_printer_columns, None);
    Ok(())
}
