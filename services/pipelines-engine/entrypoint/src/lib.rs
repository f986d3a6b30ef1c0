//! The entrypoint: what runs in every step of a run's pod before, around and after the step's own command (sections 2.2 and
//! 2.3 of the engine's runtime specification).
//!
//! ```text
//! credentials → wait for the step before → substitute results → run, forward signals → results → tell the next step
//! ```
//! It is small, so that a ConfigMap of each namespace can hold it, and it starts in less than a millisecond: no standard
//! library, no C library, no thread (decision 0019). One loop waits for everything at once: the child's end, signals, output,
//! the timeout, cancellation.
//!
//! | module | |
//! |---|---|
//! | `flags`, `duration`, `platform` | what the engine asks for |
//! | `step` | the course of a step, and the table of how it can end |
//! | `credentials` | files for Git, SSH and registries |
//! | `wait` | for the step before |
//! | `substitute` | results of earlier steps in the command |
//! | `run` | the child process |
//! | `results`, `message` | what is left for the kubelet |
//! | `tools` | subcommands, for init containers |
//! | `collect` | the sidecar that hands results on by its log |
//! | `sys`, `files` | the kernel |
#![cfg_attr(not(test), no_std)]

extern crate alloc;

use alloc::string::String;
use alloc::vec::Vec;

pub mod log;
pub mod sys;

mod base64;
mod collect;
mod credentials;
mod duration;
mod files;
mod flags;
mod json;
mod message;
mod places;
mod platform;
mod results;
mod run;
mod step;
mod substitute;
mod time;
mod tools;
mod wait;

/// Runs the program. `arguments` begin with its own name; `environment` has `NAME=value`.
pub fn main(arguments: Vec<Vec<u8>>, environment: Vec<Vec<u8>>) -> ! {
    let arguments: Vec<Vec<u8>> = arguments.into_iter().skip(1).collect();
    let code = tools::run(&arguments).unwrap_or_else(|| step::run(&flags::parse(arguments), environment));
    sys::exit(code)
}

/// Text of bytes; what is no UTF-8 is replaced.
fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}
