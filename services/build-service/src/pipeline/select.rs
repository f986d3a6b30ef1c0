//! Choice by `BuildPipelineSelector`s (section 2.1).

use std::collections::BTreeMap;

use build_service_api::build_pipeline_selector::{PipelineRef, PipelineSelector, WhenConditions};
use build_service_api::{BuildPipelineSelector, ErrorId};
use serde_json::Value;

use super::Selected;
use crate::devfile::Model;
use crate::failure::Failure;

/// What a selector is matched with.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Subject<'a> {
    pub(crate) name: &'a str,
    pub(crate) labels: &'a BTreeMap<String, String>,
    pub(crate) annotations: &'a BTreeMap<String, String>,
    pub(crate) model: &'a Model,
}

/// The pipeline of the first selector that matches. `objects` are those that are looked into, the nearest first; there is at least one.
pub(crate) fn select(objects: &[&BuildPipelineSelector], subject: Subject<'_>) -> Result<Selected, Failure> {
    let mut all = objects.iter().flat_map(|object| &object.spec.selectors);
    let Some(selector) = all.find(|selector| matches(selector, subject)) else {
        let names: Vec<_> = objects.iter().map(|object| shown(object)).collect();
        return Err(Failure::permanent(
            ErrorId::NoPipelineIsSelected,
            format!("no selector of {} matches Component {}", names.join(", "), subject.name),
        ));
    };
    let (name, bundle) = bundle_of(&selector.pipeline_ref)
        .map_err(|(id, why)| Failure::permanent(id, format!("selector {:?}: {why}", named(selector))))?;
    Ok(Selected { name, bundle, params: selector.pipeline_params.clone(), copied: Vec::new() })
}

fn shown(object: &BuildPipelineSelector) -> String {
    let metadata = &object.metadata;
    let part = |text: &Option<String>| text.clone().unwrap_or_default();
    format!("{}/{}", part(&metadata.namespace), part(&metadata.name))
}

fn named(selector: &PipelineSelector) -> &str {
    selector.name.as_deref().unwrap_or_default()
}

/// Name and image of a pipeline in a bundle.
fn bundle_of(reference: &PipelineRef) -> Result<(String, String), (ErrorId, String)> {
    let resolver = reference.resolver.as_deref().unwrap_or_default();
    if !matches!(resolver, "" | "bundles") {
        let why = format!("pipelineRef.resolver is {resolver:?}; use \"bundles\"");
        return Err((ErrorId::UnsupportedPipelineRef, why));
    }
    let param = |name: &str| {
        let found = reference.params.iter().find(|param| param.name == name);
        found.and_then(|param| param.value.as_str()).filter(|value| !value.is_empty()).map(str::to_owned)
    };
    let field = |field: &Option<String>| field.clone().filter(|value| !value.is_empty());
    let name = field(&reference.name).or_else(|| param("name"));
    let bundle = field(&reference.bundle).or_else(|| param("bundle"));
    let kind = reference.params.iter().find(|param| param.name == "kind").map(|param| &param.value);
    let is_pipeline = kind.is_none_or(|kind| match kind {
        Value::String(kind) => kind.is_empty() || kind.eq_ignore_ascii_case("pipeline"),
        _ => false,
    });
    if !is_pipeline {
        let why = "pipelineRef.params: kind has to be \"pipeline\"".to_owned();
        return Err((ErrorId::UnsupportedPipelineRef, why));
    }
    match (name, bundle) {
        (Some(name), Some(bundle)) => Ok((name, bundle)),
        (name, bundle) => {
            let missing: Vec<_> = [("name", name.is_none()), ("bundle", bundle.is_none())]
                .into_iter()
                .filter_map(|(what, is_missing)| is_missing.then_some(what))
                .collect();
            let why = format!("pipelineRef has no {}", missing.join(" and no "));
            Err((ErrorId::MissingParamsForPipelineRef, why))
        }
    }
}

fn matches(selector: &PipelineSelector, subject: Subject<'_>) -> bool {
    let Some(when) = &selector.when else { return true };
    let WhenConditions { language, project_type, dockerfile, component_name, annotations, labels } = when;
    // A text that is empty is one that is absent, as in the original.
    let fits = |list: &Option<String>, value: &str| {
        list.as_deref().is_none_or(|list| list.is_empty() || is_in(list, value))
    };
    let all_in = |wanted: &BTreeMap<String, String>, there: &BTreeMap<String, String>| {
        wanted.iter().all(|(key, list)| there.get(key).is_some_and(|value| is_in(list, value)))
    };
    fits(language, &subject.model.language)
        && fits(project_type, &subject.model.project_type)
        && dockerfile.is_none_or(|wanted| wanted == subject.model.dockerfile.is_some())
        && fits(component_name, subject.name)
        && all_in(annotations, subject.annotations)
        && all_in(labels, subject.labels)
}

/// Whether `value` is one of a list with commas between, whatever the case and the blanks around.
fn is_in(list: &str, value: &str) -> bool {
    let value = value.trim();
    list.split(',').any(|item| item.trim().eq_ignore_ascii_case(value))
}

#[cfg(test)]
mod tests {
    use rstest::rstest;
    use serde_json::json;

    use super::*;
    use crate::devfile::Dockerfile;

    fn object(name: &str, selectors: &Value) -> BuildPipelineSelector {
        serde_json::from_value(
            json!({"metadata": {"name": name, "namespace": "n"}, "spec": {"selectors": selectors}}),
        )
        .unwrap()
    }

    fn pipeline(name: &str) -> Value {
        json!({"name": name, "bundle": "images.example/p:1"})
    }

    fn number(failure: &Failure) -> i32 {
        match failure {
            Failure::Permanent { id, .. } => id.number(),
            Failure::Transient { .. } => 0,
        }
    }

    fn chosen(objects: &[BuildPipelineSelector]) -> Result<String, i32> {
        let (labels, annotations) = (
            [("tier".to_owned(), "Web".to_owned())].into(),
            [("kind".to_owned(), "fast".to_owned()), ("empty".to_owned(), String::new())].into(),
        );
        let model = Model {
            language: "Python".into(),
            project_type: String::new(),
            dockerfile: Some(Dockerfile { uri: "Dockerfile".into(), build_context: String::new() }),
        };
        let subject = Subject { name: "api", labels: &labels, annotations: &annotations, model: &model };
        let objects: Vec<_> = objects.iter().collect();
        select(&objects, subject).map(|selected| selected.name).map_err(|failure| number(&failure))
    }

    #[rstest]
    #[case::always(json!(null), true)]
    #[case::language(json!({"language": "java, PYTHON "}), true)]
    #[case::other_language(json!({"language": "java"}), false)]
    #[case::language_of_part(json!({"language": "py"}), false)]
    #[case::empty_text_is_absent(json!({"language": ""}), true)]
    #[case::empty_item_matches_nothing_said(json!({"projectType": "spring,"}), true)]
    #[case::project_type(json!({"projectType": "spring"}), false)]
    #[case::dockerfile(json!({"dockerfile": true}), true)]
    #[case::no_dockerfile(json!({"dockerfile": false}), false)]
    #[case::name(json!({"componentName": "web,api"}), true)]
    #[case::label(json!({"labels": {"tier": "web"}}), true)]
    #[case::other_label(json!({"labels": {"tier": "db"}}), false)]
    #[case::absent_label(json!({"labels": {"zone": ""}}), false)]
    #[case::annotation(json!({"annotations": {"kind": "slow,fast"}}), true)]
    #[case::empty_annotation(json!({"annotations": {"empty": ""}}), true)]
    #[case::all_of_them(json!({"language": "python", "dockerfile": false}), false)]
    fn conditions(#[case] when: Value, #[case] expected: bool) {
        let found = chosen(&[object("a", &json!([{"pipelineRef": pipeline("p"), "when": when}]))]);
        assert_eq!(found, if expected { Ok("p".to_owned()) } else { Err(300) });
    }

    #[test]
    fn the_first_that_matches_wins_over_all_objects() {
        let near = object(
            "shop",
            &json!([{"pipelineRef": pipeline("java"), "when": {"language": "java"}}, {"pipelineRef": pipeline("near")}]),
        );
        let far = object("build-pipeline-selector", &json!([{"pipelineRef": pipeline("far")}]));
        assert_eq!(chosen(&[near.clone(), far.clone()]), Ok("near".to_owned()));
        assert_eq!(chosen(&[far, near]), Ok("far".to_owned()));
    }

    #[rstest]
    #[case::old_form(pipeline("p"), Ok("p".to_owned()))]
    #[case::resolver(json!({"resolver": "bundles", "params": [
        {"name": "name", "value": "p"}, {"name": "bundle", "value": "i"}, {"name": "kind", "value": "Pipeline"},
    ]}), Ok("p".to_owned()))]
    #[case::empty_resolver_with_params(json!({"resolver": "", "params": [
        {"name": "name", "value": "p"}, {"name": "bundle", "value": "i"},
    ]}), Ok("p".to_owned()))]
    #[case::git(json!({"resolver": "git"}), Err(302))]
    #[case::a_task(json!({"resolver": "bundles", "params": [{"name": "kind", "value": "task"}]}), Err(302))]
    #[case::no_bundle(json!({"name": "p"}), Err(303))]
    #[case::no_name(json!({"resolver": "bundles", "params": [{"name": "bundle", "value": "i"}]}), Err(303))]
    #[case::no_text(json!({"resolver": "bundles", "params": [
        {"name": "name", "value": ["p"]}, {"name": "bundle", "value": "i"},
    ]}), Err(303))]
    fn references(#[case] reference: Value, #[case] expected: Result<String, i32>) {
        assert_eq!(chosen(&[object("a", &json!([{"pipelineRef": reference}]))]), expected);
    }
}
