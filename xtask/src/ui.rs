//! What the user sees: one line per step with the time it took, what is waited for meanwhile, and errors that
//! say what to do next.
//!
//! ```text
//! ✔  12.3s  Kubernetes programs built
//! …   4.0s  waiting for the node to be Ready: container runtime is not ready
//! ✘   1:02  node did not become Ready
//! ```
//! Steps go to standard error, so that standard output holds only what a command was asked for.
use std::{
    io::{IsTerminal as _, Write as _},
    time::{Duration, Instant},
};

use parking_lot::Mutex;

/// How often a wait is mentioned again when output is no terminal (a log of a CI run).
const REMIND: Duration = Duration::from_secs(15);

/// A step of a command. Ends by [`Step::done`]; dropped without it, it is shown as failed.
pub struct Step {
    what: String,
    began: Instant,
    shown: Mutex<Shown>,
    ended: bool,
}

struct Shown {
    last: Option<Instant>,
    /// A line without line end stands on the terminal and has to be overwritten.
    transient: bool,
}

/// Begins a step, named by what will have been reached: "node is Ready".
pub fn step(what: impl Into<String>) -> Step {
    let step = Step {
        what: what.into(),
        began: Instant::now(),
        shown: Mutex::new(Shown { last: None, transient: false }),
        ended: false,
    };
    if std::io::stderr().is_terminal() {
        step.waiting("");
    }
    step
}

impl Step {
    /// Says what is waited for. Cheap to call often: a terminal shows the newest, a log one now and then.
    pub fn waiting(&self, on: &str) {
        let mut shown = self.shown.lock();
        let line = if on.is_empty() { self.what.clone() } else { format!("{}: {on}", self.what) };
        if std::io::stderr().is_terminal() {
            write(&format!("\r\x1b[K…{} {}", clock(self.began.elapsed()), first_line(&line)));
            shown.transient = true;
        } else if shown.last.unwrap_or(self.began).elapsed() >= REMIND {
            write(&format!("…{} {line}\n", clock(self.began.elapsed())));
            shown.last = Some(Instant::now());
        }
    }

    /// The step is over; `detail` follows its name.
    pub fn done_with(mut self, detail: &str) {
        self.end('✔', detail);
    }

    pub fn done(mut self) {
        self.end('✔', "");
    }

    fn end(&mut self, mark: char, detail: &str) {
        self.ended = true;
        let clear = if self.shown.lock().transient { "\r\x1b[K" } else { "" };
        let separator = if detail.is_empty() { "" } else { " · " };
        write(&format!("{clear}{mark}{} {}{separator}{detail}\n", clock(self.began.elapsed()), self.what));
    }
}

impl Drop for Step {
    fn drop(&mut self) {
        if !self.ended {
            self.end('✘', "");
        }
    }
}

/// A line beside the steps.
pub fn note(text: &str) {
    write(&format!("        {text}\n"));
}

/// Prints an error with all its causes.
pub fn failure(error: &anyhow::Error) {
    write(&describe(error));
}

fn describe(error: &anyhow::Error) -> String {
    let mut texts: Vec<String> = Vec::new();
    for cause in error.chain() {
        // The client shows the whole answer of the API server, and then its message again as a cause.
        let text = match cause.downcast_ref() {
            Some(kube::Error::Api(status)) => status.message.clone(),
            _ => cause.to_string(),
        };
        if !texts.last().is_some_and(|previous| previous.starts_with(&text) || text.starts_with(previous)) {
            texts.push(text);
        }
    }
    let mut lines = texts.iter().map(|text| text.replace('\n', "\n           "));
    let first = lines.next().unwrap_or_default().replace("\n           ", "\n");
    lines.fold(format!("error: {first}\n"), |all, line| all + "  because: " + &line + "\n")
}

/// Output that a command was asked for: the only thing on standard output.
pub fn answer(text: &str) {
    println!("{text}");
}

/// Nobody reads it if this fails.
fn write(text: &str) {
    let mut error = std::io::stderr().lock();
    let _ = error.write_all(text.as_bytes());
    let _ = error.flush();
}

fn first_line(text: &str) -> String {
    text.lines().next().unwrap_or_default().chars().take(100).collect()
}

/// Seven columns: seconds with a tenth below a minute, `m:ss` above.
fn clock(elapsed: Duration) -> String {
    let seconds = elapsed.as_secs();
    if seconds < 60 {
        format!("{:>6.1}s", elapsed.as_secs_f64())
    } else {
        format!("{:>4}:{:02}", seconds / 60, seconds % 60)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clock_has_seven_columns() {
        assert_eq!(clock(Duration::from_millis(1_250)), "   1.2s");
        assert_eq!(clock(Duration::from_secs(62)), "   1:02");
    }

    #[test]
    fn errors_show_each_cause_once() {
        let status = kube::core::Status::failure("pods \"x\" is forbidden", "Forbidden");
        let error = anyhow::Error::from(kube::Error::Api(status.boxed())).context("create Pod x");
        assert_eq!(describe(&error), "error: create Pod x\n  because: pods \"x\" is forbidden\n");
    }

    #[test]
    fn transient_line_fits_a_terminal() {
        assert_eq!(first_line("a\nb"), "a");
        assert_eq!(first_line(&"x".repeat(300)).len(), 100);
    }
}
