//! Names of results, records and logs (specification, section 2.3).
//!
//! ```text
//! <parent>/results/<result>                    parent: the namespace of the runs
//! <parent>/results/<result>/records/<record>
//! <parent>/results/<result>/logs/<log>
//! ```
//! Each part is 1 to 63 of `a-z`, `0-9`, `_` and `-`. A part that is just `-` names nothing: lists take it for "any"
//! where a parent or result stands.

use std::fmt;
use std::str::FromStr;

/// In place of a record, this word asks for figures over all: no record can be read by that name over REST.
pub const SUMMARY: &str = "summary";

/// In place of a parent or result, in lists only: all of them.
pub const ANY: &str = "-";

/// What a part of a name looks like.
const PART: &str = "[a-z0-9_-]{1,63}";

/// Most of a wrong name that is shown to whoever sent it, in characters.
const SHOWN: usize = 300;

/// A name that does not look as it must.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("name `{name}` must look like `{shape}`, with parts that match {PART}{but}", but = self.but())]
pub struct Error {
    /// What was given, shortened.
    name: String,
    /// What was wanted, as `<parent>/results/<result>`.
    shape: &'static str,
    /// Whether `-` would have been fine.
    in_list: bool,
}

impl Error {
    fn new(name: &str, shape: &'static str, in_list: bool) -> Self {
        let shown: String = name.chars().take(SHOWN).collect();
        let cut = if shown.len() < name.len() { "…" } else { "" };
        Self { name: format!("{}{cut}", shown.escape_debug()), shape, in_list }
    }

    fn but(&self) -> &'static str {
        if self.in_list { "; `-` stands for any" } else { "; `-` alone is for lists only" }
    }
}

/// Whether a text can be a part of a name.
pub fn is_part(text: &str) -> bool {
    (1..=63).contains(&text.len())
        && text.bytes().all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'_' | b'-'))
}

/// A part of the name of one thing.
fn is_own(text: &str) -> bool {
    is_part(text) && text != ANY
}

/// The namespace that results belong to.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Parent(String);

impl Parent {
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Parent {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        if is_own(text) { Ok(Self(text.to_owned())) } else { Err(Error::new(text, "<parent>", false)) }
    }
}

impl fmt::Display for Parent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// `<parent>/results/<result>`. Made by parsing or [`ResultName::new`], its parts are as they must be.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ResultName {
    pub parent: String,
    pub result: String,
}

impl ResultName {
    const SHAPE: &str = "<parent>/results/<result>";

    pub fn new(parent: &str, result: &str) -> Result<Self, Error> {
        format!("{parent}/results/{result}").parse()
    }

    /// A record of this result.
    pub fn record(&self, record: &str) -> Result<RecordName, Error> {
        format!("{self}/records/{record}").parse()
    }

    /// A log of this result.
    pub fn log(&self, log: &str) -> Result<LogName, Error> {
        format!("{self}/logs/{log}").parse()
    }
}

impl FromStr for ResultName {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let Some([parent, result]) =
            parts(text, ["results"]).filter(|parts| parts.iter().all(|part| is_own(part)))
        else {
            return Err(Error::new(text, Self::SHAPE, false));
        };
        Ok(Self { parent: parent.to_owned(), result: result.to_owned() })
    }
}

impl fmt::Display for ResultName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/results/{}", self.parent, self.result)
    }
}

/// `<parent>/results/<result>/records/<record>`. Made by parsing or [`ResultName::record`], its parts are as they must
/// be.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RecordName {
    pub parent: String,
    pub result: String,
    pub record: String,
}

impl RecordName {
    const SHAPE: &str = "<parent>/results/<result>/records/<record>";

    /// The result that the record belongs to.
    pub fn result_name(&self) -> ResultName {
        ResultName { parent: self.parent.clone(), result: self.result.clone() }
    }
}

impl FromStr for RecordName {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let Some([parent, result, record]) = in_result(text, "records") else {
            return Err(Error::new(text, Self::SHAPE, false));
        };
        Ok(Self { parent: parent.to_owned(), result: result.to_owned(), record: record.to_owned() })
    }
}

impl fmt::Display for RecordName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/results/{}/records/{}", self.parent, self.result, self.record)
    }
}

/// `<parent>/results/<result>/logs/<log>`. Made by parsing or [`ResultName::log`], its parts are as they must be.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LogName {
    pub parent: String,
    pub result: String,
    pub log: String,
}

impl LogName {
    const SHAPE: &str = "<parent>/results/<result>/logs/<log>";

    /// The result that the log belongs to.
    pub fn result_name(&self) -> ResultName {
        ResultName { parent: self.parent.clone(), result: self.result.clone() }
    }

    /// The record of the same name: the log's, or that of the run that wrote the log.
    pub fn record_name(&self) -> RecordName {
        RecordName { parent: self.parent.clone(), result: self.result.clone(), record: self.log.clone() }
    }
}

impl FromStr for LogName {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let Some([parent, result, log]) = in_result(text, "logs") else {
            return Err(Error::new(text, Self::SHAPE, false));
        };
        Ok(Self { parent: parent.to_owned(), result: result.to_owned(), log: log.to_owned() })
    }
}

impl fmt::Display for LogName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/results/{}/logs/{}", self.parent, self.result, self.log)
    }
}

/// What a list or figures are asked of. `None` is `-`: any.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ListParent {
    pub parent: Option<String>,
    /// Always `None` in a list of results.
    pub result: Option<String>,
}

impl ListParent {
    /// `<parent>`, of a list of results.
    pub fn of_results(text: &str) -> Result<Self, Error> {
        if is_part(text) {
            Ok(Self { parent: one(text), result: None })
        } else {
            Err(Error::new(text, "<parent>", true))
        }
    }

    /// `<parent>/results/<result>`, of a list of records or logs, and of figures.
    pub fn of_records(text: &str) -> Result<Self, Error> {
        match parts(text, ["results"]) {
            Some([parent, result]) if is_part(parent) && is_part(result) => {
                Ok(Self { parent: one(parent), result: one(result) })
            }
            _ => Err(Error::new(text, ResultName::SHAPE, true)),
        }
    }

    /// The parent as it is written in the request.
    pub fn parent_text(&self) -> &str {
        self.parent.as_deref().unwrap_or(ANY)
    }

    /// The result as it is written in the request.
    pub fn result_text(&self) -> &str {
        self.result.as_deref().unwrap_or(ANY)
    }
}

fn one(text: &str) -> Option<String> {
    (text != ANY).then(|| text.to_owned())
}

/// The parts of a name of something in a result.
fn in_result<'a>(text: &'a str, collection: &'static str) -> Option<[&'a str; 3]> {
    parts(text, ["results", collection]).filter(|parts| parts.iter().all(|part| is_own(part)))
}

/// What stands before, between and after the words, if each is where it belongs: PARTS is WORDS + 1.
fn parts<'a, const WORDS: usize, const PARTS: usize>(
    text: &'a str,
    words: [&str; WORDS],
) -> Option<[&'a str; PARTS]> {
    let mut found = [""; PARTS];
    let mut segments = text.split('/');
    for (position, part) in found.iter_mut().enumerate() {
        if position > 0 && segments.next() != words.get(position - 1).copied() {
            return None;
        }
        *part = segments.next()?;
    }
    segments.next().is_none().then_some(found)
}

#[cfg(test)]
mod tests;
