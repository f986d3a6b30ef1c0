//! The params of a request.

use pipelines_engine_api::{Param, ParamValue};

/// Longest value of a param.
const MAX: usize = 2048;

/// Params by name; those that a resolver does not know are passed over.
#[derive(Clone, Copy, Debug)]
pub(super) struct Params<'a>(&'a [Param]);

impl<'a> Params<'a> {
    pub(super) fn new(params: &'a [Param]) -> Self {
        Self(params)
    }

    /// Absent if it is empty, too: Pipelines pass on what was not set as an empty string.
    pub(super) fn get(&self, name: &str) -> Result<Option<&'a str>, String> {
        let Some(param) = self.0.iter().find(|param| param.name == name) else { return Ok(None) };
        let ParamValue::String(text) = &param.value else {
            return Err(format!("param {name:?} has to be a string"));
        };
        if text.len() > MAX {
            return Err(format!("param {name:?} is longer than {MAX} bytes"));
        }
        if text.chars().any(char::is_control) {
            return Err(format!("param {name:?} has control characters, a line break perhaps"));
        }
        Ok(Some(text.trim()).filter(|text| !text.is_empty()))
    }

    /// Of the request, else the configured one.
    pub(super) fn or(&self, name: &str, default: &str, key: &str) -> Result<String, String> {
        match self.get(name)? {
            Some(text) => Ok(text.to_owned()),
            None if !default.is_empty() => Ok(default.to_owned()),
            None => {
                Err(format!("param {name:?} is missing, and {key} of the resolver's ConfigMap names none"))
            }
        }
    }

    pub(super) fn required(&self, name: &str) -> Result<&'a str, String> {
        self.get(name)?.ok_or_else(|| format!("param {name:?} is missing"))
    }
}
