//! How long test runs may take (annex, L7).

use integration_service_api::IntegrationTestScenario;
use integration_service_api::annotations::{FINALLY_TIMEOUT, PIPELINE_TIMEOUT, TASKS_TIMEOUT};
use pipelines_engine_api::GoDuration;
use pipelines_engine_api::pipeline_run::TimeoutFields;

/// Settings of test runs.
#[expect(clippy::struct_field_names, reason = "flags are named after them")]
#[derive(Clone, Debug, Default, clap::Args)]
#[group(skip)]
pub struct Options {
    /// How long a test run may take, if its scenario says nothing else; 0s is without limit. Absent: as the engine has it.
    #[arg(long, env = "PIPELINE_TIMEOUT", value_name = "DURATION")]
    pub pipeline_timeout: Option<GoDuration>,

    /// How long the tasks of a test run may take, if its scenario says nothing else.
    #[arg(long, env = "TASKS_TIMEOUT", value_name = "DURATION")]
    pub tasks_timeout: Option<GoDuration>,

    /// How long the tasks below `finally` of a test run may take, if its scenario says nothing else.
    #[arg(long, env = "FINALLY_TIMEOUT", value_name = "DURATION")]
    pub finally_timeout: Option<GoDuration>,
}

impl Options {
    /// Those of a run of `scenario`, whose annotations win; what cannot be read in them counts as absent. A run gets no less time
    /// than its parts together. `None` if nothing is said at all.
    pub(super) fn timeouts(&self, scenario: &IntegrationTestScenario) -> Option<TimeoutFields> {
        let annotations = &scenario.metadata.annotations;
        let said = |key: fleet_api::AnnotationKey| {
            key.of(annotations)
                .and_then(|text| text.parse::<GoDuration>().ok())
                .filter(|time| !time.is_negative())
        };
        let pipeline = said(PIPELINE_TIMEOUT).or(self.pipeline_timeout);
        let tasks = said(TASKS_TIMEOUT).or(self.tasks_timeout);
        let finally = said(FINALLY_TIMEOUT).or(self.finally_timeout);
        if [pipeline, tasks, finally].iter().all(Option::is_none) {
            return None;
        }
        let text = |time: Option<GoDuration>| time.map(|time| time.to_string());
        Some(TimeoutFields {
            pipeline: text(pipeline.map(|whole| at_least(whole, tasks, finally))),
            tasks: text(tasks),
            finally: text(finally),
        })
    }
}

/// `whole`, or the sum of the parts if that is more. What is without limit stays so.
fn at_least(whole: GoDuration, tasks: Option<GoDuration>, finally: Option<GoDuration>) -> GoDuration {
    let Some(limit) = whole.limit() else { return whole };
    let parts = [tasks, finally].into_iter().flatten().filter_map(GoDuration::limit);
    limit.max(parts.fold(std::time::Duration::ZERO, std::time::Duration::saturating_add)).into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    fn fields(pipeline: &str, tasks: &str, finally: &str) -> TimeoutFields {
        let field = |text: &str| (!text.is_empty()).then(|| text.to_owned());
        TimeoutFields { pipeline: field(pipeline), tasks: field(tasks), finally: field(finally) }
    }

    #[rstest]
    #[case::nothing(["", "", ""], ["", "", ""], None)]
    #[case::settings(["2h", "1h", "10m"], ["", "", ""], Some(fields("2h0m0s", "1h0m0s", "10m0s")))]
    #[case::scenario_wins(["2h", "", ""], ["3h", "", ""], Some(fields("3h0m0s", "", "")))]
    #[case::unreadable_counts_as_absent(["2h", "", ""], ["soon", "-5m", ""], Some(fields("2h0m0s", "", "")))]
    #[case::raised_to_the_sum(["1h", "", "30m"], ["", "90m", ""], Some(fields("2h0m0s", "1h30m0s", "30m0s")))]
    #[case::without_limit(["0s", "1h", ""], ["", "", ""], Some(fields("0s", "1h0m0s", "")))]
    fn limits(
        #[case] settings: [&str; 3],
        #[case] annotations: [&str; 3],
        #[case] expected: Option<TimeoutFields>,
    ) {
        let [pipeline_timeout, tasks_timeout, finally_timeout] = settings.map(|text| text.parse().ok());
        let options = Options { pipeline_timeout, tasks_timeout, finally_timeout };
        let mut scenario = IntegrationTestScenario::default();
        let keys = [PIPELINE_TIMEOUT, TASKS_TIMEOUT, FINALLY_TIMEOUT];
        let said = keys.iter().zip(annotations).filter(|(_, text)| !text.is_empty());
        scenario.metadata.annotations =
            Some(said.map(|(key, text)| (key.as_str().to_owned(), text.to_owned())).collect());
        assert_eq!(options.timeouts(&scenario), expected);
    }
}
