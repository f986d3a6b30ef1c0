//! How the program is configured.

use std::path::{Path, PathBuf};

use fleet::ServiceArgs;
use fleet::outbound::Url;
use jiff::SignedDuration;
use serde_json::Value;

use crate::args::parse_server;
use crate::renovate::options::Updater;

/// Configuration of MintMaker.
#[derive(Clone, Debug, clap::Parser)]
#[command(name = "mintmaker", version, about = "Looks through the dependencies of Components")]
pub struct Args {
    #[command(flatten)]
    pub fleet: fleet::Args,

    #[command(flatten)]
    pub updater: Updater,

    /// Server of the GitHub App. What its key signs goes to no other.
    #[arg(long, env, default_value = "https://github.com", value_name = "URL", value_parser = parse_server)]
    pub github_app_server: Url,

    /// Runs that look through repositories at once.
    #[arg(long, env, default_value_t = 40, value_parser = clap::value_parser!(u16).range(1..=10_000), value_name = "COUNT")]
    pub max_runs: u16,

    /// Of these, runs for repositories of one host.
    #[arg(long, env, default_value_t = 30, value_parser = clap::value_parser!(u16).range(1..=10_000), value_name = "COUNT")]
    pub max_runs_per_host: u16,

    /// Of these, runs for repositories of one owner: an organisation, a group or a person.
    #[arg(long, env, default_value_t = 10, value_parser = clap::value_parser!(u16).range(1..=10_000), value_name = "COUNT")]
    pub max_runs_per_owner: u16,

    /// How long a branch is left out that has not changed since it was looked through without trouble. Zero: never.
    #[arg(long, env, default_value = "24h", value_name = "DURATION")]
    pub skip_unchanged_for: SignedDuration,

    /// Image with a database of vulnerabilities in /data/osv-db, for Renovate. None if empty.
    #[arg(long, env, default_value = "", hide_default_value = true, value_name = "IMAGE")]
    pub osv_database_image: String,

    /// File with how long tokens of the GitHub App are used: JSON with github.token-ttl and github.token-min-validity, as 60m.
    #[arg(long, env, default_value = "/etc/mintmaker/config.json", value_name = "FILE")]
    pub mintmaker_config_path: PathBuf,
}

impl ServiceArgs for Args {
    const SERVICE: &'static str = "mintmaker";

    fn fleet(&self) -> &fleet::Args {
        &self.fleet
    }
}

/// How long tokens of the GitHub App are used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct TokenLife {
    /// From when it was made.
    ttl: SignedDuration,
    /// What has to be left of it.
    min_validity: SignedDuration,
}

/// What GitHub gives a token.
const HOUR: SignedDuration = SignedDuration::from_mins(60);

impl Default for TokenLife {
    fn default() -> Self {
        Self { ttl: HOUR, min_validity: SignedDuration::from_mins(30) }
    }
}

impl TokenLife {
    /// What cannot be read, or is no duration, has its default.
    pub(super) fn read(path: &Path) -> Self {
        match std::fs::read_to_string(path) {
            Ok(text) => Self::parse(&text),
            Err(error) => {
                tracing::debug!(path = %path.display(), %error, "No settings of tokens");
                Self::default()
            }
        }
    }

    fn parse(text: &str) -> Self {
        let default = Self::default();
        let json: Value = serde_json::from_str(text).unwrap_or_else(|error| {
            tracing::warn!(%error, "The settings of tokens are no JSON: the defaults are used");
            Value::Null
        });
        let duration = |name: &str, default: SignedDuration| {
            let Some(text) = json.pointer(&format!("/github/{name}")).and_then(Value::as_str) else {
                return default;
            };
            let parsed: Option<SignedDuration> = text.parse().ok().filter(SignedDuration::is_positive);
            parsed.unwrap_or_else(|| {
                tracing::warn!(name, text, "No duration, as 30m: the default is used");
                default
            })
        };
        Self {
            ttl: duration("token-ttl", default.ttl),
            min_validity: duration("token-min-validity", default.min_validity),
        }
    }

    /// How long a token has to be good that is used: one that is older than it may be has less left.
    pub(super) fn least(self) -> SignedDuration {
        self.min_validity.max(HOUR.saturating_sub(self.ttl)).min(HOUR - SignedDuration::from_mins(5))
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case::default("{}", 30)]
    #[case::validity(r#"{"github": {"token-min-validity": "40m"}}"#, 40)]
    #[case::old_tokens_are_not_used(r#"{"github": {"token-ttl": "20m"}}"#, 40)]
    #[case::no_durations(r#"{"github": {"token-ttl": "x", "token-min-validity": "-5m"}}"#, 30)]
    #[case::no_json("[", 30)]
    #[case::never_more_than_there_is(r#"{"github": {"token-min-validity": "5h"}}"#, 55)]
    fn tokens_have_to_be_good_for(#[case] text: &str, #[case] minutes: i64) {
        assert_eq!(TokenLife::parse(text).least(), SignedDuration::from_mins(minutes));
    }

    #[test]
    fn has_defaults_for_everything() {
        use clap::Parser as _;
        let args = Args::try_parse_from(["mintmaker"]).unwrap();
        assert_eq!((args.max_runs, args.updater.is_renovate()), (40, false));
    }
}
