//! `internal-request`: asks the private cluster for what only it can do, and waits for the answers.
//!
//! ```text
//! Requests ─▶ Batch (pure) ─ open ─▶ create InternalRequest ─▶ API server ─▶ internal-services
//!               ▲                                                  │
//!               └──────────── seen, by one watch ──────────────────┘
//! ```
//! A request's name derives from the TaskRun, so a step that is run again finds what it made before and asks for nothing twice. One
//! that failed is asked for again under another name, once for each run of the step.

mod batch;
mod client;

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::time::Duration;

use anyhow::ensure;
use internal_services_api::InternalRequestSpec;
use release_service_api::pipeline::Timeouts;
use serde::{Deserialize, Serialize};
use serde_json::json;

pub use self::batch::{Outcome, State};
pub use self::client::{Client, Limits, Origin};
use crate::Ended;
use crate::context::{Context, Flag, Results, say};
use crate::workspace::Workspace;

/// Exit code: a request failed, or in a batch any did not succeed.
pub const FAILED: u8 = 21;
/// Exit code: the request was rejected.
pub const REJECTED: u8 = 22;
/// Exit code: there was no answer in time.
pub const TIMED_OUT: u8 = 124;

/// What is asked for.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Request {
    /// Name of the pipeline in the private cluster.
    pub request: String,
    #[serde(default)]
    pub params: BTreeMap<String, String>,
    /// Account of the run there. Absent means its default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub service_account: Option<String>,
    /// How long the run may take there, such as `1h`. Absent means its default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeout: Option<String>,
}

impl Request {
    /// What an object asks for, as far as a step can.
    fn of(spec: &InternalRequestSpec) -> Self {
        Self {
            request: spec.request.clone().unwrap_or_default(),
            params: spec.params.clone(),
            service_account: spec.service_account.clone(),
            timeout: spec.timeouts.as_ref().and_then(|timeouts| timeouts.pipeline.clone()),
        }
    }

    fn spec(&self) -> InternalRequestSpec {
        InternalRequestSpec {
            request: Some(self.request.clone()),
            params: self.params.clone(),
            service_account: self.service_account.clone(),
            timeouts: self
                .timeout
                .clone()
                .map(|pipeline| Timeouts { pipeline: Some(pipeline), ..Timeouts::default() }),
            ..InternalRequestSpec::default()
        }
    }
}

/// Who asks, and how long is waited.
#[derive(Debug, clap::Args)]
struct Asking {
    /// Namespace of the run.
    #[arg(long)]
    namespace: String,
    /// Uid of the PipelineRun: what is cleaned up by.
    #[arg(long, value_parser = uid)]
    pipeline_run_uid: String,
    /// Uid of the TaskRun: the batch.
    #[arg(long, value_parser = uid)]
    task_run_uid: String,
    /// Seconds to wait for the answer to each request.
    #[arg(long, default_value = "3600", value_name = "SECONDS", value_parser = clap::value_parser!(u64).range(1..=86_400))]
    timeout: u64,
    /// How many requests may be open at once.
    #[arg(long, default_value = "4", value_parser = clap::value_parser!(u16).range(1..=64))]
    concurrent_limit: u16,
}

/// Makes InternalRequests and waits for their answers.
///
/// Exit codes: 0 if all succeeded, 21 if one failed (in a batch: did not succeed), 22 if it was rejected, 124 if there was no answer
/// in time.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    asking: Asking,
    /// Name of the pipeline in the private cluster.
    #[arg(long, default_value = "")]
    request: String,
    /// Parameters of that pipeline, as name=value, after a --: none of them is taken for a flag.
    #[arg(last = true, value_parser = param, value_name = "NAME=VALUE")]
    params: Vec<(String, String)>,
    /// Account of the run in the private cluster.
    #[arg(long, default_value = "")]
    service_account: String,
    /// Empty if none is bound.
    #[arg(long, default_value = "", value_name = "DIR")]
    workspace: OsString,
    /// A batch: file of the workspace with a JSON list of {request, params, serviceAccount, timeout}.
    #[arg(long, default_value = "", conflicts_with = "request")]
    requests_path: String,
    /// File of the workspace that the results are written to: of one request its results by name, of a batch a list.
    #[arg(long, default_value = "")]
    results_path: String,
    /// Whether the answers are waited for.
    #[arg(long, default_value = "true")]
    sync: Flag,
    #[command(flatten)]
    results: Results,
}

pub async fn run(args: Args, context: &Context) -> anyhow::Result<()> {
    let results_file = file(&args.workspace, &args.results_path)?;
    let batch = file(&args.workspace, &args.requests_path)?;
    let is_batch = batch.is_some();
    let requests = match batch {
        Some((workspace, path)) => workspace.read_json(&path)?,
        None => vec![single(&args)?],
    };
    let asking = &args.asking;
    let limits =
        Limits { open: usize::from(asking.concurrent_limit), timeout: Duration::from_secs(asking.timeout) };
    let client = Client::new(context.cluster().await?, origin(asking));
    let outcomes = if args.sync.0 {
        client.run_all(requests, &limits).await?
    } else {
        let names = client.create_all(requests).await?;
        for name in &names {
            say(&format!("Made InternalRequest {}/{name}", asking.namespace));
        }
        let name = if is_batch { "" } else { names.first().map_or("", String::as_str) };
        return tell(&args, name, None);
    };
    for outcome in &outcomes {
        say(&outcome.to_string());
    }
    if let Some((workspace, path)) = results_file {
        workspace.write_json(&path, &report(&outcomes, is_batch))?;
    }
    match outcomes.as_slice() {
        [outcome] if !is_batch => tell(&args, &outcome.name, Some(&outcome.state))?,
        _ => tell(&args, "", None)?,
    }
    Ok(ended(&outcomes, is_batch)?)
}

/// Writes the results of the task. All of them: one that a later task names must not be missing.
fn tell(args: &Args, name: &str, state: Option<&State>) -> anyhow::Result<()> {
    args.results.write("groupId", &args.asking.task_run_uid)?;
    args.results.write("requestName", name)?;
    args.results.write("requestReason", state.map_or("", State::reason))?;
    args.results.write("requestMessage", first(state.map_or("", State::message), 1024))
}

/// A file of a workspace; none if its path is empty.
fn file(workspace: &OsString, path: &str) -> anyhow::Result<Option<(Workspace, String)>> {
    if path.is_empty() {
        return Ok(None);
    }
    ensure!(!workspace.is_empty(), "{path:?} is a file of a workspace, and none is bound");
    Ok(Some((Workspace::open(workspace.as_ref())?, path.to_owned())))
}

/// The first bytes of a text, not cut within a character.
fn first(text: &str, bytes: usize) -> &str {
    &text[..text.floor_char_boundary(bytes)]
}

fn origin(asking: &Asking) -> Origin {
    Origin {
        namespace: asking.namespace.clone(),
        pipeline_run_uid: asking.pipeline_run_uid.clone(),
        task_run_uid: asking.task_run_uid.clone(),
    }
}

fn single(args: &Args) -> anyhow::Result<Request> {
    ensure!(!args.request.is_empty(), "neither a request nor a file of requests is given");
    let mut params = BTreeMap::new();
    for (name, value) in &args.params {
        let before = params.insert(name.clone(), value.clone());
        ensure!(before.is_none(), "parameter {name} is given twice");
    }
    let service_account = Some(args.service_account.clone()).filter(|name| !name.is_empty());
    Ok(Request { request: args.request.clone(), params, service_account, timeout: None })
}

/// Waits for InternalRequests that another step made without waiting.
///
/// Exit codes: 0 if all succeeded, else 21.
#[derive(Debug, clap::Args)]
pub struct Wait {
    /// Namespace of the run.
    #[arg(long)]
    namespace: String,
    /// Uid of the TaskRun that made them.
    #[arg(long, value_parser = uid)]
    group_id: String,
    /// Seconds to wait for the answers.
    #[arg(long, default_value = "3600", value_name = "SECONDS", value_parser = clap::value_parser!(u64).range(1..=86_400))]
    timeout: u64,
    /// Empty if none is bound.
    #[arg(long, default_value = "", value_name = "DIR")]
    workspace: OsString,
    /// File of the workspace that the results are written to, as a list.
    #[arg(long, default_value = "")]
    results_path: String,
}

pub async fn wait(args: Wait, context: &Context) -> anyhow::Result<()> {
    // What it makes is nothing: the run that asks is of no matter.
    let results_file = file(&args.workspace, &args.results_path)?;
    let origin =
        Origin { namespace: args.namespace, pipeline_run_uid: String::new(), task_run_uid: args.group_id };
    let client = Client::new(context.cluster().await?, origin);
    let outcomes = client.wait(Duration::from_secs(args.timeout)).await?;
    for outcome in &outcomes {
        say(&outcome.to_string());
    }
    if let Some((workspace, path)) = results_file {
        workspace.write_json(&path, &report(&outcomes, true))?;
    }
    Ok(ended(&outcomes, true)?)
}

/// What is written to the file of results.
fn report(outcomes: &[Outcome], is_batch: bool) -> serde_json::Value {
    match outcomes {
        [outcome] if !is_batch => json!(outcome.results),
        _ => outcomes
            .iter()
            .map(|outcome| {
                json!({
                    "name": outcome.name,
                    "request": outcome.request.request,
                    "params": outcome.request.params,
                    "reason": outcome.state.reason(),
                    "message": outcome.state.message(),
                    "results": outcome.results,
                })
            })
            .collect(),
    }
}

/// The failure that the exit code tells, if there is one.
pub fn ended(outcomes: &[Outcome], is_batch: bool) -> Result<(), Ended> {
    let bad: Vec<&Outcome> = outcomes.iter().filter(|outcome| outcome.state != State::Succeeded).collect();
    let Some(first) = bad.first() else { return Ok(()) };
    let code = match &first.state {
        _ if is_batch => FAILED,
        State::Rejected(_) => REJECTED,
        State::TimedOut(_) => TIMED_OUT,
        State::Succeeded | State::Failed(_) => FAILED,
    };
    let lines: Vec<String> = bad.iter().map(ToString::to_string).collect();
    let message = if is_batch {
        format!("{} of {} InternalRequests did not succeed: {}", bad.len(), outcomes.len(), lines.join("; "))
    } else {
        lines.join("; ")
    };
    Err(Ended { code, message })
}

/// The value of a flag that is the uid of an object. It becomes part of a selector.
pub(crate) fn uid(text: &str) -> Result<String, String> {
    let is_part = |c: char| c.is_ascii_alphanumeric() || c == '-';
    let is_end = |c: Option<char>| c.is_some_and(|c| c.is_ascii_alphanumeric());
    if text.len() <= 63
        && text.chars().all(is_part)
        && is_end(text.chars().next())
        && is_end(text.chars().last())
    {
        Ok(text.to_owned())
    } else {
        Err("expected the uid of an object".to_owned())
    }
}

fn param(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((name, value)) if !name.is_empty() => Ok((name.to_owned(), value.to_owned())),
        _ => Err("expected name=value".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    fn outcome(name: &str, state: State) -> Outcome {
        let results = BTreeMap::from([("genericResult".to_owned(), "done".to_owned())]);
        Outcome { name: name.to_owned(), request: Request::default(), state, results }
    }

    #[rstest]
    #[case::succeeded(State::Succeeded, None)]
    #[case::failed(State::Failed("x".into()), Some(21))]
    #[case::rejected(State::Rejected("x".into()), Some(22))]
    #[case::timed_out(State::TimedOut("x".into()), Some(124))]
    fn one_request_ends_the_step_with_its_own_code(#[case] state: State, #[case] code: Option<u8>) {
        assert_eq!(ended(&[outcome("a", state)], false).err().map(|ended| ended.code), code);
    }

    #[test]
    fn a_batch_ends_the_step_with_one_code_and_all_messages() {
        let all = [
            outcome("a", State::Succeeded),
            outcome("b", State::Rejected("no endpoint".into())),
            outcome("c", State::TimedOut("no answer in 5 s".into())),
        ];
        let ended = ended(&all, true).unwrap_err();
        assert_eq!(ended.code, 21);
        for words in ["2 of 3", "b", "Rejected: no endpoint", "c", "no answer in 5 s"] {
            assert!(ended.message.contains(words), "{words}: {}", ended.message);
        }
        assert!(super::ended(&all[..1], true).is_ok());
    }

    #[test]
    fn one_request_reports_its_results_alone() {
        let all = [outcome("a", State::Succeeded)];
        assert_eq!(report(&all, false), json!({"genericResult": "done"}));
        let list = report(&all, true);
        assert_eq!((&list[0]["name"], &list[0]["reason"]), (&json!("a"), &json!("Succeeded")));
        assert_eq!(list[0]["results"], json!({"genericResult": "done"}));
    }

    #[rstest]
    #[case::uid("0a6dd2b5-7f52-4f0f-9a1b-3c0f3f7f8f10", true)]
    #[case::selector("x,y=z", false)]
    #[case::not_equal("x!=y", false)]
    #[case::empty("", false)]
    #[case::blank(" ", false)]
    #[case::hyphen("a-", false)]
    fn uids(#[case] text: &str, #[case] is_one: bool) {
        assert_eq!(uid(text).is_ok(), is_one);
    }

    #[rstest]
    #[case("a=b", Some(("a", "b")))]
    #[case("a=b=c\n", Some(("a", "b=c\n")))]
    #[case("a=", Some(("a", "")))]
    #[case("=b", None)]
    #[case("a", None)]
    fn params(#[case] text: &str, #[case] expected: Option<(&str, &str)>) {
        assert_eq!(param(text).ok(), expected.map(|(name, value)| (name.to_owned(), value.to_owned())));
    }

    #[test]
    fn a_batch_with_an_unknown_field_is_refused() {
        let read = |text| serde_json::from_str::<Vec<Request>>(text);
        assert!(read(r#"[{"request": "a", "params": {"x": "1"}}]"#).is_ok());
        assert!(read(r#"[{"request": "a", "parameters": {"x": "1"}}]"#).is_err());
        assert!(read(r#"[{"request": "a", "params": {"x": 1}}]"#).is_err());
    }

    #[test]
    fn messages_are_cut_between_characters() {
        assert_eq!(first("aé", 2), "a");
        assert_eq!(first("aé", 9), "aé");
    }
}
