//! What `cargo xtask demo` has left on the cluster, and tests go on from.
use anyhow::Context as _;
use kube::{Api, Client};
use pipelines_engine_api::PipelineRun;

/// Namespace and name of its first run.
const RUN: (&str, &str) = ("example-tenant", "first-pipeline");

/// An image with a shell, which nodes can pull.
pub(crate) async fn image(client: &Client) -> anyhow::Result<String> {
    let run: PipelineRun = Api::namespaced(client.clone(), RUN.0).get(RUN.1).await?;
    let image = run.spec.params.iter().find(|param| param.name == "image");
    let image = image.and_then(|param| param.value.as_str());
    Ok(image.context("the demo's run has a param image")?.to_owned())
}
