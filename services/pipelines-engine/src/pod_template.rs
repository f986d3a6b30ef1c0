//! One pod template over another (specification of the API, section 3.7).

use pipelines_engine_api::PodTemplate;

/// Fields of `over` that say something, and otherwise those of `under`. Variables and volumes are merged by name.
pub fn merge(over: Option<&PodTemplate>, under: Option<&PodTemplate>) -> Option<PodTemplate> {
    let (over, under) = match (over, under) {
        (Some(over), Some(under)) => (over, under),
        (one, other) => return one.or(other).cloned(),
    };
    Some(PodTemplate {
        node_selector: filled(
            &over.node_selector,
            &under.node_selector,
            std::collections::BTreeMap::is_empty,
        ),
        env: by_name(&over.env, &under.env, |variable| &variable.name),
        tolerations: list(&over.tolerations, &under.tolerations),
        affinity: over.affinity.clone().or_else(|| under.affinity.clone()),
        security_context: over.security_context.clone().or_else(|| under.security_context.clone()),
        volumes: by_name(&over.volumes, &under.volumes, |volume| &volume.name),
        runtime_class_name: over.runtime_class_name.clone().or_else(|| under.runtime_class_name.clone()),
        automount_service_account_token: over
            .automount_service_account_token
            .or(under.automount_service_account_token),
        dns_policy: over.dns_policy.clone().or_else(|| under.dns_policy.clone()),
        dns_config: over.dns_config.clone().or_else(|| under.dns_config.clone()),
        enable_service_links: over.enable_service_links.or(under.enable_service_links),
        priority_class_name: over.priority_class_name.clone().or_else(|| under.priority_class_name.clone()),
        scheduler_name: filled(&over.scheduler_name, &under.scheduler_name, String::is_empty),
        image_pull_secrets: list(&over.image_pull_secrets, &under.image_pull_secrets),
        host_aliases: list(&over.host_aliases, &under.host_aliases),
        host_network: over.host_network || under.host_network,
        topology_spread_constraints: list(
            &over.topology_spread_constraints,
            &under.topology_spread_constraints,
        ),
    })
}

fn filled<T: Clone>(over: &T, under: &T, is_empty: impl Fn(&T) -> bool) -> T {
    if is_empty(over) { under.clone() } else { over.clone() }
}

fn list<T: Clone>(over: &[T], under: &[T]) -> Vec<T> {
    if over.is_empty() { under.to_vec() } else { over.to_vec() }
}

/// All of `over`, then those of `under` with other names. What has no name is dropped.
fn by_name<T: Clone>(over: &[T], under: &[T], name: impl Fn(&T) -> &String) -> Vec<T> {
    let is_new = |element: &&T| !over.iter().any(|other| name(other) == name(element));
    over.iter()
        .chain(under.iter().filter(is_new))
        .filter(|element| !name(element).is_empty())
        .cloned()
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn what_is_said_wins_and_names_are_merged() {
        let over: PodTemplate = serde_json::from_value(json!({
            "env": [{"name": "a", "value": "over"}, {"name": ""}], "schedulerName": "s",
        }))
        .unwrap();
        let under: PodTemplate = serde_json::from_value(json!({
            "env": [{"name": "a", "value": "under"}, {"name": "b", "value": "under"}],
            "schedulerName": "t", "hostNetwork": true, "nodeSelector": {"k": "v"},
        }))
        .unwrap();
        let merged = merge(Some(&over), Some(&under)).unwrap();
        let env: Vec<_> =
            merged.env.iter().map(|variable| (&*variable.name, variable.value.as_deref())).collect();
        assert_eq!(env, [("a", Some("over")), ("b", Some("under"))]);
        assert_eq!((&*merged.scheduler_name, merged.host_network), ("s", true));
        assert_eq!(merged.node_selector["k"], "v");
        assert_eq!(merge(None, Some(&under)), Some(under));
        assert_eq!(merge(None, None), None);
    }
}
