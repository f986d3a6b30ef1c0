//! Rego: loads policies and evaluates them as OPA and conftest do.
//!
//! ```text
//! modules ─ source ─ syntax trees ─┬─ annotations ─ rules ─┐
//!                                  └─ rewrite ─ text ─ interpreter ─ prepared once ─ clone per input ─ results
//! ```
//! The interpreter is regorus. What it lacks or does otherwise than OPA is made up for before it reads a module ([`rewrite`]) and
//! by functions of ours ([`builtins`]). Policies reach nothing but their input, their data and a [`Host`].

mod annotations;
mod builtins;
mod error;
mod evaluate;
mod host;
mod policy;
mod rewrite;
mod rules;
mod source;
mod stack;
mod unit_tests;

pub use error::{EvalError, LoadError, Location};
pub use evaluate::{PackageOutcome, RawResult};
pub use host::{Host, Offline};
pub use policy::Policy;
pub use rules::{Kind, Rule};
pub use stack::{Lost, on_large_stack};
pub use unit_tests::{Test, TestOutcome, Verdict};

/// The text of one Rego file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Module {
    /// Its path, as errors show it.
    pub path: String,
    pub text: String,
}

#[cfg(test)]
mod tests;
