//! Declarations and values of parameters, the same for all kinds, and declarations of results.

use std::collections::BTreeMap;
use std::collections::BTreeSet;

use pipelines_engine_api::param::PropertySpec;
use pipelines_engine_api::{Param, ParamSpec, ParamType};

use super::errors::Errors;
use super::{gates, names};
use crate::config::Config;

/// Parameters that a Task, Pipeline or StepAction declares.
pub(super) fn declarations(specs: &[ParamSpec], config: &Config) -> Errors {
    let mut errors = Errors::none();
    for spec in specs {
        errors.add(types(spec).via_field("params"));
        errors.add(enumeration(spec, config).via_key("params", &spec.name));
    }
    let mut seen = BTreeSet::new();
    for spec in specs {
        errors.add_if(!seen.insert(&spec.name), || {
            Errors::message("parameter appears more than once", &[""]).via_key("params", &spec.name)
        });
    }
    errors.add(formats(specs));
    errors
}

fn types(spec: &ParamSpec) -> Errors {
    let (name, type_) = (&spec.name, spec.effective_type());
    let mut errors = Errors::none();
    if let Some(default) = spec.default.as_ref().filter(|default| default.type_() != type_) {
        let message =
            format!("\"{type_}\" type does not match default value's type: \"{}\"", default.type_());
        errors.add(Errors::message(message, &[&format!("{name}.type"), &format!("{name}.default.type")]));
    }
    if type_ == ParamType::Object {
        // Keys are known from the default as well; a run may give more than those.
        errors.add_if(spec.properties.is_empty(), || Errors::missing(&format!("{name}.properties")));
        errors.add(properties(name, &spec.properties));
    }
    errors
}

/// Keys of an object have to be strings.
pub(super) fn properties(name: &str, properties: &BTreeMap<String, PropertySpec>) -> Errors {
    let is_wrong = |property: &PropertySpec| property.type_.is_some_and(|type_| type_ != ParamType::String);
    let wrong: Vec<&str> =
        properties.iter().filter(|(_, property)| is_wrong(property)).map(|(key, _)| key.as_str()).collect();
    if wrong.is_empty() {
        return Errors::none();
    }
    let keys = wrong.join(" ");
    let message =
        format!("The value type specified for these keys [{keys}] is invalid, the type must be string");
    Errors::message(message, &[&format!("{name}.properties")])
}

fn enumeration(spec: &ParamSpec, config: &Config) -> Errors {
    if spec.enum_.is_empty() {
        return Errors::none();
    }
    let mut errors = gates::flag(config.features.param_enum, "`enable-param-enum`", "to use Enum", "");
    errors.add_if(spec.effective_type() != ParamType::String, || {
        Errors::message("enum can only be set with string type param", &[""])
    });
    let mut seen = BTreeSet::new();
    for value in &spec.enum_ {
        errors.add_if(!seen.insert(value), || {
            Errors::message(format!("parameter enum value {value} appears more than once"), &[""])
        });
    }
    if let Some(default) = spec.default.as_ref().and_then(|default| default.as_str()) {
        errors.add_if(!default.is_empty() && !spec.enum_.iter().any(|value| value == default), || {
            Errors::message(format!("param default value {default} not in the enum list"), &[""])
        });
    }
    errors
}

fn formats(specs: &[ParamSpec]) -> Errors {
    let (objects, others): (Vec<_>, Vec<_>) =
        specs.iter().partition(|spec| spec.effective_type() == ParamType::Object);
    let others: Vec<&str> =
        others.iter().map(|spec| spec.name.as_str()).filter(|name| !names::is_param(name, true)).collect();
    let objects: Vec<&str> = objects
        .iter()
        .flat_map(|spec| std::iter::once(&spec.name).chain(spec.properties.keys()))
        .map(String::as_str)
        .filter(|name| !names::is_param(name, false))
        .collect();
    let mut errors = Errors::none();
    errors.add_if(!others.is_empty(), || {
        Errors::detailed(
            format!("The format of following array and string variable names is invalid: [{}]", others.join(" ")),
            &["params"],
            "String/Array Names: \nMust only contain alphanumeric characters, hyphens (-), underscores (_), and dots \
             (.)\nMust begin with a letter or an underscore (_)",
        )
    });
    errors.add_if(!objects.is_empty(), || {
        Errors::detailed(
            format!("The format of following object param names and key names is invalid: [{}]", objects.join(" ")),
            &["params"],
            "Object Names: \nMust only contain alphanumeric characters, hyphens (-), underscores (_) \nMust begin with \
             a letter or an underscore (_)",
        )
    });
    errors
}

/// Values that somebody gives: each name once, whatever its case.
pub(super) fn given(params: &[Param]) -> Errors {
    let mut errors = Errors::none();
    let mut seen = BTreeSet::new();
    for param in params {
        errors.add_if(!seen.insert(param.name.to_lowercase()), || {
            Errors::multiple_one_of(&["name"]).via_key("params", &param.name)
        });
    }
    errors
}

/// A result that a Task or a step declares.
pub(super) fn result(name: &str, type_: ParamType, of_properties: &BTreeMap<String, PropertySpec>) -> Errors {
    let mut errors = Errors::none();
    errors.add_if(!names::is_result(name), || Errors::invalid_key(name, "name", names::RESULT_DETAILS));
    if type_ == ParamType::Object {
        errors.add_if(of_properties.is_empty(), || Errors::missing(&format!("{name}.properties")));
        errors.add(properties(name, of_properties));
    } else {
        errors.add_if(!of_properties.is_empty(), || Errors::disallowed(&format!("{name}.properties")));
    }
    errors
}
