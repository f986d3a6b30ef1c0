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
//! The two are controllers of their own and may run in different processes. What is asked for becomes a [`Question`],
//! whose parts are all checked; equal questions share one look-up, and what cannot change is remembered for minutes.
//! Questions that use a Secret hold its namespace, so that nobody is answered with what another namespace may read.

mod answer;
mod bundle;
mod cluster;
mod controller;
mod decide;
mod git;
mod params;
mod resolver;
mod settings;

pub use answer::{Answer, Resource};
pub use controller::{lifecycle, resolvers};
pub use decide::{Decided, answered, lived};
pub use git::Git;
pub use resolver::{Question, Resolver};
pub use settings::{CurrentSettings, Settings};
