//! Waits until quotas are counted. Until then, the API server refuses what they limit ("status unknown for quota").
//!
//! The controller that counts learns of new kinds twice a minute, and looks at a quota again only when its limits change
//! or after five minutes. So a quota on a kind whose CRD was just installed is asked for once more, by a change.
use std::{
    collections::BTreeSet,
    time::{Duration, Instant},
};

use anyhow::{Context as _, bail};
use k8s_openapi::api::core::v1::ResourceQuota;
use kube::{
    Api, Client, Discovery, ResourceExt as _,
    api::ListParams,
    discovery::{ApiCapabilities, Scope, verbs},
};

use crate::{
    deploy::{Applier, Object},
    ui,
};

/// Twice as long as the controller may take to learn of a kind.
const LIMIT: Duration = Duration::from_mins(1);
/// Between two requests to count again.
const PATIENCE: Duration = Duration::from_secs(3);
const POLL: Duration = Duration::from_millis(100);

/// Waits until each of `quotas`, all that we have in the namespace, is counted.
pub async fn counted(
    client: &Client,
    applier: &Applier,
    namespace: &str,
    quotas: &[&Object],
) -> anyhow::Result<()> {
    let step = ui::step("quotas are counted");
    let api: Api<ResourceQuota> = Api::namespaced(client.clone(), namespace);
    let countable = countable(client).await?;
    let until = Instant::now() + LIMIT;
    let mut asked = Instant::now();
    loop {
        let live = api.list(&ListParams::default()).await;
        let live = live.with_context(|| format!("list the ResourceQuotas of {namespace}"))?;
        let open: Vec<(&Object, String)> = quotas
            .iter()
            .filter_map(|quota| {
                let live = live.iter().find(|live| live.name_any() == quota.name())?;
                Some((*quota, uncounted(live, &countable)?))
            })
            .collect();
        let Some((first, limit)) = open.first() else {
            step.done();
            return Ok(());
        };
        step.waiting(&format!("{} of {}", limit, first.name()));
        if Instant::now() > until {
            bail!(
                "{first}: nobody counts {limit}, so the API server refuses new ones in {namespace}: does the cluster's \
                 controller manager run? Once it does, run this again"
            );
        }
        if asked.elapsed() > PATIENCE {
            for (quota, limit) in &open {
                count_again(applier, quota, limit).await?;
            }
            asked = Instant::now();
        }
        tokio::time::sleep(POLL).await;
    }
}

/// A limit of the quota that is not counted although it could be: the kind it is on exists.
fn uncounted(quota: &ResourceQuota, countable: &BTreeSet<String>) -> Option<String> {
    let limits = quota.spec.as_ref()?.hard.as_ref()?;
    let status = quota.status.as_ref();
    let seen = status.and_then(|status| status.hard.as_ref());
    let used = status.and_then(|status| status.used.as_ref());
    let is_counted = |limit: &String| {
        seen.is_some_and(|seen| seen.get(limit) == limits.get(limit))
            && used.is_some_and(|used| used.contains_key(limit))
    };
    let could_be = |limit: &String| !limit.starts_with("count/") || countable.contains(limit);
    limits.keys().find(|limit| could_be(limit) && !is_counted(limit)).cloned()
}

/// Takes the limit, which does not work yet, away and puts it back.
async fn count_again(applier: &Applier, quota: &Object, limit: &str) -> anyhow::Result<()> {
    let mut without = quota.clone();
    if let Some(hard) = without.content.pointer_mut("/spec/hard").and_then(|hard| hard.as_object_mut()) {
        hard.remove(limit);
    }
    applier.apply(&without).await?;
    applier.apply(quota).await?;
    Ok(())
}

/// `count/<plural>[.<group>]` of each namespaced kind that the cluster stores.
async fn countable(client: &Client) -> anyhow::Result<BTreeSet<String>> {
    let kinds = Discovery::new(client.clone()).run().await.context("ask the cluster which kinds it has")?;
    let is_stored = |capabilities: &ApiCapabilities| {
        capabilities.scope == Scope::Namespaced
            && [verbs::CREATE, verbs::DELETE, verbs::LIST, verbs::WATCH]
                .iter()
                .all(|verb| capabilities.supports_operation(verb))
    };
    let stored = kinds.groups().flat_map(kube::discovery::ApiGroup::resources_by_stability);
    Ok(stored
        .filter(|(_, capabilities)| is_stored(capabilities))
        .map(|(resource, _)| match resource.group.as_str() {
            "" => format!("count/{}", resource.plural),
            group => format!("count/{}.{group}", resource.plural),
        })
        .collect())
}

#[cfg(test)]
mod tests {
    use rstest::rstest;
    use serde_json::{Value, json};

    use super::*;

    #[rstest]
    #[case::new(json!({}), Some("count/known.example.com"))]
    #[case::complete(json!({"hard": {"count/known.example.com": "2", "pods": "1"}, "used": {"count/known.example.com": "0", "pods": "0"}}), None)]
    #[case::kind_that_came_late(json!({"hard": {"count/known.example.com": "2", "pods": "1"}, "used": {"pods": "0"}}), Some("count/known.example.com"))]
    #[case::old_limit(json!({"hard": {"count/known.example.com": "2", "pods": "7"}, "used": {"count/known.example.com": "0", "pods": "0"}}), Some("pods"))]
    fn limit_works_when_counted(#[case] status: Value, #[case] open: Option<&str>) {
        let hard = json!({"count/absent.example.com": "3", "count/known.example.com": "2", "pods": "1"});
        let quota: ResourceQuota =
            serde_json::from_value(json!({"metadata": {}, "spec": {"hard": hard}, "status": status}))
                .unwrap();
        let countable = ["count/known.example.com".to_owned()].into();
        assert_eq!(uncounted(&quota, &countable).as_deref(), open);
    }
}
