//! What an expression is evaluated over.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::sync::Arc;

use cel::common::types::{
    CelBool, CelDouble, CelInt, CelList, CelMap, CelMapKey, CelNull, CelString, CelUInt,
};
use cel::common::value::Val;
use cel::extractors::This;
use cel::{Context, ExecutionError, IdedExpr};
use serde_json::Value;

use crate::regexes::Regexes;
use crate::shape::{Shape, TooLarge};
use crate::{ENVIRONMENT, Invalid, beside};

/// Names that an expression may use, and what they stand for.
#[derive(Clone, Debug, Default)]
pub struct Variables<'v> {
    values: BTreeMap<String, Given<'v>>,
    /// Names of variables that have another text beside literals with a mark.
    beside: Vec<(&'v str, &'v str)>,
    functions: Vec<Function>,
    facts: Vec<(String, bool)>,
    hint: Option<&'v str>,
}

#[derive(Clone, Debug)]
enum Given<'v> {
    Text(Cow<'v, str>),
    Json(&'v Value),
    /// It is there, but nobody has asked for it yet: an expression that looks at it has no answer.
    Unknown,
}

/// A function of a text: `"text".name()`.
#[derive(Clone)]
struct Function {
    name: String,
    steps: u64,
    call: Arc<Call>,
}

type Call = dyn Fn(&str) -> Result<bool, String> + Send + Sync;

impl fmt::Debug for Function {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Function")
            .field("name", &self.name)
            .field("steps", &self.steps)
            .finish_non_exhaustive()
    }
}

impl<'v> Variables<'v> {
    /// None yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// None at all, with what to tell somebody who uses one nevertheless.
    pub fn none(hint: &'v str) -> Self {
        Self { hint: Some(hint), ..Self::default() }
    }

    #[must_use]
    pub fn text(mut self, name: &str, text: impl Into<Cow<'v, str>>) -> Self {
        self.values.insert(name.to_owned(), Given::Text(text.into()));
        self
    }

    /// A text that is `text`, but `beside` in comparisons with literals that contain `mark`.
    #[must_use]
    pub fn text_beside(
        mut self,
        name: &'v str,
        text: impl Into<Cow<'v, str>>,
        mark: &'v str,
        beside: impl Into<Cow<'v, str>>,
    ) -> Self {
        self.beside.push((name, mark));
        self.text(&beside::other_name(name), beside).text(name, text)
    }

    #[must_use]
    pub fn json(mut self, name: &str, value: &'v Value) -> Self {
        self.values.insert(name.to_owned(), Given::Json(value));
        self
    }

    /// Something that is not known yet. An expression has an answer only if it does not depend on it.
    #[must_use]
    pub fn unknown(mut self, name: &str) -> Self {
        self.values.insert(name.to_owned(), Given::Unknown);
        self
    }

    /// A function of a text, `"text".name()`. `steps`: how long a call takes, in microseconds.
    #[must_use]
    pub fn function(
        mut self,
        name: &str,
        steps: u64,
        call: impl Fn(&str) -> Result<bool, String> + Send + Sync + 'static,
    ) -> Self {
        self.functions.push(Function { name: name.to_owned(), steps, call: Arc::new(call) });
        self
    }

    /// A function of nothing, `name()`.
    #[must_use]
    pub fn fact(mut self, name: &str, holds: bool) -> Self {
        self.facts.push((name.to_owned(), holds));
        self
    }

    pub(crate) fn rename(&self, expression: &mut IdedExpr) {
        for (name, mark) in &self.beside {
            beside::rename(expression, name, mark);
        }
    }

    /// Sizes of those that `text` may use.
    pub(crate) fn shapes(&self, text: &str) -> Result<BTreeMap<&str, Shape<'_>>, TooLarge> {
        let used = self.values.iter().filter(|(name, _)| is_used(text, name));
        used.map(|(name, given)| {
            let shape = match given {
                Given::Text(text) => Shape::of_text(text),
                Given::Json(value) => Shape::of(name, value)?,
                Given::Unknown => Shape::default(),
            };
            Ok((name.as_str(), shape))
        })
        .collect()
    }

    /// Steps of a function of ours. `None` if it is none.
    pub(crate) fn steps_of(&self, function: &str) -> Option<u64> {
        self.functions.iter().find(|known| known.name == function).map(|known| known.steps)
    }

    /// What to tell somebody who uses a name that stands for nothing.
    pub(crate) fn hint(&self) -> String {
        self.hint.map_or_else(
            || {
                let names = self.values.keys().filter(|name| !name.contains('@'));
                let names: Vec<&str> = names.map(String::as_str).collect();
                format!("there are {}", names.join(", "))
            },
            str::to_owned,
        )
    }

    /// Those that `text` may use, for the interpreter.
    pub(crate) fn context(&self, text: &str) -> Result<Context<'_, '_>, Invalid> {
        let mut context = Context::with_env(Arc::clone(&ENVIRONMENT));
        for (name, given) in self.values.iter().filter(|(name, _)| is_used(text, name)) {
            let value = match given {
                Given::Text(text) => Box::new(CelString::from(text.as_ref())),
                Given::Json(value) => val(value),
                Given::Unknown => continue,
            };
            context.add_variable_as_val(name, value);
        }
        for Function { name, call, .. } in self.functions.clone() {
            let function = name.clone();
            context
                .add_function(&name, move |This(text): This<Arc<String>>| {
                    call(&text).map_err(|error| ExecutionError::function_error(&function, error))
                })
                .map_err(Invalid::new)?;
        }
        for (name, holds) in self.facts.clone() {
            context.add_function(&name, move || holds).map_err(Invalid::new)?;
        }
        let regexes = Regexes::default();
        context
            .add_function("matches", move |This(text): This<Arc<String>>, pattern: Arc<String>| {
                regexes.is_match(&text, &pattern)
            })
            .map_err(Invalid::new)?;
        Ok(context)
    }
}

/// Whether `text` may use a variable. Others cost nothing.
fn is_used(text: &str, name: &str) -> bool {
    text.contains(name.split('@').next().unwrap_or(name))
}

/// As the interpreter has it. Texts are borrowed.
fn val(value: &Value) -> Box<dyn Val + '_> {
    match value {
        Value::Null => Box::new(CelNull),
        Value::Bool(truth) => Box::new(CelBool::from(*truth)),
        Value::Number(number) => match (number.as_i64(), number.as_u64()) {
            (Some(number), _) => Box::new(CelInt::from(number)),
            (None, Some(number)) => Box::new(CelUInt::from(number)),
            (None, None) => Box::new(CelDouble::from(number.as_f64().unwrap_or(f64::NAN))),
        },
        Value::String(text) => Box::new(CelString::from(text.as_str())),
        Value::Array(items) => Box::new(CelList::from(items.iter().map(val).collect::<Vec<_>>())),
        Value::Object(fields) => {
            let fields = fields.iter().map(|(name, value)| (CelMapKey::from(name.as_str()), val(value)));
            Box::new(CelMap::from(fields.collect::<HashMap<_, _>>()))
        }
    }
}
