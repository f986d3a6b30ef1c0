//! `ec opa`: the commands of OPA that writers of policies need, with the functions `ec.*`.

use std::sync::Arc;

use super::{Environment, Error, Finished, load, unit_tests};
use crate::rego::on_large_stack;
use crate::yaml;

/// Commands of OPA for writers of policies.
#[derive(Clone, Debug, clap::Subcommand)]
pub enum OpaCommand {
    /// Run unit tests.
    Test(unit_tests::Args),
    /// Evaluate a query.
    Eval(Eval),
    /// Check that policies can be loaded.
    Check(Check),
}

#[derive(Clone, Debug, clap::Args)]
pub struct Eval {
    /// What to evaluate, as `data.main.deny` or `x := input.name`.
    #[arg(value_name = "QUERY")]
    pub query: String,
    /// Folder, file or URL with rules and data. May be given several times.
    #[arg(short, long, value_name = "URL")]
    pub data: Vec<String>,
    /// File with the input, JSON or YAML; `-` is standard input.
    #[arg(short, long, value_name = "FILE")]
    pub input: Option<String>,
    /// How to print the answer.
    #[arg(short, long, value_enum, default_value_t = Format::Json)]
    pub format: Format,
    /// Exit with 1 if the answer is undefined.
    #[arg(long)]
    pub fail: bool,
    /// Exit with 1 if the answer is defined.
    #[arg(long, conflicts_with = "fail")]
    pub fail_defined: bool,
}

/// How `ec opa eval` prints its answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Format {
    /// Results with expressions and bindings.
    Json,
    /// The values, one a line.
    Raw,
}

#[derive(Clone, Debug, clap::Args)]
pub struct Check {
    /// Folders, files or URLs with rules and data.
    #[arg(required = true, value_name = "PATH")]
    pub paths: Vec<String>,
}

pub(super) async fn run(command: &OpaCommand, environment: &Environment) -> Result<Finished, Error> {
    match command {
        OpaCommand::Test(args) => unit_tests::run(args, environment).await,
        OpaCommand::Eval(args) => eval(args, environment).await,
        OpaCommand::Check(args) => {
            load::policy(&environment.sources, &args.paths, &[]).await?;
            Ok(Finished { text: String::new(), code: 0 })
        }
    }
}

async fn eval(args: &Eval, environment: &Environment) -> Result<Finished, Error> {
    let policy = load::optional_policy(&environment.sources, &args.data).await?;
    let input = args.input.as_deref().map(|file| {
        let wrong = |why: String| Error::File { file: file.to_owned(), why };
        let content = load::read(file).map_err(|error| wrong(error.to_string()))?;
        yaml::parse(&content).map_err(wrong)
    });
    let input = input.transpose()?;
    let (query, host) = (args.query.clone(), Arc::clone(&environment.host));
    let answer =
        on_large_stack(move || policy.query(&query, input.as_ref(), &serde_json::Value::Null, &host));
    let answer = answer.await?.map_err(|source| Error::Evaluate { what: "the query".to_owned(), source })?;
    let results = answer["result"].as_array().map_or(&[][..], Vec::as_slice);
    let is_defined = !results.is_empty();
    let text = match args.format {
        Format::Json => format!("{answer:#}\n"),
        Format::Raw => results
            .iter()
            .flat_map(|result| result["expressions"].as_array().map_or(&[][..], Vec::as_slice))
            .map(|expression| match &expression["value"] {
                serde_json::Value::String(text) => format!("{text}\n"),
                value => format!("{value}\n"),
            })
            .collect(),
    };
    let code = u8::from((args.fail && !is_defined) || (args.fail_defined && is_defined));
    Ok(Finished { text, code })
}
