//! What this service reads, and which part of it.

use fleet::{Fleet, Index, ObjectKey, Store};
use fleet_api::keys;
use kube::ResourceExt as _;
use kube::core::Expression;
use pipelines_engine_api::PipelineRun;
use release_service_api::{Phase, Release, ReleasePlan, ReleasePlanAdmission, ReleaseServiceConfig, labels};
use strum::IntoEnumIterator as _;

use crate::args::Args;
use crate::trim;

/// Releases by the plan that they name.
pub(crate) const BY_PLAN: Index = Index("plan");
/// Runs by their Release.
pub(crate) const BY_RELEASE: Index = Index("release");
/// Plans by the namespace that they are in and their target: [`pair`].
pub(crate) const BY_TARGET: Index = Index("target");
/// Admissions by the namespace that they take Releases from and their own: [`pair`].
pub(crate) const BY_ORIGIN: Index = Index("origin");
/// Plans by their Application.
pub(crate) const BY_APPLICATION: Index = Index("application");

/// The objects that this service reads. Snapshots, policies, Applications and bindings are read when they are needed.
#[derive(Clone)]
pub(crate) struct Stores {
    pub(crate) releases: Store<Release>,
    pub(crate) plans: Store<ReleasePlan>,
    pub(crate) admissions: Store<ReleasePlanAdmission>,
    /// Those of the service's own namespace.
    pub(crate) configs: Store<ReleaseServiceConfig>,
    /// PipelineRuns of all phases.
    pub(crate) runs: Store<PipelineRun>,
}

impl Stores {
    pub(crate) fn new(fleet: &mut Fleet, args: &Args) -> Self {
        let own = if args.service_namespace.is_empty() { fleet.namespace() } else { &args.service_namespace };
        let own = own.to_owned();
        let phases: Vec<&str> = Phase::iter().map(Phase::as_str).collect();
        let types = phases.into_iter().map(str::to_owned).collect();
        Self {
            releases: fleet
                .store()
                .trim(trim::release)
                .index(BY_PLAN, |release: &Release| {
                    vec![ObjectKey::of(release).sibling(&release.spec.release_plan)]
                })
                .build(),
            plans: fleet
                .store()
                .trim(trim::plan)
                .index(BY_TARGET, |plan: &ReleasePlan| {
                    let origin = plan.namespace().unwrap_or_default();
                    plan.spec.target.iter().map(|target| pair(&origin, target)).collect()
                })
                .index(BY_APPLICATION, |plan: &ReleasePlan| {
                    vec![ObjectKey::of(plan).sibling(&plan.spec.application)]
                })
                .build(),
            admissions: fleet
                .store()
                .index(BY_ORIGIN, |admission: &ReleasePlanAdmission| {
                    let target = admission.namespace().unwrap_or_default();
                    vec![pair(&admission.spec.origin, &target)]
                })
                .build(),
            configs: fleet.store().only_in(own).build(),
            runs: fleet
                .store()
                .labels(Expression::In(keys::PIPELINE_TYPE.as_str().into(), types))
                .optional()
                .trim(trim::run)
                .index(BY_RELEASE, |run: &PipelineRun| release_of(run).into_iter().collect())
                .build(),
        }
    }
}

/// Tenant namespace and managed namespace as a key of an index.
pub(crate) fn pair(origin: &str, target: &str) -> ObjectKey {
    ObjectKey { namespace: origin.to_owned(), name: target.to_owned() }
}

/// The Release that a run says it is of, by its labels. Who makes runs may write there what they like: only a run with the name
/// that we would give it counts.
pub(crate) fn release_of(run: &PipelineRun) -> Option<ObjectKey> {
    let (name, namespace) =
        (labels::NAME.of(&run.metadata.labels)?, labels::NAMESPACE.of(&run.metadata.labels)?);
    Some(ObjectKey { namespace: namespace.to_owned(), name: name.to_owned() })
}
