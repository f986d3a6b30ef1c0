//! Signatures by the private cluster: one InternalRequest for each manifest and name.

use std::collections::{BTreeMap, BTreeSet};

use super::{Item, Settings};
use crate::context::{Context, say};
use crate::internal_request::{Client, Limits, Origin, Request, ended};

/// What is to be asked for, each once.
pub(super) fn requests(items: &[Item], settings: &Settings, requester: &str) -> Vec<Request> {
    let asked: BTreeSet<Request> = items
        .iter()
        .flat_map(|item| item.identities.iter().map(move |reference| (item, reference)))
        .map(|(item, reference)| {
            let mut params = BTreeMap::from([
                ("reference".to_owned(), reference.clone()),
                ("manifest_digest".to_owned(), item.digest.to_string()),
                ("requester".to_owned(), requester.to_owned()),
                ("config_map_name".to_owned(), settings.config_map_name.clone()),
            ]);
            if let Some(image) = &settings.pipeline_image {
                params.insert("pipeline_image".to_owned(), image.clone());
            }
            Request { request: settings.request.clone(), params, ..Request::default() }
        })
        .collect();
    asked.into_iter().collect()
}

/// Asks, a few at a time, and waits. What was signed by an earlier try of the run is not asked for again.
pub(super) async fn sign(
    requests: Vec<Request>,
    origin: Origin,
    limits: &Limits,
    context: &Context,
) -> anyhow::Result<()> {
    say(&format!("{} signatures are asked for", requests.len()));
    let outcomes = Client::new(context.cluster().await?, origin).run_all(requests, limits).await?;
    for outcome in &outcomes {
        say(&outcome.to_string());
    }
    Ok(ended(&outcomes, true)?)
}
