//! What is to be prefetched.

use anyhow::{Context as _, bail, ensure};
use serde::Deserialize;
use serde_json::Value;

const MAX_PACKAGES: usize = 100;

/// A package manager that is supported.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Cargo,
    Generic,
    Gomod,
    Npm,
    Pip,
}

impl Kind {
    const ALL: [Self; 5] = [Self::Cargo, Self::Generic, Self::Gomod, Self::Npm, Self::Pip];

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Cargo => "cargo",
            Self::Generic => "generic",
            Self::Gomod => "gomod",
            Self::Npm => "npm",
            Self::Pip => "pip",
        }
    }

    fn parse(name: &str) -> anyhow::Result<Self> {
        let known = Self::ALL.map(Self::name).join(", ");
        Self::ALL
            .into_iter()
            .find(|kind| kind.name() == name)
            .with_context(|| format!("package manager {name:?} is not supported; there are {known}"))
    }
}

/// A folder of the source, and who manages its dependencies.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Package {
    pub(super) kind: Kind,
    pub(super) path: String,
    pub(super) options: Options,
}

/// What only some package managers look at.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub(super) struct Options {
    /// pip: files with what is needed to run. `requirements.txt` if none is named.
    pub(super) requirements_files: Option<Vec<String>>,
    /// pip: files with what is needed to build those. `requirements-build.txt`, if there is one and none is named.
    pub(super) requirements_build_files: Option<Vec<String>>,
    /// pip: also takes what is built already.
    pub(super) allow_binary: bool,
    /// generic: `artifacts.lock.yaml` if none is named.
    pub(super) lockfile: Option<String>,
}

#[derive(Deserialize)]
struct Written {
    #[serde(rename = "type")]
    kind: String,
    #[serde(default)]
    path: Option<String>,
    #[serde(flatten)]
    options: Options,
}

pub(super) fn parse(input: &str) -> anyhow::Result<Vec<Package>> {
    let input = input.trim();
    if !input.starts_with(['{', '[', '"']) {
        return Ok(vec![Package {
            kind: Kind::parse(input)?,
            path: ".".to_owned(),
            options: Options::default(),
        }]);
    }
    let written = match serde_json::from_str(input).context("it is neither a name nor JSON")? {
        Value::Array(list) => list,
        Value::Object(mut object) if object.contains_key("packages") => match object.remove("packages") {
            Some(Value::Array(list)) => list,
            _ => bail!("packages is no list"),
        },
        single => vec![single],
    };
    ensure!(written.len() <= MAX_PACKAGES, "there are more than {MAX_PACKAGES} packages");
    written.into_iter().map(package).collect()
}

fn package(written: Value) -> anyhow::Result<Package> {
    if let Value::String(kind) = &written {
        return Ok(Package { kind: Kind::parse(kind)?, path: ".".to_owned(), options: Options::default() });
    }
    let Written { kind, path, options } =
        serde_json::from_value(written).context("a package is {\"type\": …, \"path\": …}")?;
    Ok(Package { kind: Kind::parse(&kind)?, path: path.unwrap_or_else(|| ".".to_owned()), options })
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    fn package(kind: Kind, path: &str) -> Package {
        Package { kind, path: path.to_owned(), options: Options::default() }
    }

    #[rstest]
    #[case::name("gomod", &[package(Kind::Gomod, ".")])]
    #[case::object(r#"{"type": "npm"}"#, &[package(Kind::Npm, ".")])]
    #[case::list(r#"[{"type": "pip", "path": "a"}, {"type": "cargo"}, "npm"]"#, &[package(Kind::Pip, "a"), package(Kind::Cargo, "."), package(Kind::Npm, ".")])]
    #[case::packages(r#"{"packages": [{"type": "generic", "other": 1}], "flags": []}"#, &[package(Kind::Generic, ".")])]
    fn reads(#[case] input: &str, #[case] expected: &[Package]) {
        assert_eq!(parse(input).unwrap(), expected);
    }

    #[rstest]
    #[case::other_manager(
        r#"{"type": "rpm"}"#,
        "\"rpm\" is not supported; there are cargo, generic, gomod, npm, pip"
    )]
    #[case::no_json("{", "neither a name nor JSON")]
    #[case::no_type("{}", "a package is")]
    #[case::no_list(r#"{"packages": 1}"#, "packages is no list")]
    fn refuses(#[case] input: &str, #[case] expected: &str) {
        let error = format!("{:#}", parse(input).unwrap_err());
        assert!(error.contains(expected), "{error}");
    }
}
