//! The command line of the watcher.

use std::path::PathBuf;

use fleet::ServiceArgs;
use jiff::SignedDuration;
use kube::core::Selector;

use crate::decide::Settings;
use crate::selector;
use crate::waits::WaitFor;

/// Configuration of the watcher of results.
#[derive(Clone, Debug, clap::Parser)]
#[command(
    name = "results-watcher",
    version,
    about = "Archives runs and their logs, and deletes what is archived"
)]
#[expect(clippy::struct_excessive_bools, reason = "flags are independent of each other")]
pub struct Args {
    #[command(flatten)]
    pub fleet: fleet::Args,

    /// Address of the results API, as host:port.
    #[arg(long, alias = "api_addr", env, default_value = "localhost:8080", value_name = "ADDRESS")]
    pub api_addr: String,

    /// How to speak to the results API: `token` over TLS with a token of the watcher's account; `insecure` in plain text with no
    /// token; empty over TLS with no token.
    #[arg(long, alias = "auth_mode", env, default_value = "token", value_name = "MODE")]
    pub auth_mode: AuthMode,

    /// Token instead of that in the file: for development.
    #[arg(long, env, hide_env_values = true, value_name = "TOKEN")]
    pub token: Option<String>,

    /// Token of the watcher's account, read again when it changes.
    #[arg(
        long,
        env,
        default_value = "/var/run/secrets/kubernetes.io/serviceaccount/token",
        value_name = "FILE"
    )]
    pub token_file: PathBuf,

    /// Authority of the results API's certificate (PEM), read again when it changes.
    #[arg(long, env, default_value = "/etc/tls/tls.crt", value_name = "FILE")]
    pub api_ca: PathBuf,

    /// How long after its end an archived run is deleted. `0` means never, a negative time at once.
    #[arg(long, alias = "completed_run_grace_period", env, default_value = "0s", allow_hyphen_values = true, value_parser = time, value_name = "DURATION")]
    pub completed_run_grace_period: SignedDuration,

    /// Whether runs that have an owner, of whatever kind, are left to it. One that belongs to a PipelineRun is in any case.
    #[arg(long, alias = "check_owner", env, default_value_t = true, num_args = 0..=1, default_missing_value = "true", action = clap::ArgAction::Set, value_name = "BOOL")]
    pub check_owner: bool,

    /// Only runs with these labels are deleted, as `kubectl -l` takes them. All are archived.
    #[arg(long, alias = "label_selector", env, default_value = "", value_parser = selector::parse, value_name = "SELECTOR")]
    pub label_selector: Selector,

    /// Taken from manifests of the original and without effect: changes wake what waits for them.
    #[arg(long, alias = "requeue_interval", env, hide = true, value_name = "DURATION")]
    pub requeue_interval: Option<String>,

    /// How long the storing of a log may make no progress, until it is tried again.
    #[arg(long, alias = "update_log_timeout", env, default_value = "5m", value_parser = positive, value_name = "DURATION")]
    pub update_log_timeout: SignedDuration,

    /// How long a run that somebody has deleted stays, at most, until it is archived; and how long a log is tried to be stored.
    #[arg(long, alias = "store_deadline", env, default_value = "10m", value_parser = positive, value_name = "DURATION")]
    pub store_deadline: SignedDuration,

    /// Whether logs are archived.
    #[arg(long, alias = "logs_api", env, default_value_t = true, num_args = 0..=1, default_missing_value = "true", action = clap::ArgAction::Set, value_name = "BOOL")]
    pub logs_api: bool,

    /// How many logs are stored at once.
    #[arg(long, env, default_value_t = 16, value_parser = clap::value_parser!(u16).range(1..=256), value_name = "COUNT")]
    pub concurrent_logs: u16,

    /// Whether a finalizer keeps runs until they are archived. Without it those that are deleted in their first second are lost.
    #[arg(long, env, default_value_t = true, num_args = 0..=1, default_missing_value = "true", action = clap::ArgAction::Set, value_name = "BOOL")]
    pub store_finalizers: bool,

    /// Whether runs are archived only when they have ended.
    #[arg(long, alias = "disable_storing_incomplete_runs", env, default_value_t = false, num_args = 0..=1, default_missing_value = "true", action = clap::ArgAction::Set, value_name = "BOOL")]
    pub disable_storing_incomplete_runs: bool,

    /// Annotations without which a run that succeeded is not deleted for a day, as
    /// `label=value:annotation,annotation|annotation`: all that are separated by commas, of each one that is separated by bars. Several
    /// such rules are separated by semicolons.
    #[arg(long, alias = "wait_for_annotations", env, value_delimiter = ';', value_name = "RULES")]
    pub wait_for_annotations: Vec<WaitFor>,

    /// What deletions of PipelineRuns are counted by, beside status and namespace.
    #[arg(long, env, default_value = "namespace", value_name = "LEVEL")]
    pub metrics_pipelinerun_level: Level,

    /// What deletions of TaskRuns are counted by, beside status and namespace.
    #[arg(long, env, default_value = "namespace", value_name = "LEVEL")]
    pub metrics_taskrun_level: Level,

    /// Whether times until deletion are a histogram or the last value.
    #[arg(long, env, default_value = "histogram", value_name = "TYPE")]
    pub metrics_duration_type: DurationType,

    /// The original's name for `--concurrency`; wins over it.
    #[arg(long, env, value_parser = clap::value_parser!(u16).range(1..=256), value_name = "COUNT")]
    pub threadiness: Option<u16>,

    /// Taken from manifests of the original and without effect: workers bound how often the API server is asked.
    #[arg(long, env, hide = true, value_name = "RATE")]
    pub qps: Option<f64>,

    /// As `--qps`.
    #[arg(long, env, hide = true, value_name = "COUNT")]
    pub burst: Option<u32>,

    /// Taken from manifests of the original and without effect: without names a run cannot be found in the archive.
    #[arg(long, alias = "disable_crd_update", env, hide = true, num_args = 0..=1, default_missing_value = "true", value_name = "BOOL")]
    pub disable_crd_update: Option<String>,
}

/// How to speak to the results API.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AuthMode {
    Token,
    /// Plain text.
    Insecure,
    Nothing,
}

impl std::str::FromStr for AuthMode {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "token" => Ok(Self::Token),
            "insecure" => Ok(Self::Insecure),
            "" => Ok(Self::Nothing),
            "google" => Err("google is not supported; use token".to_owned()),
            _ => Err("expected token, insecure or nothing".to_owned()),
        }
    }
}

/// Labels of the metrics of deletions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Level {
    Namespace,
    /// Also the pipeline.
    Pipeline,
    /// Also the pipeline and the task.
    Task,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum DurationType {
    Histogram,
    Lastvalue,
}

/// Also takes `0` without a unit.
fn time(text: &str) -> Result<SignedDuration, String> {
    let text = if text == "0" { "0s" } else { text };
    text.parse().map_err(|_| "expected a time, as 10m, 1h30m, -1s or 0".to_owned())
}

fn positive(text: &str) -> Result<SignedDuration, String> {
    match text.parse() {
        Ok(duration) if duration > SignedDuration::ZERO => Ok(duration),
        _ => Err("expected a time above 0, as 1h or 90s".to_owned()),
    }
}

impl Args {
    /// Puts what the original's flags say where the kit reads it.
    #[must_use]
    pub fn settled(mut self) -> Self {
        self.fleet.concurrency = self.threadiness.unwrap_or(self.fleet.concurrency);
        self
    }

    pub(crate) fn settings(&self) -> Settings {
        Settings {
            finalizers: self.store_finalizers,
            logs: self.logs_api,
            only_ended: self.disable_storing_incomplete_runs,
            grace: Some(self.completed_run_grace_period).filter(|grace| !grace.is_zero()),
            check_owner: self.check_owner,
            selector: self.label_selector.clone(),
            waits: self.wait_for_annotations.clone(),
            store_deadline: self.store_deadline,
        }
    }
}

impl ServiceArgs for Args {
    const SERVICE: &'static str = "results-watcher";

    fn fleet(&self) -> &fleet::Args {
        &self.fleet
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use super::*;

    fn parse(flags: &[&str]) -> Result<Args, clap::Error> {
        Args::try_parse_from([&["results-watcher"], flags].concat()).map(Args::settled)
    }

    #[test]
    fn takes_the_flags_of_the_original() {
        let args = parse(&[
            "--api_addr=results:8080",
            "--auth_mode=insecure",
            "--completed_run_grace_period=10m",
            "--check_owner=false",
            "--threadiness=32",
            "--qps=50",
            "--burst=50",
            "--update_log_timeout=300s",
            "--logs_api=false",
            "--requeue_interval=10m",
            "--label_selector=app=web",
            "--disable_crd_update=false",
        ])
        .unwrap();
        assert_eq!((args.fleet.concurrency, args.auth_mode), (32, AuthMode::Insecure));
        let settings = args.settings();
        assert_eq!(settings.grace, Some(SignedDuration::from_mins(10)));
        assert!(!settings.check_owner && !settings.logs);
    }

    #[test]
    fn never_and_at_once_are_grace_periods() {
        assert_eq!(parse(&[]).unwrap().settings().grace, None);
        assert_eq!(parse(&["--completed-run-grace-period=0"]).unwrap().settings().grace, None);
        let at_once = parse(&["--completed-run-grace-period", "-1s"]).unwrap().settings().grace;
        assert_eq!(at_once, Some(SignedDuration::from_secs(-1)));
    }

    #[test]
    fn a_bad_value_names_the_flag() {
        for (flag, says) in [
            ("--auth-mode=google", "use token"),
            ("--label-selector=a in b", "parentheses"),
            ("--wait-for-annotations=x", "label=value:"),
            ("--store-deadline=0s", "above 0"),
        ] {
            let error = parse(&[flag]).unwrap_err().to_string();
            assert!(error.contains(flag.split('=').next().unwrap()) && error.contains(says), "{error}");
        }
        let rules = "--wait-for-annotations=t=build:a/b,c/d|e/f;t=test:g/h";
        assert_eq!(parse(&[rules]).unwrap().wait_for_annotations.len(), 2);
    }
}
