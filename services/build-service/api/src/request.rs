//! What a user asks of a Component's build, and with which pipeline.

use serde::{Deserialize, Serialize};

/// Value of the annotation `build.appstudio.openshift.io/request`. An unknown one is reported in
/// [`BuildStatus`].
///
/// [`BuildStatus`]: crate::BuildStatus
#[derive(Clone, Copy, Debug, PartialEq, Eq, strum::EnumString, strum::IntoStaticStr)]
#[strum(serialize_all = "kebab-case")]
pub enum Request {
    /// Build the newest commit once, without Pipelines-as-Code.
    TriggerSimpleBuild,
    /// Build the newest commit by the pipeline in the repository.
    TriggerPacBuild,
    /// Propose the pipelines to the repository by pull request, and have Pipelines-as-Code watch it.
    ConfigurePac,
    /// As `ConfigurePac`, without the pull request.
    ConfigurePacNoMr,
    /// Undo `ConfigurePac`.
    UnconfigurePac,
}

/// Value of the annotation `build.appstudio.openshift.io/pipeline`, in JSON: a pipeline of the ConfigMap
/// `build-pipeline-config`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PipelineChoice {
    /// Name of the pipeline.
    #[serde(default)]
    pub name: String,
    /// Image that holds it, or [`PipelineChoice::LATEST`].
    #[serde(default)]
    pub bundle: String,
}

impl PipelineChoice {
    /// `bundle`: the image that the ConfigMap has for this name.
    pub const LATEST: &'static str = "latest";
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case("trigger-simple-build", Request::TriggerSimpleBuild)]
    #[case("trigger-pac-build", Request::TriggerPacBuild)]
    #[case("configure-pac", Request::ConfigurePac)]
    #[case("configure-pac-no-mr", Request::ConfigurePacNoMr)]
    #[case("unconfigure-pac", Request::UnconfigurePac)]
    fn spells_requests(#[case] text: &str, #[case] request: Request) {
        assert_eq!(text.parse(), Ok(request));
        assert_eq!(<&str>::from(request), text);
    }

    #[test]
    fn knows_no_other_request() {
        assert!("Configure-Pac".parse::<Request>().is_err());
    }
}
