//! An index of images is judged together with the images that it lists.

use std::num::NonZeroUsize;

use futures::StreamExt as _;
use registry::{Digest, Reference};

use super::{Component, Snapshot};
use crate::image::{Library, NamedBy, is_index, manifests};

/// Manifests of one index.
const MOST: usize = 256;

/// Adds a component for each manifest of each index: `<name>-<digest>-<architecture>`. The index stays a component of its
/// own. What cannot be read stays as it is: when it is judged, this is found again.
pub async fn expand(snapshot: Snapshot, library: &Library, at_once: NonZeroUsize) -> Snapshot {
    let components = futures::stream::iter(snapshot.components)
        .map(async |component| {
            let listed = listed(&component, library).await;
            [vec![component], listed].concat()
        })
        .buffered(at_once.get())
        .concat()
        .await;
    Snapshot { components: distinct(components), ..snapshot }
}

async fn listed(component: &Component, library: &Library) -> Vec<Component> {
    let Ok(reference) = component.container_image.parse::<Reference>() else { return Vec::new() };
    let Ok(manifest) = library.manifest(&reference, NamedBy::User).await else { return Vec::new() };
    if !is_index(&manifest.media_type) {
        return Vec::new();
    }
    let Some(manifests) = manifests(&manifest) else { return Vec::new() };
    let named = manifests.into_iter().take(MOST).enumerate().filter_map(|(index, listed)| {
        let digest: Digest = listed.digest.parse().ok()?;
        let architecture =
            listed.platform.map(|platform| platform.architecture).filter(|name| !name.is_empty());
        let architecture = architecture.unwrap_or_else(|| format!("noarch-{index}"));
        Some(Component {
            name: format!("{}-{digest}-{architecture}", component.name),
            container_image: manifest.reference.at(digest).to_string(),
            source: component.source.clone(),
        })
    });
    named.collect()
}

/// Of several components with one image the first: an image may be in a Snapshot both by itself and in its index.
fn distinct(components: Vec<Component>) -> Vec<Component> {
    let mut seen = std::collections::HashSet::new();
    components.into_iter().filter(|component| seen.insert(component.container_image.clone())).collect()
}
