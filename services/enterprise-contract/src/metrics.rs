//! What is measured of policies.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use enterprise_contract_api::EnterpriseContractPolicy;
use enterprise_contract_api::conditions::Ready;
use fleet::Store;
use fleet_api::{ConditionState as _, Truth};
use parking_lot::RwLock;
use prometheus::core::{Collector, Desc};
use prometheus::proto::MetricFamily;
use prometheus::{GaugeVec, HistogramOpts, HistogramVec, Opts, Registry};

const VALID: &str = "ec_policy_valid";
const VALID_HELP: &str = "1 if images can be judged by the policy, else 0.";

/// Cheap to clone.
#[derive(Clone)]
pub struct Metrics {
    resolved: HistogramVec,
    valid: Valid,
}

/// `ec_policy_valid`: read from the policies themselves when somebody asks, so that it cannot drift.
#[derive(Clone)]
struct Valid {
    desc: Desc,
    policies: Arc<RwLock<Option<Store<EnterpriseContractPolicy>>>>,
}

impl Metrics {
    /// Registers all, so that each is there from the start.
    pub fn new(registry: &Registry) -> Result<Self, prometheus::Error> {
        let options = HistogramOpts::new(
            "ec_policy_resolve_duration_seconds",
            "Time to fetch and compile the sources of a policy, in seconds, by whether it worked: ok, error.",
        );
        let buckets = vec![0.1, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0];
        let resolved = HistogramVec::new(options.buckets(buckets), &["result"])?;
        for result in ["ok", "error"] {
            resolved.with_label_values(&[result]);
        }
        registry.register(Box::new(resolved.clone()))?;
        let labels = ["namespace", "name"].map(str::to_owned).to_vec();
        let valid = Valid {
            desc: Desc::new(VALID.to_owned(), VALID_HELP.to_owned(), labels, HashMap::new())?,
            policies: Arc::default(),
        };
        registry.register(Box::new(valid.clone()))?;
        Ok(Self { resolved, valid })
    }

    /// From now on the state of these policies is shown.
    pub(crate) fn show(&self, policies: &Store<EnterpriseContractPolicy>) {
        *self.valid.policies.write() = Some(policies.clone());
    }

    pub(crate) fn resolved(&self, took: Duration, is_ok: bool) {
        let result = if is_ok { "ok" } else { "error" };
        self.resolved.with_label_values(&[result]).observe(took.as_secs_f64());
    }
}

impl Collector for Valid {
    fn desc(&self) -> Vec<&Desc> {
        vec![&self.desc]
    }

    fn collect(&self) -> Vec<MetricFamily> {
        let policies = self.policies.read();
        let Ok(gauge) = GaugeVec::new(Opts::new(VALID, VALID_HELP), &["namespace", "name"]) else {
            return Vec::new();
        };
        let Some(policies) = &*policies else {
            // Before the service runs: so that the reference has it.
            gauge.with_label_values(&["", ""]);
            return gauge.collect();
        };
        for key in policies.keys() {
            // One that was not looked at yet is neither.
            if let Some(is_valid) = policies.get(&key).and_then(|policy| is_valid(&policy)) {
                let labels = [key.namespace.as_str(), key.name.as_str()];
                gauge.with_label_values(&labels).set(if is_valid { 1.0 } else { 0.0 });
            }
        }
        gauge.collect()
    }
}

/// What `Ready` of the present spec says.
fn is_valid(policy: &EnterpriseContractPolicy) -> Option<bool> {
    let conditions = &policy.status.as_ref()?.conditions;
    let ready = conditions.iter().find(|condition| condition.type_ == Ready::TYPE)?;
    (ready.observed_generation == policy.metadata.generation).then(|| ready.status == Truth::True.as_str())
}
