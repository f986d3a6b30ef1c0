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
fn names_and_columns() -> anyhow::Result<()> {
    let crd = KINDS.definition("ImageRepository")?;
    assert_eq!((crd.spec.group.as_str(), crd.spec.scope.as_str()), ("appstudio.redhat.com", "Namespaced"));
    let names = &crd.spec.names;
    assert_eq!(
        (names.plural.as_str(), names.singular.as_deref()),
        ("imagerepositories", Some("imagerepository"))
    );
    assert_eq!(names.short_names, None);
    let [version] = crd.spec.versions.as_slice() else { anyhow::bail!("it has one version") };
    assert_eq!((version.name.as_str(), version.served, version.storage), ("v1alpha1", true, true));
    assert!(version.subresources.as_ref().is_some_and(|all| all.status.is_some()), "status is a subresource");
    let columns = version.additional_printer_columns.iter().flatten();
    assert_eq!(
        columns.map(|column| (column.name.as_str(), column.json_path.as_str())).collect::<Vec<_>>(),
        [("Image", ".status.image.url"), ("Visibility", ".status.image.visibility")]
    );
    Ok(())
}
