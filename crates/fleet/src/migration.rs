//! Storage-version migration: what was stored in an older version of its kind is written again, in the newest, so that
//! the older one can be taken out of the definition one day.
//!
//! ```text
//! CustomResourceDefinition: storage version v2, status.storedVersions [v1, v2]
//!    │ pages of names                        ┌── nothing is stored in v1 any more
//!    ▼                                       │
//! an empty patch per object ─▶ the API server writes it as v2 ─▶ status.storedVersions [v2]
//! ```
//! A service asks for it with one line, [`Fleet::migrate_storage`](crate::Fleet::migrate_storage). Only the leader
//! works, at a bounded rate. Nothing is remembered but what the API server says, so the work can be broken off anywhere:
//! an empty patch of an object that is in the newest version already changes nothing, and the record that work is done
//! comes last. See docs/decisions/0013-each-service-migrates-what-is-stored.md.
//!
//! A right that is missing, an object that the API server does not take, a webhook that is away: each is logged with
//! what to do, counted, and tried again, while the service goes on. Until it is mended the older version stays listed.

mod definition;
mod metrics;
mod pass;

use std::time::Duration;

use futures::future::join_all;
use kube::Client;
use tokio_util::sync::CancellationToken;

use crate::leader::Leadership;
pub use metrics::MigrationMetrics;
use pass::{Error, Pass, Step};

/// How long things take. The defaults suit every service; tests are in more of a hurry.
#[derive(Clone, Copy, Debug)]
pub struct Timing {
    /// How often to look whether a definition has another storage version now.
    pub look_every: Duration,
    /// Between a look that found older versions and the first write: an API server that has not heard of the new
    /// storage version yet would go on writing the old one.
    pub settle: Duration,
    /// Between two writes of one kind. Each wakes whoever watches it.
    pub write_every: Duration,
}

impl Default for Timing {
    fn default() -> Self {
        Self {
            look_every: Duration::from_mins(10),
            settle: Duration::from_secs(30),
            write_every: Duration::from_millis(20),
        }
    }
}

/// The first wait after a failure; the next ones double, up to [`Timing::look_every`].
const SOON: Duration = Duration::from_secs(1);

/// Looks after what is stored of some kinds.
pub struct Migration {
    client: Client,
    crds: Vec<String>,
    timing: Timing,
    metrics: MigrationMetrics,
}

impl Migration {
    /// `crds` are names of definitions, such as `things.example.com`. Those that do not exist are waited for.
    pub fn new(
        client: Client,
        crds: impl IntoIterator<Item = impl Into<String>>,
        metrics: MigrationMetrics,
    ) -> Self {
        let crds = crds.into_iter().map(Into::into).collect();
        Self { client, crds, timing: Timing::default(), metrics }
    }

    #[must_use]
    pub fn timing(mut self, timing: Timing) -> Self {
        self.timing = timing;
        self
    }

    /// Runs on every replica until cancelled; works only while leading.
    pub async fn run(self, leadership: Leadership, cancel: CancellationToken) {
        // Each on its own: one that is stuck holds no other up.
        let all = self.crds.iter().map(|crd| self.look_after(crd, &leadership));
        cancel.run_until_cancelled(join_all(all)).await;
    }

    async fn look_after(&self, crd: &str, leadership: &Leadership) {
        let pass =
            Pass { client: &self.client, crd, timing: self.timing, metrics: &self.metrics, leadership };
        let mut failures = 0_u32;
        loop {
            leadership.held().await;
            let wait = match pass.run().await {
                Ok(Step::Settled) => {
                    failures = 0;
                    self.timing.look_every
                }
                Ok(Step::Again) => SOON,
                Err(Error::NotLeading) => continue,
                Err(error) => {
                    self.metrics.failed(crd, (&error).into());
                    let wait = SOON.saturating_mul(2_u32.saturating_pow(failures));
                    failures = failures.saturating_add(1);
                    let error = &error as &dyn std::error::Error;
                    tracing::warn!(crd, error, attempt = failures, "Could not migrate what is stored");
                    wait.min(self.timing.look_every)
                }
            };
            let jitter = rand::random_range(0.8..1.0);
            tokio::time::sleep(wait.mul_f64(jitter)).await;
        }
    }
}
