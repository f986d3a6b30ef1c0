//! Fetches and compiles the sources of a policy.

use std::sync::Arc;

use enterprise_contract_api::EnterpriseContractPolicy;
use enterprise_contract_api::policy::{EnterpriseContractPolicySpec, Source};
use fleet::outbound;
use jiff::Timestamp;
use kube::{Client, ResourceExt as _};
use registry::Keychain;
use serde_json::json;

use super::key;
use crate::policy;
use crate::rego::{Policy, Rule};
use crate::select::{Selection, Subject};
use crate::sources::{self, Group, Local, Sources};

/// What the sources of a policy came to.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Resolution {
    /// The spec, or what it leads to, is no policy. Why, for people.
    Invalid(String),
    Unreachable {
        url: String,
        why: String,
        is_transient: bool,
    },
    Read {
        urls: Vec<Origin>,
        /// Of all sources: how many rules count.
        rules: usize,
    },
}

/// What a URL led to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Origin {
    pub(super) url: String,
    /// Commit or digest.
    pub(super) revision: Option<String>,
    /// Annotated rules. Absent for data.
    pub(super) rules: Option<usize>,
}

impl Resolution {
    /// Whether something kept the sources from being read.
    pub(crate) fn fault(&self) -> Option<&str> {
        match self {
            Self::Invalid(why) | Self::Unreachable { why, .. } => Some(why),
            Self::Read { .. } => None,
        }
    }
}

/// Fetches as nobody in particular: what only tenants may see is not for a service of all.
pub(crate) struct Resolver {
    outbound: outbound::Client,
    registry: registry::Client,
    client: Client,
}

impl Resolver {
    pub(crate) fn new(outbound: outbound::Client, client: Client) -> Self {
        Self { registry: registry::Client::new(outbound.clone()), outbound, client }
    }

    /// What is wrong with the policy's key, if anything.
    pub(super) async fn key(&self, policy: &EnterpriseContractPolicy) -> Result<(), String> {
        match policy.spec.public_key.as_deref().filter(|key| !key.is_empty()) {
            None => Ok(()),
            Some(key) => key::check(key, &self.client).await,
        }
    }

    pub(super) async fn sources(&self, policy: &EnterpriseContractPolicy, now: Timestamp) -> Resolution {
        match self.try_sources(policy, now).await {
            Ok(resolution) | Err(resolution) => resolution,
        }
    }

    async fn try_sources(
        &self,
        policy: &EnterpriseContractPolicy,
        now: Timestamp,
    ) -> Result<Resolution, Resolution> {
        let spec = &policy.spec;
        policy::check(&policy.name_any(), &json!(spec))
            .map_err(|error| Resolution::Invalid(error.to_string()))?;
        // Fetched anew each time: what a URL led to half an hour ago is what is to be found out.
        let sources = Sources::new(
            self.outbound.clone(),
            self.registry.clone(),
            Arc::new(Keychain::default()),
            Local::Refused,
        );
        let (mut urls, mut rules) = (Vec::<Origin>::new(), 0);
        for source in &spec.sources {
            let group = sources.group(source).await.map_err(unreachable)?;
            let (origins, count) = count(spec, source, group, now).await?;
            rules += count;
            for origin in origins {
                if !urls.iter().any(|known| known.url == origin.url) {
                    urls.push(origin);
                }
            }
        }
        Ok(Resolution::Read { urls, rules })
    }
}

/// Where the URLs of a source lead, and how many of its rules count.
async fn count(
    spec: &EnterpriseContractPolicySpec,
    source: &Source,
    group: Group,
    now: Timestamp,
) -> Result<(Vec<Origin>, usize), Resolution> {
    let Group { modules, data, urls } = group;
    let compiled = crate::rego::on_large_stack(move || Policy::compile(modules, data)).await;
    let compiled = compiled
        .map_err(|error| Resolution::Invalid(format!("an error of this program: {error}")))?
        .map_err(|error| Resolution::Invalid(error.to_string()))?;
    let criteria = Selection::new(source, spec.configuration.as_ref()).at(now, None);
    let selected = compiled.rules().iter().filter(|rule| criteria.selects(&subject(rule))).count();
    let origin = |resolved: sources::Resolved| {
        let is_policy = source.policy.contains(&resolved.url);
        let begin = format!("{}#", resolved.url);
        let of_url = |rule: &&Rule| rule.location.file.starts_with(&begin);
        Origin {
            revision: resolved.revision().map(str::to_owned),
            rules: is_policy.then(|| compiled.rules().iter().filter(of_url).count()),
            url: resolved.url,
        }
    };
    Ok((urls.into_iter().map(origin).collect(), selected))
}

fn subject(rule: &Rule) -> Subject<'_> {
    Subject {
        code: &rule.code,
        terms: Vec::new(),
        collections: rule.collections.iter().map(String::as_str).collect(),
    }
}

fn unreachable(error: sources::Error) -> Resolution {
    let is_transient = error.is_transient();
    match error {
        sources::Error::Unreachable { url, why, .. } => Resolution::Unreachable { url, why, is_transient },
        other => Resolution::Invalid(other.to_string()),
    }
}
