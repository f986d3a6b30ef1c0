//! What is wrong with an object, in upstream's words and with upstream's paths, which clients show and tests compare
//! (specification of the API, section 5).

use std::collections::BTreeMap;
use std::fmt;

/// All that is wrong; empty means nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Errors(Vec<FieldError>);

#[derive(Clone, Debug, PartialEq, Eq)]
struct FieldError {
    message: String,
    /// From where the error was found outwards: each holder puts itself in front. Empty: the holder itself.
    paths: Vec<String>,
    /// On a line of its own.
    details: String,
}

impl Errors {
    pub fn none() -> Self {
        Self::default()
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// `message: path, path`.
    pub(super) fn message(message: impl Into<String>, paths: &[&str]) -> Self {
        Self::detailed(message, paths, "")
    }

    /// As [`Self::message`], with `details` on the next line.
    pub(super) fn detailed(message: impl Into<String>, paths: &[&str], details: &str) -> Self {
        let paths = paths.iter().map(|path| (*path).to_owned()).collect();
        Self(vec![FieldError { message: message.into(), paths, details: details.to_owned() }])
    }

    pub(super) fn missing(path: &str) -> Self {
        Self::message("missing field(s)", &[path])
    }

    pub(super) fn disallowed(path: &str) -> Self {
        Self::message("must not set the field(s)", &[path])
    }

    pub(super) fn invalid(value: impl fmt::Display, path: &str) -> Self {
        Self::message(format!("invalid value: {value}"), &[path])
    }

    pub(super) fn missing_one_of(paths: &[&str]) -> Self {
        Self::message("expected exactly one, got neither", paths)
    }

    pub(super) fn multiple_one_of(paths: &[&str]) -> Self {
        Self::message("expected exactly one, got both", paths)
    }

    pub(super) fn out_of_bounds(value: usize, low: usize, high: usize, path: &str) -> Self {
        Self::message(format!("expected {low} <= {value} <= {high}"), &[path])
    }

    pub(super) fn invalid_key(key: &str, path: &str, details: &str) -> Self {
        Self::detailed(format!("invalid key name {key:?}"), &[path], details)
    }

    pub(super) fn add(&mut self, other: Self) {
        self.0.extend(other.0);
    }

    /// Adds an error if `wrong`.
    pub(super) fn add_if(&mut self, wrong: bool, error: impl FnOnce() -> Self) {
        if wrong {
            self.add(error());
        }
    }

    /// Puts `field` in front of all paths.
    #[must_use]
    pub(super) fn via_field(mut self, field: &str) -> Self {
        for path in self.0.iter_mut().flat_map(|error| &mut error.paths) {
            *path = match path.as_str() {
                "" => field.to_owned(),
                inner if inner.starts_with('[') => format!("{field}{inner}"),
                inner => format!("{field}.{inner}"),
            };
        }
        self
    }

    /// Puts `field[index]` in front of all paths.
    #[must_use]
    pub(super) fn via_index(self, field: &str, index: usize) -> Self {
        self.via_field(&format!("{field}[{index}]"))
    }

    /// Puts `field[key]` in front of all paths.
    #[must_use]
    pub(super) fn via_key(self, field: &str, key: &str) -> Self {
        self.via_field(&format!("{field}[{key}]"))
    }

    /// `Err` if anything is wrong.
    pub fn into_result(self) -> Result<(), Self> {
        if self.is_empty() { Ok(()) } else { Err(self) }
    }
}

/// One line for each message, sorted, with all paths that it is about.
impl fmt::Display for Errors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut merged: BTreeMap<(&str, &str), Vec<&str>> = BTreeMap::new();
        for error in &self.0 {
            let paths = merged.entry((&error.message, &error.details)).or_default();
            paths.extend(error.paths.iter().map(String::as_str).filter(|path| !path.is_empty()));
        }
        for (index, ((message, details), mut paths)) in merged.into_iter().enumerate() {
            if index > 0 {
                f.write_str("\n")?;
            }
            paths.sort_unstable();
            paths.dedup();
            f.write_str(message)?;
            if !paths.is_empty() {
                write!(f, ": {}", paths.join(", "))?;
            }
            if !details.is_empty() {
                write!(f, "\n{details}")?;
            }
        }
        Ok(())
    }
}

impl std::error::Error for Errors {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_grow_outwards() {
        let error = Errors::missing("value").via_key("params", "a").via_index("tasks", 0).via_field("spec");
        assert_eq!(error.to_string(), "missing field(s): spec.tasks[0].params[a].value");
        let of_the_holder = Errors::invalid("x", "").via_index("when", 1).via_field("spec");
        assert_eq!(of_the_holder.to_string(), "invalid value: x: spec.when[1]");
    }

    #[test]
    fn one_message_has_one_line() {
        let mut errors = Errors::missing("b");
        errors.add(Errors::missing("a"));
        errors.add(Errors::missing("a"));
        errors.add(Errors::invalid_key("k", "c", "for this reason"));
        errors.add(Errors::out_of_bounds(3, 1, 2, "d"));
        let text =
            "expected 1 <= 3 <= 2: d\ninvalid key name \"k\": c\nfor this reason\nmissing field(s): a, b";
        assert_eq!(errors.to_string(), text);
        assert!(errors.into_result().is_err());
        assert!(Errors::none().into_result().is_ok());
    }
}
