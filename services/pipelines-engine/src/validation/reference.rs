//! References to Tasks, Pipelines and StepActions.

use pipelines_engine_api::{Param, PipelineRef, TaskRef};

use super::errors::Errors;
use super::{gates, names, params};
use crate::config::{Config, Stability};

/// A reference to a Task or a StepAction that is no custom task.
pub(super) fn task(reference: &TaskRef, config: &Config) -> Errors {
    any(&reference.name, &reference.resolver, &reference.params, config)
}

pub(super) fn pipeline(reference: &PipelineRef, config: &Config) -> Errors {
    any(&reference.name, &reference.resolver, &reference.params, config)
}

fn any(name: &str, resolver: &str, given: &[Param], config: &Config) -> Errors {
    let mut errors = Errors::none();
    if resolver.is_empty() && given.is_empty() {
        errors.add_if(name.is_empty(), || Errors::missing("name"));
        errors.add_if(!name.is_empty() && !names::is_qualified(name) && !name.contains("$("), || {
            let reason = "name part must consist of alphanumeric characters, '-', '_' or '.', and must start and end \
                          with an alphanumeric character";
            Errors::invalid(reason, "name")
        });
        return errors;
    }
    if !resolver.is_empty() {
        errors.add(gates::stability(config, "resolver", Stability::Beta, "resolver"));
        errors.add_if(!name.is_empty(), || Errors::multiple_one_of(&["name", "resolver"]));
    }
    if !given.is_empty() {
        errors.add(gates::stability(config, "resolver params", Stability::Beta, "params"));
        errors.add_if(!name.is_empty(), || Errors::multiple_one_of(&["name", "params"]));
        errors.add_if(resolver.is_empty(), || Errors::missing("resolver"));
        errors.add(params::given(given));
    }
    errors
}
