//! Variables of a Repository: `spec.params` (spec sections 2.1 and 4.5).

use std::collections::BTreeMap;

use forge::ChangedFiles;
use pipelines_as_code_api::events::EventReason;
use pipelines_as_code_api::repository::{Param, SecretReference};
use serde_json::{Value, json};

use crate::cel::{Names, Seen};
use crate::event::Payload;

/// Something to tell the people of the namespace, as an Event on their Repository.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    pub reason: EventReason,
    pub text: String,
}

/// The variables whose filters are true, each by the first of its name that has a value, and what is to be told. A filter
/// that fails means that there are none: which would count cannot be known.
///
/// `secret` is the value in a Secret, `standard` the variables that every event has: filters see them as `pac`.
pub fn of(
    params: &[Param],
    secret: &dyn Fn(&SecretReference) -> Option<String>,
    payload: &Payload,
    changed: Option<&ChangedFiles>,
    standard: &BTreeMap<String, String>,
) -> (BTreeMap<String, String>, Vec<Problem>) {
    let (seen, pac) = (Seen::new(payload, changed, Names::Both), json!(standard));
    let (mut variables, mut problems) = (BTreeMap::new(), Vec::new());
    for (index, param) in params.iter().enumerate() {
        let name = &param.name;
        let mut tell = |reason, text| problems.push(Problem { reason, text });
        if name.is_empty() {
            tell(EventReason::ParamsError, format!("spec.params[{index}] has no name"));
            continue;
        }
        if variables.contains_key(name) {
            continue;
        }
        if let Some(filter) = param.filter.as_deref().filter(|filter| !filter.trim().is_empty()) {
            let holds = expression::evaluate(filter, &seen.variables().json("pac", &pac));
            match holds {
                Ok(Value::Bool(true)) => {}
                Ok(other) => {
                    let why = if other == Value::Bool(false) { "is false" } else { "is no boolean" };
                    tell(
                        EventReason::ParamsFilterSkipped,
                        format!("param {name}: its filter {filter:?} {why}"),
                    );
                    continue;
                }
                Err(error) => {
                    let text =
                        format!("param {name}: its filter {filter:?} failed, so no params count: {error}");
                    tell(EventReason::ParamsFilterError, text);
                    return (BTreeMap::new(), problems);
                }
            }
        }
        match value(param, secret) {
            Ok((value, is_ambiguous)) => {
                if is_ambiguous {
                    let text = format!("param {name} has a value and a secret_ref: the value counts");
                    tell(EventReason::ParamsFilterUsedValue, text);
                }
                variables.insert(name.clone(), value);
            }
            Err(text) => tell(EventReason::ParamsError, format!("param {name}: {text}")),
        }
    }
    (variables, problems)
}

/// The value, and whether there would be another one.
fn value(
    param: &Param,
    secret: &dyn Fn(&SecretReference) -> Option<String>,
) -> Result<(String, bool), String> {
    // An empty value is as good as none where there is a Secret: clients write empty fields.
    match (&param.value, &param.secret_ref) {
        (Some(value), Some(_)) if !value.is_empty() => Ok((value.clone(), true)),
        (Some(value), None) => Ok((value.clone(), false)),
        (_, Some(reference)) => secret(reference).map(|value| (value, false)).ok_or_else(|| {
            let key = reference.key.as_deref().unwrap_or("secret");
            format!("Secret {} has no value under the key {key:?}, or is not there", reference.name)
        }),
        (None, None) => Err("it has neither a value nor a secret_ref".to_owned()),
    }
}
