//! An Environment of its own for one run of a scenario.
//!
//! ```text
//! claim dtc-<hash>, Environment <env>-<scenario>-<hash> ─▶ its binding ─▶ deployed ─▶ Ready
//!   └ wait: bound to a target          an error for 300 s, or 30 min without an answer ─▶ Failed
//! ```
//! Names are hashes of Snapshot, scenario and attempt, so that nothing is made twice whatever is interrupted; the entry of the
//! scenario in the Snapshot says since when it is being made.

mod objects;
mod observe;
mod progress;

use std::sync::Arc;

use application_service_api::{Application, Environment, Snapshot, SnapshotEnvironmentBinding};
use fleet::store::Change;
use fleet::{Controller, ObjectKey, Wake, Write};
use gitops_service_api::deployment_target_class::DeploymentTargetClassSpec;
use gitops_service_api::{DeploymentTarget, DeploymentTargetClaim};
use integration_service_api::scenario::TestEnvironment;
use integration_service_api::status::TestStatus;
use integration_service_api::{IntegrationTestScenario, labels};
use jiff::{SignedDuration, Timestamp};
use kube::{Resource, ResourceExt as _};

use super::{Leftovers, Unreadable};
use crate::metrics::{Deployment, Metrics};
use crate::stores::Stores;
pub(crate) use observe::{Asked, observe};

/// How long a claim, an Environment or a binding may go without an answer (contracts.md, decision 28).
const PATIENCE: SignedDuration = SignedDuration::from_mins(30);

/// How long an error of a binding may last, or the class of targets be missing: either may go away by itself.
const GRACE: SignedDuration = SignedDuration::from_secs(300);

/// All that the decision looks at.
#[derive(Debug)]
pub(crate) struct Seen {
    pub(crate) now: Timestamp,
    /// Whether Environments are dealt with at all.
    pub(crate) enabled: bool,
    pub(crate) application: Arc<Application>,
    pub(crate) snapshot: Arc<Snapshot>,
    pub(crate) scenario: Arc<IntegrationTestScenario>,
    /// How often the scenario was asked for again.
    pub(crate) attempt: u32,
    /// Since when it is being made; `None` if that begins now.
    pub(crate) since: Option<Timestamp>,
    pub(crate) wanted: Result<TestEnvironment, Unreadable>,
    /// Whether the kinds of gitops-service are there.
    pub(crate) installed: Installed,
    /// The Environment that is copied.
    pub(crate) original: Option<Arc<Environment>>,
    pub(crate) copy: Option<Arc<Environment>>,
    pub(crate) claim: Option<Arc<DeploymentTargetClaim>>,
    pub(crate) target: Option<Arc<DeploymentTarget>>,
    pub(crate) binding: Option<Arc<SnapshotEnvironmentBinding>>,
    /// The class of targets that are made on demand. Looked up only while there is no claim.
    pub(crate) class: Option<String>,
    /// Why the API server does not take what the decision would write: to be set by whoever tried, to decide once more.
    pub(crate) refused: Option<String>,
}

/// Whether a kind that the service only uses is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Installed {
    Yes,
    No,
    /// Not heard of yet.
    Unknown,
}

/// What comes next.
#[derive(Clone, Debug, PartialEq)]
#[must_use]
pub(crate) enum Step {
    /// The Snapshot is deployed: the run can start.
    Ready(RunsIn),
    /// The entry is in progress, with these details.
    Waiting { writes: Vec<Write>, details: String, wake: Wake },
    /// The entry gets this final status. The writes clean up.
    Failed { status: TestStatus, details: String, writes: Vec<Write> },
}

/// Where a run finds what it tests.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct RunsIn {
    /// For the parameter `NAMESPACE`.
    pub(crate) namespace: String,
    /// For the workspace `cluster-credentials`.
    pub(crate) credentials_secret: String,
    /// For the label that says in which Environment the run is.
    pub(crate) environment: String,
}

pub(crate) fn decide(seen: &Seen) -> Step {
    let provision_error = |details: String| seen.failed(TestStatus::EnvironmentProvisionError, details);
    let wanted = match &seen.wanted {
        Ok(wanted) => wanted,
        Err(error) => return seen.failed(TestStatus::TestInvalid, error.to_string()),
    };
    if !seen.enabled {
        return provision_error(
            "Environments are switched off in this installation: remove spec.environment from the scenario"
                .to_owned(),
        );
    }
    match seen.installed {
        Installed::Yes => {}
        Installed::No => {
            return provision_error(
                "gitops-service is not installed: there is nothing that makes environments for tests"
                    .to_owned(),
            );
        }
        Installed::Unknown => return seen.waiting(Vec::new(), "Waiting for the API server".to_owned()),
    }
    if let Some(refused) = &seen.refused {
        return provision_error(refused.clone());
    }
    match &seen.copy {
        None => provision(seen, wanted),
        Some(copy) => deploy(seen, copy),
    }
}

/// Makes claim and copy. The claim may be there already, from before a crash.
fn provision(seen: &Seen, wanted: &TestEnvironment) -> Step {
    let Some(original) = &seen.original else {
        let details = format!(
            "Environment {} does not exist: make it, or name another one in spec.environment of the scenario",
            wanted.name
        );
        return seen.failed(TestStatus::EnvironmentProvisionError, details);
    };
    let copy = objects::copy(seen, wanted, original);
    let claim = match (&seen.claim, &seen.class) {
        (Some(_), _) => None,
        (None, Some(class)) => Some(Write::create(&objects::claim(seen, class, &copy.name_any()))),
        (None, None) => return without_class(seen),
    };
    let details = format!("Making Environment {}", copy.name_any());
    seen.waiting(claim.into_iter().chain([Write::create(&copy)]).collect(), details)
}

fn without_class(seen: &Seen) -> Step {
    let details = format!(
        "No DeploymentTargetClass has the provisioner {}: an administrator has to make one",
        DeploymentTargetClassSpec::DEVSANDBOX
    );
    let until = seen.began() + GRACE;
    if seen.now < until {
        return Step::Waiting { writes: Vec::new(), details, wake: Wake::After(observe::LOOK_FOR_CLASS) };
    }
    seen.failed(TestStatus::EnvironmentProvisionError, details)
}

/// Binds the Snapshot to the copy, and waits until it is deployed.
fn deploy(seen: &Seen, copy: &Environment) -> Step {
    if copy.metadata.deletion_timestamp.is_some() {
        return seen.failed(
            TestStatus::EnvironmentProvisionError,
            format!("Environment {} was deleted before the test could start", copy.name_any()),
        );
    }
    let Some(binding) = &seen.binding else {
        let writes = vec![Write::create(&objects::binding(seen, copy))];
        return seen.waiting(writes, format!("Deploying to Environment {}", copy.name_any()));
    };
    if let Some((error, since)) = progress::error(binding) {
        let until = since + GRACE;
        return if seen.now < until {
            Step::Waiting { writes: Vec::new(), details: error, wake: Wake::At(until) }
        } else {
            seen.failed(TestStatus::DeploymentError, error)
        };
    }
    if progress::is_deployed(binding)
        && let Some(credentials) = progress::credentials(seen.target.as_deref())
    {
        return Step::Ready(RunsIn {
            namespace: credentials.default_namespace.clone(),
            credentials_secret: credentials.cluster_credentials_secret.clone(),
            environment: copy.name_any(),
        });
    }
    seen.waiting(Vec::new(), progress::waits_for(seen, copy, binding))
}

impl Seen {
    fn began(&self) -> Timestamp {
        self.since.unwrap_or(self.now)
    }

    /// Not for ever.
    fn waiting(&self, writes: Vec<Write>, details: String) -> Step {
        let until = self.began() + PATIENCE;
        if self.now < until {
            return Step::Waiting { writes, details, wake: Wake::At(until) };
        }
        let status = if progress::is_bound(self.claim.as_deref()) {
            TestStatus::DeploymentError
        } else {
            TestStatus::EnvironmentProvisionError
        };
        self.failed(status, format!("No answer for {} minutes. {details}", PATIENCE.as_mins()))
    }

    fn failed(&self, status: TestStatus, details: String) -> Step {
        let leftovers =
            Leftovers::of(self.copy.iter().cloned().collect(), self.claim.iter().cloned().collect());
        Step::Failed { status, details, writes: leftovers.deletes() }
    }
}

impl Step {
    /// Counts a deployment that has ended. For whoever carried the step out.
    pub(crate) fn measure(&self, seen: &Seen, metrics: &Metrics) {
        let ended = match self {
            Self::Ready(_) => Deployment::Succeeded,
            Self::Failed { .. } => Deployment::Failed,
            Self::Waiting { .. } => return,
        };
        let created = seen.binding.as_ref().and_then(|binding| binding.creation_timestamp());
        if let Some(created) = created {
            metrics.deployment_ended(created.0, ended, seen.now);
        }
    }
}

/// Wakes the Snapshots whose environments change.
pub(crate) fn wakes(controller: Controller, stores: &Stores) -> Controller {
    let claims = stores.claims.clone();
    controller
        .reads(&stores.environments, snapshot_in_label)
        .reads(&stores.claims, snapshot_in_label)
        .reads(&stores.bindings, |binding: &SnapshotEnvironmentBinding| {
            let is_of_a_test = labels::SCENARIO.of(&binding.metadata.labels).is_some();
            if is_of_a_test {
                vec![ObjectKey::of(binding).sibling(&binding.spec.snapshot)]
            } else {
                Vec::new()
            }
        })
        .reads_changes(&stores.targets, move |change: &Change<DeploymentTarget>| {
            let targets = change.old.iter().chain(&change.new);
            let claimed = targets.filter_map(|target| {
                claims.get(&change.key.sibling(target.spec.claim_ref.as_deref().unwrap_or_default()))
            });
            claimed.flat_map(|claim| snapshot_in_label(&*claim)).collect()
        })
}

fn snapshot_in_label<K: Resource<DynamicType = ()>>(object: &K) -> Vec<ObjectKey> {
    let snapshot = labels::SNAPSHOT.of(&object.meta().labels);
    snapshot.map(|snapshot| ObjectKey::of(object).sibling(snapshot)).into_iter().collect()
}

#[cfg(test)]
mod tests;
