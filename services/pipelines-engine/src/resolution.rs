//! Answers ResolutionRequests: finds Tasks, Pipelines and StepActions elsewhere (runtime specification, section 3).
//!
//! ```text
//! ResolutionRequest ─▶ lifecycle:  in progress ─▶ timed out          (whoever answers, or nobody)
//!        │
//!        └───────────▶ resolvers:  params ─▶ Question ─▶ look-up in the background ─▶ data, where it came from
//!                                               │        git: Git, or a forge's API
//!                                               │        bundles: a registry
//!                                               └        cluster: the API server
//! ```
//! The two run in different processes: `pipelines-engine` and `pipelines-resolvers`. What is asked for becomes a [`Question`],
//! whose parts are all checked; equal questions share one look-up, and what cannot change is remembered for minutes. Calls
//! to a remote wait for their turn, so that no host and no namespace keeps another waiting.
//! Questions that use a Secret hold its namespace, so that nobody is answered with what another namespace may read.

mod answer;
mod bundle;
mod cluster;
mod controller;
mod decide;
mod git;
mod metrics;
mod params;
mod resolver;
mod settings;
mod turns;

pub use answer::{Answer, Resource};
pub use controller::{lifecycle, resolvers};
pub use decide::{Decided, answered, lived};
pub use metrics::Metrics;
pub use resolver::{Question, Resolver};
pub use settings::{CurrentSettings, Settings};
