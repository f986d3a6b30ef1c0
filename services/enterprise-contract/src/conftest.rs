//! Policies on files and on policies: what `ec test` does as conftest's `test`, and `ec opa` as OPA's commands of these names.
//!
//! ```text
//! paths and URLs ─▶ load ─▶ Policy ─┬─ files ─▶ check ─▶ output    ec test
//!                                   ├─ unit_tests                  ec opa test
//!                                   └─ opa                         ec opa eval, ec opa check
//! ```
//! A command says what to print and its exit code; nothing is printed here.

mod check;
mod load;
mod opa;
mod output;
mod unit_tests;

use std::sync::Arc;

use jiff::Timestamp;

use crate::rego::{EvalError, Host, LoadError, Lost};
use crate::sources::{self, Sources};

pub use check::TestArgs;
pub use opa::OpaCommand;
pub use output::Format;

/// What a command has to say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finished {
    /// For standard output.
    pub text: String,
    pub code: u8,
}

/// Why a command could not do what it was asked for.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("ec test is an experiment: set EC_EXPERIMENTAL=1 to use it")]
    NotExperimental,
    #[error(transparent)]
    Source(#[from] sources::Error),
    #[error("the policy cannot be loaded: {0}")]
    Load(#[from] LoadError),
    #[error("{what} cannot be judged: {source}")]
    Evaluate { what: String, source: EvalError },
    #[error("{file} cannot be read: {why}")]
    File { file: String, why: String },
    #[error("no rules to ask in the packages {asked}; the policy has {found}")]
    NoRules { asked: String, found: String },
    #[error("no files to judge: name at least one")]
    NoFiles,
    #[error("no unit tests in {0}")]
    NoTests(String),
    #[error("no rules that can be loaded in {0}")]
    NoModules(String),
    #[error("a worker stopped: {0}")]
    Worker(#[from] Lost),
}

/// Where policies come from, and what answers them.
#[derive(Clone)]
pub struct Environment {
    pub sources: Sources,
    pub host: Arc<dyn Host>,
    pub now: Timestamp,
}

/// `ec test`. An error is a result too, where the format has one for it.
pub async fn test(args: &TestArgs, environment: &Environment) -> Result<Finished, Error> {
    match check::run(args, environment).await {
        Err(error) => output::failed(args, &error, environment.now).ok_or(error),
        done => done,
    }
}

/// `ec opa …`.
pub async fn opa(command: &OpaCommand, environment: &Environment) -> Result<Finished, Error> {
    opa::run(command, environment).await
}

#[cfg(test)]
mod tests;
