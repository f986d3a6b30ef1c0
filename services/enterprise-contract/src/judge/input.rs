//! Judges files as they are: what `ec validate input` does. No image, no signature; each file is the rules' `input`.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use enterprise_contract_api::EnterpriseContractPolicySpec;
use futures::{StreamExt as _, TryStreamExt as _};
use jiff::Timestamp;
use serde_json::{Map, Value};

use super::group::{self, Asking, Group, overlay};
use super::verdict::{self, NothingChecked, Verdict, remark};
use super::{Environment, Error, VERSION};
use crate::effective_time::EffectiveTime;
use crate::policy::{self, Expected};
use crate::rego::{Host, Offline};
use crate::report::{FileReport, InputReport};
use crate::yaml;

/// Bytes of a file.
const LARGEST: u64 = 64 * 1024 * 1024;
/// Files of a folder.
const MOST: usize = 10_000;
/// Folders within each other.
const DEEPEST: usize = 32;
/// Files that are judged at once.
const TOGETHER: usize = 4;

/// Which files are judged, and how.
#[derive(Clone, Debug)]
pub struct InputRequest {
    /// Paths of files or folders, or JSON or YAML itself.
    pub files: Vec<String>,
    /// As of [`Request`](super::Request).
    pub policy: String,
    /// As of [`Request`](super::Request).
    pub extra_rule_data: Map<String, Value>,
    pub effective_time: EffectiveTime,
    /// As of [`Request`](super::Request).
    pub info: bool,
    /// As of [`Request`](super::Request).
    pub timeout: Option<Duration>,
}

/// What is judged together, under one name.
struct Input {
    name: String,
    documents: Vec<Value>,
}

/// Judges files. Errors are about what was asked for.
pub async fn validate_inputs(
    request: &InputRequest,
    environment: &Environment,
) -> Result<InputReport, Error> {
    let work = Box::pin(validate(request, environment));
    match request.timeout {
        None => work.await,
        Some(limit) => tokio::time::timeout(limit, work)
            .await
            .unwrap_or_else(|_| Err(Error::Timeout { limit, running: request.files.clone() })),
    }
}

async fn validate(request: &InputRequest, environment: &Environment) -> Result<InputReport, Error> {
    if request.files.is_empty() {
        return Err(Error::Input { what: "(none)".to_owned(), reason: "name a file (--file)".to_owned() });
    }
    let inputs: Vec<Input> = futures::stream::iter(&request.files).then(read).try_collect().await?;
    let spec = policy::load(&request.policy, &environment.sources, &environment.cluster).await?;
    let spec = policy::with_flags(spec, &Expected::default(), &request.extra_rule_data);
    let groups = group::groups(&spec, &environment.sources).await?;
    // Files have no attestations that could say another time.
    let time = request.effective_time.of_run(environment.clock.now());

    let asking = Asking::new();
    let mut judged: Vec<(FileReport, Option<String>)> = futures::stream::iter(inputs)
        .map(|input| judge(input, &spec, &groups, &asking, time, request.info))
        .buffer_unordered(TOGETHER)
        .try_collect()
        .await?;
    judged.sort_by(|(one, _), (other, _)| one.filepath.cmp(&other.filepath));
    let (filepaths, errors): (Vec<FileReport>, Vec<Option<String>>) = judged.into_iter().unzip();
    Ok(InputReport {
        success: !filepaths.is_empty() && filepaths.iter().all(|file| file.success),
        policy: group::pinned(&spec, &groups),
        ec_version: VERSION.to_owned(),
        effective_time: time.to_string(),
        data: groups.iter().map(|group| group.policy.data().clone()).collect(),
        errors: errors.into_iter().flatten().collect(),
        filepaths,
    })
}

/// The report of an input; and what kept rules from being asked.
async fn judge(
    input: Input,
    spec: &EnterpriseContractPolicySpec,
    groups: &[Group],
    asking: &Asking,
    time: Timestamp,
    info: bool,
) -> Result<(FileReport, Option<String>), Error> {
    let expected = Expected::of(spec);
    let host: Arc<dyn Host> = Arc::new(Offline);
    let (mut verdict, mut trouble) = (Verdict::default(), None);
    for group in groups {
        let criteria = group.selection.at(time, None);
        let mut outcomes = Vec::new();
        for document in &input.documents {
            let document = Arc::new(document.clone());
            match asking.evaluate(&group.policy, document, overlay(time, &expected), Arc::clone(&host)).await
            {
                Ok(found) => outcomes.extend(found),
                Err(reason) => trouble = Some(format!("the rules cannot be evaluated: {reason}")),
            }
        }
        match verdict::judge(group.policy.rules(), outcomes, &criteria, time) {
            Ok(found) => verdict.extend(found),
            Err(error @ NothingChecked) => {
                return Err(Error::NothingChecked(format!("{}: {error}", input.name)));
            }
        }
    }
    let trouble = trouble.map(|reason| format!("{}: {reason}", input.name));
    verdict.violations.extend(trouble.clone().map(remark));
    let verdict = verdict.finished(info);
    let report = FileReport {
        filepath: input.name,
        success: verdict.violations.is_empty(),
        violations: verdict.violations,
        warnings: verdict.warnings,
        successes: verdict.successes,
        policy_input: Value::from(input.documents),
    };
    Ok((report, trouble))
}

/// What a flag names: the files of a folder together, a file, or a text itself.
async fn read(named: &String) -> Result<Input, Error> {
    let path = PathBuf::from(named);
    let wrong = |reason: String| Error::Input { what: named.chars().take(200).collect(), reason };
    let documents = match tokio::fs::metadata(&path).await {
        Ok(found) if found.is_dir() => {
            let files = tokio::task::spawn_blocking(move || files(&path)).await;
            let files =
                files.map_err(|error| wrong(error.to_string()))?.map_err(|error| wrong(error.to_string()))?;
            let mut documents = Vec::new();
            for file in files {
                let read = documents_of(&file).await;
                documents.extend(read.map_err(|reason| wrong(format!("{}: {reason}", file.display())))?);
            }
            documents
        }
        Ok(_) => documents_of(&path).await.map_err(wrong)?,
        // Whatever has a colon or a brace may be a document, and names of files hardly have any.
        Err(_) if named.contains([':', '{', '\n']) => {
            let documents = yaml::documents(named.as_bytes());
            elements(
                documents
                    .map_err(|reason| wrong(format!("it is neither a file nor a document: {reason}")))?,
            )
        }
        Err(error) => return Err(wrong(error.to_string())),
    };
    if documents.is_empty() {
        return Err(wrong("there is nothing in it that could be judged".to_owned()));
    }
    Ok(Input { name: named.clone(), documents })
}

async fn documents_of(file: &Path) -> Result<Vec<Value>, String> {
    let found = tokio::fs::metadata(file).await.map_err(|error| error.to_string())?;
    if !found.is_file() || found.len() > LARGEST {
        return Err(format!("it is no file, or larger than {LARGEST} bytes"));
    }
    let content = tokio::fs::read(file).await.map_err(|error| error.to_string())?;
    Ok(elements(yaml::documents(&content)?))
}

/// As conftest has it, the elements of a list are judged one by one.
fn elements(documents: Vec<Value>) -> Vec<Value> {
    let elements = documents.into_iter().flat_map(|document| match document {
        Value::Array(elements) => elements,
        other => vec![other],
    });
    elements.collect()
}

/// All files of JSON and YAML in a folder and in those within it, by name.
fn files(folder: &Path) -> std::io::Result<Vec<PathBuf>> {
    let (mut files, mut folders) = (Vec::new(), vec![(folder.to_owned(), 0)]);
    while let Some((folder, depth)) = folders.pop() {
        for entry in folder.read_dir()? {
            let entry = entry?;
            let (path, kind) = (entry.path(), entry.file_type()?);
            let extension = path.extension().and_then(|extension| extension.to_str()).unwrap_or_default();
            if kind.is_dir() && depth < DEEPEST {
                folders.push((path, depth + 1));
            } else if kind.is_file() && ["json", "yaml", "yml"].contains(&extension) {
                files.push(path);
            }
        }
        if files.len() > MOST {
            return Err(std::io::Error::other(format!("it has more than {MOST} files")));
        }
    }
    files.sort();
    Ok(files)
}
