//! Which run is meant.

use std::fmt;
use std::str::FromStr;

use clap::ValueEnum;
use results_api::names::RecordName;

/// Kinds that are archived.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Kind {
    #[value(name = "pipelinerun", aliases = ["pipelineruns", "pr", "pipelinerun.tekton.dev", "pipelineruns.tekton.dev"])]
    PipelineRun,
    #[value(name = "taskrun", aliases = ["taskruns", "tr", "taskrun.tekton.dev", "taskruns.tekton.dev"])]
    TaskRun,
}

impl Kind {
    /// As `kind:` of the object.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::PipelineRun => "PipelineRun",
            Self::TaskRun => "TaskRun",
        }
    }

    /// As in paths of the API server.
    pub(crate) fn plural(self) -> &'static str {
        match self {
            Self::PipelineRun => "pipelineruns",
            Self::TaskRun => "taskruns",
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A run, as the command line names it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Target {
    /// In the namespace of the command line, the newest of this name.
    Named { kind: Kind, name: String },
    /// In the namespace of the command line, of any kind.
    Uid(String),
    /// Says its namespace itself.
    Record(RecordName),
}

impl FromStr for Target {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text.contains("/results/") {
            return text.parse().map(Self::Record).map_err(|error| format!("{error}"));
        }
        let (kind, name) = match text.split_once('/') {
            None if is_uid(text) => return Ok(Self::Uid(text.to_owned())),
            None => (Kind::PipelineRun, text),
            Some((kind, name)) => {
                let refused =
                    |_| format!("kind {kind:?} is not archived: pipelinerun or taskrun, as taskrun/{name}");
                (Kind::from_str(kind, true).map_err(refused)?, name)
            }
        };
        if is_object_name(name) {
            Ok(Self::Named { kind, name: name.to_owned() })
        } else {
            Err(format!("{name:?} is no name of a run: lowercase letters, digits, - and . only, at most 253"))
        }
    }
}

/// What an API server gives: five groups of lowercase hexadecimal digits.
fn is_uid(text: &str) -> bool {
    let groups: Vec<usize> = text.split('-').map(str::len).collect();
    groups == [8, 4, 4, 4, 12] && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f' | b'-'))
}

fn is_object_name(text: &str) -> bool {
    let is_end =
        |byte: Option<u8>| byte.is_some_and(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit());
    text.len() <= 253
        && is_end(text.bytes().next())
        && is_end(text.bytes().next_back())
        && text.bytes().all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.'))
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    fn named(kind: Kind, name: &str) -> Target {
        Target::Named { kind, name: name.to_owned() }
    }

    #[rstest]
    #[case::bare("web-on-push-x7k2p", named(Kind::PipelineRun, "web-on-push-x7k2p"))]
    #[case::with_kind("tr/web-build", named(Kind::TaskRun, "web-build"))]
    #[case::as_kubectl_prints("pipelinerun.tekton.dev/web", named(Kind::PipelineRun, "web"))]
    #[case::uid("0f8f3a52-94a4-4d8e-9f6b-2e0f7a1c3b55", Target::Uid("0f8f3a52-94a4-4d8e-9f6b-2e0f7a1c3b55".into()))]
    fn reads(#[case] text: &str, #[case] expected: Target) {
        assert_eq!(text.parse(), Ok(expected));
    }

    #[test]
    fn reads_records() {
        let Ok(Target::Record(name)) = "team-a/results/r1/records/c1".parse() else { panic!("no record") };
        assert_eq!(name.to_string(), "team-a/results/r1/records/c1");
    }

    #[rstest]
    #[case::other_kind("pod/web", "kind \"pod\" is not archived")]
    #[case::upper_case("Web", "is no name of a run")]
    #[case::empty("", "is no name of a run")]
    #[case::quote("a\"b", "is no name of a run")]
    #[case::half_a_record("a/results/b", "records")]
    fn refuses(#[case] text: &str, #[case] expected: &str) {
        let error = text.parse::<Target>().unwrap_err();
        assert!(error.contains(expected), "{error}");
    }
}
