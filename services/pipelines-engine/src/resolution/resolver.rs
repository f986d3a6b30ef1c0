//! What is asked, and who finds the answer.

use std::time::Duration;

use fleet::outbound;
use fleet_api::LabelKey;
use kube::ResourceExt as _;
use pipelines_engine_api::{ResolutionRequest, labels};
use tokio::time::timeout;

use super::answer::{Answer, Failure, looked};
use super::bundle::{self, BundleQuestion};
use super::cluster::{self, ClusterQuestion};
use super::git::{Git, GitQuestion};
use super::params::Params;
use super::settings::Settings;
use crate::background::Looked;

/// How long what cannot change is remembered: a commit's file, a digest's layer.
const FRESH: Duration = Duration::from_mins(5);

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
}

impl Resolver {
    pub fn new(client: kube::Client, outbound: &outbound::Client) -> Self {
        Self { client, registry: registry::Client::new(outbound.clone()), git: Git::new(outbound.clone()) }
    }

    /// With another way to repositories.
    #[must_use]
    pub fn with_git(self, git: Git) -> Self {
        Self { git, ..self }
    }

    /// Takes its time; for the background.
    pub(super) async fn find(self, question: Question) -> Looked<Answer> {
        let limit = question.timeout();
        let found = timeout(limit, async {
            match &question {
                Question::Git(question) => self.git.resolve(&self.client, question).await,
                Question::Bundle(question) => question.resolve(&self.client, &self.registry).await,
                Question::Cluster(question) => question.resolve(&self.client).await,
            }
        })
        .await;
        let late = Failure::transient(format!("not resolved within {limit:?}"));
        looked(found.unwrap_or(Err(late)), question.fresh())
    }
}
