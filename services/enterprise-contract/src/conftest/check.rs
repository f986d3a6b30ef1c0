//! `ec test`: judges files by the rules of some packages.

use std::collections::BTreeSet;
use std::sync::Arc;

use serde_json::Value;

use super::output::{self, Format};
use super::{Environment, Error, Finished, load};
use crate::rego::{Host, PackageOutcome, Policy, on_large_stack};

/// Judges files of configuration by policies.
#[derive(Clone, Debug, clap::Args)]
#[expect(clippy::struct_excessive_bools, reason = "each is a flag")]
pub struct TestArgs {
    /// Files to judge, JSON or YAML. Folders are searched; `-` is standard input.
    #[arg(required = true, value_name = "PATH")]
    pub files: Vec<String>,
    /// Folder or URL of rules. May be given several times.
    #[arg(short, long, default_value = "policy", value_name = "URL", value_delimiter = ',')]
    pub policy: Vec<String>,
    /// Folder, file or URL of data for the rules. May be given several times.
    #[arg(short, long, value_name = "URL", value_delimiter = ',')]
    pub data: Vec<String>,
    /// Package whose rules are asked. May be given several times.
    #[arg(short, long, default_value = "main", value_name = "PACKAGE", value_delimiter = ',')]
    pub namespace: Vec<String>,
    /// Ask the rules of all packages.
    #[arg(long)]
    pub all_namespaces: bool,
    /// How to print what was found.
    #[arg(short, long, value_enum, default_value_t = Format::Stdout)]
    pub output: Format,
    /// Judge all files as one document: a list of path and contents.
    #[arg(long)]
    pub combine: bool,
    /// Leave out paths that match this regular expression.
    #[arg(long, value_name = "REGEX")]
    pub ignore: Option<regex::Regex>,
    /// Exit with 0 also when something is wrong.
    #[arg(long)]
    pub no_fail: bool,
    /// Exit with 1 for warnings, and with 2 for failures.
    #[arg(long)]
    pub fail_on_warn: bool,
    /// Do not print exceptions.
    #[arg(long)]
    pub suppress_exceptions: bool,
    /// What is not finished yet has to be asked for.
    #[arg(long, env = "EC_EXPERIMENTAL", hide = true, default_value_t = false, value_parser = clap::builder::BoolishValueParser::new(), num_args = 0..=1, default_missing_value = "true")]
    pub experimental: bool,
}

/// What the rules of one package say of one file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Checked {
    pub(super) file: String,
    pub(super) outcome: PackageOutcome,
}

pub(super) async fn run(args: &TestArgs, environment: &Environment) -> Result<Finished, Error> {
    if !args.experimental {
        return Err(Error::NotExperimental);
    }
    let policy = load::policy(&environment.sources, &args.policy, &args.data).await?;
    let host = Arc::clone(&environment.host);
    let wanted = args.clone();
    let checked = on_large_stack(move || check(&wanted, &policy, &host)).await??;
    Ok(output::render(args, &checked, environment.now))
}

fn check(args: &TestArgs, policy: &Policy, host: &Arc<dyn Host>) -> Result<Vec<Checked>, Error> {
    let mut inputs = load::inputs(&args.files, args.ignore.as_ref())?;
    if args.combine {
        inputs = vec![load::combined(inputs)];
    }
    let wanted: BTreeSet<&str> = args.namespace.iter().map(String::as_str).collect();
    let mut checked = Vec::new();
    for input in inputs {
        let found = policy.evaluate(&input.content, &Value::Null, host);
        let found = found.map_err(|source| Error::Evaluate { what: input.name.clone(), source })?;
        checked.extend(
            found
                .into_iter()
                .filter(|outcome| args.all_namespaces || wanted.contains(outcome.namespace.as_str()))
                .map(|outcome| Checked { file: input.name.clone(), outcome }),
        );
    }
    // That nothing was asked must not look like that nothing was found.
    let asked = policy.asked_packages();
    if !checked.iter().any(|checked| asked.contains(&checked.outcome.namespace)) {
        let found: Vec<_> = asked.into_iter().collect();
        let asked = if args.all_namespaces { "of the policy".to_owned() } else { args.namespace.join(", ") };
        let found = if found.is_empty() { "none".to_owned() } else { found.join(", ") };
        return Err(Error::NoRules { asked, found });
    }
    Ok(checked)
}
