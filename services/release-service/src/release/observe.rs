//! What there is around a Release.
//!
//! What the stores hold is taken from them; the rest is read live, and only when it is needed. That something is absent is an answer
//! only if a live read says so, and every error but that is passed on: what cannot be read is no reason to refuse a Release.

mod refresh;
mod siblings;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Debug;
use std::sync::Arc;

use application_service_api::Snapshot;
use enterprise_contract_api::EnterpriseContractPolicy;
use fleet::{ObjectKey, TraceContext, patience};
use fleet_api::keys::PIPELINE_TYPE;
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::NamespaceResourceScope;
use k8s_openapi::api::core::v1::ConfigMap;
use kube::api::{ApiResource, DynamicObject};
use kube::{Api, Client, Resource};
use pipelines_engine_api::PipelineRun;
use release_service_api::{
    Phase, Release, ReleasePlan, ReleasePlanAdmission, ReleaseServiceConfig, ReleaseServiceConfigSpec,
    ReleaseStatus, labels,
};
use serde::de::DeserializeOwned;
use strum::IntoEnumIterator as _;

use super::account::{Account, State};
use super::start::run_name;
use super::validate::target;
use crate::matching::{Mismatch, admission_of};
use crate::service::Context;
use crate::stores::{BY_RELEASE, Stores, release_of};
use crate::trim::{has_ended, status_of};

pub(super) use refresh::refresh;
pub(super) use siblings::{goes_first, is_serial};

/// For how long the store's word on a run that goes on is enough. Then an event may have been missed.
const TRUSTED: SignedDuration = SignedDuration::from_mins(10);

/// A run of a Release: its phase and the attempt, from 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Slot {
    pub(crate) phase: Phase,
    pub(crate) attempt: u32,
}

/// All that the decisions look at.
#[derive(Clone, Debug)]
pub(crate) struct Seen {
    pub(crate) now: Timestamp,
    pub(crate) release: Arc<Release>,
    /// Where the service's settings are. Empty if it does not know.
    pub(crate) service_namespace: String,
    /// The settings; empty ones where there are none.
    pub(crate) config: Arc<ReleaseServiceConfig>,
    pub(crate) plan: Option<Arc<ReleasePlan>>,
    /// The admission of the plan, or why there is none. `None` without a plan.
    pub(crate) admission: Option<Result<Arc<ReleasePlanAdmission>, Mismatch>>,
    /// Read live. `None` if there is none.
    pub(crate) snapshot: Option<Arc<Snapshot>>,
    /// The policy that the admission names, read live and whole: pipelines get all of it, also what this program does not know.
    pub(crate) policy: Option<Arc<DynamicObject>>,
    /// The ConfigMap of enterprise-contract.
    pub(crate) defaults: Defaults,
    /// What runs there are: those with the name that we give them, where we make them, or that the status names.
    pub(crate) runs: BTreeMap<Slot, Arc<PipelineRun>>,
    /// Runs that the status names and that are not there, by a live read.
    pub(crate) gone: BTreeSet<Slot>,
    /// The newest Release of the plan before this one that did not fail and was of another Snapshot. Only looked for where there are
    /// collectors.
    pub(crate) previous: Option<ObjectKey>,
    /// An older Release of the plan that is to end its managed phase first (annotation `serialize` of the admission).
    pub(crate) waits_for: Option<ObjectKey>,
    pub(crate) trace: Option<TraceContext>,
}

/// The ConfigMap `ec-defaults`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) enum Defaults {
    /// None is asked for.
    #[default]
    NotConfigured,
    /// It is asked for and is not there. Its name.
    Missing(ObjectKey),
    Found(BTreeMap<String, String>),
}

impl Seen {
    /// The admission, if there is exactly one.
    pub(crate) fn admission(&self) -> Option<&Arc<ReleasePlanAdmission>> {
        self.admission.as_ref()?.as_ref().ok()
    }

    /// Namespace of the Release.
    pub(crate) fn tenant(&self) -> &str {
        self.release.metadata.namespace.as_deref().unwrap_or_default()
    }

    /// uid of the Release.
    pub(crate) fn uid(&self) -> &str {
        self.release.metadata.uid.as_deref().unwrap_or_default()
    }
}

/// Reads what the stores do not hold. Fails if anything could not be read: that it is absent is an answer.
pub(crate) async fn observe(context: &Context, release: Arc<Release>) -> Result<Seen, kube::Error> {
    let (stores, key) = (&context.stores, ObjectKey::of(&*release));
    let now = context.clock.now();
    let account = Account::of(&release, now);
    let plan = stores.plans.get(&key.sibling(&release.spec.release_plan));
    let admission = plan.as_ref().map(|plan| admission_of(stores, plan));
    let mut seen = Seen {
        now,
        service_namespace: context.args.service_namespace.clone(),
        config: config(context),
        snapshot: None,
        policy: None,
        defaults: Defaults::NotConfigured,
        runs: runs(stores, &release, plan.as_deref()),
        gone: BTreeSet::new(),
        previous: siblings::previous(stores, &release, plan.as_deref(), admission.as_ref()),
        waits_for: siblings::waits_for(stores, &release, admission.as_ref()),
        trace: TraceContext::observed(&*release),
        plan,
        admission,
        release,
    };
    for phase in Phase::iter().filter(|phase| account.phase(*phase) == Some(State::Running)) {
        find_run(context, &mut seen, &account, phase).await?;
    }
    if may_start(&account) {
        read_resources(context, &mut seen).await?;
    }
    Ok(seen)
}

/// Whether a phase may yet start, for which there has to be a verdict.
fn may_start(account: &Account) -> bool {
    account.is_progressing()
        || !account.has_begun()
        || (!account.is_invalid() && account.phase(Phase::Final).is_none())
}

fn config(context: &Context) -> Arc<ReleaseServiceConfig> {
    let key = ObjectKey::new(&context.args.service_namespace, ReleaseServiceConfigSpec::NAME);
    context.stores.configs.get(&key).unwrap_or_else(|| {
        let mut config = ReleaseServiceConfig::new(&key.name, ReleaseServiceConfigSpec::default());
        config.metadata.namespace = Some(key.namespace);
        Arc::new(config)
    })
}

async fn read_resources(context: &Context, seen: &mut Seen) -> Result<(), kube::Error> {
    let client = &context.client;
    let snapshot = ObjectKey::of(&*seen.release).sibling(&seen.release.spec.snapshot);
    seen.snapshot = get(client, &snapshot).await?;
    let Some(admission) = seen.admission().filter(|admission| admission.spec.pipeline.is_some()) else {
        return Ok(());
    };
    let policy = ObjectKey::of(&**admission).sibling(&admission.spec.policy);
    seen.policy = policy_at(client, &policy).await?;
    seen.defaults = defaults(context).await?;
    Ok(())
}

async fn policy_at(client: &Client, key: &ObjectKey) -> Result<Option<Arc<DynamicObject>>, kube::Error> {
    if key.name.is_empty() {
        return Ok(None);
    }
    let kind = ApiResource::erase::<EnterpriseContractPolicy>(&());
    let api: Api<DynamicObject> = Api::namespaced_with(client.clone(), &key.namespace, &kind);
    Ok(patience::read(|| api.get_opt(&key.name)).await?.map(Arc::new))
}

async fn defaults(context: &Context) -> Result<Defaults, kube::Error> {
    let Some((namespace, name)) = context.args.enterprise_contract_config_map.split_once('/') else {
        return Ok(Defaults::NotConfigured);
    };
    let key = ObjectKey::new(namespace, name);
    let found: Option<Arc<ConfigMap>> = get(&context.client, &key).await?;
    Ok(match found {
        Some(found) => Defaults::Found(found.data.clone().unwrap_or_default()),
        None => Defaults::Missing(key),
    })
}

/// An object by a live read; `None` if there is none, or if its kind is not served.
async fn get<K>(client: &Client, key: &ObjectKey) -> Result<Option<Arc<K>>, kube::Error>
where
    K: Resource<DynamicType = (), Scope = NamespaceResourceScope> + Clone + Debug + DeserializeOwned,
{
    // A name that nobody can have is a name that nobody has; as part of a path it would be another question.
    if key.namespace.is_empty() || key.name.is_empty() {
        return Ok(None);
    }
    let api: Api<K> = Api::namespaced(client.clone(), &key.namespace);
    Ok(patience::read(|| api.get_opt(&key.name)).await?.map(Arc::new))
}

/// Runs of a Release in the store. Who makes runs may label them as they like, so that only one with the name that we give, and in
/// the namespace that we make it in, counts.
fn runs(stores: &Stores, release: &Release, plan: Option<&ReleasePlan>) -> BTreeMap<Slot, Arc<PipelineRun>> {
    let all = stores.runs.indexed(BY_RELEASE, &ObjectKey::of(release));
    all.into_iter()
        .filter_map(|run| {
            let slot = slot_of(&run, release)?;
            let is_there = home(release, plan, slot.phase) == run.metadata.namespace.as_deref();
            is_there.then_some((slot, run))
        })
        .collect()
}

/// What a run is of a Release, if it has the name that we give.
pub(crate) fn slot_of(run: &PipelineRun, release: &Release) -> Option<Slot> {
    let labelled = &run.metadata.labels;
    let phase = PIPELINE_TYPE.of(labelled)?.parse().ok()?;
    let attempt = labels::ATTEMPT.of(labelled).map_or(Some(0), |attempt| attempt.parse().ok())?;
    let slot = Slot { phase, attempt };
    let name = run_name(release.metadata.uid.as_deref()?, slot);
    (run.metadata.name.as_deref() == Some(&*name)).then_some(slot)
}

/// Namespace of the runs of a phase: that of the run that the status names, else as the plan has it.
fn home<'a>(release: &'a Release, plan: Option<&'a ReleasePlan>, phase: Phase) -> Option<&'a str> {
    match phase {
        Phase::TenantCollectors | Phase::Tenant | Phase::Final => release.metadata.namespace.as_deref(),
        Phase::ManagedCollectors | Phase::Managed => {
            let status = release.status.as_ref();
            let recorded = status
                .and_then(|status| status_of(status, phase)?.pipeline_run.as_deref()?.split_once('/'))
                .map(|(namespace, _)| namespace);
            recorded.or_else(|| target(plan?)).or_else(|| status?.target.as_deref())
        }
    }
}

/// The attempt of a phase that the status tells of.
pub(super) fn slot(status: &ReleaseStatus, phase: Phase) -> Slot {
    let attempts = if phase == Phase::Managed { status.managed_pipeline_attempts.len() } else { 0 };
    Slot { phase, attempt: u32::try_from(attempts.saturating_sub(1)).unwrap_or(u32::MAX) }
}

/// The run of a phase that goes on, by a live read if the store has none, or has had no news of it for long.
async fn find_run(
    context: &Context,
    seen: &mut Seen,
    account: &Account,
    phase: Phase,
) -> Result<(), kube::Error> {
    let (slot, processing) = (slot(account.status(), phase), account.processing(phase));
    let Some(key) = processing.and_then(|processing| key_of(processing.pipeline_run.as_deref()?)) else {
        return Ok(());
    };
    // One that the original has made had another name.
    let is_ours = |run: &PipelineRun| release_of(run).as_ref() == Some(&ObjectKey::of(&*seen.release));
    let known = seen.runs.get(&slot).cloned().or_else(|| context.stores.runs.get(&key));
    let is_news_due = processing
        .and_then(|processing| processing.start_time.as_ref())
        .is_some_and(|start| seen.now.duration_since(start.0) > TRUSTED);
    let found = match known {
        Some(run) if has_ended(&run) || !is_news_due => Some(run),
        _ => get(&context.client, &key).await?,
    };
    // Pipelines write to the status as well, and might name any run there.
    if let Some(run) = found.filter(|run| is_ours(run)) {
        seen.runs.insert(slot, run);
    } else {
        seen.runs.remove(&slot);
        seen.gone.insert(slot);
    }
    Ok(())
}

/// What is written as `<namespace>/<name>`.
pub(super) fn key_of(text: &str) -> Option<ObjectKey> {
    text.split_once('/').map(|(namespace, name)| ObjectKey::new(namespace, name))
}
