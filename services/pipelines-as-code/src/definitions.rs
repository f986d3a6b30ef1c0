//! What a repository has in `.tekton/`: which runs there are, and the tasks and pipelines beside them (spec section 4.4,
//! points 1 to 3).
//!
//! ```text
//! forge ─▶ read ─▶ Sources   YAML with words for placeholders, each file for itself
//!                    │ fill  values into the words, then types of Tekton, v1beta1 converted
//!                    ▼
//!               Definitions   runs, pipelines, tasks, and what is wrong with the other documents
//! ```
//! Files come from whoever may open a pull request: how many they are, how long, how deep and what they become is bounded.

mod budget;
mod files;
mod kinds;
#[cfg(test)]
mod tests;

use forge::{Commit, Repository};
use pipelines_engine_api::{Pipeline, PipelineRun, Task};
use tekton::Document;

pub use self::files::{ReadError, read};
use crate::template::{Filled, Template};

/// Files as they are in the repository.
#[derive(Clone, Debug)]
pub struct Sources {
    repository: Repository,
    commit: Commit,
    files: Vec<Source>,
}

/// A file, read as YAML.
#[derive(Clone, Debug)]
struct Source {
    path: String,
    template: Template,
    documents: Vec<Document>,
}

/// What there is to run.
#[derive(Clone, Debug, PartialEq)]
pub struct Definitions {
    /// Whose `.tekton/` it is.
    pub repository: Repository,
    pub commit: Commit,
    /// In the order of their files.
    pub runs: Vec<Definition>,
    /// Of one name the first counts.
    pub pipelines: Vec<Pipeline>,
    /// Of one name the first counts.
    pub tasks: Vec<Task>,
    /// What should be a run, a pipeline or a task, and cannot.
    pub problems: Vec<Problem>,
}

/// A run that may be started.
#[derive(Clone, Debug, PartialEq)]
pub struct Definition {
    /// `original-prname`: its `metadata.name`, or its `metadata.generateName` as it is written.
    pub name: String,
    pub path: String,
    /// Line of the file on which it begins.
    pub line: u32,
    pub run: PipelineRun,
}

/// What is wrong at some place, for whoever has written it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}: {text}", place(path, *line))]
pub struct Problem {
    /// From the root of the repository.
    pub path: String,
    /// From 1, if it is known.
    pub line: Option<u32>,
    pub text: String,
}

/// `.tekton/push.yaml:12`
fn place(path: &str, line: Option<u32>) -> String {
    line.map_or_else(|| path.to_owned(), |line| format!("{path}:{line}"))
}

/// Why nothing of the files can be run, with the place of it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(transparent)]
pub struct Invalid(pub Problem);

impl Sources {
    /// Reads files, which are `(path, content)`. The first that is no YAML is an error.
    fn parse(
        repository: &Repository,
        commit: &Commit,
        files: impl IntoIterator<Item = (String, Vec<u8>)>,
    ) -> Result<Self, Problem> {
        let files = files.into_iter().map(|(path, content)| Source::parse(path, content));
        let files = files.collect::<Result<_, _>>()?;
        Ok(Self { repository: repository.clone(), commit: commit.clone(), files })
    }

    /// Keys of all placeholders.
    pub fn keys(&self) -> impl Iterator<Item = &str> {
        self.files.iter().flat_map(|file| file.template.keys())
    }

    /// Puts values into the placeholders, and reads what the documents are then.
    pub fn fill(&self, value_of: &mut dyn FnMut(&str) -> Option<Filled>) -> Result<Definitions, Invalid> {
        let mut definitions = Definitions {
            repository: self.repository.clone(),
            commit: self.commit.clone(),
            runs: Vec::new(),
            pipelines: Vec::new(),
            tasks: Vec::new(),
            problems: Vec::new(),
        };
        let mut budget = budget::Budget::new(value_of);
        for file in &self.files {
            for document in &file.documents {
                let mut value = document.value.clone();
                file.template.fill(&mut value, &mut |key| budget.value_of(key));
                if let Some(text) = budget.exceeded() {
                    let line = Some(document.line());
                    return Err(Invalid(Problem { path: file.path.clone(), line, text }));
                }
                definitions.take(&file.path, document, value)?;
            }
        }
        Ok(definitions)
    }
}

impl Source {
    fn parse(path: String, content: Vec<u8>) -> Result<Self, Problem> {
        let Ok(text) = String::from_utf8(content) else {
            return Err(Problem { path, line: None, text: "it is no text in UTF-8".to_owned() });
        };
        let template = Template::new(&text);
        match tekton::documents(template.yaml()) {
            Ok(documents) => Ok(Self { path, template, documents }),
            Err(error) => {
                let text = template.restored(&error.to_string());
                Err(Problem { path, line: error.line(), text })
            }
        }
    }
}
