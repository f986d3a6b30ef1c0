//! What an operator sets about reports to forges.

use fleet::outbound::Url;
use jiff::SignedDuration;
use pipelines_as_code_api::names;

/// How forges are reached, and what is shown there.
#[derive(Clone, Debug, clap::Args)]
#[group(skip)]
pub struct Options {
    /// What begins the name of each check: `Konflux / scenario / component`.
    #[arg(long, env = "CONSOLE_NAME", default_value = "Konflux", value_name = "NAME")]
    pub console_name: String,

    /// Where a person sees a run: a URL with {{ .Namespace }} and {{ .PipelineRunName }}, or {{ namespace }} and {{ pr }}.
    #[arg(long, env = "CONSOLE_URL", default_value = "", hide_default_value = true, value_name = "TEMPLATE")]
    pub console_url: String,

    /// Where a person sees the log of a task: as above, with {{ .TaskName }} or {{ task }} too.
    #[arg(
        long,
        env = "CONSOLE_URL_TASKLOG",
        default_value = "",
        hide_default_value = true,
        value_name = "TEMPLATE"
    )]
    pub console_url_tasklog: String,

    /// How long a result is tried to be reported while the forge cannot be reached.
    #[arg(long, env = "REPORT_RETRY_FOR", default_value = "3h", value_name = "DURATION")]
    pub report_retry_for: SignedDuration,

    /// Secret with the GitHub App's id and key.
    #[arg(long, env = "PAC_SECRET", default_value = names::SECRET, value_name = "NAME")]
    pub pac_secret: String,

    /// Namespace of that Secret. Absent means the namespace of this service.
    #[arg(long, env = "INTEGRATION_NS", value_name = "NAMESPACE")]
    pub pac_secret_namespace: Option<String>,

    /// Key of the App's id in that Secret.
    #[arg(long, env = "PAC_SECRET_APP_ID_KEY", default_value = names::secret_keys::GITHUB_APP_ID, value_name = "KEY")]
    pub pac_secret_app_id_key: String,

    /// Key of the App's private key in that Secret.
    #[arg(long, env = "PAC_SECRET_PRIVATE_KEY_KEY", default_value = names::secret_keys::GITHUB_PRIVATE_KEY, value_name = "KEY")]
    pub pac_secret_private_key_key: String,

    /// Where the GitHub App is; another than the public one for GitHub Enterprise.
    #[arg(long, env = "GITHUB_APP_SERVER", default_value = "https://github.com", value_name = "URL")]
    pub github_app_server: Url,
}
