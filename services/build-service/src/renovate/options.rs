//! Flags about updates.

use jiff::SignedDuration;

/// What proposes updates.
#[derive(Clone, Debug, clap::Args)]
#[group(skip)]
pub struct Updater {
    /// Image with the toolbox, whose updater knows images in Dockerfiles and in Tekton's YAML.
    #[arg(long, env, default_value = "konflux/toolbox", value_name = "IMAGE")]
    pub update_image: String,

    /// Image with Renovate, to be used instead of the toolbox: it knows much more. None if empty.
    #[arg(long, env, default_value = "", hide_default_value = true, value_name = "IMAGE")]
    pub renovate_image: String,
}

/// How Components are nudged, and references in .tekton are kept new.
#[derive(Clone, Debug, clap::Args)]
#[group(skip)]
pub struct Options {
    #[command(flatten)]
    pub updater: Updater,

    /// Regular expression for the task bundles whose references in .tekton are updated.
    #[arg(long, env, default_value = "^quay.io/redhat-appstudio-tekton-catalog/", value_name = "REGEX")]
    pub renovate_pattern: String,

    /// How many repositories one Job goes through to update references in .tekton.
    #[arg(long, env, default_value_t = 20, value_parser = clap::value_parser!(u8).range(1..=99), value_name = "COUNT")]
    pub renovate_installations_per_job: u8,

    /// How long to wait after a first failure to propose an image to other Components; twice as long after a second one.
    #[arg(long, env, default_value = "5m", value_name = "DURATION")]
    pub nudge_retry_after: SignedDuration,
}

impl Updater {
    /// The image of pods that propose updates.
    pub(crate) fn image(&self) -> &str {
        if self.is_renovate() { &self.renovate_image } else { &self.update_image }
    }

    pub(crate) fn is_renovate(&self) -> bool {
        !self.renovate_image.is_empty()
    }

    /// What is run in it.
    pub(crate) fn command(&self) -> &'static str {
        if self.is_renovate() { "renovate" } else { "toolbox update" }
    }
}
