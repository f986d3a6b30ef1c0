//! The unit tests of policies: rules whose names start with `test_`.

use std::sync::Arc;
use std::time::{Duration, Instant};

use regorus::Value;

use super::annotations::rule_name;
use super::error::{EvalError, Location};
use super::host::Host;
use super::policy::Policy;
use super::source::{Parsed, location, reference};

/// A unit test of a policy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Test {
    /// `data.PACKAGE.NAME`.
    pub name: String,
    pub location: Location,
}

/// How a unit test ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    Passed,
    /// It is false, or has no value.
    Failed,
    /// Its name starts with `todo_`.
    Skipped,
    /// Another test has the same name. What the two say together says nothing of each.
    Ambiguous,
    Errored(EvalError),
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TestOutcome {
    pub verdict: Verdict,
    pub elapsed: Duration,
    /// What the test and the rules that it calls printed.
    pub prints: Vec<String>,
}

impl Policy {
    /// All unit tests, in the order of the modules.
    #[must_use]
    pub fn tests(&self) -> &[Test] {
        &self.inner.tests
    }

    /// Runs one unit test. Blocks.
    #[must_use]
    pub fn run_test(&self, test: &Test, host: &Arc<dyn Host>) -> TestOutcome {
        let started = Instant::now();
        let (verdict, prints) = match test {
            test if test.is_todo() => (Verdict::Skipped, Vec::new()),
            test if self.tests().iter().filter(|other| other.name == test.name).count() > 1 => {
                (Verdict::Ambiguous, Vec::new())
            }
            test => self.judge(test, host),
        };
        TestOutcome { verdict, elapsed: started.elapsed(), prints }
    }

    fn judge(&self, test: &Test, host: &Arc<dyn Host>) -> (Verdict, Vec<String>) {
        let mut engine = match self.engine(host, &serde_json::Value::Null) {
            Ok(engine) => engine,
            Err(error) => return (Verdict::Errored(error), Vec::new()),
        };
        let verdict = match engine.eval_rule(test.name.clone()) {
            Ok(Value::Undefined | Value::Bool(false)) => Verdict::Failed,
            Ok(_) => Verdict::Passed,
            Err(error) => Verdict::Errored(EvalError::from_engine(&error)),
        };
        (verdict, engine.take_prints().unwrap_or_default())
    }
}

impl Test {
    fn is_todo(&self) -> bool {
        self.name.rsplit('.').next().is_some_and(|name| name.starts_with("todo_"))
    }
}

/// The tests of all modules.
pub(super) fn tests(modules: &[Parsed]) -> Vec<Test> {
    let of_module = |module: &Parsed| -> Vec<Test> {
        let rules = module.tree.policy.iter().filter_map(|rule| {
            let [name] = &rule_name(rule)[..] else { return None };
            let is_test = name.starts_with("test_") || name.starts_with("todo_test_");
            let mut path = module.package.clone();
            path.push(name.clone());
            is_test.then(|| Test { name: reference(&path), location: location(rule.span()) })
        });
        rules.collect()
    };
    modules.iter().flat_map(of_module).collect()
}
