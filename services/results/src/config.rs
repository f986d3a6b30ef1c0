//! The configuration file, as the original reads it: lines `NAME=value`, mounted from a ConfigMap.
//!
//! A value counts where neither a flag nor an environment variable gives one. It becomes the default of the flag with
//! that variable, so that it is parsed and complained about like one.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use clap::Command;

/// The file that is read if it is there.
pub const FILE: &str = "/etc/tekton/results/config";

/// Why the file cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("configuration file {path}", path = path.display())]
    Read { path: PathBuf, source: std::io::Error },
    #[error("configuration file {path}, line {line}: expected NAME=value", path = path.display())]
    Line { path: PathBuf, line: usize },
}

/// What the file says. None is as an empty one.
pub fn read(path: &Path) -> Result<BTreeMap<String, String>, Error> {
    match std::fs::read_to_string(path) {
        Ok(text) => parse(&text).map_err(|line| Error::Line { path: path.to_owned(), line }),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(BTreeMap::new()),
        Err(source) => Err(Error::Read { path: path.to_owned(), source }),
    }
}

/// `NAME=value` by line, with `#` before comments and quotes around a value where somebody likes them. A value that is
/// empty is none. The error is the number of a line that is something else.
fn parse(text: &str) -> Result<BTreeMap<String, String>, usize> {
    let mut values = BTreeMap::new();
    for (number, line) in text.lines().enumerate() {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let (name, value) = line.split_once('=').ok_or(number + 1)?;
        let name = name.trim();
        if name.is_empty() || !name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_') {
            return Err(number + 1);
        }
        let value = value.trim();
        let quoted = |mark| value.strip_prefix(mark).and_then(|rest: &str| rest.strip_suffix(mark));
        let value = quoted('"').or_else(|| quoted('\'')).unwrap_or(value);
        if !value.is_empty() {
            values.insert(name.to_owned(), value.to_owned());
        }
    }
    Ok(values)
}

/// The command with the file's values for defaults.
pub fn over(command: Command, values: &BTreeMap<String, String>) -> Command {
    command.mut_args(|arg| {
        let name = arg.get_env().map(|name| name.to_string_lossy().into_owned());
        match name.and_then(|name| values.get(&name)) {
            // Kept for ever, as clap wants it: once per process, and small.
            Some(value) => arg.required(false).default_value(&*value.clone().leak()),
            None => arg,
        }
    })
}

/// Arguments of the process over the file at [`FILE`]; ends the process if they cannot be used.
pub fn parse_args<A: clap::FromArgMatches + clap::CommandFactory>() -> A {
    parse_over(Path::new(FILE), std::env::args_os()).unwrap_or_else(|error| error.exit())
}

/// Arguments, the program's name first, and environment over a file.
pub fn parse_over<A: clap::FromArgMatches + clap::CommandFactory>(
    file: &Path,
    args: impl IntoIterator<Item = impl Into<OsString> + Clone>,
) -> Result<A, clap::Error> {
    let mut command = A::command();
    match read(file) {
        Ok(values) => command = over(command, &values),
        Err(error) => {
            let text = fleet::controller::chain(&error);
            return Err(command.error(clap::error::ErrorKind::Io, text));
        }
    }
    let matches = command.try_get_matches_from_mut(args)?;
    A::from_arg_matches(&matches).map_err(|error| error.format(&mut command))
}

#[cfg(test)]
mod tests {
    use clap::{CommandFactory as _, FromArgMatches as _};
    use rstest::rstest;

    use super::*;
    use crate::args::Args;

    fn parsed(file: &str, flags: &[&str]) -> Result<Args, clap::Error> {
        let command = over(Args::command(), &parse(file).unwrap());
        let matches = command.try_get_matches_from([&["results-api"], flags].concat())?;
        Args::from_arg_matches(&matches)
    }

    const CREDENTIALS: &str = "DB_USER=results\nDB_PASSWORD=secret\n";

    #[test]
    fn the_file_gives_defaults_and_a_flag_wins() {
        let file = format!(
            "{CREDENTIALS}\n# comment\nDB_PORT=6000\nDB_NAME = 'archive'\nLOGS_API=true\nS3_REGION=\n"
        );
        let args = parsed(&file, &["--db-port", "7000"]).unwrap();
        let options = args.database.options();
        assert_eq!((options.port, options.name.as_str(), args.logs.logs_api), (7000, "archive", true));
        assert_eq!(args.server_port, 8080, "what the file leaves out is as it was");
    }

    #[test]
    fn user_and_password_have_to_come_from_somewhere() {
        let error = parsed("", &[]).unwrap_err().to_string();
        assert!(error.contains("--db-user") && error.contains("--db-password"), "{error}");
        parsed(CREDENTIALS, &[]).unwrap();
    }

    #[test]
    fn a_bad_value_names_the_flag() {
        let error = parsed(&format!("{CREDENTIALS}DB_PORT=many"), &[]).unwrap_err().to_string();
        assert!(error.contains("--db-port") && error.contains("many"), "{error}");
    }

    #[rstest]
    #[case::no_equals("A=1\nnonsense", 2)]
    #[case::no_name("=1", 1)]
    #[case::odd_name("A B=1", 1)]
    fn refuses(#[case] text: &str, #[case] line: usize) {
        assert_eq!(parse(text), Err(line));
    }

    #[test]
    fn a_missing_file_says_nothing() {
        let folder = tempfile::tempdir().unwrap();
        assert!(read(&folder.path().join("config")).unwrap().is_empty());
        assert!(matches!(read(folder.path()), Err(Error::Read { .. })));
    }
}
