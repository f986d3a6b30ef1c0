//! Who is calling, and whether they may: for every HTTP or gRPC endpoint that users reach.
//!
//! ```text
//! bearer token ──▶ TokenReview (our audience) ──▶ Identity ──▶ SubjectAccessReview ──▶ yes | no | not now
//!                     └─ cache: yes ≤ 10 s, no ≤ 5 s, one review in flight per question ─┘
//! ```
//! The API server decides both, so a caller has exactly the rights that its Roles give. What cannot be decided is not
//! allowed, and not remembered. The core knows nothing of HTTP; [`Caller`] and [`Problem`] are for axum.
//!
//! The service's account needs `create` on `tokenreviews.authentication.k8s.io` and on
//! `subjectaccessreviews.authorization.k8s.io`.

mod cache;
mod http;
mod impersonation;
mod metrics;
mod review;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use kube::Client;
use prometheus::Registry;
use sha2::{Digest as _, Sha256};

use crate::{Scope, Secret};
use cache::{Cache, Key};
pub use http::{Caller, Problem, bearer_token, without_claims};
pub use impersonation::Impersonation;
use metrics::Metrics;
use review::Reviewer;

/// How many tokens are remembered.
const TOKENS: usize = 4096;

/// How many questions about rights are remembered. A caller can ask for many objects.
const QUESTIONS: usize = 16 * 1024;

/// What a caller is told to wait after a review that failed.
const RETRY_AFTER: Duration = Duration::from_secs(2);

/// Service account tokens have some 1 to 2 KiB, those of identity providers up to 8.
const LONGEST_TOKEN: usize = 16 * 1024;

/// Why somebody is not let in. The texts are for the caller and tell nothing that a stranger may not know.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error, strum::IntoStaticStr)]
#[strum(serialize_all = "snake_case")]
pub enum Error {
    /// No token, or none that is valid for this service. HTTP 401.
    #[error("no token that is valid for this service")]
    Unauthenticated,
    /// What is asked for is missing, or the caller has no right to it: both look alike. HTTP 403.
    #[error("this does not exist, or you may not use it")]
    Forbidden,
    /// The caller wants to act as somebody else, which is the API server's to grant. HTTP 403.
    #[error("impersonation is not supported here")]
    Impersonation,
    /// The headers `Impersonate-*` name nobody whom one could be. HTTP 401.
    #[error(
        "the Impersonate-* headers make no identity: one Impersonate-User, then -Uid, -Group and -Extra-<key>"
    )]
    Claims,
    /// The caller has no right to act as whom it names. HTTP 403.
    #[error(
        "you may not act as that user, group, UID or extra: it takes the right to impersonate each of them"
    )]
    NotAs,
    /// The API server could not be asked. HTTP 503.
    #[error("access cannot be checked at the moment")]
    Unavailable { retry_after: Duration },
}

/// Who the API server says that a token belongs to.
#[derive(Clone, PartialEq, Eq)]
pub struct Identity {
    pub user: String,
    pub uid: Option<String>,
    pub groups: Vec<String>,
    pub extra: BTreeMap<String, Vec<String>>,
    /// Hash of the token, and of whom its owner acts as: what answers about this caller are remembered under.
    token: Key,
}

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Identity").field("user", &self.user).finish_non_exhaustive()
    }
}

/// What somebody wants to do, in the words of RBAC.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attributes {
    verb: String,
    group: String,
    resource: String,
    subresource: Option<String>,
    scope: Scope,
    name: Option<String>,
    /// Of an endpoint that is no resource (`nonResourceURLs`). Then there is no group, resource, name or scope.
    path: Option<String>,
}

impl Attributes {
    /// `scope` is that of the **stored** object, never what a request says of it. `Scope::All` asks for the right in all
    /// namespaces, or to a kind that has none.
    pub fn new(verb: &str, group: &str, resource: &str, scope: Scope) -> Self {
        Self {
            verb: verb.to_owned(),
            group: group.to_owned(),
            resource: resource.to_owned(),
            subresource: None,
            scope,
            name: None,
            path: None,
        }
    }

    /// An endpoint that is no resource, as `/metrics`: `nonResourceURLs` of a ClusterRole. `path` is one of ours, never
    /// what a request says; `verb` is its method in small letters.
    pub fn endpoint(verb: &str, path: &'static str) -> Self {
        Self { path: Some(path.to_owned()), ..Self::new(verb, "", "", Scope::All) }
    }

    #[must_use]
    pub fn subresource(mut self, subresource: &str) -> Self {
        self.subresource = Some(subresource.to_owned());
        self
    }

    /// One object. Without it the right to all of the scope is asked for.
    #[must_use]
    pub fn named(mut self, name: &str) -> Self {
        self.name = Some(name.to_owned());
        self
    }

    /// Empty for all.
    fn namespace(&self) -> &str {
        match &self.scope {
            Scope::All => "",
            Scope::Namespace(namespace) => namespace,
        }
    }

    /// The question whether the owner of `token` may do this.
    fn key(&self, token: &Key) -> Key {
        let mut hash = Sha256::new();
        hash.update(token);
        let optional = |text: &Option<String>| text.clone().unwrap_or_default();
        let fields = [
            &self.verb,
            &self.group,
            &self.resource,
            &optional(&self.subresource),
            self.namespace(),
            &optional(&self.name),
            &optional(&self.path),
        ];
        for field in fields {
            // With lengths, or ("ab", "c") would be ("a", "bc").
            hash.update((field.len() as u64).to_be_bytes());
            hash.update(field);
        }
        hash.finalize().into()
    }
}

/// Authenticates and authorises. Cheap to clone; one per process, so that answers are shared.
#[derive(Clone)]
pub struct Access(Arc<Inner>);

struct Inner {
    reviewer: Arc<Reviewer>,
    tokens: Arc<Cache<Arc<Identity>>>,
    rights: Arc<Cache<()>>,
    metrics: Metrics,
}

impl Access {
    /// `audience` is what a token must have been issued for, as the service's name: one that was given to another
    /// service is no key to this one. Empty for tokens of the API server itself, where clients cannot ask for others.
    pub fn new(
        client: Client,
        audience: impl Into<String>,
        registry: &Registry,
    ) -> Result<Self, prometheus::Error> {
        let metrics = Metrics::new(registry)?;
        Ok(Self(Arc::new(Inner {
            reviewer: Arc::new(Reviewer::new(client, audience.into(), metrics.clone())),
            tokens: Arc::new(Cache::new(TOKENS)),
            rights: Arc::new(Cache::new(QUESTIONS)),
            metrics,
        })))
    }

    /// Whose token this is.
    pub async fn authenticate(&self, token: &Secret<String>) -> Result<Arc<Identity>, Error> {
        if !is_token(token.expose()) {
            return Err(self.0.metrics.denied(Error::Unauthenticated));
        }
        let key: Key = Sha256::digest(token.expose()).into();
        let review = || {
            let (reviewer, token) = (self.0.reviewer.clone(), token.clone());
            async move { reviewer.token(&token, key).await }
        };
        let answer = self.0.tokens.get(key, || self.0.metrics.hit("token"), review).await;
        self.decided(answer, Error::Unauthenticated)
    }

    /// Whether the caller may do this.
    pub async fn authorize(&self, caller: &Identity, attributes: &Attributes) -> Result<(), Error> {
        let review = || {
            let reviewer = self.0.reviewer.clone();
            let (caller, attributes) = (caller.clone(), attributes.clone());
            async move { reviewer.rights(&caller, &attributes).await }
        };
        let key = attributes.key(&caller.token);
        let answer = self.0.rights.get(key, || self.0.metrics.hit("access"), review).await;
        self.decided(answer, Error::Forbidden)
    }

    /// Only an answer of yes lets anybody in.
    fn decided<V>(&self, answer: Result<Option<V>, cache::Failed>, refusal: Error) -> Result<V, Error> {
        match answer {
            Ok(Some(allowed)) => Ok(allowed),
            Ok(None) => Err(self.0.metrics.denied(refusal)),
            Err(cache::Failed) => Err(self.0.metrics.denied(Error::Unavailable { retry_after: RETRY_AFTER })),
        }
    }
}

/// Whether this can be a bearer token (RFC 6750): what cannot is not worth a review.
fn is_token(text: &str) -> bool {
    let padded = text.trim_end_matches('=');
    !padded.is_empty()
        && text.len() <= LONGEST_TOKEN
        && padded.bytes().all(|b| b.is_ascii_alphanumeric() || b"-._~+/".contains(&b))
}
