//! The syntax of a filter, read within limits, where a deep one harms nobody.

use std::thread;

use cel::common::ast::SourceInfo;
use cel::parser::ParseErrors;
use cel::{Env, IdedExpr};

use crate::Error;

/// Longest text, in bytes.
pub(crate) const MAX_TEXT: usize = 16 * 1024;

/// Most bytes outside of string literals. Each can be a level of the expression.
const MAX_STRUCTURE: usize = 4 * 1024;

/// Most `.` outside of string literals: levels that cost more of the stack than others.
const MAX_DOTS: usize = 512;

/// Most brackets within brackets: a few less than the parser takes, whose own refusal says nothing to people.
const MAX_BRACKETS: usize = 90;

/// Levels of an expression that is used: it is walked through on threads with small stacks.
pub(crate) const MAX_DEPTH: usize = 100;

/// Of the thread that reads, in bytes: four times what the deepest text was seen to need. Only what is used becomes memory.
const STACK: usize = 256 << 20;

/// Parses `text` and gives it to `then`, which has to give up what is deeper than [`MAX_DEPTH`].
pub(crate) fn parse<T: Send>(
    text: &str,
    then: impl FnOnce(&IdedExpr, &SourceInfo) -> Result<T, Error> + Send,
) -> Result<T, Error> {
    if let Some(message) = excess(text) {
        return Err(at_start(message));
    }
    let work = || {
        // Without macros: what they make cannot be a condition of the database, and is refused by the name that was written.
        let parser = Env::default().with_optional_support(false).parser();
        let (expression, source) = parser.parse_with_source_info(text).map_err(|errors| first(&errors))?;
        then(&expression, &source)
    };
    thread::scope(|scope| {
        let thread = thread::Builder::new().name("filter".to_owned()).stack_size(STACK);
        let thread = thread
            .spawn_scoped(scope, work)
            .map_err(|error| at_start(format!("there is no thread to read the filter in: {error}")))?;
        thread.join().unwrap_or_else(|_| Err(at_start("the filter cannot be read".to_owned())))
    })
}

/// What a text has too much of.
fn excess(text: &str) -> Option<String> {
    if text.len() > MAX_TEXT {
        return Some(format!("the filter has {} bytes, and may have {MAX_TEXT}", text.len()));
    }
    let (mut structure, mut dots) = (0, 0);
    let (mut open, mut brackets) = (0_usize, 0);
    let mut count = |part: &str| {
        structure += part.len();
        for byte in part.bytes() {
            match byte {
                b'.' => dots += 1,
                b'(' | b'[' | b'{' => open += 1,
                b')' | b']' | b'}' => open = open.saturating_sub(1),
                _ => {}
            }
            brackets = brackets.max(open);
        }
    };
    let mut rest = text;
    while let Some((before, _, after)) = expression::next_literal(rest) {
        count(before);
        rest = after;
    }
    count(rest);
    if structure > MAX_STRUCTURE {
        return Some(format!(
            "the filter has {structure} bytes outside of texts, and may have {MAX_STRUCTURE}"
        ));
    }
    if dots > MAX_DOTS {
        return Some(format!("the filter has {dots} dots outside of texts, and may have {MAX_DOTS}"));
    }
    (brackets > MAX_BRACKETS)
        .then(|| format!("the filter has {brackets} brackets in brackets, and may have {MAX_BRACKETS}"))
}

fn first(errors: &ParseErrors) -> Error {
    let Some(error) = errors.errors.first() else {
        return at_start("the filter cannot be read".to_owned());
    };
    match error.pos {
        // The parser gave up.
        (0, _) => at_start("the filter cannot be read".to_owned()),
        (line, column) => {
            let number = |number: isize| usize::try_from(number).unwrap_or(1).max(1);
            Error { message: error.msg.clone(), line: number(line), column: number(column) }
        }
    }
}

fn at_start(message: String) -> Error {
    Error { message, line: 1, column: 1 }
}
