//! The text of a module and its syntax tree.

use std::num::{NonZeroU32, NonZeroUsize};

use regorus::PolicyLengthConfig;
use regorus::unstable::{Expr, Module as Tree, Parser, Source, Span};

use super::Module;
use super::error::{LoadError, Location};

/// What one module may measure. The interpreter's own limit of a line, 1,024 columns, is less than what policies have that
/// carry a JSON schema in one line.
pub(super) const LENGTHS: PolicyLengthConfig = PolicyLengthConfig {
    max_col: NonZeroU32::new(1 << 20).unwrap(),
    max_file_bytes: NonZeroUsize::new(4 << 20).unwrap(),
    max_lines: NonZeroUsize::new(100_000).unwrap(),
};

/// Which language a module is written in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Dialect {
    /// With `if` and `contains`: what OPA 1.x reads, and older ones after `import rego.v1`.
    V1,
    /// What OPA 0.x reads by default.
    V0,
}

/// A module as its author wrote it.
#[derive(Debug)]
pub(super) struct Parsed {
    pub(super) file: String,
    pub(super) text: String,
    pub(super) dialect: Dialect,
    pub(super) tree: Tree,
    /// The path of its package, without `data`.
    pub(super) package: Vec<String>,
}

impl Parsed {
    /// Reads a module. One that is not valid in the present language is tried as an old one; the error is then the first.
    pub(super) fn new(module: Module) -> Result<Self, LoadError> {
        let Module { path: file, text } = module;
        let (dialect, tree) = match parse(&file, &text, Dialect::V1) {
            Ok(tree) => (Dialect::V1, tree),
            Err(error) => match parse(&file, &text, Dialect::V0) {
                Ok(tree) => (Dialect::V0, tree),
                Err(_) => return Err(LoadError::from_engine(&error)),
            },
        };
        let package = path(&tree.package.refr).ok_or_else(|| LoadError::Rego {
            at: location(&tree.package.span),
            message: "the name of the package is not a path of names".to_owned(),
        })?;
        Ok(Self { file, text, dialect, tree, package })
    }

    /// Whether it holds unit tests, whose rules nobody selects.
    pub(super) fn is_test(&self) -> bool {
        self.file.ends_with("_test.rego")
    }
}

fn parse(file: &str, text: &str, dialect: Dialect) -> Result<Tree, anyhow::Error> {
    let source = Source::from_contents_with_limits(
        file.to_owned(),
        text.to_owned(),
        LENGTHS.max_file_bytes,
        LENGTHS.max_lines,
    )?;
    let mut parser = Parser::new(&source)?;
    parser.set_max_col(LENGTHS.max_col);
    if dialect == Dialect::V1 {
        parser.enable_rego_v1()?;
    }
    parser.parse()
}

/// Where a piece of a module stands.
pub(super) fn location(span: &Span) -> Location {
    Location { file: span.source.get_path().clone(), line: span.line }
}

/// The names of a reference that holds only names: `["lib", "x"]` for `lib.x` and `lib["x"]`. `None` for any other expression.
pub(super) fn path(expression: &Expr) -> Option<Vec<String>> {
    let mut names = Vec::new();
    let mut next = expression;
    loop {
        match next {
            Expr::Var { span, .. } => {
                names.push(span.text().to_owned());
                names.reverse();
                return Some(names);
            }
            Expr::RefDot { refr, field, .. } => {
                names.push(field.0.text().to_owned());
                next = refr;
            }
            Expr::RefBrack { refr, index, .. } => {
                let (Expr::String { value, .. } | Expr::RawString { value, .. }) = index.as_ref() else {
                    return None;
                };
                names.push(value.as_string().ok()?.to_string());
                next = refr;
            }
            _ => return None,
        }
    }
}

/// The longest leading part of a reference that holds only names: `["exception"]` for `exception[rules]`.
pub(super) fn leading_path(expression: &Expr) -> Vec<String> {
    let mut next = expression;
    loop {
        if let Some(names) = path(next) {
            return names;
        }
        match next {
            Expr::RefDot { refr, .. } | Expr::RefBrack { refr, .. } => next = refr,
            _ => return Vec::new(),
        }
    }
}

/// Writes a path as a reference that Rego can read: `data.policy["a-b"].deny`.
pub(super) fn reference<S: AsRef<str>>(names: &[S]) -> String {
    let mut text = String::from("data");
    for name in names.iter().map(AsRef::as_ref) {
        let plain = name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
            && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
        if plain {
            text.push('.');
            text.push_str(name);
        } else {
            text.push('[');
            text.push_str(&serde_json::Value::from(name).to_string());
            text.push(']');
        }
    }
    text
}
