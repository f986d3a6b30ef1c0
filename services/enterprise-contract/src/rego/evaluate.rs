//! Asks a policy about an input, as conftest does: every rule of every package whose name says that it yields results.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::sync::Arc;
use std::time::Duration;

use regorus::unstable::Parser;
use regorus::utils::limits::ExecutionTimerConfig;
use regorus::{Engine, Value};
use serde_json::Map;

use super::Module;
use super::annotations::rule_name;
use super::builtins;
use super::error::EvalError;
use super::host::{Host, Memo};
use super::policy::{Policy, check_calls};
use super::rewrite;
use super::rules::{Asked, Kind};
use super::source::{LENGTHS, Parsed, reference};

/// The longest that one evaluation may take, with all that it asks of the host.
const LIMIT: ExecutionTimerConfig = ExecutionTimerConfig {
    limit: Duration::from_mins(4),
    check_interval: std::num::NonZeroU32::new(1024).unwrap(),
};

/// A rule that is always there: evaluating it prepares an engine and nothing else.
pub(super) const PREPARE: &str = "data.__ec.questions.prepared";
const ALL: &str = "data.__ec.questions.all";

/// One result of a rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RawResult {
    pub msg: String,
    /// The members of the result beside its message.
    pub metadata: Map<String, serde_json::Value>,
}

/// What the rules of one package say.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PackageOutcome {
    /// The package, with dots.
    pub namespace: String,
    pub failures: Vec<RawResult>,
    pub warnings: Vec<RawResult>,
    /// One for each rule that the package excepts; the message is the query that says so.
    pub exceptions: Vec<RawResult>,
    /// Nothing is skipped by the rules themselves: filled by who selects.
    pub skipped: Vec<RawResult>,
    /// How many rules were asked and had nothing to say.
    pub successes: usize,
}

/// All that is asked of a policy in one go, so that what several rules need is evaluated once.
pub(super) struct Questions {
    asked: Vec<Asked>,
    /// The packages with a rule `exception`.
    excepting: Vec<Vec<String>>,
    packages: Vec<String>,
}

impl Questions {
    pub(super) fn new(modules: &[Parsed], asked: Vec<Asked>) -> Self {
        let inspected = || modules.iter().filter(|module| !module.is_test());
        let excepts =
            |module: &&Parsed| module.tree.policy.iter().any(|rule| rule_name(rule) == ["exception"]);
        let mut excepting: Vec<_> =
            inspected().filter(excepts).map(|module| module.package.clone()).collect();
        excepting.sort();
        excepting.dedup();
        let mut packages: Vec<_> = inspected().map(|module| module.package.join(".")).collect();
        packages.sort();
        packages.dedup();
        Self { asked, excepting, packages }
    }

    /// A module with an answer for each question, by its number.
    pub(super) fn module(&self) -> Module {
        let mut text = format!(
            "package __ec.questions\nprepared := 1\nall := found if found := answers with data.config as {}()\n",
            builtins::CONFIGURATION
        );
        let rules = self.asked.iter().map(|asked| reference(&asked.package) + &format!("[{:?}]", asked.name));
        let exceptions = self.excepting.iter().map(|package| reference(package) + ".exception");
        for (number, question) in rules.chain(exceptions).enumerate() {
            let _ = writeln!(text, "answers[\"{number}\"] := {question}");
        }
        if self.asked.is_empty() {
            text += "answers := {}\n";
        }
        Module { path: "<questions>".to_owned(), text }
    }
}

impl Policy {
    /// Asks all rules of all packages about one input. `overlay` is laid over `data.config`. Blocks, as the host does.
    ///
    /// There is one outcome for each package, also for one that has no rules to ask.
    pub fn evaluate(
        &self,
        input: &serde_json::Value,
        overlay: &serde_json::Value,
        host: &Arc<dyn Host>,
    ) -> Result<Vec<PackageOutcome>, EvalError> {
        let questions = &self.inner.questions;
        let mut engine = self.engine(host, overlay)?;
        engine.set_input(Value::from(input.clone()));
        let answers = engine.eval_rule(ALL.to_owned());
        // Also of what ended with an error: that is when they are wanted.
        for line in engine.take_prints().unwrap_or_default() {
            tracing::info!(line, "A rule prints");
        }
        let answers = answers.map_err(|error| EvalError::from_engine(&error))?;
        let answer = |number: usize| answers[number.to_string()].clone();
        let exceptions: BTreeMap<&[String], Value> = questions
            .excepting
            .iter()
            .zip(questions.asked.len()..)
            .map(|(package, number)| (&package[..], answer(number)))
            .collect();

        let mut outcomes: BTreeMap<&str, PackageOutcome> = questions
            .packages
            .iter()
            .map(|name| {
                (name.as_str(), PackageOutcome { namespace: name.clone(), ..PackageOutcome::default() })
            })
            .collect();
        for (number, asked) in questions.asked.iter().enumerate() {
            let namespace = asked.package.join(".");
            let Some(outcome) = outcomes.get_mut(namespace.as_str()) else { continue };
            let found = results(&format!("data.{namespace}.{}", asked.name), &answer(number))?;
            let Some(found) = found else { continue };
            if exceptions.get(&asked.package[..]).is_some_and(|value| is_excepted(value, &asked.name)) {
                let msg = format!("data.{namespace}.exception[_][_] == {:?}", without_prefix(&asked.name));
                outcome.exceptions.push(RawResult { msg, metadata: Map::new() });
            } else if found.is_empty() {
                outcome.successes += 1;
            } else {
                match asked.kind {
                    Kind::Deny => outcome.failures.extend(found),
                    Kind::Warn => outcome.warnings.extend(found),
                }
            }
        }
        Ok(outcomes.into_values().collect())
    }

    /// The packages with rules that are asked.
    #[must_use]
    pub fn asked_packages(&self) -> BTreeSet<String> {
        self.inner.questions.asked.iter().map(|asked| asked.package.join(".")).collect()
    }

    /// Evaluates any query, with the answer in the form of `opa eval`: `{"result": [{"expressions": [...], "bindings": {...}}]}`.
    pub fn query(
        &self,
        query: &str,
        input: Option<&serde_json::Value>,
        overlay: &serde_json::Value,
        host: &Arc<dyn Host>,
    ) -> Result<serde_json::Value, EvalError> {
        let wrong = |error: anyhow::Error| EvalError::from_engine(&error);
        let source = regorus::Source::from_contents("<query>".to_owned(), query.to_owned()).map_err(wrong)?;
        let mut parser = Parser::new(&source).map_err(wrong)?;
        parser.set_max_col(LENGTHS.max_col);
        parser.enable_rego_v1().map_err(wrong)?;
        let tree = parser.parse_user_query().map_err(wrong)?;
        let (text, calls) = rewrite::rewrite_query(query, &tree, &self.inner.names);
        check_calls(&calls, &self.inner.names).map_err(|error| EvalError::Unplaced(error.to_string()))?;

        let mut engine = self.engine(host, overlay)?;
        if overlay.as_object().is_some_and(|members| !members.is_empty()) {
            let config = serde_json::json!({"config": overlay});
            engine.add_data(Value::from(config)).map_err(wrong)?;
        }
        if let Some(input) = input {
            engine.set_input(Value::from(input.clone()));
        }
        let found = engine.eval_query(text, false).map_err(wrong)?;
        serde_json::to_value(&found).map_err(|error| EvalError::document("the answer", &error))
    }

    /// An engine for one evaluation.
    pub(super) fn engine(
        &self,
        host: &Arc<dyn Host>,
        overlay: &serde_json::Value,
    ) -> Result<Engine, EvalError> {
        let mut engine = self.inner.engine.clone();
        engine.set_execution_timer_config(LIMIT);
        let config = Value::from(merged(self.data().get("config"), overlay));
        builtins::install(&mut engine, &Memo::new(host), &self.inner.validators)
            .and_then(|()| {
                let answer = move |_: Vec<Value>| Ok(config.clone());
                engine.add_extension(builtins::CONFIGURATION.to_owned(), 0, Box::new(answer))
            })
            .map_err(|error| EvalError::from_engine(&error))?;
        Ok(engine)
    }
}

/// `data.config` as an evaluation sees it: objects are merged, all else is replaced.
fn merged(below: Option<&serde_json::Value>, above: &serde_json::Value) -> serde_json::Value {
    use serde_json::Value::Object;
    match (below, above) {
        (Some(Object(below)), Object(above)) => {
            let mut all = below.clone();
            for (key, value) in above {
                let value = merged(all.get(key), value);
                all.insert(key.clone(), value);
            }
            Object(all)
        }
        (Some(below), serde_json::Value::Null) => below.clone(),
        (None, serde_json::Value::Null) => Object(Map::new()),
        (_, above) => above.clone(),
    }
}

/// The results in the value of a rule; `None` if it has no value. A value that is no set or list of results is an error, and not,
/// as in conftest, a success.
fn results(rule: &str, value: &Value) -> Result<Option<Vec<RawResult>>, EvalError> {
    let wrong = |found: &Value| {
        let mut found = found.to_string();
        found.truncate(found.floor_char_boundary(200));
        EvalError::Value { rule: rule.to_owned(), found }
    };
    let members: Vec<&Value> = match value {
        Value::Undefined => return Ok(None),
        Value::Set(members) => members.iter().collect(),
        Value::Array(members) => members.iter().collect(),
        other => return Err(wrong(other)),
    };
    let results = members.into_iter().map(|member| match member {
        Value::String(msg) => Ok(RawResult { msg: msg.to_string(), metadata: Map::new() }),
        Value::Object(_) => {
            let member_value =
                serde_json::to_value(member).map_err(|error| EvalError::document("a result", &error))?;
            let serde_json::Value::Object(mut metadata) = member_value else { return Err(wrong(member)) };
            match metadata.remove("msg") {
                Some(serde_json::Value::String(msg)) => Ok(RawResult { msg, metadata }),
                _ => Err(wrong(member)),
            }
        }
        other => Err(wrong(other)),
    });
    results.collect::<Result<_, _>>().map(Some)
}

/// Whether `exception[_][_]` holds the name of a rule, without its prefix.
fn is_excepted(exception: &Value, rule: &str) -> bool {
    let name = Value::from(without_prefix(rule));
    members(exception).iter().any(|inner| members(inner).contains(&&name))
}

fn members(value: &Value) -> Vec<&Value> {
    match value {
        Value::Set(members) => members.iter().collect(),
        Value::Array(members) => members.iter().collect(),
        Value::Object(members) => members.values().collect(),
        _ => Vec::new(),
    }
}

/// `deny_root_user` is excepted as `root_user`, `deny` as the empty name.
fn without_prefix(rule: &str) -> &str {
    let rest =
        ["deny", "violation", "warn"].iter().find_map(|prefix| rule.strip_prefix(prefix)).unwrap_or(rule);
    rest.strip_prefix('_').unwrap_or(rest)
}
