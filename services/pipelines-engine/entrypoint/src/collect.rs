//! The sidecar that hands results on by its log, where they may be larger than a termination message (section 2.4): waits
//! until all steps have ended, and prints a line of JSON for each result.

use alloc::borrow::ToOwned as _;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use crate::files;
use crate::json;
use crate::places::Places;
use crate::sys::{File, Signals};
use crate::wait::{self, Waited};

/// The longest result that is read, in bytes, unless it is told another length. The engine stores none that is longer.
const MAX: usize = 1_572_864;

/// What to collect, as the engine's command line says it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Wanted {
    /// How many steps there are.
    steps: usize,
    /// Where the Task's results are.
    folder: String,
    results: Vec<String>,
    /// Names of steps' containers, with those of their results.
    of_steps: Vec<(String, Vec<String>)>,
    /// Of one result, in bytes.
    limit: usize,
}

/// Runs the subcommand with these arguments.
pub(crate) fn run(arguments: &[&str], places: &Places) -> Result<(), String> {
    let wanted = parse(arguments, places)?;
    let signals = Signals::take().map_err(|error| format!("cannot receive signals: {error}"))?;
    for index in 0..wanted.steps {
        match wait::wait(&format!("{}/out", places.run(index)), false, places, &signals) {
            Waited::Ready | Waited::Failed => {}
            Waited::Cancelled | Waited::Stopped(_) => {
                return Err(format!("stopped before step {index} has ended: results are lost"));
            }
        }
    }
    for name in &wanted.results {
        hand_on(name, "task", &format!("{}/{name}", wanted.folder), wanted.limit)?;
    }
    for (step, names) in &wanted.of_steps {
        for name in names {
            let file = format!("{}/results/{name}", places.step(step));
            hand_on(&format!("{step}.{name}"), "step", &file, wanted.limit)?;
        }
    }
    Ok(())
}

fn parse(arguments: &[&str], places: &Places) -> Result<Wanted, String> {
    let mut wanted = Wanted { folder: places.results(), limit: MAX, ..Wanted::default() };
    let mut words = arguments.iter();
    while let Some(word) = words.next() {
        let name = word.strip_prefix('-').map(|word| word.strip_prefix('-').unwrap_or(word));
        let (name, value) = match name.and_then(|name| name.split_once('=')) {
            Some((name, value)) => (Some(name), Some(value)),
            None => (name, words.next().copied()),
        };
        let value = value.ok_or_else(|| format!("flag {word} has no value"))?;
        let number = || value.parse().map_err(|_| format!("flag {word}: {value:?} is no number"));
        match name {
            Some("results-dir") => wanted.folder = format!("{}{value}", places.root),
            Some("result-names") => wanted.results = list(value),
            Some("step-results") => {
                wanted.of_steps = of_steps(value)
                    .ok_or_else(|| format!("flag {word}: {value:?} is no object of lists of names"))?;
            }
            Some("steps") => wanted.steps = number()?,
            Some("max-result-size") => wanted.limit = number()?,
            _ => return Err(format!("unknown argument {word:?}")),
        }
    }
    Ok(wanted)
}

fn list(value: &str) -> Vec<String> {
    value.split(',').filter(|name| !name.is_empty()).map(str::to_owned).collect()
}

/// `{"step-a":["x","y"]}`
fn of_steps(value: &str) -> Option<Vec<(String, Vec<String>)>> {
    let names = |list: &str| json::array(list)?.into_iter().map(json::string).collect::<Option<Vec<_>>>();
    json::object(value)?.into_iter().map(|(step, list)| Some((step, names(list)?))).collect()
}

/// Prints a result, if the steps have made it. Of one that is too long there is enough to see that.
fn hand_on(name: &str, kind: &str, file: &str, limit: usize) -> Result<(), String> {
    let Ok(content) = files::read(file, limit.saturating_add(1)) else { return Ok(()) };
    let mut line = String::from("{\"name\":");
    json::write_string(&mut line, name);
    line.push_str(",\"value\":");
    json::write_string(&mut line, &crate::text(&content));
    line.push_str(",\"type\":");
    json::write_string(&mut line, kind);
    line.push_str("}\n");
    File::STDOUT.write_all(line.as_bytes()).map_err(|error| format!("cannot hand on {name}: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_its_command_line() {
        let arguments = [
            "-results-dir",
            "/tekton/results",
            "--result-names=a,b",
            "-step-results",
            r#"{"step-x":["r","s"]}"#,
            "-steps",
            "2",
            "-max-result-size=10",
        ];
        let wanted = parse(&arguments, &Places::default()).unwrap();
        let expected = Wanted {
            steps: 2,
            folder: "/tekton/results".into(),
            results: vec!["a".into(), "b".into()],
            of_steps: vec![("step-x".into(), vec!["r".into(), "s".into()])],
            limit: 10,
        };
        assert_eq!(wanted, expected);
        assert_eq!(parse(&[], &Places::default()).unwrap().limit, MAX);
        for (wrong, why) in [
            ("-steps=x", "no number"),
            ("-steps", "no value"),
            ("-x=y", "unknown"),
            ("-step-results=[]", "no object"),
        ] {
            let error = parse(&[wrong], &Places::default()).unwrap_err();
            assert!(error.contains(why), "{error}");
        }
    }
}
