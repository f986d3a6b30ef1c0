//! The course of a step, and what is left behind for each way in which it can end (section 2.3).

use alloc::format;
use alloc::string::{String, ToString as _};
use alloc::vec;
use alloc::vec::Vec;

use crate::flags::Flags;
use crate::message::{self, Entry};
use crate::results::{self, Candidate};
use crate::run::{self, Command, End};
use crate::sys::{self, Signal, Signals};
use crate::wait::{self, Waited};
use crate::{credentials, files, log, platform, substitute, time, tools};

/// How a step ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Outcome {
    Exited(i32),
    TimedOut,
    Cancelled,
    /// The step before has failed.
    Skipped,
    /// There was no command to run, or it could not be started.
    NotStarted,
    /// The pod was stopped while the step waited.
    Stopped(Signal),
}

/// What a step leaves behind.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Traces {
    /// What the next step sees.
    post: Post,
    /// Content of `status/exitCode`.
    exit_code: Option<String>,
    notes: Vec<Entry>,
    /// The container's.
    code: i32,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Post {
    /// `out`
    Well,
    /// `out.err`
    #[default]
    Badly,
    /// Nothing: somebody looks at the step and decides.
    Later,
}

impl Outcome {
    /// The table of the specification.
    fn traces(self, flags: &Flags) -> Traces {
        let failed = |code| Traces { code, ..Traces::default() };
        let because = |reason: &str| vec![Entry::note("Reason", reason)];
        match self {
            Self::Exited(0) => Traces { post: Post::Well, exit_code: Some("0".into()), ..failed(0) },
            Self::Exited(code) if flags.breakpoint => Traces { post: Post::Later, ..failed(code) },
            Self::Exited(code) if flags.continues => Traces {
                post: Post::Well,
                exit_code: Some(code.to_string()),
                notes: vec![Entry::note("ExitCode", code.to_string())],
                code: 0,
            },
            Self::Exited(code) => failed(code),
            Self::TimedOut => Traces { notes: because("TimeoutExceeded"), ..failed(1) },
            Self::Cancelled => Traces {
                exit_code: Some("killed".into()),
                notes: because("Cancelled"),
                ..failed(Signal::KILL.0)
            },
            Self::Skipped => Traces { notes: because("Skipped"), ..failed(1) },
            Self::NotStarted => failed(1),
            Self::Stopped(signal) => failed(128 + signal.0),
        }
    }
}

/// Runs a step. Returns the container's exit code.
pub(crate) fn run(flags: &Flags, environment: Vec<Vec<u8>>) -> i32 {
    let mut step = Step { flags, candidates: Vec::new(), started_at: None };
    let signals = match Signals::take() {
        Ok(signals) => signals,
        Err(error) => {
            log!("cannot receive signals: {error}");
            return step.end(Outcome::NotStarted);
        }
    };
    let outcome = step.course(environment, &signals).unwrap_or_else(|fault| {
        log!("{fault}");
        Outcome::NotStarted
    });
    let code = step.end(outcome);
    match (outcome, &flags.post_file) {
        (Outcome::Exited(failed), Some(file)) if failed != 0 && flags.breakpoint => {
            after_breakpoint(&format!("{file}.breakpointexit"), flags, &signals)
        }
        _ => code,
    }
}

/// Waits until somebody who has looked at a failed step writes how it goes on. Text that is no number lets the run go on.
fn after_breakpoint(file: &str, flags: &Flags, signals: &Signals) -> i32 {
    log!("the step has failed and waits for {file}");
    match wait::wait(file, true, &flags.places, signals) {
        Waited::Ready => {
            let text = files::read(file, 16).unwrap_or_default();
            crate::text(&text).trim().parse().unwrap_or(0)
        }
        Waited::Failed => 1,
        Waited::Cancelled => Signal::KILL.0,
        Waited::Stopped(signal) => 128 + signal.0,
    }
}

struct Step<'a> {
    flags: &'a Flags,
    candidates: Vec<Candidate>,
    started_at: Option<String>,
}

impl Step<'_> {
    /// All that comes before and while the command runs. An error is a step that could not start.
    fn course(&mut self, environment: Vec<Vec<u8>>, signals: &Signals) -> Result<Outcome, String> {
        let flags = self.flags;
        if let Some(fault) = &flags.fault {
            return Err(fault.clone());
        }
        tools::make_links(&flags.places, &flags.links)?;
        credentials::write(&flags.credentials, &flags.places, &environment);
        if let Some(folder) = &flags.metadata_folder {
            for folder in [format!("{folder}/results"), format!("{folder}/artifacts")] {
                files::make_folders(&folder, 0o777)
                    .map_err(|error| format!("cannot make folder {folder}: {error}"))?;
            }
        }
        for file in &flags.wait_files {
            let outcome = match wait::wait(file, flags.wait_for_content, &flags.places, signals) {
                Waited::Ready => continue,
                Waited::Failed => Outcome::Skipped,
                Waited::Cancelled => Outcome::Cancelled,
                Waited::Stopped(signal) => Outcome::Stopped(signal),
            };
            self.started_at = Some(time::rfc3339(sys::now()));
            return Ok(outcome);
        }
        self.started_at = Some(time::rfc3339(sys::now()));
        if let Some(folder) = &flags.working_folder {
            files::make_folders(folder, 0o777)
                .and_then(|()| sys::change_folder(folder.as_bytes()))
                .map_err(|error| format!("cannot work in folder {folder}: {error}"))?;
        }
        let command = command(flags, environment)?;
        self.candidates = results::before(flags);
        Ok(match run::run(command, &flags.places, signals)? {
            End::Exited(code) => Outcome::Exited(code),
            End::TimedOut => Outcome::TimedOut,
            End::Cancelled => Outcome::Cancelled,
        })
    }

    /// Leaves behind what the outcome asks for, and returns the exit code. The next step is told last: it may overwrite
    /// results, and read the exit code.
    fn end(&self, outcome: Outcome) -> i32 {
        let mut traces = outcome.traces(self.flags);
        if let Err(fault) = self.leave_message(&traces) {
            log!("{fault}");
            // A step whose results get lost has not done what it is for.
            if let Outcome::Exited(code) = outcome
                && traces.post != Post::Later
            {
                traces = Traces { code: code.max(1), ..Traces::default() };
            }
        }
        if let (Some(folder), Some(exit_code)) = (&self.flags.metadata_folder, &traces.exit_code) {
            let file = format!("{folder}/exitCode");
            if let Err(error) = files::write(&file, exit_code.as_bytes(), 0o666) {
                log!("cannot write {file}: {error}");
                traces.post = if traces.post == Post::Later { Post::Later } else { Post::Badly };
                traces.code = traces.code.max(1);
            }
        }
        let post = self.flags.post_file.as_ref().and_then(|file| match traces.post {
            Post::Well => Some(file.clone()),
            Post::Badly => Some(format!("{file}.err")),
            Post::Later => None,
        });
        if let Some(file) = post
            && let Err(error) = files::write(&file, b"", 0o666)
        {
            log!("cannot write {file}: {error}; steps behind this one wait for it in vain");
            return traces.code.max(1);
        }
        traces.code
    }

    /// Writes the termination message; without results if they do not fit.
    fn leave_message(&self, traces: &Traces) -> Result<(), String> {
        let Some(file) = &self.flags.termination_file else { return Ok(()) };
        let started_at = self.started_at.iter().map(|time| Entry::note("StartedAt", time.as_str()));
        let notes: Vec<Entry> = started_at.chain(traces.notes.iter().cloned()).collect();
        let made = results::made(&self.candidates);
        let with_results: Vec<Entry> =
            notes.iter().cloned().chain(made.iter().map(|made| made.entry.clone())).collect();
        let message = message::write(&with_results);
        let limit = self.limit();
        let fits = message.len() <= limit;
        let message = if fits { message } else { message::write(&notes) };
        files::write(file, message.as_bytes(), 0o666)
            .map_err(|error| format!("cannot write the termination message {file}: {error}"))?;
        if fits {
            return Ok(());
        }
        let sizes = made.iter().map(|made| (made.entry.key.as_str(), made.size)).collect();
        Err(message::too_large(sizes, limit))
    }

    /// How long the message may be. The kubelet cuts messages of pods with many containers, and cut JSON is worth nothing;
    /// there are at least as many containers as steps, which each have a folder.
    fn limit(&self) -> usize {
        let places = &self.flags.places;
        let mut steps = 1;
        while sys::stat(places.run(steps).as_bytes()).is_ok() {
            steps += 1;
        }
        message::MAX.min(message::MAX_OF_POD / steps)
    }
}

/// The command of the Task, or of the image, with results of steps before in it.
fn command(flags: &Flags, environment: Vec<Vec<u8>>) -> Result<Command<'_>, String> {
    let mut words = match &flags.command {
        Some(program) => vec![program.clone()],
        None => of_image(&environment)?,
    };
    words.extend(flags.rest.iter().cloned());
    let results = |step: &str, result: &str| {
        let file = format!("{}/results/{result}", flags.places.step(&format!("step-{step}")));
        files::read(&file, MAX_SUBSTITUTED).ok().map(|content| crate::text(&content))
    };
    let environment = environment
        .into_iter()
        .map(|variable| substitute::text(variable, &results))
        .collect::<Result<_, _>>()?;
    Ok(Command {
        words: substitute::arguments(words, &results)?,
        environment,
        timeout: flags.timeout,
        stdout: flags.stdout.as_deref(),
        stderr: flags.stderr.as_deref(),
    })
}

/// The largest result that can be put into a command: the kernel's limit of one argument.
const MAX_SUBSTITUTED: usize = 128 * 1024;

fn of_image(environment: &[Vec<u8>]) -> Result<Vec<Vec<u8>>, String> {
    let prefix = format!("{}=", platform::VARIABLE);
    let commands = environment
        .iter()
        .find_map(|variable| variable.strip_prefix(prefix.as_bytes()))
        .ok_or("no command: neither the step nor its image names one")?;
    let words = platform::command(&crate::text(commands), &platform::NAMES)
        .filter(|words| !words.is_empty())
        .ok_or_else(|| format!("no command: the image has none for {}", platform::NAMES[0]))?;
    Ok(words.into_iter().map(String::into_bytes).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    fn flags(continues: bool, breakpoint: bool) -> Flags {
        Flags { continues, breakpoint, ..Flags::default() }
    }

    #[rstest]
    #[case::success(Outcome::Exited(0), flags(false, false), Post::Well, Some("0"), None, 0)]
    #[case::success_with_continue(Outcome::Exited(0), flags(true, true), Post::Well, Some("0"), None, 0)]
    #[case::failure(Outcome::Exited(7), flags(false, false), Post::Badly, None, None, 7)]
    #[case::failure_goes_on(Outcome::Exited(7), flags(true, false), Post::Well, Some("7"), Some(("ExitCode", "7")), 0)]
    #[case::breakpoint(Outcome::Exited(7), flags(true, true), Post::Later, None, None, 7)]
    #[case::timeout(Outcome::TimedOut, flags(true, true), Post::Badly, None, Some(("Reason", "TimeoutExceeded")), 1)]
    #[case::cancel(Outcome::Cancelled, flags(true, true), Post::Badly, Some("killed"), Some(("Reason", "Cancelled")), 9)]
    #[case::skip(Outcome::Skipped, flags(true, true), Post::Badly, None, Some(("Reason", "Skipped")), 1)]
    #[case::no_start(Outcome::NotStarted, flags(true, true), Post::Badly, None, None, 1)]
    #[case::stopped(Outcome::Stopped(Signal::TERMINATE), flags(true, false), Post::Badly, None, None, 143)]
    fn leaves(
        #[case] outcome: Outcome,
        #[case] flags: Flags,
        #[case] post: Post,
        #[case] exit_code: Option<&str>,
        #[case] note: Option<(&str, &str)>,
        #[case] code: i32,
    ) {
        let notes = note.map(|(key, value)| Entry::note(key, value)).into_iter().collect();
        let expected = Traces { post, exit_code: exit_code.map(Into::into), notes, code };
        assert_eq!(outcome.traces(&flags), expected);
    }
}
