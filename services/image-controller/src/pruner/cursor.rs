//! How far a run got, in a ConfigMap: the next one goes on from there if this one does not come to its end.

use fleet::Clock;
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::core::v1::ConfigMap;
use kube::api::{Patch, PatchParams, PostParams};
use kube::{Api, Client};
use serde_json::json;

const MANAGER: &str = "image-pruner";
/// Names of pages do not last for ever, and repositories that were done are due again.
const GOOD_FOR: SignedDuration = SignedDuration::from_hours(20);

const ORGANIZATION: &str = "organization";
const PAGE: &str = "page";
const AT: &str = "at";

/// The ConfigMap. That it cannot be read or written costs work that is done twice, and no more: it is logged.
pub(super) struct Cursor {
    maps: Api<ConfigMap>,
    name: String,
    organization: String,
    clock: Clock,
}

impl Cursor {
    pub(super) fn new(client: Client, namespace: &str, name: &str, organization: &str) -> Self {
        Self {
            maps: Api::namespaced(client, namespace),
            name: name.to_owned(),
            organization: organization.to_owned(),
            clock: Clock::system(),
        }
    }

    /// The page of repositories to begin with, if the last run did not come to its end.
    pub(super) async fn read(&self) -> Option<String> {
        let map = match self.maps.get_opt(&self.name).await {
            Ok(map) => map?,
            Err(error) => {
                tracing::warn!(error = %error, "It is not known how far the last run got: all begins anew");
                return None;
            }
        };
        let data = map.data?;
        let at: Timestamp = data.get(AT)?.parse().ok()?;
        let is_ours = data.get(ORGANIZATION) == Some(&self.organization);
        let is_young = self.clock.now().duration_since(at) < GOOD_FOR;
        data.get(PAGE).filter(|_| is_ours && is_young).cloned()
    }

    /// `page` is the next to be looked at; `None` at the end of the run.
    pub(super) async fn write(&self, page: Option<&str>) {
        let data = page.map(
            |page| json!({ ORGANIZATION: self.organization, PAGE: page, AT: self.clock.now().to_string() }),
        );
        if let Err(error) = self.store(&json!({ "data": data })).await {
            tracing::warn!(error = %error, "It cannot be noted how far this run got");
        }
    }

    async fn store(&self, patch: &serde_json::Value) -> Result<(), kube::Error> {
        let parameters = PatchParams { field_manager: Some(MANAGER.to_owned()), ..PatchParams::default() };
        match self.maps.patch(&self.name, &parameters, &Patch::Merge(patch)).await {
            Err(kube::Error::Api(status)) if status.is_not_found() => {}
            result => return result.map(drop),
        }
        if patch["data"].is_null() {
            return Ok(());
        }
        let map = ConfigMap {
            metadata: kube::api::ObjectMeta { name: Some(self.name.clone()), ..Default::default() },
            data: serde_json::from_value(patch["data"].clone()).unwrap_or_default(),
            ..ConfigMap::default()
        };
        self.maps.create(&PostParams::default(), &map).await.map(drop)
    }
}
