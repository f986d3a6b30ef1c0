//! The cluster is up.
use std::time::Instant;

use crate::{
    cluster,
    demo::{Fact, Show},
    deploy::Target,
};

pub async fn run(show: &mut Show) -> anyhow::Result<Vec<Fact>> {
    let asked = Instant::now();
    if show.args.kubeconfig.is_none() {
        cluster::up(&show.args.cluster, cluster::Wishes::default()).await?;
    }
    let target = Target::choose(&show.args.cluster, show.args.kubeconfig.as_deref()).await?;
    let version = target.client.apiserver_version().await?.git_version;
    show.target = Some(target);
    Ok(vec![Fact { object: "Kubernetes".to_owned(), state: version, after: asked.elapsed() }])
}
