//! Requests and limits of steps (section 2.1): what the run overrides, what the Task as a whole gets, what a LimitRange asks
//! for.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{Container, LimitRange, ResourceRequirements};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use pipelines_engine_api::task_run::ContainerOverride;

/// Resources that a LimitRange is looked at for.
const LIMITED: [&str; 3] = ["cpu", "memory", "ephemeral-storage"];

type Quantities = BTreeMap<String, Quantity>;

/// Puts overrides of single steps in: their values win.
pub fn override_steps(steps: &mut [Container], overrides: &[ContainerOverride], prefix: &str) {
    for container in steps {
        let name = container.name.strip_prefix(prefix).unwrap_or(&container.name);
        let Some(over) = overrides.iter().find(|over| over.name == name) else { continue };
        let resources = container.resources.get_or_insert_default();
        merge(&mut resources.requests, over.compute_resources.requests.as_ref());
        merge(&mut resources.limits, over.compute_resources.limits.as_ref());
    }
}

fn merge(into: &mut Option<Quantities>, from: Option<&Quantities>) {
    if let Some(from) = from {
        into.get_or_insert_default().extend(from.clone());
    }
}

/// Shares what the Task as a whole requests among its steps. Its limits hold for each: one step runs at a time.
pub fn share(steps: &mut [Container], whole: &ResourceRequirements) {
    let count = i128::try_from(steps.len().max(1)).unwrap_or(1);
    for step in steps {
        let requests = whole.requests.as_ref().map(|requests| {
            requests
                .iter()
                .map(|(name, quantity)| (name.clone(), divided(quantity, count)))
                .collect::<Quantities>()
        });
        step.resources = Some(ResourceRequirements { requests, limits: whole.limits.clone(), claims: None });
    }
}

/// Gives containers that say nothing the configured defaults: by exact name, by `prefix-…`, or `default`.
pub fn fill(containers: &mut [Container], defaults: &BTreeMap<String, ResourceRequirements>) {
    for container in containers {
        let says_nothing = container.resources.as_ref().is_none_or(|resources| {
            resources.requests.as_ref().is_none_or(BTreeMap::is_empty)
                && resources.limits.as_ref().is_none_or(BTreeMap::is_empty)
        });
        if !says_nothing {
            continue;
        }
        let by_prefix = || {
            defaults
                .iter()
                .filter_map(|(key, value)| Some((key.strip_prefix("prefix-")?, value)))
                .filter(|(prefix, _)| container.name.starts_with(prefix))
                .max_by_key(|(prefix, _)| prefix.len())
                .map(|(_, value)| value)
        };
        let found = defaults.get(&container.name).or_else(by_prefix).or_else(|| defaults.get("default"));
        if let Some(found) = found {
            container.resources = Some(found.clone());
        }
    }
}

/// Requests that the LimitRanges of a namespace imply for steps that make none: their default, shared among the steps, but
/// not less than the least that is allowed.
pub fn limit(steps: &mut [Container], ranges: &[LimitRange]) {
    let count = i128::try_from(steps.len().max(1)).unwrap_or(1);
    for resource in LIMITED {
        let items = || {
            ranges
                .iter()
                .filter_map(|range| range.spec.as_ref())
                .flat_map(|spec| &spec.limits)
                .filter(|item| item.type_ == "Container")
        };
        let least = items().filter_map(|item| item.min.as_ref()?.get(resource)).max_by_key(|q| amount(q));
        let default = items()
            .filter_map(|item| item.default_request.as_ref().or(item.default.as_ref())?.get(resource))
            .min_by_key(|q| amount(q));
        let shared = default.map(|default| divided(default, count));
        let request = match (shared, least) {
            (Some(shared), Some(least)) if amount(&shared) < amount(least) => Some(least.clone()),
            (Some(shared), _) => Some(shared),
            (None, Some(least)) => Some(least.clone()),
            (None, None) => None,
        };
        let Some(request) = request else { continue };
        for step in steps.iter_mut() {
            let resources = step.resources.get_or_insert_default();
            // A container that may use less than others need not ask for more.
            let own = resources.limits.as_ref().and_then(|limits| limits.get(resource));
            let request = own.filter(|own| amount(own) < amount(&request)).unwrap_or(&request).clone();
            resources.requests.get_or_insert_default().entry(resource.to_owned()).or_insert(request);
        }
    }
}

/// A container that asks for more than it may use.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("container {container:?} requests {request} of {resource:?}, which is more than its limit {limit}")]
pub struct Excess {
    container: String,
    resource: String,
    request: String,
    limit: String,
}

/// Looks for requests over limits: the API server would refuse the pod, in words about a pod that the user did not write.
pub fn check<'a>(containers: impl IntoIterator<Item = &'a Container>) -> Result<(), Excess> {
    for container in containers {
        let Some(resources) = &container.resources else { continue };
        let limits = resources.limits.iter().flatten();
        for (resource, limit) in limits {
            let request = resources.requests.as_ref().and_then(|requests| requests.get(resource));
            if let Some(request) = request
                && let (Some(asked), Some(most)) = (amount(request), amount(limit))
                && asked > most
            {
                return Err(Excess {
                    container: container.name.clone(),
                    resource: resource.clone(),
                    request: request.0.clone(),
                    limit: limit.0.clone(),
                });
            }
        }
    }
    Ok(())
}

/// Billionths. `None` for what is no quantity: the API server will say so.
fn amount(quantity: &Quantity) -> Option<i128> {
    let text = quantity.0.trim();
    let end = text.find(|c: char| !c.is_ascii_digit() && !".+-".contains(c)).unwrap_or(text.len());
    let (number, suffix) = text.split_at(end);
    let scale: i128 = match suffix {
        "n" => 1,
        "u" => 1_000,
        "m" => 1_000_000,
        "" => 1_000_000_000,
        "k" => 1_000_000_000_000,
        "M" => 1_000_000_000_000_000,
        "G" => 1_000_000_000_000_000_000,
        "T" => 1_000_000_000_000_000_000_000,
        "P" => 1_000_000_000_000_000_000_000_000,
        "E" => 1_000_000_000_000_000_000_000_000_000,
        "Ki" => 1_000_000_000 << 10,
        "Mi" => 1_000_000_000 << 20,
        "Gi" => 1_000_000_000 << 30,
        "Ti" => 1_000_000_000 << 40,
        "Pi" => 1_000_000_000 << 50,
        "Ei" => 1_000_000_000 << 60,
        exponent => {
            let power = exponent.strip_prefix(['e', 'E'])?.parse::<i32>().ok()?;
            10_i128.checked_pow(u32::try_from(power.checked_add(9)?).ok()?)?
        }
    };
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    let mut total = whole.parse::<i128>().ok()?.checked_mul(scale)?;
    let mut place = scale;
    for digit in fraction.bytes() {
        place /= 10;
        total = total.checked_add(i128::from(digit.checked_sub(b'0')?) * place)?;
    }
    Some(total)
}

/// A share, in the coarsest unit that loses nothing above a thousandth.
fn divided(quantity: &Quantity, count: i128) -> Quantity {
    let Some(whole) = amount(quantity).filter(|_| count > 1) else { return quantity.clone() };
    let share = whole / count;
    let text = if share % 1_000_000_000 == 0 {
        (share / 1_000_000_000).to_string()
    } else {
        format!("{}m", share / 1_000_000)
    };
    Quantity(text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;
    use serde_json::{Value, json};

    fn steps(resources: Value) -> Vec<Container> {
        serde_json::from_value(resources).unwrap()
    }

    fn requests(container: &Container) -> BTreeMap<&str, &str> {
        let requests = container.resources.as_ref().unwrap().requests.as_ref().unwrap();
        requests.iter().map(|(name, quantity)| (&**name, &*quantity.0)).collect()
    }

    #[rstest]
    #[case("1", 1_000_000_000)]
    #[case("250m", 250_000_000)]
    #[case("1.5", 1_500_000_000)]
    #[case("1Ki", 1_024_000_000_000)]
    #[case("1e3", 1_000_000_000_000)]
    #[case("5E-3", 5_000_000)]
    #[case("2E", 2_000_000_000_000_000_000_000_000_000)]
    fn reads_quantities(#[case] text: &str, #[case] expected: i128) {
        assert_eq!(amount(&Quantity(text.into())), Some(expected));
    }

    #[rstest]
    #[case("1", 4, "250m")]
    #[case("1Gi", 2, "536870912")]
    #[case("1", 3, "333m")]
    #[case("odd", 2, "odd")]
    fn divides_quantities(#[case] text: &str, #[case] count: i128, #[case] expected: &str) {
        assert_eq!(divided(&Quantity(text.into()), count).0, expected);
    }

    #[test]
    fn the_whole_is_shared() {
        let mut containers = steps(json!([{"name": "step-a"}, {"name": "step-b"}]));
        let whole =
            serde_json::from_value(json!({"requests": {"cpu": "1"}, "limits": {"cpu": "2"}})).unwrap();
        share(&mut containers, &whole);
        assert_eq!(requests(&containers[1]), [("cpu", "500m")].into());
        assert_eq!(containers[0].resources.as_ref().unwrap().limits.as_ref().unwrap()["cpu"].0, "2");
    }

    #[test]
    fn overrides_win() {
        let mut containers =
            steps(json!([{"name": "step-a", "resources": {"requests": {"cpu": "1", "memory": "1Gi"}}}]));
        let over: Vec<ContainerOverride> =
            serde_json::from_value(json!([{"name": "a", "computeResources": {"requests": {"cpu": "2"}}}]))
                .unwrap();
        override_steps(&mut containers, &over, "step-");
        assert_eq!(requests(&containers[0]), [("cpu", "2"), ("memory", "1Gi")].into());
    }

    #[test]
    fn defaults_go_by_name_prefix_and_last_resort() {
        let mut containers = steps(json!([{"name": "step-a"}, {"name": "sidecar-x"}, {"name": "step-b"}]));
        let defaults = serde_json::from_value(json!({
            "step-a": {"requests": {"cpu": "1"}},
            "prefix-sidecar": {"requests": {"cpu": "2"}},
            "default": {"requests": {"cpu": "3"}},
        }))
        .unwrap();
        fill(&mut containers, &defaults);
        let cpu: Vec<_> = containers.iter().map(|container| requests(container)["cpu"]).collect();
        assert_eq!(cpu, ["1", "2", "3"]);
    }

    #[test]
    fn a_limit_range_is_shared_but_its_least_is_kept() {
        let mut containers =
            steps(json!([{"name": "step-a"}, {"name": "step-b", "resources": {"requests": {"cpu": "3"}}}]));
        let ranges = serde_json::from_value(json!([{"spec": {"limits": [
            {"type": "Container", "defaultRequest": {"cpu": "1", "memory": "100Mi"}, "min": {"memory": "80Mi"}},
            {"type": "Pod", "min": {"cpu": "7"}},
        ]}}]))
        .unwrap();
        let ranges: Vec<LimitRange> = ranges;
        limit(&mut containers, &ranges);
        assert_eq!(requests(&containers[0]), [("cpu", "500m"), ("memory", "80Mi")].into());
        assert_eq!(requests(&containers[1])["cpu"], "3");
    }

    #[test]
    fn of_several_limit_ranges_the_largest_least_and_the_smallest_default_count() {
        let mut containers = steps(json!([{"name": "step-a", "resources": {"limits": {"memory": "10Mi"}}}]));
        let ranges: Vec<LimitRange> = serde_json::from_value(json!([
            {"spec": {"limits": [{"type": "Container", "defaultRequest": {"cpu": "2"}, "min": {"memory": "20Mi", "ephemeral-storage": "1Gi"}}]}},
            {"spec": {"limits": [{"type": "Container", "defaultRequest": {"cpu": "1"}, "min": {"memory": "30Mi", "ephemeral-storage": "2Gi"}}]}},
        ]))
        .unwrap();
        limit(&mut containers, &ranges);
        // Of memory the container may have no more than 10Mi itself.
        assert_eq!(
            requests(&containers[0]),
            [("cpu", "1"), ("ephemeral-storage", "2Gi"), ("memory", "10Mi")].into()
        );
    }

    #[rstest]
    #[case::more(json!({"requests": {"cpu": "2"}, "limits": {"cpu": "1500m"}}), Some("requests 2 of \"cpu\", which is more than its limit 1500m"))]
    #[case::same(json!({"requests": {"memory": "1Gi"}, "limits": {"memory": "1024Mi"}}), None)]
    #[case::other(json!({"requests": {"memory": "1Gi"}, "limits": {"cpu": "1"}}), None)]
    #[case::odd(json!({"requests": {"cpu": "odd"}, "limits": {"cpu": "1"}}), None)]
    fn requests_over_limits_are_found(#[case] resources: Value, #[case] expected: Option<&str>) {
        let error = check(&steps(json!([{"name": "step-a", "resources": resources}]))).err();
        let said = error.map(|error| error.to_string());
        assert_eq!(said.is_some(), expected.is_some());
        assert!(said.unwrap_or_default().contains(expected.unwrap_or_default()));
    }
}
