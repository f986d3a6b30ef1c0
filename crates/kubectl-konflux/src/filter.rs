//! From flags to an expression over records (specification of results, section 2.6).

use std::fmt::Write as _;

use clap::ValueEnum;
use fleet_api::keys::{APPLICATION, COMPONENT};
use jiff::Timestamp;
use pipelines_engine_api::labels::{PIPELINE, PIPELINE_RUN};

use crate::cli::Choice;
use crate::selector::Selector;
use crate::target::Kind;

/// Reasons of runs that somebody ended. The last three are those of older versions.
const CANCELLED: [&str; 5] =
    ["Cancelled", "TaskRunCancelled", "PipelineRunCancelled", "CancelledRunFinally", "StoppedRunFinally"];
/// Reasons of runs that took too long.
const TIMEOUT: [&str; 2] = ["PipelineRunTimeout", "TaskRunTimeout"];

const REASON: &str = "data.status.conditions[0].reason";
const TRUTH: &str = "data.status.conditions[0].status";

/// How a run ended, or that it has not.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, strum::Display)]
pub(crate) enum Status {
    Succeeded,
    Failed,
    Timeout,
    Cancelled,
    /// When it was last archived.
    Running,
}

impl Status {
    /// Of the first condition of a run.
    pub(crate) fn of(truth: &str, reason: &str) -> Self {
        match truth {
            "True" => Self::Succeeded,
            "False" if TIMEOUT.contains(&reason) => Self::Timeout,
            "False" if CANCELLED.contains(&reason) => Self::Cancelled,
            "False" => Self::Failed,
            _ => Self::Running,
        }
    }

    fn condition(self) -> String {
        let any = |reasons: &[&str]| {
            let one = |reason: &&str| format!("{REASON} == {}", quote(reason));
            reasons.iter().map(one).collect::<Vec<_>>().join(" || ")
        };
        let is_false = format!("{TRUTH} == \"False\"");
        match self {
            Self::Succeeded => format!("{TRUTH} == \"True\""),
            Self::Running => format!("{TRUTH} == \"Unknown\""),
            Self::Timeout => format!("{is_false} && ({})", any(&TIMEOUT)),
            Self::Cancelled => format!("{is_false} && ({})", any(&CANCELLED)),
            Self::Failed => format!("{is_false} && !({} || {})", any(&TIMEOUT), any(&CANCELLED)),
        }
    }
}

/// Runs of this kind that are chosen.
pub(crate) fn list(kind: Kind, choice: &Choice, now: Timestamp) -> String {
    let mut all = vec![of_kind(kind)];
    let labels =
        [(PIPELINE, &choice.pipeline), (COMPONENT, &choice.component), (APPLICATION, &choice.application)];
    let labelled = |(key, value): (fleet_api::LabelKey, &Option<String>)| {
        value.as_ref().map(|value| format!("{} == {}", label(key.as_str()), quote(value)))
    };
    all.extend(labels.into_iter().filter_map(labelled));
    if !choice.status.is_empty() {
        let any: Vec<String> =
            choice.status.iter().map(|status| format!("({})", status.condition())).collect();
        all.push(format!("({})", any.join(" || ")));
    }
    all.extend(choice.selector.iter().flat_map(Selector::conditions));
    if let Some(since) = choice.since {
        // A length that reaches back beyond all calendars leaves nothing out.
        let from = now.checked_sub(since.0).unwrap_or(Timestamp::UNIX_EPOCH);
        all.push(format!("data.metadata.creationTimestamp >= timestamp({})", quote(&from.to_string())));
    }
    all.extend(choice.filter.as_ref().map(|filter| format!("({filter})")));
    all.join(" && ")
}

/// Runs of this name.
pub(crate) fn named(kind: Kind, name: &str) -> String {
    format!("{} && data.metadata.name == {}", of_kind(kind), quote(name))
}

/// The run with this UID: records have it as their name.
pub(crate) fn uid(uid: &str) -> String {
    format!("name == {}", quote(uid))
}

/// TaskRuns of a PipelineRun.
pub(crate) fn tasks(pipeline_run: &str) -> String {
    format!("{} && {} == {}", of_kind(Kind::TaskRun), label(PIPELINE_RUN.as_str()), quote(pipeline_run))
}

/// Both versions, spelled out: not every archive has a word for them.
fn of_kind(kind: Kind) -> String {
    let one = |version: &str| format!("data_type == \"tekton.dev/{version}.{kind}\"");
    format!("({} || {})", one("v1"), one("v1beta1"))
}

/// The value of a label.
pub(crate) fn label(key: &str) -> String {
    format!("data.metadata.labels[{}]", quote(key))
}

/// A text as a literal of CEL.
pub(crate) fn quote(text: &str) -> String {
    let mut literal = String::with_capacity(text.len() + 2);
    literal.push('"');
    for character in text.chars() {
        match character {
            '"' | '\\' => literal.extend(['\\', character]),
            '\n' => literal.push_str("\\n"),
            '\r' => literal.push_str("\\r"),
            '\t' => literal.push_str("\\t"),
            control if control.is_control() => {
                // Writing to a string cannot fail.
                let _ = write!(literal, "\\u{:04x}", u32::from(control));
            }
            other => literal.push(other),
        }
    }
    literal.push('"');
    literal
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rstest::rstest;

    use super::*;

    const RUNS: &str =
        "(data_type == \"tekton.dev/v1.PipelineRun\" || data_type == \"tekton.dev/v1beta1.PipelineRun\")";

    fn choice() -> Choice {
        Choice::default()
    }

    #[rstest]
    #[case::all(choice(), "")]
    #[case::pipeline(Choice { pipeline: Some("docker".into()), ..choice() }, " && data.metadata.labels[\"tekton.dev/pipeline\"] == \"docker\"")]
    #[case::quote_in_a_name(Choice { component: Some("a\" || true || \"".into()), ..choice() },
        " && data.metadata.labels[\"appstudio.openshift.io/component\"] == \"a\\\" || true || \\\"\"")]
    #[case::two_states(Choice { status: vec![Status::Succeeded, Status::Running], ..choice() },
        " && ((data.status.conditions[0].status == \"True\") || (data.status.conditions[0].status == \"Unknown\"))")]
    #[case::selector(Choice { selector: Some("a=b".parse().unwrap()), ..choice() }, " && data.metadata.labels[\"a\"] == \"b\"")]
    #[case::since(Choice { since: Some("1d".parse().unwrap()), ..choice() }, " && data.metadata.creationTimestamp >= timestamp(\"2026-03-01T12:00:00Z\")")]
    #[case::raw_is_kept_together(Choice { filter: Some("a || b".into()), ..choice() }, " && (a || b)")]
    fn expressions(#[case] choice: Choice, #[case] expected: &str) {
        let now = "2026-03-02T12:00:00Z".parse().unwrap();
        assert_eq!(list(Kind::PipelineRun, &choice, now), format!("{RUNS}{expected}"));
    }

    /// The archive understands all that is asked.
    #[test]
    fn archive_takes_all_expressions() {
        let choice = Choice {
            pipeline: Some("it's \"\\".into()),
            component: Some("web".into()),
            application: Some("shop".into()),
            status: <Status as ValueEnum>::value_variants().to_vec(),
            selector: Some("a=b,x/y in (c,d),e,!f,g!=h".parse().unwrap()),
            since: Some("7d".parse().unwrap()),
            filter: Some("data.spec.params[0].value == \"x\"".into()),
        };
        let now = "2026-03-02T12:00:00Z".parse().unwrap();
        let all = [
            list(Kind::PipelineRun, &choice, now),
            list(Kind::TaskRun, &Choice::default(), now),
            named(Kind::TaskRun, "web-1"),
            uid("0f8f3a52-94a4-4d8e-9f6b-2e0f7a1c3b55"),
            tasks("web-1"),
        ];
        for expression in all {
            let compiled = results_filter::compile(&expression, results_filter::Target::Records);
            assert!(compiled.is_ok(), "{expression}: {:?}", compiled.err());
        }
    }

    #[rstest]
    #[case("True", "Completed", Status::Succeeded)]
    #[case("False", "Failed", Status::Failed)]
    #[case("False", "SomethingNew", Status::Failed)]
    #[case("False", "PipelineRunTimeout", Status::Timeout)]
    #[case("False", "Cancelled", Status::Cancelled)]
    #[case("Unknown", "Running", Status::Running)]
    fn states(#[case] truth: &str, #[case] reason: &str, #[case] expected: Status) {
        assert_eq!(Status::of(truth, reason), expected);
    }

    proptest! {
        /// Whatever is asked for stays within its literal: a quote is always behind an odd number of backslashes.
        #[test]
        fn quoted_text_ends_nowhere(text in any::<String>()) {
            let literal = quote(&text);
            let inner = &literal[1..literal.len() - 1];
            let mut escaped = false;
            for character in inner.chars() {
                prop_assert!(escaped || character != '"');
                prop_assert!(!character.is_control());
                escaped = character == '\\' && !escaped;
            }
            prop_assert!(!escaped);
        }
    }
}
