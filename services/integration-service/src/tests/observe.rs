//! What the decision looks at.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use application_service_api::{Application, Component, Environment, Snapshot};
use fleet::store::Stored;
use fleet::{ObjectKey, Presence, Store, Write, is_inert};
use fleet_api::keys;
use integration_service_api::labels::snapshot_type;
use integration_service_api::{IntegrationTestScenario, finalizers, labels};
use jiff::Timestamp;
use k8s_openapi::NamespaceResourceScope;
use kube::{Api, Client, Resource, ResourceExt as _};
use pipelines_engine_api::PipelineRun;

use super::evaluate::{Outcome, has_ended};
use super::start::Started;
use crate::conditions::Says as _;
use crate::environments::Leftovers;
use crate::origin::Origin;
use crate::promotion;
use crate::record::Record;
use crate::service::Context;
use crate::settled::is_trimmed;
use crate::stores::{BY_APPLICATION, BY_SNAPSHOT, Stores};

/// One Snapshot and what belongs to it.
#[expect(clippy::struct_excessive_bools, reason = "each is a fact of its own")]
#[derive(Debug)]
pub(super) struct Seen {
    pub(super) now: Timestamp,
    /// With its components.
    pub(super) snapshot: Arc<Snapshot>,
    pub(super) application: Found<Application>,
    /// The Component that was built is not there any more.
    pub(super) component_is_gone: bool,
    /// All of the Application.
    pub(super) scenarios: Vec<Arc<IntegrationTestScenario>>,
    /// Test runs with the Snapshot's name in their label.
    pub(super) runs: Vec<Arc<PipelineRun>>,
    /// `None` if it cannot be read.
    pub(super) record: Option<Record>,
    /// What is wrong with an override Snapshot.
    pub(super) faults: Vec<String>,
    /// Whether it is here that all tests together are judged, and not in the turn of the Application.
    pub(super) judges: bool,
    pub(super) is_push: bool,
    /// All is done about it but what may be left of its runs.
    pub(super) has_settled: bool,
    /// Deletes what was made for tests that have ended.
    pub(super) leftovers: Vec<Write>,
}

/// An object that is looked for by name.
#[derive(Clone, Debug)]
pub(super) enum Found<K> {
    There(Arc<K>),
    /// It does not exist.
    Gone,
    /// The store has not heard of it yet.
    Unknown,
}

/// What was done about a Snapshot, or found out, before the decision.
#[derive(Debug, Default)]
pub(super) struct Done {
    /// What runs have come to, by name.
    pub(super) outcomes: BTreeMap<String, Outcome>,
    /// Runs that do not exist.
    pub(super) gone: BTreeSet<String>,
    /// What came of starting scenarios; of those that are tried again there is nothing here.
    pub(super) started: BTreeMap<String, Started>,
}

/// Whether a run still waits to be read.
pub(super) fn is_held(run: &PipelineRun) -> bool {
    finalizers::PIPELINE_RUN.is_in(run.metadata.finalizers.as_ref())
}

/// `None` if nothing is to be done about the Snapshot.
pub(super) async fn observe(context: &Context, snapshot: Arc<Snapshot>) -> Result<Option<Seen>, kube::Error> {
    let stores = &context.stores;
    let key = ObjectKey::of(&*snapshot);
    let runs = stores.tests.indexed(BY_SNAPSHOT, &key);
    let has_settled = is_trimmed(&snapshot) && !is_asked(&snapshot);
    if has_settled && !runs.iter().any(|run| is_held(run)) {
        return Ok(None);
    }
    if is_inert(&snapshot.metadata) {
        return Ok(None);
    }
    let snapshot = context.whole(&snapshot).await?;
    let record = Record::read(&snapshot).ok();
    let application = application(context, &snapshot).await?;
    Ok(Some(Seen {
        now: context.clock.now(),
        component_is_gone: component_is_gone(context, &snapshot).await?,
        scenarios: stores.scenarios.indexed(BY_APPLICATION, &key.sibling(&snapshot.spec.application)),
        faults: faults(stores, &snapshot),
        judges: !promotion::passes_verdict(&snapshot, context.args.gcl_promotion),
        is_push: Origin::of(&*snapshot).is_push(),
        has_settled,
        leftovers: leftovers(stores, &snapshot, &runs, record.as_ref()),
        application,
        runs,
        record,
        snapshot,
    }))
}

async fn application(context: &Context, snapshot: &Snapshot) -> Result<Found<Application>, kube::Error> {
    let key = ObjectKey::of(snapshot).sibling(&snapshot.spec.application);
    let store = &context.stores.applications;
    if let Some(application) = store.get(&key) {
        return Ok(Found::There(application));
    }
    let is_gone = may_start(snapshot) && is_gone(&context.client, store, &key).await?;
    Ok(if is_gone { Found::Gone } else { Found::Unknown })
}

fn is_asked(snapshot: &Snapshot) -> bool {
    labels::RUN.of(&snapshot.metadata.labels).is_some()
}

/// Otherwise it does not matter what else is there.
fn may_start(snapshot: &Snapshot) -> bool {
    !snapshot.is_out() && (snapshot.passed().is_none() || is_asked(snapshot))
}

async fn component_is_gone(context: &Context, snapshot: &Snapshot) -> Result<bool, kube::Error> {
    let Some(component) = keys::COMPONENT.of(&snapshot.metadata.labels) else { return Ok(false) };
    let (store, key) = (&context.stores.components, ObjectKey::of(snapshot).sibling(component));
    let is_missing = may_start(snapshot) && store.get(&key).is_none();
    Ok(is_missing && is_gone::<Component>(&context.client, store, &key).await?)
}

/// Whether an object that a store does not hold does not exist. The store may lag behind the watch that led here, so that what
/// cannot be taken back is not decided on its word alone.
pub(super) async fn is_gone<K>(
    client: &Client,
    store: &Store<K>,
    key: &ObjectKey,
) -> Result<bool, kube::Error>
where
    K: Stored + Resource<Scope = NamespaceResourceScope>,
{
    if store.presence() != Presence::Listed {
        return Ok(false);
    }
    let api: Api<K> = Api::namespaced(client.clone(), &key.namespace);
    Ok(api.get_metadata_opt(&key.name).await?.is_none())
}

fn faults(stores: &Stores, snapshot: &Snapshot) -> Vec<String> {
    if labels::TYPE.of(&snapshot.metadata.labels) != Some(snapshot_type::OVERRIDE) {
        return Vec::new();
    }
    let key = ObjectKey::of(snapshot).sibling(&snapshot.spec.application);
    promotion::faults_of_override(snapshot, &stores.components.indexed(BY_APPLICATION, &key))
}

/// What was made for runs that have ended, whoever ended them.
fn leftovers(
    stores: &Stores,
    snapshot: &Snapshot,
    runs: &[Arc<PipelineRun>],
    record: Option<&Record>,
) -> Vec<Write> {
    let key = ObjectKey::of(snapshot);
    if snapshot.is_out() {
        return Leftovers::of_snapshot(stores, &key).deletes();
    }
    let is_over = |environment: &Arc<Environment>| {
        let scenario = labels::SCENARIO.of(&environment.metadata.labels);
        let state = scenario.and_then(|scenario| record?.state(scenario));
        state.is_some_and(integration_service_api::status::TestStatus::is_final)
    };
    let environments = stores.environments.indexed(BY_SNAPSHOT, &key);
    let of_entries = environments
        .iter()
        .filter(|environment| is_over(environment))
        .map(|environment| environment.name_any());
    let of_runs = runs
        .iter()
        .filter(|run| has_ended(run) || run.metadata.deletion_timestamp.is_some())
        .filter_map(|run| labels::ENVIRONMENT.of(&run.metadata.labels).map(str::to_owned));
    let names: BTreeSet<String> = of_entries.chain(of_runs).collect();
    names.iter().flat_map(|name| Leftovers::of_environment(stores, &key.sibling(name)).deletes()).collect()
}
