//! One replica's claim to one Lease: reads it, and writes it guarded by its resourceVersion.

use std::fmt;
use std::time::{Duration, SystemTime};

use jiff::Timestamp;
use k8s_openapi::api::coordination::v1::{Lease, LeaseSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{MicroTime, ObjectMeta};
use kube::api::{Api, Patch, PatchParams, PostParams};
use kube::{Client, Error};
use serde_json::json;
use tokio::time::Instant;

use super::decide::{Record, Seen, Step, decide};

pub(super) struct Candidacy {
    leases: Api<Lease>,
    namespace: String,
    name: String,
    identity: String,
    duration: Duration,
    seen: Option<Seen>,
}

/// What an attempt came to.
#[derive(Debug)]
pub(super) enum Outcome {
    /// Ours, renewed after the attempt began.
    Held,
    /// Somebody else's, at least until then.
    Taken { holder: String, until: Instant },
    /// Somebody wrote between our read and our write, twice. Try again.
    Contended,
}

impl Candidacy {
    pub(super) fn new(
        client: Client,
        namespace: &str,
        name: &str,
        identity: &str,
        duration: Duration,
    ) -> Self {
        Self {
            leases: Api::namespaced(client, namespace),
            namespace: namespace.to_owned(),
            name: name.to_owned(),
            identity: identity.to_owned(),
            duration,
            seen: None,
        }
    }

    /// Takes or renews the Lease, if that is possible now.
    pub(super) async fn attempt(&mut self) -> Result<Outcome, Error> {
        // Who holds it knows its resourceVersion: one request per renewal, not two.
        if !self.holds() {
            self.look().await?;
        }
        for _ in 0..2 {
            match decide(self.seen.as_ref(), &self.identity, self.duration, Instant::now()) {
                Step::Wait { holder, until } => return Ok(Outcome::Taken { holder, until }),
                Step::Create | Step::Take | Step::Renew => {
                    if self.write().await? {
                        return Ok(Outcome::Held);
                    }
                    self.look().await?;
                }
            }
        }
        match decide(self.seen.as_ref(), &self.identity, self.duration, Instant::now()) {
            Step::Wait { holder, until } => Ok(Outcome::Taken { holder, until }),
            Step::Create | Step::Take | Step::Renew => Ok(Outcome::Contended),
        }
    }

    /// Leaves the Lease to whoever is first, if it is ours.
    pub(super) async fn release(&mut self) -> Result<(), Error> {
        // A write that was cut off may have arrived: what we remember can be old.
        self.look().await?;
        let Some(seen) = self.seen.as_ref().filter(|seen| seen.is_held_by(&self.identity)) else {
            return Ok(());
        };
        let now = MicroTime(wall_clock());
        let patch = json!({
            "metadata": { "resourceVersion": seen.resource_version },
            // An empty holder, not a removed field, is what client-go writes and understands. The short duration is
            // for readers that look at nothing else.
            "spec": { "holderIdentity": "", "leaseDurationSeconds": 1, "renewTime": now, "acquireTime": now },
        });
        match self.leases.patch(&self.name, &PatchParams::default(), &Patch::Merge(patch)).await {
            Ok(lease) => {
                self.remember(lease);
                Ok(())
            }
            // Changed by somebody else, so no longer ours to release.
            Err(Error::Api(status)) if status.is_conflict() || status.is_not_found() => Ok(()),
            Err(error) => Err(error),
        }
    }

    fn holds(&self) -> bool {
        self.seen.as_ref().is_some_and(|seen| seen.is_held_by(&self.identity))
    }

    async fn look(&mut self) -> Result<(), Error> {
        match self.leases.get_opt(&self.name).await? {
            Some(lease) => self.remember(lease),
            None => self.seen = None,
        }
        Ok(())
    }

    /// Writes us as the holder. False when somebody else wrote first.
    async fn write(&mut self) -> Result<bool, Error> {
        let written = match &self.seen {
            None => self.create().await,
            Some(seen) => self.claim(seen).await,
        };
        match written {
            Ok(lease) => {
                self.remember(lease);
                Ok(true)
            }
            // Conflict: another version, or (on create) it exists. Not found: removed since we looked.
            Err(Error::Api(status)) if matches!(status.code, 404 | 409) && !self.lacks_namespace(&status) => {
                Ok(false)
            }
            Err(error) => Err(error),
        }
    }

    /// A create in a namespace that does not exist is also "not found", and trying again would not help.
    fn lacks_namespace(&self, status: &kube::core::Status) -> bool {
        self.seen.is_none() && status.is_not_found()
    }

    async fn create(&self) -> Result<Lease, Error> {
        let now = MicroTime(wall_clock());
        let lease = Lease {
            metadata: ObjectMeta { name: Some(self.name.clone()), ..ObjectMeta::default() },
            spec: Some(LeaseSpec {
                holder_identity: Some(self.identity.clone()),
                lease_duration_seconds: Some(self.seconds()),
                acquire_time: Some(now.clone()),
                renew_time: Some(now),
                lease_transitions: Some(0),
                ..LeaseSpec::default()
            }),
        };
        self.leases.create(&PostParams::default(), &lease).await
    }

    /// Takes or renews `seen`, unless it has changed since.
    async fn claim(&self, seen: &Seen) -> Result<Lease, Error> {
        let now = wall_clock();
        let renewing = seen.is_held_by(&self.identity);
        let acquired = if renewing { seen.record.acquired.unwrap_or(now) } else { now };
        let transitions = seen.record.transitions.saturating_add(i32::from(!renewing));
        let patch = json!({
            "metadata": { "resourceVersion": seen.resource_version },
            "spec": {
                "holderIdentity": self.identity,
                "leaseDurationSeconds": self.seconds(),
                "acquireTime": MicroTime(acquired),
                "renewTime": MicroTime(now),
                "leaseTransitions": transitions,
            },
        });
        self.leases.patch(&self.name, &PatchParams::default(), &Patch::Merge(patch)).await
    }

    fn remember(&mut self, lease: Lease) {
        let record = lease.spec.as_ref().map(Record::from).unwrap_or_default();
        let version = lease.metadata.resource_version.unwrap_or_default();
        self.seen = Some(Seen::update(self.seen.as_ref(), record, version, Instant::now()));
    }

    /// Rounded up: others have to wait at least as long as we count on.
    fn seconds(&self) -> i32 {
        i32::try_from(self.duration.as_millis().div_ceil(1000)).unwrap_or(i32::MAX)
    }
}

impl fmt::Display for Candidacy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.namespace, self.name)
    }
}

/// For readers of the Lease; nothing is decided by it. Not the fleet's clock, which counts whole seconds: two
/// renewals within one second have to differ, or those who stand by would see none.
fn wall_clock() -> Timestamp {
    Timestamp::try_from(SystemTime::now()).unwrap_or(Timestamp::UNIX_EPOCH)
}
