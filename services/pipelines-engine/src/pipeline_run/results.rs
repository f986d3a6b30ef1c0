//! What tasks gave out, put into those that need it (section 1.4).

use std::collections::{BTreeMap, HashMap};

use pipelines_engine_api::{ParamValue, PipelineResult, PipelineRunResult};

use super::graph::result_references;
use super::progress::{Member, Outcome, Section};
use crate::substitution::Replacements;
use crate::substitution::references::{Part, ResultRef, results_in_value};

/// Results by section, task and name. Of a task with several runs: arrays, in the order of the runs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Results {
    values: HashMap<(Section, String), BTreeMap<String, ParamValue>>,
}

impl Results {
    /// Those of all runs that have ended.
    pub fn of(members: &[Member]) -> Self {
        let ended = members.iter().filter(|member| member.has_finished());
        let values = ended.map(|member| {
            let results = if member.task.matrix.is_some() { gathered(member) } else { single(member) };
            ((member.section, member.task.name.clone()), results)
        });
        Self { values: values.collect() }
    }

    fn get(&self, section: Section, task: &str, result: &str) -> Option<&ParamValue> {
        self.values.get(&(section, task.to_owned()))?.get(result)
    }

    /// Whether what `reference` says is there: the result, and the element or key of it.
    pub fn has(&self, reference: &ResultRef) -> bool {
        match (self.get(reference.section, &reference.task, &reference.result), &reference.part) {
            (Some(ParamValue::Array(elements)), Part::Element(index)) => *index < elements.len(),
            (Some(ParamValue::Object(fields)), Part::Key(key)) => fields.contains_key(key),
            (Some(_), Part::Whole | Part::All) => true,
            (None, _) | (Some(_), Part::Element(_) | Part::Key(_)) => false,
        }
    }

    /// References of `tasks` to what there is.
    pub fn replacements(&self) -> Replacements {
        let mut replacements = Replacements::default();
        for ((section, task), results) in &self.values {
            let section = match section {
                Section::Tasks => "tasks",
                Section::Finally => "finally",
            };
            for (name, value) in results {
                for key in [
                    format!("{section}.{task}.results.{name}"),
                    format!("{section}.{task}.results['{name}']"),
                    format!("{section}.{task}.results[\"{name}\"]"),
                ] {
                    replacements.set_value(&key, value);
                }
            }
        }
        replacements
    }

    /// The first result that `member` refers to and that is not there.
    pub fn missing_for(&self, member: &Member) -> Option<ResultRef> {
        result_references(&member.task).into_iter().find(|reference| !self.has(reference))
    }
}

fn single(member: &Member) -> BTreeMap<String, ParamValue> {
    let results = member.children.iter().flat_map(super::progress::Child::results);
    results.map(|result| (result.name, result.value)).collect()
}

/// One array per result, with an element of each run that has it.
fn gathered(member: &Member) -> BTreeMap<String, ParamValue> {
    let mut arrays: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for result in member.children.iter().flat_map(super::progress::Child::results) {
        if let ParamValue::String(text) = result.value {
            arrays.entry(result.name).or_default().push(text);
        }
    }
    arrays.into_iter().map(|(name, elements)| (name, ParamValue::Array(elements))).collect()
}

/// A result of the Pipeline whose task has succeeded without giving it out.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "Failed to get PipelineResult from TaskRun Results for PipelineRun {run}: invalid pipelineresults {names:?}, \
     the referred results don't exist"
)]
pub struct NoSuchResults {
    pub run: String,
    pub names: Vec<String>,
}

/// The results of a run that ends. One whose task did not succeed is left out.
pub fn of_pipeline(
    run: &str,
    declared: &[PipelineResult],
    members: &[Member],
    results: &Results,
) -> Result<Vec<PipelineRunResult>, NoSuchResults> {
    let replacements = results.replacements();
    let mut values = Vec::new();
    let mut wrong = Vec::new();
    for declaration in declared {
        let missing: Vec<_> =
            results_in_value(&declaration.value).filter(|reference| !results.has(reference)).collect();
        if missing.is_empty() {
            let mut value = declaration.value.clone();
            replacements.in_value(&mut value);
            values.push(PipelineRunResult { name: declaration.name.clone(), value });
        } else if missing.iter().any(|reference| succeeded(members, reference)) {
            wrong.push(declaration.name.clone());
        }
    }
    if wrong.is_empty() { Ok(values) } else { Err(NoSuchResults { run: run.to_owned(), names: wrong }) }
}

fn succeeded(members: &[Member], reference: &ResultRef) -> bool {
    members
        .iter()
        .find(|member| member.section == reference.section && member.task.name == reference.task)
        .is_some_and(|member| member.outcome() == Some(Outcome::Succeeded))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pipeline_run::testing::{done, ended_with, run, task};
    use serde_json::json;

    fn declared(value: &str) -> Vec<PipelineResult> {
        vec![PipelineResult { name: "r".to_owned(), value: value.into(), ..PipelineResult::default() }]
    }

    #[test]
    fn a_result_of_a_failed_task_counts_for_others() {
        let members = [done(json!({"name": "a"}), "False", &[("x", "1")])];
        let results = Results::of(&members);
        assert_eq!(results.replacements().string("$(tasks.a.results.x)"), "1");
        let needs = |text: &str| task(json!({"name": "b", "params": [{"name": "p", "value": text}]}));
        assert_eq!(results.missing_for(&needs("$(tasks.a.results.x)")), None);
        assert_eq!(results.missing_for(&needs("$(tasks.a.results.y)")).unwrap().result, "y");
    }

    #[test]
    fn a_matrix_gives_arrays() {
        let mut member =
            task(json!({"name": "a", "matrix": {"params": [{"name": "p", "value": ["1", "2"]}]}}));
        member.children = vec![
            ended_with(run("a-0"), "True", "Succeeded", &[("x", "1")]),
            ended_with(run("a-1"), "True", "Succeeded", &[("x", "2")]),
        ];
        let mut list = vec!["$(tasks.a.results.x[*])".to_owned()];
        Results::of(&[member]).replacements().in_list(&mut list);
        assert_eq!(list, ["1", "2"]);
    }

    #[test]
    fn results_of_the_pipeline() {
        let members = [
            done(json!({"name": "well"}), "True", &[("x", "1")]),
            done(json!({"name": "ill"}), "False", &[]),
            task(json!({"name": "not-run"})),
        ];
        let results = Results::of(&members);
        let of = |value: &str| of_pipeline("run", &declared(value), &members, &results);
        assert_eq!(of("$(tasks.well.results.x)-$(tasks.well.results.x)").unwrap()[0].value, "1-1".into());
        assert_eq!(of("$(tasks.ill.results.x)"), Ok(Vec::new()), "left out");
        assert_eq!(of("$(tasks.not-run.results.x)"), Ok(Vec::new()), "left out");
        assert_eq!(of("$(tasks.well.results.y)").unwrap_err().names, ["r"]);
    }
}
