//! The PipelineRuns that are made, and what belongs to them (spec sections 3, 4.9 and 4.10).
//!
//! ```text
//! Definition ─▶ resolved ─▶ make ─▶ PipelineRun in the Repository's namespace, paused where a limit is set
//!                                       └─▶ git_auth_secret: owned by it, so made after it and gone with it
//! ```
//! All is known before anything is made, and made again of the same delivery it is the same: names are hashes of
//! what caused them (contracts.md, section d).

mod adopt;
mod git_auth;
mod label;
mod metadata;
mod names;
#[cfg(test)]
mod tests;

use kube::api::ObjectMeta;
use pipelines_as_code_api::pipeline_run::{ControllerInfo, EventType};
use pipelines_as_code_api::{Repository, finalizers};
use pipelines_engine_api::PipelineRun;
use pipelines_engine_api::pipeline_run::PENDING;

pub use self::adopt::adopts;
pub use self::git_auth::{InvalidCloneUrl, git_auth_secret};
pub use self::names::{alternative_name, name};
use crate::definitions::Definition;
use crate::event::Event;
use crate::settings::Settings;
use crate::template;

/// What a run is made of, beside its definition.
#[derive(Clone, Debug)]
pub struct Making<'a> {
    /// With its commit.
    pub event: &'a Event,
    pub repository: &'a Repository,
    /// Id of the delivery, or of the request for an incoming event.
    pub delivery: &'a str,
    /// Where Git clones the repository from.
    pub clone_url: &'a str,
    /// First line of the commit's message.
    pub commit_title: &'a str,
    /// Where a person sees the commit.
    pub commit_url: &'a str,
    pub settings: &'a Settings,
    pub controller_info: &'a ControllerInfo,
    /// `<namespace>/<name>` of all runs of the event, sorted.
    pub order: &'a [String],
    /// Of this run: another than the event's where its `on-comment` was met.
    pub event_type: EventType,
    /// Where a person sees the run.
    pub log_url: Option<String>,
    /// Where the delivery stands in a trace (W3C).
    pub traceparent: Option<&'a str>,
}

impl Making<'_> {
    fn repository_uid(&self) -> &str {
        self.repository.metadata.uid.as_deref().unwrap_or_default()
    }

    /// Whether its runs wait for each other.
    fn is_limited(&self) -> bool {
        self.repository.spec.spec.concurrency_limit.is_some_and(|limit| limit > 0)
    }

    /// Name of the Secret of a run's credentials, if runs have such.
    fn git_auth_name(&self, original: &str) -> Option<String> {
        let is_made = self.settings.secret_auto_create;
        is_made.then(|| names::git_auth(self.delivery, self.repository_uid(), original))
    }
}

/// The run that a definition becomes; `resolved` is its own with all that it refers to.
pub fn make(making: &Making<'_>, definition: &Definition, resolved: PipelineRun) -> PipelineRun {
    let original = definition.name.as_str();
    // Nobody but us says where a run is, what it is called, and who may keep or delete it.
    let mut run = PipelineRun {
        metadata: ObjectMeta {
            name: Some(names::name(making.delivery, making.repository_uid(), original)),
            namespace: making.repository.metadata.namespace.clone(),
            labels: resolved.metadata.labels,
            annotations: resolved.metadata.annotations,
            // From the beginning, so that its place in the queue is given on even if it is deleted at once.
            finalizers: Some(vec![finalizers::PIPELINE_RUN.into()]),
            ..ObjectMeta::default()
        },
        spec: resolved.spec,
        status: None,
    };
    if let Some(secret) = making.git_auth_name(original) {
        run = with_git_auth(run, &secret);
    }
    metadata::write(&mut run.metadata, making, original);
    if making.is_limited() {
        PENDING.clone_into(&mut run.spec.status);
    }
    run
}

/// Whether it waits for its turn.
pub fn is_paused(run: &PipelineRun) -> bool {
    run.spec.status == PENDING
}

/// `{{ git_auth_secret }}` differs from run to run, so it is put in after all other variables.
fn with_git_auth(run: PipelineRun, secret: &str) -> PipelineRun {
    let Ok(mut json) = serde_json::to_value(&run) else { return run };
    let value_of = |key: &str| (key == "git_auth_secret").then(|| secret.to_owned());
    template::expand(&mut json, &value_of);
    // Texts have become other texts: it is a run as it was before.
    serde_json::from_value(json).unwrap_or(run)
}
