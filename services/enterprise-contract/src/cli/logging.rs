//! The log: on standard error, for people.

use std::fs::File;
use std::str::FromStr;

use anyhow::Context as _;
use tracing::level_filters::LevelFilter;
use tracing_subscriber::fmt::writer::BoxMakeWriter;

use super::Global;

/// `--trace`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Traces {
    pub(super) log: bool,
    pub(super) perf: bool,
    pub(super) opa: bool,
}

impl FromStr for Traces {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let mut traces = Self::default();
        for kind in text.split(',').map(str::trim) {
            match kind {
                "none" | "" | "cpu" | "mem" => {}
                // The value of a flag that was once a bool.
                "all" | "true" => traces = Self { log: true, perf: true, opa: true },
                "false" => traces = Self::default(),
                "log" => traces.log = true,
                "perf" => traces.perf = true,
                "opa" => traces.opa = true,
                other => return Err(format!("{other:?} is none of none, all, log, perf, opa, cpu, mem")),
            }
        }
        Ok(traces)
    }
}

pub(super) fn start(global: &Global) -> anyhow::Result<()> {
    let level = if global.trace.log {
        LevelFilter::TRACE
    } else if global.debug {
        LevelFilter::DEBUG
    } else if global.quiet {
        LevelFilter::ERROR
    } else if global.verbose || global.trace.perf || global.trace.opa {
        LevelFilter::INFO
    } else {
        LevelFilter::WARN
    };
    let writer = match &global.logfile {
        None => BoxMakeWriter::new(std::io::stderr),
        Some(path) => {
            BoxMakeWriter::new(File::create(path).with_context(|| format!("--logfile {}", path.display()))?)
        }
    };
    let subscriber = tracing_subscriber::fmt().with_max_level(level).with_target(false).with_ansi(false);
    // An error means that a test has one already.
    let _ = subscriber.with_writer(writer).try_init();
    Ok(())
}
