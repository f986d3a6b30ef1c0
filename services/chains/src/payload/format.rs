//! The formats of statements, by the words of the configuration.

use std::str::FromStr;

/// How a run is described.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) enum Format {
    /// `in-toto` or `slsa/v1`: SLSA provenance v0.2.
    #[default]
    SlsaV02,
    /// `slsa/v2alpha2` and later: SLSA provenance v1.
    SlsaV1(Draft),
}

/// The drafts of how runs are described by SLSA provenance v1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Draft {
    /// Runs as `v1beta1` of their API has them, in a statement v0.1.
    Alpha2,
    /// Runs as `v1` of their API has them, in a statement v1.
    Alpha3,
    /// And object results are subjects only where they say `isBuildArtifact`; results of steps are read too.
    Alpha4,
}

/// A format that there is not.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("there is no format {0:?}; choose in-toto, slsa/v1, slsa/v2alpha2, slsa/v2alpha3 or slsa/v2alpha4")]
pub(crate) struct UnknownFormat(String);

impl FromStr for Format {
    type Err = UnknownFormat;

    fn from_str(word: &str) -> Result<Self, UnknownFormat> {
        match word {
            "in-toto" | "slsa/v1" => Ok(Self::SlsaV02),
            "slsa/v2alpha2" => Ok(Self::SlsaV1(Draft::Alpha2)),
            "slsa/v2alpha3" => Ok(Self::SlsaV1(Draft::Alpha3)),
            "slsa/v2alpha4" => Ok(Self::SlsaV1(Draft::Alpha4)),
            other => Err(UnknownFormat(other.to_owned())),
        }
    }
}

/// How much of a run SLSA provenance v1 repeats.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) enum BuildType {
    /// `https://tekton.dev/chains/v2/slsa`
    #[default]
    Slsa,
    /// `https://tekton.dev/chains/v2/slsa-tekton`: also labels, annotations, and all TaskRuns whole.
    SlsaTekton,
}

/// A type of builds that there is not.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("there is no build type {0:?}; choose {slsa} or {tekton}", slsa = BuildType::Slsa.uri(), tekton = BuildType::SlsaTekton.uri())]
pub(crate) struct UnknownBuildType(String);

impl BuildType {
    /// As statements have it.
    pub(crate) fn uri(self) -> &'static str {
        match self {
            Self::Slsa => "https://tekton.dev/chains/v2/slsa",
            Self::SlsaTekton => "https://tekton.dev/chains/v2/slsa-tekton",
        }
    }
}

impl FromStr for BuildType {
    type Err = UnknownBuildType;

    fn from_str(uri: &str) -> Result<Self, UnknownBuildType> {
        [Self::Slsa, Self::SlsaTekton]
            .into_iter()
            .find(|kind| kind.uri() == uri)
            .ok_or_else(|| UnknownBuildType(uri.to_owned()))
    }
}
