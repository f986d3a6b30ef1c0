//! What a document is, once its placeholders are filled.

use kube::api::ObjectMeta;
use pipelines_engine_api::{GROUP, Pipeline, PipelineRun, Task};
use serde_json::Value;
use tekton::{Document, decode};

use super::{Definition, Definitions, Invalid, Problem, place};

impl Definitions {
    /// Adds a document of a file. Kinds that mean nothing here are passed over.
    pub(super) fn take(&mut self, path: &str, document: &Document, value: Value) -> Result<(), Invalid> {
        let text = |field: &str| value.get(field).and_then(Value::as_str).unwrap_or_default().to_owned();
        let is_tekton = text("apiVersion").split_once('/').is_some_and(|(group, _)| group == GROUP);
        let kind = if is_tekton { text("kind") } else { String::new() };
        let taken = match kind.as_str() {
            "PipelineRun" => decode::object(value).map(|run| self.take_run(path, document, run)),
            "Pipeline" => decode::object(value).map(|pipeline: Pipeline| {
                if self.is_named(path, document, &kind, pipeline.metadata.name.as_deref()) {
                    self.pipelines.push(pipeline);
                }
                Ok(())
            }),
            "Task" => decode::object(value).map(|task: Task| {
                if self.is_named(path, document, &kind, task.metadata.name.as_deref()) {
                    self.tasks.push(task);
                }
                Ok(())
            }),
            _ => return Ok(()),
        };
        taken.unwrap_or_else(|error| {
            let line = error.field().map_or_else(|| document.line(), |field| document.line_of(field));
            let text = format!("{kind} cannot be read: {error}");
            self.problems.push(Problem { path: path.to_owned(), line: Some(line), text });
            Ok(())
        })
    }

    fn take_run(&mut self, path: &str, document: &Document, run: PipelineRun) -> Result<(), Invalid> {
        let name = original_name(&run.metadata).map(str::to_owned);
        if !self.is_named(path, document, "PipelineRun", name.as_deref()) {
            return Ok(());
        }
        let name = name.unwrap_or_default();
        // Also a and a-: comments, labels and the names of the runs could not tell them apart.
        if let Some(same) = self.runs.iter().find(|other| short(&other.name) == short(&name)) {
            let first = place(&same.path, Some(same.line));
            let text = format!("PipelineRun {name:?} has the name of the one in {first}: rename one of them");
            let line = Some(document.line_of("metadata"));
            return Err(Invalid(Problem { path: path.to_owned(), line, text }));
        }
        self.runs.push(Definition { name, path: path.to_owned(), line: document.line(), run });
        Ok(())
    }

    /// Whether something can refer to it. If not, that is a problem.
    fn is_named(&mut self, path: &str, document: &Document, kind: &str, name: Option<&str>) -> bool {
        let is_named = name.is_some_and(|name| !name.is_empty());
        if !is_named {
            let line = Some(document.line_of("metadata"));
            let text = format!("{kind} has no metadata.name: give it one");
            self.problems.push(Problem { path: path.to_owned(), line, text });
        }
        is_named
    }
}

/// The name, or what a name should begin with.
fn original_name(metadata: &ObjectMeta) -> Option<&str> {
    let names = [&metadata.name, &metadata.generate_name];
    names.into_iter().flatten().map(String::as_str).find(|name| !name.is_empty())
}

/// Without the `-` that a `generateName` ends in.
fn short(name: &str) -> &str {
    name.trim_end_matches('-')
}
