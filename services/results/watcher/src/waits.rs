//! Annotations that others write on a finished run, without which it is not deleted yet.

use std::str::FromStr;

use jiff::SignedDuration;

use crate::facts::Outcome;
use crate::run::{Kind, Run};

/// How long somebody may take.
pub(crate) const LIMIT: SignedDuration = SignedDuration::from_hours(24);

/// `<label>=<value>:<annotation>,<annotation>|<annotation>`: a run that succeeded and has the label waits for all that is separated
/// by commas, of each for one of what is separated by bars.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WaitFor {
    label: String,
    value: String,
    all: Vec<Vec<String>>,
}

impl FromStr for WaitFor {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let expected = || format!("{text:?}: expected label=value:annotation,annotation|annotation");
        let (label, annotations) = text.split_once(':').ok_or_else(expected)?;
        let (label, value) = label.split_once('=').ok_or_else(expected)?;
        let list =
            |text: &str, at: char| text.split(at).map(|part| part.trim().to_owned()).collect::<Vec<_>>();
        let all: Vec<_> = list(annotations, ',').iter().map(|one_of| list(one_of, '|')).collect();
        if label.is_empty() || all.iter().flatten().any(String::is_empty) {
            return Err(expected());
        }
        Ok(Self { label: label.trim().to_owned(), value: value.trim().to_owned(), all })
    }
}

impl WaitFor {
    /// Whether this run lacks something.
    pub(crate) fn lacks<K: Kind>(&self, run: &Run<K>) -> bool {
        let labels = run.metadata.labels.as_ref();
        let concerns = run.facts.outcome == Outcome::Succeeded
            && labels.and_then(|labels| labels.get(&self.label)).is_some_and(|value| *value == self.value);
        let annotations = run.metadata.annotations.as_ref();
        let has = |key: &String| annotations.is_some_and(|annotations| annotations.contains_key(key));
        concerns && !self.all.iter().all(|one_of| one_of.iter().any(has))
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;
    use serde_json::json;

    use super::*;
    use crate::run::tests::task_run;

    const BUILD: &str = "example.com/type=build:chains/signed,a/snapshot|a/status";

    #[rstest]
    #[case::nothing_there(&[], "build", "True", true)]
    #[case::one_of_two(&["chains/signed"], "build", "True", true)]
    #[case::all(&["chains/signed", "a/snapshot"], "build", "True", false)]
    #[case::all_the_other_way(&["chains/signed", "a/status"], "build", "True", false)]
    #[case::failed(&[], "build", "False", false)]
    #[case::another_type(&[], "test", "True", false)]
    fn lacks(#[case] has: &[&str], #[case] type_: &str, #[case] condition: &str, #[case] expected: bool) {
        let annotations: std::collections::BTreeMap<_, _> = has.iter().map(|key| (*key, "x")).collect();
        let run = task_run(json!({
            "metadata": {"name": "r", "labels": {"example.com/type": type_}, "annotations": annotations},
            "status": {"conditions": [{"type": "Succeeded", "status": condition}]},
        }));
        assert_eq!(BUILD.parse::<WaitFor>().unwrap().lacks(&run), expected);
    }

    #[rstest]
    #[case::no_label("chains/signed")]
    #[case::no_value("label:chains/signed")]
    #[case::nothing("a=b:")]
    fn is_refused(#[case] text: &str) {
        assert!(text.parse::<WaitFor>().unwrap_err().contains("expected label=value:"));
    }
}
