//! Which replica acts: an election over `coordination.k8s.io/v1` Leases, compatible with client-go's.
//!
//! ```text
//! stand by ──lease free or expired──▶ lead ──work done──▶ release, end
//!    ▲  │                              │ │
//!    └──┘ retry, jittered              └─┘ renew     ──taken, or not renewed in time──▶ Lost: exit, start anew
//! ```
//! Clocks of different machines are never compared: somebody else's Lease has expired when its record was seen
//! unchanged for its whole duration, measured here. One's own term ends earlier, at the renew deadline counted
//! from the *start* of the last successful renewal, so that no instant exists at which two replicas both believe
//! that they lead, whatever was paused or slow in between. Still, a Lease is no lock: a write that left before the
//! term ended may arrive after it, and every effect has to be safe with two leaders.

mod candidacy;
mod decide;
mod leadership;

use std::time::Duration;

use kube::Client;
use tokio::time::{Instant, timeout};
use tokio_util::sync::CancellationToken;

use candidacy::{Candidacy, Outcome};
pub use leadership::Leadership;
use leadership::Term;

/// How long the last request of a leader that stops may take.
const RELEASE_TIMEOUT: Duration = Duration::from_secs(5);

/// The three times of an election.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Durations {
    lease: Duration,
    renew_deadline: Duration,
    retry: Duration,
}

/// The three times do not fit each other.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "leader election needs lease duration ({lease:?}) > renew deadline ({renew_deadline:?}) > retry period \
     ({retry:?}) > 0, and a lease duration of at least 1s"
)]
pub struct InvalidDurations {
    lease: Duration,
    renew_deadline: Duration,
    retry: Duration,
}

impl Durations {
    /// `lease`: how long others wait after the last renewal that they saw; written to the Lease in whole seconds,
    /// rounded up. `renew_deadline`: how long a leader that cannot renew still leads. `retry`: time between two
    /// attempts, of the leader and of those who stand by.
    pub fn new(lease: Duration, renew_deadline: Duration, retry: Duration) -> Result<Self, InvalidDurations> {
        let fits = lease > renew_deadline && renew_deadline > retry && !retry.is_zero();
        if !fits || lease < Duration::from_secs(1) {
            return Err(InvalidDurations { lease, renew_deadline, retry });
        }
        Ok(Self { lease, renew_deadline, retry })
    }
}

impl Default for Durations {
    /// What client-go's users have: 15 s, 10 s, 2 s.
    fn default() -> Self {
        Self {
            lease: Duration::from_secs(15),
            renew_deadline: Duration::from_secs(10),
            retry: Duration::from_secs(2),
        }
    }
}

/// This process led and does so no more. It has to exit, and comes back as a standby: work that was in hand when
/// the term ended is then certainly over.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum Lost {
    #[error("Lease {lease} was taken by {holder}")]
    Taken { lease: String, holder: String },
    #[error("Lease {lease} could not be renewed within {deadline:?}; is the API server reachable?")]
    NotRenewed { lease: String, deadline: Duration },
}

/// One replica's part in an election. Its Lease is named as the deployable; [`Election::also_hold`] names more.
pub struct Election {
    client: Client,
    /// Unique for each start of each process: two candidates of one name would both lead.
    identity: String,
    durations: Durations,
    /// Namespace and name, in the order in which they are taken. All are needed to lead.
    leases: Vec<(String, String)>,
    term: Term,
}

impl Election {
    /// `identity` has to differ between any two processes, also between two starts of one pod.
    pub fn new(client: Client, namespace: &str, lease: &str, identity: &str) -> Self {
        Self {
            client,
            identity: identity.to_owned(),
            durations: Durations::default(),
            leases: vec![(namespace.to_owned(), lease.to_owned())],
            term: Term::new(),
        }
    }

    #[must_use]
    pub fn durations(mut self, durations: Durations) -> Self {
        self.durations = durations;
        self
    }

    /// A further Lease without which this replica does not lead: that of a program which does the same work and
    /// knows nothing of ours. Leases are taken in the order given, so that two of us cannot block each other.
    #[must_use]
    pub fn also_hold(mut self, namespace: &str, lease: &str) -> Self {
        self.leases.push((namespace.to_owned(), lease.to_owned()));
        self
    }

    /// Tells at any time whether this replica leads.
    pub fn leadership(&self) -> Leadership {
        self.term.leadership()
    }

    /// Stands by, then leads until `done` is cancelled or the leadership is lost. Cancel `done` only when the work in
    /// hand is finished: another replica takes over at once.
    pub async fn run(self, done: CancellationToken) -> Result<(), Lost> {
        let mut candidacies: Vec<Candidacy> = self
            .leases
            .iter()
            .map(|(namespace, name)| {
                Candidacy::new(self.client.clone(), namespace, name, &self.identity, self.durations.lease)
            })
            .collect();
        let ended = tokio::select! {
            ended = self.compete(&mut candidacies) => Err(ended),
            () = done.cancelled() => Ok(()),
        };
        self.term.end();
        if ended.is_ok() {
            for candidacy in candidacies.iter_mut().rev() {
                match timeout(RELEASE_TIMEOUT, candidacy.release()).await {
                    Ok(Ok(())) => {}
                    Ok(Err(error)) => {
                        let error = &error as &dyn std::error::Error;
                        tracing::warn!(lease = %candidacy, error, "Could not release the Lease: it expires");
                    }
                    Err(_) => {
                        tracing::warn!(lease = %candidacy, "Could not release the Lease in time: it expires");
                    }
                }
            }
        }
        ended
    }

    /// Tries again and again, until a leadership that was won is lost.
    async fn compete(&self, candidacies: &mut [Candidacy]) -> Lost {
        let Durations { renew_deadline, retry, .. } = self.durations;
        // End of the term, while leading.
        let mut leads_until: Option<Instant> = None;
        loop {
            let started = Instant::now();
            // Half of the deadline, so that one request without an answer does not cost the leadership.
            let round = match timeout(renew_deadline / 2, attempt_all(candidacies)).await {
                Ok(round) => round,
                Err(_) => Round::Unknown,
            };
            let mut next = Instant::now() + jittered(retry);
            match round {
                Round::AllHeld => {
                    if leads_until.is_none() {
                        tracing::info!(identity = %self.identity, "Leading");
                    }
                    let until = started + renew_deadline;
                    leads_until = Some(until);
                    self.term.extend(until);
                }
                Round::Taken { lease, holder, .. } if leads_until.is_some() => {
                    return Lost::Taken { lease, holder };
                }
                Round::Taken { until, .. } => next = next.min(until),
                Round::Unknown => {}
            }
            if let Some(until) = leads_until {
                if Instant::now() >= until {
                    let lease = candidacies.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
                    return Lost::NotRenewed { lease, deadline: renew_deadline };
                }
                next = next.min(until);
            }
            tokio::time::sleep_until(next).await;
        }
    }
}

/// What one round over all Leases came to.
enum Round {
    AllHeld,
    /// Somebody else has one of them, at least until then.
    Taken {
        lease: String,
        holder: String,
        until: Instant,
    },
    /// An error, already logged, or too many others who write at the same time.
    Unknown,
}

async fn attempt_all(candidacies: &mut [Candidacy]) -> Round {
    for candidacy in candidacies {
        match candidacy.attempt().await {
            Ok(Outcome::Held) => {}
            Ok(Outcome::Taken { holder, until }) => {
                return Round::Taken { lease: candidacy.to_string(), holder, until };
            }
            Ok(Outcome::Contended) => return Round::Unknown,
            Err(error) => {
                let error = &error as &dyn std::error::Error;
                tracing::warn!(lease = %candidacy, error, "Could not read or write the Lease");
                return Round::Unknown;
            }
        }
    }
    Round::AllHeld
}

/// Between 80 % and 100 % of `period`, so that replicas that started together do not stay in step.
fn jittered(period: Duration) -> Duration {
    period.mul_f64(rand::random_range(0.8..1.0))
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case::as_client_go(15_000, 10_000, 2_000, true)]
    #[case::deadline_not_before_expiry(10_000, 10_000, 2_000, false)]
    #[case::retry_not_before_deadline(15_000, 2_000, 2_000, false)]
    #[case::no_retry(15_000, 10_000, 0, false)]
    #[case::shorter_than_a_lease_can_say(900, 500, 100, false)]
    fn durations_fit(#[case] lease: u64, #[case] deadline: u64, #[case] retry: u64, #[case] fits: bool) {
        let [lease, deadline, retry] = [lease, deadline, retry].map(Duration::from_millis);
        assert_eq!(Durations::new(lease, deadline, retry).is_ok(), fits);
    }

    #[test]
    fn jitter_never_waits_longer() {
        for _ in 0..1000 {
            let wait = jittered(Duration::from_secs(10));
            assert!((Duration::from_secs(8)..Duration::from_secs(10)).contains(&wait), "{wait:?}");
        }
    }
}
