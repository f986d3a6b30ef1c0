//! `ec inspect`

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::process::ExitCode;

use serde_json::{Value, json};

use super::{Context, Outcome};
use crate::rego::{Kind, Policy, Rule};
use crate::{policy, sources, yaml};

#[derive(Clone, Debug, clap::Subcommand)]
pub(super) enum Command {
    /// Show the rules of policies.
    Policy(PolicyArgs),
    /// Show the data of policies, merged.
    PolicyData(DataArgs),
}

#[derive(Clone, Debug, clap::Args)]
pub(super) struct PolicyArgs {
    /// URL of rules. May be repeated.
    #[arg(short, long, value_name = "URL")]
    source: Vec<String>,
    /// Policy whose sources are shown, as for `ec validate image`.
    #[arg(short, long, value_name = "POLICY")]
    policy: Option<String>,
    #[arg(short, long, default_value = "text", value_name = "FORMAT")]
    output: RuleFormat,
    /// Show rules of this package.
    #[arg(long, value_name = "NAME")]
    package: Vec<String>,
    /// Show rules of this name, short or as package.name.
    #[arg(long, value_name = "NAME")]
    rule: Vec<String>,
    /// Show rules of this collection.
    #[arg(long, value_name = "NAME")]
    collection: Vec<String>,
}

#[derive(Clone, Debug, clap::Args)]
pub(super) struct DataArgs {
    /// URL of data. May be repeated.
    #[arg(short, long, required = true, value_name = "URL")]
    source: Vec<String>,
    #[arg(short, long, default_value = "json", value_name = "FORMAT")]
    output: DataFormat,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum RuleFormat {
    /// For reading.
    Text,
    /// All that is annotated, by source.
    Json,
    /// Codes.
    Names,
    /// Names without packages.
    ShortNames,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum DataFormat {
    Json,
    Yaml,
}

pub(super) async fn run(command: Command, context: &Context) -> Outcome {
    let text = match command {
        Command::Policy(args) => rules(args, context).await?,
        Command::PolicyData(args) => data(args, context).await?,
    };
    super::say(&text)?;
    Ok(ExitCode::SUCCESS)
}

async fn rules(args: PolicyArgs, context: &Context) -> anyhow::Result<String> {
    let mut urls = args.source.clone();
    if let Some(named) = &args.policy {
        let spec = policy::load(named, &context.environment.sources, &context.environment.cluster).await?;
        urls.extend(spec.sources.into_iter().flat_map(|source| source.policy));
    }
    anyhow::ensure!(
        !urls.is_empty(),
        "there is nothing to show: name a URL (--source) or a policy (--policy)"
    );
    // Together: one source may have the library of another.
    let (mut modules, mut origins) = (Vec::new(), BTreeMap::new());
    for url in urls {
        for module in context.environment.sources.fetch(&url).await?.modules()? {
            origins.entry(module.path.clone()).or_insert_with(|| {
                modules.push(module);
                url.clone()
            });
        }
    }
    let compiled = crate::rego::on_large_stack(move || Policy::compile(modules, json!({}))).await??;
    let mut found: BTreeMap<String, Vec<Rule>> = BTreeMap::new();
    for rule in compiled.rules().iter().filter(|rule| args.wants(rule)) {
        let url = origins.get(&rule.location.file).cloned().unwrap_or_default();
        found.entry(url).or_default().push(rule.clone());
    }
    for rules in found.values_mut() {
        rules.sort_by(|a, b| a.code.cmp(&b.code));
    }
    Ok(match args.output {
        RuleFormat::Text => text(&found),
        RuleFormat::Json => {
            let shown = |rules: &Vec<Rule>| rules.iter().map(record).collect::<Vec<_>>();
            let shown: BTreeMap<_, _> = found.iter().map(|(url, rules)| (url, shown(rules))).collect();
            format!("{}\n", serde_json::to_string(&shown)?)
        }
        RuleFormat::Names => lines(found.values().flatten().map(|rule| rule.code.as_str())),
        RuleFormat::ShortNames => lines(found.values().flatten().map(|rule| rule.short_name.as_str())),
    })
}

impl PolicyArgs {
    /// Whether any of the filters fits, if there are some.
    fn wants(&self, rule: &Rule) -> bool {
        let Self { package, rule: names, collection, .. } = self;
        let (code_package, _) = rule.code.rsplit_once('.').unwrap_or_default();
        package.is_empty() && names.is_empty() && collection.is_empty()
            || package.iter().any(|wanted| *wanted == rule.package || wanted == code_package)
            || names.iter().any(|wanted| *wanted == rule.code || *wanted == rule.short_name)
            || collection.iter().any(|wanted| rule.collections.contains(wanted))
    }
}

fn record(rule: &Rule) -> Value {
    json!({
        "code": rule.code,
        "package": rule.package,
        "kind": kind(rule),
        "location": rule.location.to_string(),
        "annotations": rule.annotations,
    })
}

fn lines<'a>(words: impl Iterator<Item = &'a str>) -> String {
    words.flat_map(|word| [word, "\n"]).collect()
}

fn kind(rule: &Rule) -> &'static str {
    match rule.kind {
        Kind::Deny => "deny",
        Kind::Warn => "warn",
    }
}

fn text(found: &BTreeMap<String, Vec<Rule>>) -> String {
    let mut text = String::new();
    for (url, rules) in found {
        // Writing to a String never fails.
        let _ = writeln!(text, "# Source: {url}\n");
        for rule in rules {
            let _ = writeln!(text, "{} ({})", rule.code, kind(rule));
            let collections = rule.collections.join(", ");
            for (label, value) in [
                ("", rule.title.as_str()),
                ("", rule.description.as_str()),
                ("Solution: ", rule.solution.as_str()),
                ("Collections: ", collections.as_str()),
                ("Effective on: ", rule.effective_on.as_deref().unwrap_or_default()),
            ] {
                if !value.is_empty() {
                    let _ = writeln!(text, "  {label}{}", value.trim_end().replace('\n', "\n  "));
                }
            }
            text.push_str("--\n");
        }
    }
    text
}

async fn data(args: DataArgs, context: &Context) -> anyhow::Result<String> {
    let fetched = args.source.iter().map(|url| context.environment.sources.fetch(url));
    let fetched = futures::future::try_join_all(fetched).await?;
    let merged = sources::merge(&fetched, None)?;
    match args.output {
        DataFormat::Json => Ok(format!("{merged}\n")),
        DataFormat::Yaml => yaml::print(&merged).map_err(anyhow::Error::msg),
    }
}
