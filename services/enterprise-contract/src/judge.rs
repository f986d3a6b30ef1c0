//! Judges images by a policy: what `ec validate image` does.
//!
//! ```text
//! Request ─▶ Snapshot, expanded ─┐                                     ┌▶ ComponentReport ─┐
//!        └─▶ policy ─▶ Group per source, compiled once ─▶ Judge ─ each ┴▶ ComponentReport ─┴▶ Report
//! ```
//! Fails closed: what is not known is a violation, or no report at all. What goes wrong with one image is that image's own
//! matter, and does not hide the others.

mod builtin;
mod component;
mod dependencies;
mod group;
mod host;
mod input;
mod progress;
mod verdict;
mod verification;

use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::Duration;

use fleet::Clock;
use futures::StreamExt as _;
use jiff::Timestamp;
use registry::Keychain;
use serde_json::{Map, Value};

use crate::effective_time::EffectiveTime;
use crate::image::Library;
use crate::policy::{self, Cluster, Expected, Signers, Sigstore};
use crate::report::Report;
use crate::snapshot::{self, Asked, Snapshot};
use crate::sources::{self, Sources};
use component::{Judged, Trouble};
use group::{Asking, Group};
use progress::Progress;
use verification::Verification;

pub use input::{InputRequest, validate_inputs};

/// Version that reports name.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");

/// What judges work with. Cheap to clone.
#[derive(Clone)]
pub struct Environment {
    pub sigstore: Sigstore,
    pub registry: registry::Client,
    pub keychain: Arc<Keychain>,
    pub sources: Sources,
    pub cluster: Cluster,
    pub clock: Clock,
}

/// Which images are judged, and how.
#[derive(Clone, Debug)]
pub struct Request {
    pub images: Asked,
    /// Text, file, URL, or `[namespace/]name`. Empty for a policy without sources, which checks nothing.
    pub policy: String,
    /// Added to the rule data of each source.
    pub extra_rule_data: Map<String, Value>,
    /// What flags say of signers. What is empty is as the policy says.
    pub signers: Expected,
    pub effective_time: EffectiveTime,
    /// Whether all is kept that is known of rules.
    pub info: bool,
    /// Images at once.
    pub workers: NonZeroUsize,
    /// Indexes that are expanded at once.
    pub index_workers: NonZeroUsize,
    /// For all of it. `None` is as long as it takes.
    pub timeout: Option<Duration>,
    /// Whether what rules saw is kept in the report, which takes memory.
    pub keep_inputs: bool,
}

impl Default for Request {
    fn default() -> Self {
        const WORKERS: NonZeroUsize = NonZeroUsize::new(5).unwrap();
        Self {
            images: Asked::default(),
            policy: String::new(),
            extra_rule_data: Map::new(),
            signers: Expected::default(),
            effective_time: EffectiveTime::Now,
            info: false,
            workers: WORKERS,
            index_workers: WORKERS,
            timeout: Some(Duration::from_mins(5)),
            keep_inputs: false,
        }
    }
}

/// Why there is no report.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error(transparent)]
    Images(#[from] snapshot::Error),
    #[error(transparent)]
    Policy(#[from] policy::Error),
    #[error("the policy names no sources of rules, so nothing would be checked")]
    NoSources,
    #[error("source {name} of the policy")]
    Source { name: String, source: sources::Error },
    #[error("the rules of source {name} cannot be used")]
    Rules { name: String, source: crate::rego::LoadError },
    #[error("nothing was checked: {0}")]
    NothingChecked(String),
    #[error("input {what}: {reason}")]
    Input { what: String, reason: String },
    #[error("not finished within {}: {}", seconds(*.limit), running.join(", "))]
    Timeout {
        limit: Duration,
        /// What was being done.
        running: Vec<String>,
    },
    #[error("an error of this program: {0}")]
    Internal(String),
}

fn seconds(limit: Duration) -> String {
    format!("{} s", limit.as_secs_f64())
}

/// All that images are judged by.
struct Judge {
    library: Library,
    verification: Arc<Verification>,
    groups: Vec<Group>,
    effective_time: EffectiveTime,
    run_time: Timestamp,
    /// As rules see it.
    snapshot: Value,
    info: bool,
    keep_inputs: bool,
    asking: Asking,
    progress: Arc<Progress>,
}

/// Judges images. A report is made whatever is wrong with them; errors are about what was asked for.
pub async fn validate_images(request: &Request, environment: &Environment) -> Result<Report, Error> {
    let progress = Arc::new(Progress::default());
    // On the heap: what it holds while it waits for registries and Git servers would fill a thread's stack.
    let work = Box::pin(validate(request, environment, Arc::clone(&progress)));
    match request.timeout {
        None => work.await,
        Some(limit) => tokio::time::timeout(limit, work)
            .await
            .unwrap_or_else(|_| Err(Error::Timeout { limit, running: progress.now() })),
    }
}

async fn validate(
    request: &Request,
    environment: &Environment,
    progress: Arc<Progress>,
) -> Result<Report, Error> {
    const PREPARING: &str = "the policy and the Snapshot";
    progress.begin(PREPARING, "reading");
    let now = environment.clock.now();
    let (asked, name) = Snapshot::read(&request.images, &environment.cluster).await?;
    let spec = policy::load(&request.policy, &environment.sources, &environment.cluster).await?;
    let spec = policy::with_flags(spec, &request.signers, &request.extra_rule_data);
    let expected = Expected { ignore_rekor: request.signers.ignore_rekor, ..Expected::of(&spec) };
    let signers = Signers::of(&expected, &environment.cluster, &environment.sigstore).await?;
    let library = Library::new(environment.registry.clone(), Arc::clone(&environment.keychain));
    let (groups, snapshot) = futures::join!(
        group::groups(&spec, &environment.sources),
        snapshot::expand(asked, &library, request.index_workers)
    );
    let groups = groups?;
    progress.end(PREPARING);

    let policy = group::pinned(&spec, &groups);
    let key = signers.pem.clone();
    let verification =
        Verification::new(library.clone(), signers, environment.sigstore.clone(), environment.clock.clone());
    let run_time = request.effective_time.of_run(now);
    let judge = Judge {
        library,
        verification: Arc::new(verification),
        groups,
        effective_time: request.effective_time,
        run_time,
        snapshot: snapshot.value(),
        info: request.info,
        keep_inputs: request.keep_inputs,
        asking: Asking::new(),
        progress,
    };
    let judged: Vec<Judged> = futures::stream::iter(&snapshot.components)
        .map(|component| Box::pin(component::judge(&judge, component)))
        .buffer_unordered(request.workers.get())
        .collect()
        .await;
    let report = Report {
        snapshot: name,
        key,
        policy,
        effective_time: run_time.to_string(),
        data: judge.groups.iter().map(|group| group.policy.data().clone()).collect(),
        ..report(judged)?
    };
    Ok(report)
}

/// Puts the images' reports together.
fn report(mut judged: Vec<Judged>) -> Result<Report, Error> {
    let is_unchecked = |judged: &Judged| matches!(judged.trouble, Some(Trouble::NothingChecked(_)));
    if let Some(Judged { trouble: Some(trouble), .. }) =
        judged.first().filter(|_| judged.iter().all(is_unchecked))
    {
        return Err(Error::NothingChecked(trouble.to_string()));
    }
    judged.sort_by(|one, other| {
        let key = |judged: &Judged| (judged.report.container_image.clone(), judged.report.name.clone());
        key(other).cmp(&key(one))
    });
    let errors = judged.iter().filter_map(|judged| {
        let trouble = judged.trouble.as_ref()?;
        Some(format!("{}: {trouble}", judged.report.container_image))
    });
    Ok(Report {
        errors: errors.collect(),
        success: !judged.is_empty() && judged.iter().all(|judged| judged.report.success),
        components: judged.into_iter().map(|judged| judged.report).collect(),
        ec_version: VERSION.to_owned(),
        ..Report::default()
    })
}
