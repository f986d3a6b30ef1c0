//! CEL in conditions (`enable-cel-in-whenexpression`; specification of the API, section 3.1).
//!
//! ```text
//! text ─▶ in_text     values are put in, as text between quotes
//!      ─▶ check       is it an expression, of things that there are? When a Pipeline is written, and again by the controller
//!      ─▶ holds       true, false, or why it is neither
//! ```
//! An expression sees no variables but those of its own macros: what it compares are the values that were put into it. It is
//! written by tenants and runs in the controller, so its text is short, what it may do is estimated beforehand ([`cost`]),
//! and it gets a thread with a stack that the deepest expression fits in.

mod cost;
mod text;

use std::sync::{Arc, LazyLock};
use std::thread;

use cel::{Context, Env, Program, Value};
use parking_lot::Mutex;

use crate::recent::Recent;

use text::dots;
pub use text::in_text;

/// Longest text, in bytes.
pub const MAX_TEXT: usize = 4 * 1024;

/// Most `.` outside of strings: each can be a level of the expression, and one that costs more of the stack than others.
const MAX_DOTS: usize = 512;

/// Of the thread that reads and evaluates, in bytes: four times what the deepest text was seen to need. Only what is used
/// becomes memory.
const STACK: usize = 256 << 20;

/// Longest explanation, in bytes: errors repeat the expression and its values.
const MAX_REASON: usize = 512;

/// The standard functions and macros.
static ENVIRONMENT: LazyLock<Arc<Env>> =
    LazyLock::new(|| Arc::new(Env::stdlib().with_optional_support(false)));

/// Answers that are remembered.
static KNOWN: LazyLock<Mutex<Recent<String, Result<bool, Invalid>>>> =
    LazyLock::new(|| Mutex::new(Recent::new(256)));

/// Why an expression is neither true nor false. For people.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Invalid(String);

impl Invalid {
    fn new(reason: impl std::fmt::Display) -> Self {
        let mut reason = reason.to_string();
        if reason.len() > MAX_REASON {
            let end = (0..=MAX_REASON).rev().find(|end| reason.is_char_boundary(*end)).unwrap_or_default();
            reason.truncate(end);
            reason.push('…');
        }
        Self(reason)
    }
}

/// Whether a text is an expression that can be evaluated. References to parameters and results may still be in it, between
/// quotes.
pub fn check(text: &str) -> Result<(), Invalid> {
    apart(text, |_| Ok(()))
}

/// Evaluates an expression. What it gives follows from its text alone, and a run asks each time that it is looked at.
pub fn holds(text: &str) -> Result<bool, Invalid> {
    let key = text.to_owned();
    if let Some(known) = KNOWN.lock().get(&key) {
        return known;
    }
    let holds = evaluate(text);
    KNOWN.lock().put(key, holds.clone());
    holds
}

fn evaluate(text: &str) -> Result<bool, Invalid> {
    apart(text, |program| {
        match program.execute(&Context::with_env(Arc::clone(&ENVIRONMENT))).map_err(Invalid::new)? {
            Value::Bool(holds) => Ok(holds),
            other => Err(Invalid::new(format_args!("it is not evaluated to a boolean, but to {other:?}"))),
        }
    })
}

/// Compiles `text` and hands it to `then`, where a deep expression or a fault in the interpreter harms nobody.
fn apart<T: Send>(
    text: &str,
    then: impl FnOnce(&Program) -> Result<T, Invalid> + Send,
) -> Result<T, Invalid> {
    if text.len() > MAX_TEXT {
        return Err(Invalid::new(format_args!(
            "it has {} bytes with its values put in, and may have {MAX_TEXT}",
            text.len()
        )));
    }
    if dots(text) > MAX_DOTS {
        return Err(Invalid::new(format_args!("it has more than {MAX_DOTS} members of values")));
    }
    let work = || {
        let program = ENVIRONMENT.compile(text).map_err(Invalid::new)?;
        cost::check(program.expression()).map_err(Invalid::new)?;
        then(&program)
    };
    thread::scope(|scope| {
        let thread = thread::Builder::new().name("cel".to_owned()).stack_size(STACK);
        let thread = thread
            .spawn_scoped(scope, work)
            .map_err(|error| Invalid::new(format_args!("there is no thread to evaluate it in: {error}")))?;
        thread.join().unwrap_or_else(|_| Err(Invalid::new("the interpreter failed on it")))
    })
}

#[cfg(test)]
mod tests;
