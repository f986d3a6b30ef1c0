//! What is asked, and who finds the answer.

use std::time::Duration;

use fleet::outbound;
use fleet_api::LabelKey;
use kube::ResourceExt as _;
use pipelines_engine_api::{ResolutionRequest, labels};
use tokio::time::{Instant, timeout};

use super::answer::{Answer, Failure, looked};
use super::bundle::{self, BundleQuestion};
use super::cluster::{self, ClusterQuestion};
use super::git::{Git, GitQuestion};
use super::metrics::Metrics;
use super::params::Params;
use super::settings::Settings;
use super::turns::{Limits, Turns};
use crate::background::Looked;

/// How long what cannot change is remembered: a commit's file, a digest's layer.
const FRESH: Duration = Duration::from_mins(5);

/// Of fetches by Git: each is a process, and up to 192 MiB on disk.
const FETCHES: Limits = Limits { together: 24, per_host: 4, per_namespace: 6 };
/// Of calls to registries and forges, which cost little but their time. As many of a host as our client makes at once.
const CALLS: Limits = Limits { together: 256, per_host: 4, per_namespace: 16 };

const TYPE: LabelKey = labels::RESOLVER_TYPE;

/// The type of resolver that a request is for.
pub(super) fn type_of(request: &ResolutionRequest) -> &str {
    request.labels().get(TYPE.as_str()).map_or("", String::as_str)
}

/// A request without what does not matter for the answer; its parts are checked. Equal ones have the same answer.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Question {
    Git(GitQuestion),
    Bundle(BundleQuestion),
    Cluster(ClusterQuestion),
}

impl Question {
    /// `None` if the request is for another resolver. `own` is the resolvers' namespace.
    pub fn of(request: &ResolutionRequest, own: &str, settings: &Settings) -> Option<Result<Self, String>> {
        let kind = type_of(request);
        let params = Params::new(&request.spec.params);
        let namespace = request.namespace().unwrap_or_default();
        let enabled = settings.enabled;
        let (is_enabled, question): (bool, Result<Self, String>) = match kind {
            "git" => (enabled.git, GitQuestion::parse(&namespace, own, params, &settings.git).map(Self::Git)),
            "bundles" => {
                let question = BundleQuestion::parse(&namespace, params, &settings.bundles);
                (enabled.bundles, question.map(Self::Bundle))
            }
            "cluster" => {
                (enabled.cluster, ClusterQuestion::parse(params, &settings.cluster).map(Self::Cluster))
            }
            _ => return None,
        };
        if !is_enabled {
            return Some(Err(format!(
                "the resolver {kind:?} is turned off: enable-{kind}-resolver of ConfigMap \"resolvers-feature-flags\" is not true"
            )));
        }
        Some(question.map_err(|why| format!("resolver {kind:?}: {why}")))
    }

    /// How long the answer is good for others.
    fn fresh(&self) -> Duration {
        let is_immutable = match self {
            Self::Git(question) => question.is_immutable(),
            Self::Bundle(question) => question.is_immutable(),
            Self::Cluster(_) => false,
        };
        if is_immutable { FRESH } else { Duration::ZERO }
    }

    /// As in the label of requests.
    fn resolver(&self) -> &'static str {
        match self {
            Self::Git(_) => "git",
            Self::Bundle(_) => "bundles",
            Self::Cluster(_) => "cluster",
        }
    }

    fn timeout(&self) -> Duration {
        match self {
            Self::Git(question) => question.timeout(),
            Self::Bundle(_) => bundle::LIMIT,
            Self::Cluster(_) => cluster::LIMIT,
        }
    }
}

/// Finds answers. Cheap to clone.
#[derive(Clone)]
pub struct Resolver {
    client: kube::Client,
    registry: registry::Client,
    git: Git,
    fetches: Turns,
    calls: Turns,
    metrics: Metrics,
}

impl Resolver {
    pub fn new(client: kube::Client, outbound: &outbound::Client, metrics: Metrics) -> Self {
        Self {
            client,
            registry: registry::Client::new(outbound.clone()),
            git: Git::new(outbound.clone()),
            fetches: Turns::new(FETCHES),
            calls: Turns::new(CALLS),
            metrics,
        }
    }

    /// Takes its time; for the background. `namespace` is that of the first who asks.
    pub(super) async fn find(self, question: Question, namespace: String) -> Looked<Answer> {
        let limit = question.timeout();
        let remote = match &question {
            Question::Git(git) if git.is_fetched() => Some((&self.fetches, git.host())),
            Question::Git(git) => Some((&self.calls, git.host())),
            Question::Bundle(bundle) => Some((&self.calls, bundle.host())),
            Question::Cluster(_) => None,
        };
        let _turn = match remote {
            None => None,
            Some((turns, host)) => {
                let turn = turns.take(&namespace, host, limit).await;
                if turn.is_none() {
                    let why = format!(
                        "{host}: no turn within {limit:?}: others of this host, or of this namespace, are before it"
                    );
                    let late = looked(Err(Failure::transient(why)), Duration::ZERO);
                    self.metrics.looked(question.resolver(), &late, None);
                    return late;
                }
                turn
            }
        };
        let began = Instant::now();
        let found = timeout(limit, async {
            match &question {
                Question::Git(question) => self.git.resolve(&self.client, question).await,
                Question::Bundle(question) => question.resolve(&self.client, &self.registry).await,
                Question::Cluster(question) => question.resolve(&self.client).await,
            }
        })
        .await;
        let late = Failure::transient(format!("not resolved within {limit:?}"));
        let looked = looked(found.unwrap_or(Err(late)), question.fresh());
        self.metrics.looked(question.resolver(), &looked, Some(began.elapsed()));
        looked
    }
}

#[cfg(test)]
mod tests;
