//! How the program is configured.

use std::path::PathBuf;

use fleet::ServiceArgs;
use fleet::outbound::Url;

/// Configuration of build-service.
#[derive(Clone, Debug, clap::Parser)]
#[command(name = "build-service", version, about = "Sets up the builds of Components")]
pub struct Args {
    #[command(flatten)]
    pub fleet: fleet::Args,

    /// File with the addresses that webhooks of repositories are sent to: a JSON object from beginnings of repository URLs
    /// to addresses, "" for all others. Read when a webhook is made.
    #[arg(long, env, value_name = "FILE")]
    pub webhook_config_path: Option<PathBuf>,

    /// Address that all webhooks of repositories are sent to. Wins over --webhook-config-path.
    #[arg(long, env, value_name = "URL")]
    pub pac_webhook_url: Option<Url>,

    /// Whether forges are told not to verify the certificate of that address: 1 or true.
    #[arg(long, env, default_value = "", hide_default_value = true, value_name = "BOOL", value_parser = parse_switch)]
    pub pac_webhook_insecure_ssl: Switch,

    /// Hosts of forges, separated by commas, that send the events of all their repositories by one webhook of their own:
    /// those of repositories are neither made nor deleted there.
    #[arg(long, env, value_delimiter = ',', value_name = "HOSTS")]
    pub system_webhooks: Vec<String>,

    /// Server of the GitHub App. What its key signs goes to no other.
    #[arg(long, env, default_value = "https://github.com", value_name = "URL", value_parser = parse_server)]
    pub github_app_server: Url,

    /// How long the image of a pull request is kept: a number up to 999 and h, d or w.
    #[arg(long, env, default_value = DEFAULT_EXPIRATION, value_name = "AGE")]
    pub image_tag_on_pr_expiration: String,

    /// The ServiceAccount that runs work with: one for the whole namespace, or one for each Component.
    #[arg(long, env = "BUILD_SERVICE_ACCOUNT", default_value = "tenant", value_name = "WHICH")]
    pub service_account: AccountMode,

    /// How Pipelines-as-Code is asked for a build: by an annotation of the Repository, or, where upstream's is installed,
    /// by a call of its HTTP endpoint.
    #[arg(long, env, default_value = "object", value_name = "HOW")]
    pub pac_trigger: TriggerMode,

    /// Whether a new Component is built once without Pipelines-as-Code, or has it set up.
    #[arg(long, env, default_value = "trigger-simple-build", value_name = "REQUEST")]
    pub initial_request: InitialRequest,

    #[command(flatten)]
    pub updates: crate::renovate::options::Options,
}

/// Which `ServiceAccount` runs work with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum AccountMode {
    /// `appstudio-pipeline`, which the engine takes by itself.
    Tenant,
    /// `build-pipeline-<component>`.
    PerComponent,
}

/// How Pipelines-as-Code is asked for a build.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum TriggerMode {
    /// By an entry in an annotation of the Repository.
    Object,
    /// By a POST.
    Http,
}

/// What is done with a Component that nothing has been asked for yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum InitialRequest {
    TriggerSimpleBuild,
    ConfigurePac,
}

/// On or off, in words that manifests of the original use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Switch(pub bool);

/// How long images of pull requests are kept where nobody says, or says something else than a time.
const DEFAULT_EXPIRATION: &str = "5d";

impl ServiceArgs for Args {
    const SERVICE: &'static str = "build-service";

    fn fleet(&self) -> &fleet::Args {
        &self.fleet
    }
}

impl Args {
    /// How long images of pull requests are kept. What is no time counts as the default, for clusters have such values.
    pub fn expiration(&self) -> &str {
        let given = self.image_tag_on_pr_expiration.as_str();
        if is_expiration(given) {
            return given;
        }
        tracing::warn!(
            given,
            "--image-tag-on-pr-expiration is no time as 12h, 5d or 2w; {DEFAULT_EXPIRATION} is used"
        );
        DEFAULT_EXPIRATION
    }
}

/// `[1-9][0-9]{0,2}[hdw]`
fn is_expiration(text: &str) -> bool {
    let Some(number) = text.strip_suffix(['h', 'd', 'w']) else { return false };
    (1..=3).contains(&number.len())
        && !number.starts_with('0')
        && number.bytes().all(|byte| byte.is_ascii_digit())
}

#[expect(clippy::unnecessary_wraps, reason = "what clap calls")]
fn parse_switch(text: &str) -> Result<Switch, String> {
    Ok(Switch(matches!(text, "1" | "true" | "True")))
}

pub(crate) fn parse_server(text: &str) -> Result<Url, String> {
    let url = Url::parse(text).map_err(|error| format!("{error}; expected https://github.example.com"))?;
    if url.scheme() == "https" && url.has_host() {
        Ok(url)
    } else {
        Err("expected an address, as https://github.example.com".to_owned())
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;
    use rstest::rstest;

    use super::*;

    fn parse(flags: &[&str]) -> Result<Args, String> {
        Args::try_parse_from([&["build-service"], flags].concat()).map_err(|error| error.to_string())
    }

    #[rstest]
    #[case("5d", "5d")]
    #[case("999w", "999w")]
    #[case("12h", "12h")]
    #[case("05d", "5d")]
    #[case("1000h", "5d")]
    #[case("d", "5d")]
    #[case("5m", "5d")]
    #[case("", "5d")]
    fn what_is_no_time_counts_as_five_days(#[case] given: &str, #[case] expected: &str) {
        let args = parse(&[&format!("--image-tag-on-pr-expiration={given}")]).unwrap();
        assert_eq!(args.expiration(), expected);
    }

    #[rstest]
    #[case(&[], false)]
    #[case(&["--pac-webhook-insecure-ssl=1"], true)]
    #[case(&["--pac-webhook-insecure-ssl=True"], true)]
    #[case(&["--pac-webhook-insecure-ssl=0"], false)]
    fn verification_is_off_only_when_it_is_said(#[case] flags: &[&str], #[case] expected: bool) {
        assert_eq!(parse(flags).unwrap().pac_webhook_insecure_ssl, Switch(expected));
    }

    #[test]
    fn a_bad_value_names_its_flag() {
        for (flag, value) in [
            ("--github-app-server", "http://github.example.com"),
            ("--pac-trigger", "call"),
            ("--service-account", "default"),
            ("--pac-webhook-url", "here"),
        ] {
            let text = parse(&[flag, value]).unwrap_err();
            assert!(text.contains(flag), "{text}");
        }
    }
}
