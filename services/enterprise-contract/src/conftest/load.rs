//! Reads policies, data and the files to judge.

use std::io::Read as _;
use std::path::Path;
use std::sync::Arc;

use serde_json::{Value, json};

use super::Error;
use crate::rego::{Module, Policy, on_large_stack};
use crate::sources::{self, Fetched, Sources, is_rego};
use crate::yaml;

/// The most that is read of one file, or of standard input.
const MAX_FILE: u64 = 64 * 1024 * 1024;

/// Compiles what is at some paths or URLs: rules, and the data beside them and at `data`. No rules at all is an error.
pub(super) async fn policy(sources: &Sources, paths: &[String], data: &[String]) -> Result<Policy, Error> {
    let (modules, document) = read_all(sources, paths, data).await?;
    if modules.is_empty() {
        return Err(Error::NoModules(paths.join(", ")));
    }
    compile(modules, document).await
}

/// The same where there may be no rules.
pub(super) async fn optional_policy(sources: &Sources, paths: &[String]) -> Result<Policy, Error> {
    let (modules, document) = read_all(sources, paths, &[]).await?;
    compile(modules, document).await
}

async fn compile(modules: Vec<Module>, document: Value) -> Result<Policy, Error> {
    Ok(on_large_stack(move || Policy::compile(modules, document)).await??)
}

async fn read_all(
    sources: &Sources,
    paths: &[String],
    data: &[String],
) -> Result<(Vec<Module>, Value), Error> {
    let (mut modules, mut documents) = (Vec::new(), Vec::new());
    for path in paths {
        let fetched = sources.fetch(path).await?;
        if has(&fetched, true) {
            modules.extend(fetched.modules()?);
        }
        if has(&fetched, false) {
            documents.push(fetched);
        }
    }
    for path in data {
        documents.push(sources.fetch(path).await?);
    }
    Ok((modules, sources::merge(&documents, None)?))
}

/// Whether there are rules, or else data.
fn has(fetched: &Arc<Fetched>, rules: bool) -> bool {
    fetched.files.iter().any(|(path, _)| is_rego(path) == rules)
}

/// A document to judge.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Input {
    pub(super) name: String,
    pub(super) content: Value,
}

/// The documents of some files: each of a file with several by itself. `-` is standard input; folders are searched for JSON and
/// YAML.
pub(super) fn inputs(paths: &[String], ignored: Option<&regex::Regex>) -> Result<Vec<Input>, Error> {
    let mut files = Vec::new();
    for path in paths {
        if path == "-" {
            files.push(path.clone());
        } else {
            search(Path::new(path), ignored, true, &mut files)?;
        }
    }
    let mut inputs = Vec::new();
    for file in files {
        let wrong = |why: String| Error::File { file: file.clone(), why };
        let content = read(&file).map_err(|error| wrong(error.to_string()))?;
        let documents = yaml::documents(&content).map_err(wrong)?;
        inputs.extend(documents.into_iter().map(|content| Input { name: file.clone(), content }));
    }
    if inputs.is_empty() { Err(Error::NoFiles) } else { Ok(inputs) }
}

/// All documents as one: `[{path, contents}, …]`.
pub(super) fn combined(inputs: Vec<Input>) -> Input {
    let all = inputs.into_iter().map(|input| json!({"path": input.name, "contents": input.content}));
    Input { name: "Combined".to_owned(), content: all.collect() }
}

fn search(
    path: &Path,
    ignored: Option<&regex::Regex>,
    is_named: bool,
    files: &mut Vec<String>,
) -> Result<(), Error> {
    let name = path.display().to_string();
    let wrong = |error: std::io::Error| Error::File { file: name.clone(), why: error.to_string() };
    if ignored.is_some_and(|ignored| ignored.is_match(&name)) {
        return Ok(());
    }
    if path.metadata().map_err(wrong)?.is_dir() {
        let mut entries = Vec::new();
        for entry in path.read_dir().map_err(wrong)? {
            let entry = entry.map_err(wrong)?;
            // A link could lead back here.
            if !entry.file_type().map_err(wrong)?.is_symlink() {
                entries.push(entry.path());
            }
        }
        entries.sort();
        entries.iter().try_for_each(|entry| search(entry, ignored, false, files))?;
    } else if is_named
        || path.extension().is_some_and(|kind| kind == "json" || kind == "yaml" || kind == "yml")
    {
        files.push(name);
    }
    Ok(())
}

/// Reads a file, or standard input.
pub(super) fn read(file: &str) -> std::io::Result<Vec<u8>> {
    let mut content = Vec::new();
    let read = if file == "-" {
        std::io::stdin().lock().take(MAX_FILE + 1).read_to_end(&mut content)?
    } else {
        std::fs::File::open(file)?.take(MAX_FILE + 1).read_to_end(&mut content)?
    };
    if read as u64 > MAX_FILE {
        return Err(std::io::Error::other(format!("it is larger than {MAX_FILE} bytes")));
    }
    Ok(content)
}
