//! Building by Pipelines-as-Code: set up, asked for a build, and taken down (sections 4.4 to 4.8).
//!
//! ```text
//! configure:   checks ─▶ finalizer ─▶ webhook secret ─▶ webhook ─▶ Repository ─▶ pull request
//! trigger:     Repository: incoming entry, request
//! unconfigure: webhook off ─▶ pull request withdrawn, or one that deletes the files ─▶ incoming entry off
//! ```
//! Everything is looked for before it is made, under names that follow from the Component, so each can be repeated.

mod configure;
mod entry;
mod incoming;
mod repository;
mod secrets;
mod trigger;
mod unconfigure;

use application_service_api::Component;
use build_service_api::events::EventReason;
use fleet::Event;

pub(crate) use self::configure::configure;
pub(crate) use self::trigger::trigger;
pub(crate) use self::unconfigure::{leave, unconfigure};

use crate::definition;
use crate::status::Outcome;

/// What was tried, in our Events.
const ACTION: &str = "ConfigurePipelinesAsCode";

/// What users of a Component are told of an outcome, beside its status.
pub(crate) fn event(component: &Component, outcome: &Outcome) -> Option<Event> {
    match outcome {
        Outcome::Enabled { url, .. } => {
            let note = match url {
                Some(url) => format!("Pipelines as Code configuration merge request: {url}"),
                None => "Pipelines as Code configuration is up to date".to_owned(),
            };
            Some(Event::normal(component, EventReason::PipelinesAsCodeConfiguration.into(), ACTION, note))
        }
        Outcome::PacFailed(id, detail) => {
            let note = format!("{}: {}: {detail}", id.number(), id.message());
            let reason = EventReason::ErrorConfiguringPacForComponentRepository;
            Some(Event::warning(component, reason.into(), ACTION, note))
        }
        _ => None,
    }
}

/// Paths of a Component's files in its repository.
fn paths(component: &str) -> Vec<String> {
    definition::Event::ALL.map(|event| event.path(component)).into()
}
