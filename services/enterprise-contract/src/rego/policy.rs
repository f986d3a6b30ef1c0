//! A policy that is ready to be evaluated, many times and on many threads.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;

use regorus::{Engine, Value};

use super::Module;
use super::annotations::Annotations;
use super::builtins::{self, Validators};
use super::error::{EvalError, LoadError};
use super::evaluate::Questions;
use super::rewrite::{self, Call, Function, Names};
use super::rules::{self, Rule};
use super::source::{Dialect, LENGTHS, Parsed, location, reference};
use super::unit_tests::{self, Test};

/// Modules and data, read, checked and prepared once. A clone shares all of it.
#[derive(Clone)]
pub struct Policy {
    pub(super) inner: Arc<Inner>,
}

pub(super) struct Inner {
    /// Prepared: each evaluation starts from a clone, which shares the modules and the data.
    pub(super) engine: Engine,
    pub(super) names: Names,
    pub(super) questions: Questions,
    pub(super) validators: Arc<Validators>,
    pub(super) tests: Vec<Test>,
    rules: Vec<Rule>,
    data: serde_json::Value,
}

impl Policy {
    /// Reads modules and the data document that they see as `data`. Every mistake that shows without an input is found here.
    pub fn compile(modules: Vec<Module>, data: serde_json::Value) -> Result<Self, LoadError> {
        let mut files = BTreeSet::new();
        if let Some(twice) = modules.iter().find(|module| !files.insert(module.path.as_str())) {
            return Err(LoadError::DuplicateFile { file: twice.path.clone() });
        }
        let modules: Vec<Parsed> = modules.into_iter().map(Parsed::new).collect::<Result<_, _>>()?;
        if let Some(taken) =
            modules.iter().find(|module| module.package.first().is_some_and(|name| name == builtins::OURS))
        {
            let at = location(&taken.tree.package.span);
            return Err(LoadError::Rego {
                at,
                message: format!("packages below {} are not for policies", builtins::OURS),
            });
        }
        let annotations = Annotations::read(&modules)?;
        let (rules, asked) = rules::rules(&modules, &annotations)?;
        let names = Names::new(&modules);

        let mut engine = Engine::new();
        engine.set_policy_length_config(LENGTHS);
        // As OPA does: what a built-in function cannot work with is undefined.
        engine.set_strict_builtin_errors(false);
        engine.set_gather_prints(true);
        let mut chains = Vec::new();
        for (number, module) in modules.iter().enumerate() {
            let rewritten = rewrite::rewrite(module, &names, chains.len());
            check_calls(&rewritten.calls, &names)?;
            chains.extend(rewritten.metadata.iter().map(|rule| annotations.chain(number, module, *rule)));
            engine.set_rego_v0(module.dialect == Dialect::V0);
            engine
                .add_policy(module.file.clone(), rewritten.text)
                .map_err(|error| LoadError::from_engine(&error))?;
        }
        engine.set_rego_v0(false);
        let questions = Questions::new(&modules, asked);
        for module in builtins::wrappers().into_iter().chain([questions.module()]) {
            engine.add_policy(module.path, module.text).map_err(|error| LoadError::from_engine(&error))?;
        }
        install_metadata(&mut engine, chains).map_err(|error| LoadError::from_engine(&error))?;
        engine.add_data(Value::from(data.clone())).map_err(|error| LoadError::from_engine(&error))?;
        prepare(&mut engine)?;
        let tests = unit_tests::tests(&modules);
        let inner = Inner { engine, names, questions, validators: Arc::default(), tests, rules, data };
        Ok(Self { inner: Arc::new(inner) })
    }

    /// The annotated rules that can yield results, in the order of the modules.
    #[must_use]
    pub fn rules(&self) -> &[Rule] {
        &self.inner.rules
    }

    /// The data document as it was given.
    #[must_use]
    pub fn data(&self) -> &serde_json::Value {
        &self.inner.data
    }
}

impl fmt::Debug for Policy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Policy").field("rules", &self.inner.rules.len()).finish_non_exhaustive()
    }
}

/// Refuses calls of what is not there, which the interpreter would notice only when it gets there.
pub(super) fn check_calls(calls: &[Call], names: &Names) -> Result<(), LoadError> {
    for Call { function, at } in calls {
        let (is_known, name) = match function {
            Function::Package(path) => (names.functions.contains(path), reference(path)),
            Function::Name { full, name } => {
                (names.functions.contains(full) || builtins::is_known(name), name.clone())
            }
        };
        if matches!(function, Function::Name { .. }) && builtins::is_forbidden(&name) {
            return Err(LoadError::Forbidden { at: at.clone(), name });
        }
        if !is_known {
            return Err(LoadError::UnknownFunction { at: at.clone(), name });
        }
    }
    Ok(())
}

/// Gives each call for annotations its answer.
fn install_metadata(engine: &mut Engine, chains: Vec<serde_json::Value>) -> anyhow::Result<()> {
    let rules: Vec<Value> = chains
        .iter()
        .map(|chain| {
            Value::from(chain[0].get("annotations").cloned().unwrap_or_else(|| serde_json::json!({})))
        })
        .collect();
    let chains = chains.into_iter().map(Value::from).collect();
    for (name, answers) in [(builtins::METADATA_CHAIN, chains), (builtins::METADATA_RULE, rules)] {
        let answers: Arc<Vec<Value>> = Arc::new(answers);
        let answer = move |arguments: Vec<Value>| {
            let number = usize::from(arguments[0].as_u16()?);
            Ok(answers.get(number).cloned().unwrap_or(Value::Undefined))
        };
        engine.add_extension(name.to_owned(), 1, Box::new(answer))?;
    }
    Ok(())
}

/// Schedules the statements of all modules, so that clones need not. What is found unsafe or recursive is found here.
fn prepare(engine: &mut Engine) -> Result<(), LoadError> {
    engine
        .eval_rule(super::evaluate::PREPARE.to_owned())
        .map(drop)
        .map_err(|error| LoadError::from_engine(&error))
}

impl EvalError {
    pub(super) fn document(what: &'static str, error: &serde_json::Error) -> Self {
        Self::Document { what, message: error.to_string() }
    }
}
