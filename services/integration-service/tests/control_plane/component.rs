//! A Component that goes (section 4.10).

use application_service_api::{Application, Component, Snapshot};
use kube::ResourceExt as _;

use crate::service::{SHOP, Service, component, component_with_image, image, label};

fn is_held(component: &Component) -> bool {
    component.finalizers().iter().any(|finalizer| finalizer == "test.appstudio.openshift.io/component")
}

/// The service, and these Components, which it holds.
async fn start(components: &[Component]) -> anyhow::Result<Service> {
    let service = Service::start().await?;
    for component in components {
        service.create(component).await?;
        service.until::<Component>(&component.name_any(), "its finalizer", is_held).await?;
    }
    Ok(service)
}

#[tokio::test]
async fn scenario_18_what_is_left_of_an_application_is_tested() -> anyhow::Result<()> {
    let service = start(&[
        component_with_image("a", 1),
        component_with_image("b", 2),
        component_with_image("c", 3),
        component("never-built"),
    ])
    .await?;
    service.delete::<Component>("a").await?;
    service.gone::<Component>("a").await?;
    let [snapshot] = &service.has::<Snapshot>(1).await?[..] else { anyhow::bail!("there is one") };
    let images: Vec<_> = snapshot.spec.components.iter().map(|entry| entry.container_image.clone()).collect();
    assert_eq!(images, [image("b", 2), image("c", 3)]);
    assert_eq!(label(snapshot, "test.appstudio.openshift.io/type"), Some("composite"));
    assert_eq!(label(snapshot, "pac.test.appstudio.openshift.io/event-type"), None);

    service.delete::<Component>("b").await?;
    service.gone::<Component>("b").await?;
    let mut snapshots = service.has::<Snapshot>(2).await?;
    snapshots.retain(|other| other.name_any() != snapshot.name_any());
    assert_eq!(label(&snapshots[0], "test.appstudio.openshift.io/type"), Some("component"));

    service.delete::<Component>("c").await?;
    service.gone::<Component>("c").await?;
    assert_eq!(service.all::<Snapshot>().await?.len(), 2, "nothing with an image is left");
    Ok(())
}

#[tokio::test]
async fn scenario_18_an_application_goes_without_a_snapshot() -> anyhow::Result<()> {
    let service = start(&[component_with_image("a", 1), component_with_image("b", 2)]).await?;
    service.delete::<Application>(SHOP).await?;
    service.gone::<Application>(SHOP).await?;
    for name in ["a", "b"] {
        service.delete::<Component>(name).await?;
        service.gone::<Component>(name).await?;
    }
    assert_eq!(service.all::<Snapshot>().await?.len(), 0);
    Ok(())
}
