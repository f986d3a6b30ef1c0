//! CEL of tenants, evaluated within limits.
//!
//! ```text
//! text ─▶ too long?  ─▶ parsed, on a thread of its own ─▶ estimated: too much? ─▶ evaluated over Variables ─▶ JSON
//! ```
//! Who writes an expression is no administrator, and it runs in a controller, on the thread of whoever asks. So its text is
//! short; what it may do is estimated before it does anything, from the text and from the sizes of what it is given
//! (see `cost`); and it gets a thread with a stack that the deepest expression fits in. What fails says why, briefly.

mod beside;
mod cost;
mod literals;
mod regexes;
mod shape;
#[cfg(test)]
mod tests;
mod variables;

use std::fmt::Write as _;
use std::sync::{Arc, LazyLock};
use std::thread;

use cel::{Env, IdedExpr, Value};

pub use literals::{Literal, next_literal};
pub use variables::Variables;

/// Longest text, in bytes.
pub const MAX_TEXT: usize = 4 * 1024;

/// Most `.` outside of strings: each can be a level of the expression, and one that costs more of the stack than others.
pub const MAX_DOTS: usize = 512;

/// Of the thread that reads and evaluates, in bytes: four times what the deepest text was seen to need. Only what is used
/// becomes memory.
const STACK: usize = 256 << 20;

/// Longest explanation, in bytes: errors repeat the expression and its values.
pub const MAX_REASON: usize = 512;

/// The standard functions and macros, but for `matches`, which is [`regexes`]'.
static ENVIRONMENT: LazyLock<Arc<Env>> =
    LazyLock::new(|| Arc::new(Env::stdlib().with_optional_support(false)));

/// Why an expression has no answer. For people.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Invalid(String);

impl Invalid {
    fn new(reason: impl std::fmt::Display) -> Self {
        let mut text = Cut(String::new());
        // Fails when there is enough of it: an error may repeat a value of many megabytes.
        let _ = write!(text, "{reason}");
        Self(text.0)
    }
}

/// The beginning of what is written to it.
struct Cut(String);

impl std::fmt::Write for Cut {
    fn write_str(&mut self, more: &str) -> std::fmt::Result {
        let left = MAX_REASON.saturating_sub(self.0.len());
        if more.len() <= left {
            self.0.push_str(more);
            return Ok(());
        }
        let end = (0..=left).rev().find(|end| more.is_char_boundary(*end)).unwrap_or_default();
        self.0.push_str(&more[..end]);
        self.0.push('…');
        Err(std::fmt::Error)
    }
}

/// Whether a text is an expression that can be evaluated over these variables.
pub fn check(text: &str, variables: &Variables<'_>) -> Result<(), Invalid> {
    apart(text, variables, |_| Ok(()))
}

/// Evaluates an expression.
pub fn evaluate(text: &str, variables: &Variables<'_>) -> Result<serde_json::Value, Invalid> {
    apart(text, variables, |expression| {
        let value = Value::resolve(expression, &variables.context(text)?).map_err(Invalid::new)?;
        value.json().map_err(Invalid::new)
    })
}

/// Evaluates an expression that has to be true or false.
pub fn holds(text: &str, variables: &Variables<'_>) -> Result<bool, Invalid> {
    match evaluate(text, variables)? {
        serde_json::Value::Bool(holds) => Ok(holds),
        other => Err(Invalid::new(format_args!("it is not evaluated to a boolean, but to {other}"))),
    }
}

/// Parses `text` and hands it to `then`, where a deep expression or a fault in the interpreter harms nobody.
fn apart<T: Send>(
    text: &str,
    variables: &Variables<'_>,
    then: impl FnOnce(&IdedExpr) -> Result<T, Invalid> + Send,
) -> Result<T, Invalid> {
    if text.len() > MAX_TEXT {
        return Err(Invalid::new(format_args!(
            "it has {} bytes with its values put in, and may have {MAX_TEXT}",
            text.len()
        )));
    }
    if literals::dots(text) > MAX_DOTS {
        return Err(Invalid::new(format_args!("it has more than {MAX_DOTS} members of values")));
    }
    let work = || {
        let mut expression = ENVIRONMENT.parser().parse(text).map_err(Invalid::new)?;
        variables.rename(&mut expression);
        let shapes = variables.shapes(text).map_err(Invalid::new)?;
        cost::check(&expression, &shapes, variables).map_err(Invalid::new)?;
        then(&expression)
    };
    thread::scope(|scope| {
        let thread = thread::Builder::new().name("cel".to_owned()).stack_size(STACK);
        let thread = thread
            .spawn_scoped(scope, work)
            .map_err(|error| Invalid::new(format_args!("there is no thread to evaluate it in: {error}")))?;
        thread.join().unwrap_or_else(|_| Err(Invalid::new("the interpreter failed on it")))
    })
}
