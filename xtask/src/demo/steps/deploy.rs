//! Every service of `overlays/dev` runs.
use std::time::Instant;

use crate::{
    demo::{Fact, Show},
    deploy,
};

pub async fn run(show: &mut Show) -> anyhow::Result<Vec<Fact>> {
    let asked = Instant::now();
    let args = deploy::DeployArgs::of_overlay("deploy/kustomize/overlays/dev", show.args.cluster.clone());
    let workloads = deploy::deploy(&args, show.target()?).await?;
    let fact =
        |name| Fact { object: format!("service {name}"), state: "Ready".to_owned(), after: asked.elapsed() };
    Ok(workloads.into_iter().map(fact).collect())
}
