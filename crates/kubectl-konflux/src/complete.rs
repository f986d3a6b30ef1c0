//! Completion of commands and flags, in shells and behind `kubectl`.
//!
//! kubectl asks a program `kubectl_complete-konflux` of the path for candidates: one on a line, and in the last line
//! what to do with them, as a number after a colon.

use std::ffi::OsStr;
use std::io::Write;

use clap::{Arg, Command, CommandFactory as _, ValueEnum};

use crate::cli::Cli;

/// Of the candidates, nothing else: no names of files.
const NO_FILES: u8 = 4;
/// Names of files, where we know none.
const DEFAULT: u8 = 0;

/// What kubectl wants to find.
const FOR_KUBECTL: &str = "#!/bin/sh\nexec kubectl-konflux __complete \"$@\"\n";

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Shell {
    Bash,
    Fish,
    Zsh,
    Kubectl,
}

pub(crate) fn script(shell: Shell, out: &mut impl Write) -> anyhow::Result<()> {
    let shell = match shell {
        Shell::Bash => clap_complete::Shell::Bash,
        Shell::Fish => clap_complete::Shell::Fish,
        Shell::Zsh => clap_complete::Shell::Zsh,
        Shell::Kubectl => {
            out.write_all(FOR_KUBECTL.as_bytes())?;
            return Ok(());
        }
    };
    // To memory first: the generator ends the program where it cannot write.
    let mut text = Vec::new();
    let mut command = Cli::command().name("kubectl-konflux").bin_name("kubectl-konflux");
    clap_complete::generate(shell, &mut command, "kubectl-konflux", &mut text);
    out.write_all(&text)?;
    Ok(())
}

/// Candidates for the last of `words`, which may be empty.
pub(crate) fn candidates(words: &[String], out: &mut impl Write) -> anyhow::Result<()> {
    let (candidates, directive) = complete(words);
    for candidate in candidates {
        writeln!(out, "{candidate}")?;
    }
    writeln!(out, ":{directive}")?;
    Ok(())
}

fn complete(words: &[String]) -> (Vec<String>, u8) {
    let mut root = Cli::command();
    root.build();
    let (begun, before) = words.split_last().map_or(("", &[][..]), |(last, before)| (last.as_str(), before));
    let mut command = &root;
    let mut awaited: Option<&Arg> = None;
    for word in before {
        awaited = match awaited {
            // The value of the flag before it.
            Some(_) => None,
            None if word.starts_with('-') => flag(command, word),
            None => {
                command = command.find_subcommand(word).unwrap_or(command);
                None
            }
        };
    }
    let all = match awaited {
        Some(flag) => {
            let values = values(flag);
            if values.is_empty() {
                return (values, DEFAULT);
            }
            values
        }
        None if begun.starts_with('-') => flags(command),
        None => {
            let commands = command.get_subcommands().filter(|command| !command.is_hide_set());
            let positional = command.get_positionals().flat_map(values);
            commands.map(|command| command.get_name().to_owned()).chain(positional).collect()
        }
    };
    (all.into_iter().filter(|candidate| candidate.starts_with(begun)).collect(), NO_FILES)
}

/// The flag `word`, if its value has to follow as another word.
fn flag<'a>(command: &'a Command, word: &str) -> Option<&'a Arg> {
    let is_meant = |arg: &&Arg| {
        arg.get_long().is_some_and(|long| word.strip_prefix("--") == Some(long))
            || arg.get_short().is_some_and(|short| word == format!("-{short}"))
    };
    command.get_arguments().find(is_meant).filter(|arg| arg.get_action().takes_values())
}

fn flags(command: &Command) -> Vec<String> {
    let shown = command.get_arguments().filter(|arg| !arg.is_hide_set());
    shown.filter_map(|arg| arg.get_long()).map(|long| format!("--{long}")).collect()
}

fn values(arg: &Arg) -> Vec<String> {
    let values = arg.get_possible_values();
    let shown = values.iter().filter(|value| !value.is_hide_set());
    shown.map(|value| OsStr::new(value.get_name()).to_string_lossy().into_owned()).collect()
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case::commands(&[""], &["results", "logs", "completion"], ":4")]
    #[case::begun(&["lo"], &["logs"], ":4")]
    #[case::subcommands(&["results", ""], &["list", "get"], ":4")]
    #[case::flags(&["results", "list", "--comp"], &["--component"], ":4")]
    #[case::global_flags(&["logs", "--context"], &["--context"], ":4")]
    #[case::values(&["results", "list", "--status", "s"], &["succeeded"], ":4")]
    #[case::values_of_a_short_flag(&["results", "list", "-o", "y"], &["yaml"], ":4")]
    #[case::after_a_value(&["-n", "logs", "res"], &["results"], ":4")]
    #[case::file(&["--kubeconfig", ""], &[], ":0")]
    #[case::positional(&["completion", "k"], &["kubectl"], ":4")]
    #[case::nothing(&[], &["results", "logs"], ":4")]
    fn completes(#[case] words: &[&str], #[case] expected: &[&str], #[case] directive: &str) {
        let words: Vec<String> = words.iter().map(|word| (*word).to_owned()).collect();
        let mut out = Vec::new();
        candidates(&words, &mut out).unwrap();
        let text = String::from_utf8(out).unwrap();
        let lines: Vec<&str> = text.lines().collect();
        for candidate in expected {
            assert!(lines.contains(candidate), "{text}");
        }
        assert_eq!(lines.last(), Some(&directive));
        assert!(!lines.contains(&"__complete"), "{text}");
    }

    #[rstest]
    fn scripts_are_written(#[values(Shell::Bash, Shell::Fish, Shell::Zsh, Shell::Kubectl)] shell: Shell) {
        let mut out = Vec::new();
        script(shell, &mut out).unwrap();
        assert!(String::from_utf8(out).unwrap().contains("kubectl-konflux"));
    }
}
