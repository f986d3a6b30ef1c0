//! CEL in conditions (`enable-cel-in-whenexpression`; specification of the API, section 3.1).
//!
//! ```text
//! text ─▶ in_text     values are put in, as text between quotes
//!      ─▶ check       is it an expression, of things that there are? When a Pipeline is written, and again by the controller
//!      ─▶ holds       true, false, or why it is neither
//! ```
//! An expression sees no variables but those of its own macros: what it compares are the values that were put into it. It is
//! written by tenants and runs in the controller, so it is evaluated within the limits of [`expression`].

mod text;

use std::sync::LazyLock;

pub use expression::Invalid;
use expression::Variables;
use parking_lot::Mutex;

use crate::recent::Recent;

pub use text::in_text;

const HINT: &str = "an expression sees no variables; put a value between quotes, as '$(params.name)'";

/// Answers that are remembered.
static KNOWN: LazyLock<Mutex<Recent<String, Result<bool, Invalid>>>> =
    LazyLock::new(|| Mutex::new(Recent::new(256)));

/// Whether a text is an expression that can be evaluated. References to parameters and results may still be in it, between
/// quotes.
pub fn check(text: &str) -> Result<(), Invalid> {
    expression::check(text, &Variables::none(HINT))
}

/// Evaluates an expression. What it gives follows from its text alone, and a run asks each time that it is looked at.
pub fn holds(text: &str) -> Result<bool, Invalid> {
    let key = text.to_owned();
    if let Some(known) = KNOWN.lock().get(&key) {
        return known;
    }
    let holds = expression::holds(text, &Variables::none(HINT));
    KNOWN.lock().put(key, holds.clone());
    holds
}

#[cfg(test)]
mod tests;
