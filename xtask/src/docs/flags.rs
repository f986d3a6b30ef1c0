//! docs/reference/flags.md: what each program's `--help` says, on one page.
use std::fmt::Write as _;

use clap::{Arg, ArgAction, Command};

use super::markdown::{self, cell, code};
use crate::services;

pub(super) fn page() -> String {
    let mut text = format!(
        "{}# Flags\n\nEach can also be given by its environment variable; the flag wins. A value that cannot be read ends the \
         start, naming flag and variable.\n",
        markdown::GENERATED
    );
    for (name, program) in services::programs() {
        let _ = write!(text, "\n## {name}\n\n{}", table(&(program.command)()));
    }
    text
}

fn table(command: &Command) -> String {
    let mut text = "| flag | variable | default | meaning |\n|---|---|---|---|\n".to_owned();
    for argument in command.get_arguments().filter(|argument| !argument.is_hide_set()) {
        let Some(long) = argument.get_long() else { continue };
        let variable = argument.get_env().map(|name| code(&name.to_string_lossy())).unwrap_or_default();
        let defaults: Vec<String> = argument
            .get_default_values()
            .iter()
            .filter(|value| !value.is_empty())
            .map(|value| code(&value.to_string_lossy()))
            .collect();
        let _ = writeln!(
            text,
            "| {} | {variable} | {} | {} |",
            code(&format!("--{long}{}", value(argument))),
            defaults.join(", "),
            meaning(argument)
        );
    }
    text
}

/// ` <ADDRESS>` for a flag that takes a value.
fn value(argument: &Arg) -> String {
    match (argument.get_action(), argument.get_value_names()) {
        (ArgAction::Set | ArgAction::Append, Some([name, ..])) => format!(" <{name}>"),
        _ => String::new(),
    }
}

fn meaning(argument: &Arg) -> String {
    let help =
        argument.get_long_help().or_else(|| argument.get_help()).map(ToString::to_string).unwrap_or_default();
    let mut sentences = vec![cell(&help)];
    if !sentences[0].is_empty() && !sentences[0].ends_with('.') {
        sentences[0].push('.');
    }
    let possible: Vec<String> = argument
        .get_possible_values()
        .iter()
        .filter(|value| !value.is_hide_set())
        .map(|value| match value.get_help() {
            Some(help) => {
                format!("{} ({})", code(value.get_name()), cell(help.to_string().trim_end_matches('.')))
            }
            None => code(value.get_name()),
        })
        .collect();
    if !possible.is_empty() {
        sentences.push(format!("One of {}.", possible.join(", ")));
    }
    let aliases: Vec<String> = argument
        .get_all_aliases()
        .unwrap_or_default()
        .iter()
        .map(|alias| code(&format!("--{alias}")))
        .collect();
    if !aliases.is_empty() {
        sentences.push(format!("Also {}.", aliases.join(", ")));
    }
    sentences.join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn row_says_what_help_says() {
        let command = Command::new("x")
            .arg(
                Arg::new("addr")
                    .long("metrics-addr")
                    .alias("metrics-bind-address")
                    .env("METRICS_ADDR")
                    .default_value("0.0.0.0:8080")
                    .value_name("ADDRESS")
                    .help("Address of /metrics"),
            )
            .arg(Arg::new("old").long("old").hide(true));
        let rows: Vec<String> = table(&command).lines().skip(2).map(str::to_owned).collect();
        assert_eq!(
            rows,
            [
                "| `--metrics-addr <ADDRESS>` | `METRICS_ADDR` | `0.0.0.0:8080` | Address of /metrics. Also `--metrics-bind-address`. |"
            ]
        );
    }
}
