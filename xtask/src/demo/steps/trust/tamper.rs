//! Somebody who may write to the repository changes an image.
use kube::Client;

use super::super::registry::Repository;
use crate::{cluster::Cluster, demo::Built};

/// The image with one annotation more, and all that was attached to the first one. Its name by its new digest; nothing if the
/// registry is not the dev cluster's.
pub(super) async fn tamper(
    cluster: &Cluster,
    client: &Client,
    built: &Built,
) -> anyhow::Result<Option<String>> {
    let Some(repository) = Repository::of(cluster, client, &built.repository).await? else { return Ok(None) };
    let digest = repository.put_changed(&built.digest, "somebody").await?;
    for suffix in ["sig", "att"] {
        let tag = |digest: &str| format!("{}.{suffix}", digest.replace(':', "-"));
        let attached = repository.get(&tag(&built.digest)).await?;
        repository.put(&tag(&digest), &attached).await?;
    }
    Ok(Some(format!("{}@{digest}", built.repository)))
}
