//! How long a run and its parts may take (spec, sections 4.4 and 4.10). Pure.

use std::time::Duration;

use pipelines_engine_api::GoDuration;
use pipelines_engine_api::duration::Invalid;
use pipelines_engine_api::pipeline_run::TimeoutFields;
use release_service_api::pipeline::Timeouts;
use release_service_api::release::Mitigation;

/// What is kept for the tasks below `finally` where nobody says it, of a run that is not short.
const FINALLY: Duration = Duration::from_mins(10);

/// A run takes at least this long before all of [`FINALLY`] is kept.
const SHORT: Duration = Duration::from_mins(20);

/// The parts, none of them zero.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Parts {
    pipeline: Option<Duration>,
    tasks: Option<Duration>,
    finally: Option<Duration>,
}

/// What a run gets: its pipeline's timeouts if it has any that count, else the `defaults`, as one block; made to fit together.
/// What a retry gives more of wins. `None` leaves it to the engine. The error names the duration.
pub(super) fn timeouts(
    own: Option<&Timeouts>,
    defaults: Option<&Timeouts>,
    mitigation: Option<&Mitigation>,
) -> Result<Option<TimeoutFields>, String> {
    let own = own.map(Parts::read).transpose()?.filter(Parts::counts);
    let parts = match own {
        Some(own) => own,
        None => defaults
            .map(Parts::read)
            .transpose()
            .map_err(|error| format!("ReleaseServiceConfig, spec.defaultTimeouts: {error}"))?
            .unwrap_or_default(),
    };
    let mut fields = parts.fitted().fields();
    if let Some(mitigation) = mitigation {
        fields.pipeline = mitigation.pipelines_timeout.clone().or(fields.pipeline);
        fields.tasks = mitigation.tasks_timeout.clone().or(fields.tasks);
    }
    Ok((fields != TimeoutFields::default()).then_some(fields))
}

impl Parts {
    fn read(timeouts: &Timeouts) -> Result<Self, String> {
        let read = |name: &str, text: &Option<String>| -> Result<Option<Duration>, String> {
            let Some(text) = text.as_deref().filter(|text| !text.is_empty()) else { return Ok(None) };
            let duration: GoDuration =
                text.parse().map_err(|error: Invalid| format!("timeouts.{name}: {error}"))?;
            Ok(duration.limit())
        };
        Ok(Self {
            pipeline: read("pipeline", &timeouts.pipeline)?,
            tasks: read("tasks", &timeouts.tasks)?,
            finally: read("finally", &timeouts.finally)?,
        })
    }

    /// `finally` alone says nothing of a run.
    fn counts(&self) -> bool {
        self.pipeline.is_some() || self.tasks.is_some()
    }

    /// So that the whole is at least its parts together, as the engine demands.
    fn fitted(self) -> Self {
        let whole = |pipeline, tasks, finally| Self { pipeline: Some(pipeline), tasks: Some(tasks), finally };
        match (self.pipeline, self.tasks, self.finally) {
            (Some(pipeline), Some(tasks), Some(finally)) => {
                if tasks.saturating_add(finally) <= pipeline {
                    self
                } else {
                    whole(pipeline, pipeline.saturating_sub(buffer(pipeline)), Some(buffer(pipeline)))
                }
            }
            (Some(pipeline), Some(tasks), None) if tasks < pipeline => self,
            (Some(pipeline), _, None) => whole(pipeline, pipeline.saturating_sub(buffer(pipeline)), None),
            (Some(pipeline), None, Some(finally)) => {
                let finally = if finally <= pipeline / 2 { finally } else { buffer(pipeline) };
                whole(pipeline, pipeline.saturating_sub(finally), Some(finally))
            }
            (None, Some(tasks), None) => whole(tasks.saturating_add(FINALLY), tasks, None),
            (None, Some(tasks), Some(finally)) => whole(tasks.saturating_add(finally), tasks, Some(finally)),
            (None, None, _) => Self::default(),
        }
    }

    fn fields(self) -> TimeoutFields {
        // Zero would mean that there is no limit.
        let text = |duration: Option<Duration>| {
            duration
                .filter(|duration| !duration.is_zero())
                .map(|duration| GoDuration::from(duration).to_string())
        };
        TimeoutFields { pipeline: text(self.pipeline), tasks: text(self.tasks), finally: text(self.finally) }
    }
}

/// What is kept for `finally`.
fn buffer(pipeline: Duration) -> Duration {
    if pipeline < SHORT { pipeline / 2 } else { FINALLY }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rstest::rstest;

    use super::*;

    /// `pipeline,tasks,finally`; empty for absent.
    fn given(text: &str) -> Option<Timeouts> {
        (!text.is_empty()).then(|| {
            let mut parts = text.split(',').map(|part| (!part.is_empty()).then(|| part.to_owned()));
            let mut next = || parts.next().flatten();
            Timeouts { pipeline: next(), tasks: next(), finally: next() }
        })
    }

    fn shown(fields: Option<TimeoutFields>) -> String {
        fields.map_or_else(String::new, |fields| {
            [fields.pipeline, fields.tasks, fields.finally].map(Option::unwrap_or_default).join(",")
        })
    }

    #[rstest]
    #[case::all_that_fit("2h,1h,30m", "2h0m0s,1h0m0s,30m0s")]
    #[case::all_that_just_fit("90m,1h,30m", "1h30m0s,1h0m0s,30m0s")]
    #[case::all_that_do_not_fit("1h,1h,30m", "1h0m0s,50m0s,10m0s")]
    #[case::all_that_do_not_fit_in_a_short_run("10m,10m,10m", "10m0s,5m0s,5m0s")]
    #[case::longer_tasks_than_the_run("1h,2h", "1h0m0s,50m0s,")]
    #[case::tasks_as_long_as_the_run("1h,1h", "1h0m0s,50m0s,")]
    #[case::shorter_tasks("1h,59m", "1h0m0s,59m0s,")]
    #[case::finally_of_half_the_run("1h,,30m", "1h0m0s,30m0s,30m0s")]
    #[case::finally_of_more("1h,,31m", "1h0m0s,50m0s,10m0s")]
    #[case::the_run_alone("4h", "4h0m0s,3h50m0s,")]
    #[case::a_run_of_twenty_minutes("20m", "20m0s,10m0s,")]
    #[case::a_short_run_alone("19m", "19m0s,9m30s,")]
    #[case::tasks_alone(",1h", "1h10m0s,1h0m0s,")]
    #[case::tasks_and_finally(",1h,5m", "1h5m0s,1h0m0s,5m0s")]
    #[case::finally_alone(",,5m", "")]
    #[case::zero_counts_as_absent("0,0s,0h0m", "")]
    #[case::zero_beside_another("0s,1h,0", "1h10m0s,1h0m0s,")]
    #[case::nothing("", "")]
    fn makes_them_fit(#[case] own: &str, #[case] expected: &str) {
        assert_eq!(shown(timeouts(given(own).as_ref(), None, None).unwrap()), expected);
    }

    #[rstest]
    #[case::its_own_win("2h,1h", "8h,,5m", "2h0m0s,1h0m0s,")]
    #[case::none_of_its_own("", "8h,,5m", "8h0m0s,7h55m0s,5m0s")]
    #[case::all_empty(",,", "8h,,5m", "8h0m0s,7h55m0s,5m0s")]
    #[case::finally_alone(",,3m", "8h", "8h0m0s,7h50m0s,")]
    #[case::finally_alone_in_both(",,3m", ",,5m", "")]
    fn takes_the_defaults_as_one_block(#[case] own: &str, #[case] defaults: &str, #[case] expected: &str) {
        let fields = timeouts(given(own).as_ref(), given(defaults).as_ref(), None).unwrap();
        assert_eq!(shown(fields), expected);
    }

    #[rstest]
    #[case::both(Some("3h0m0s"), Some("2h50m0s"), "3h0m0s,2h50m0s,10m0s")]
    #[case::whole_run_alone(Some("3h0m0s"), None, "3h0m0s,30m0s,10m0s")]
    fn a_retry_gets_more(
        #[case] pipeline: Option<&str>,
        #[case] tasks: Option<&str>,
        #[case] expected: &str,
    ) {
        let mitigation = Mitigation {
            pipelines_timeout: pipeline.map(str::to_owned),
            tasks_timeout: tasks.map(str::to_owned),
            ..Mitigation::default()
        };
        let fields = timeouts(given("1h,30m,10m").as_ref(), None, Some(&mitigation)).unwrap();
        assert_eq!(shown(fields), expected);
    }

    #[rstest]
    #[case::own("1h,soon", "", "timeouts.tasks: \"soon\"")]
    #[case::too_long("99999999999999h", "", "timeouts.pipeline: ")]
    #[case::defaults(
        "",
        "1h,,soon",
        "ReleaseServiceConfig, spec.defaultTimeouts: timeouts.finally: \"soon\""
    )]
    fn names_what_is_no_duration(#[case] own: &str, #[case] defaults: &str, #[case] expected: &str) {
        let error = timeouts(given(own).as_ref(), given(defaults).as_ref(), None).unwrap_err();
        assert!(error.starts_with(expected), "{error}");
    }

    proptest! {
        #[test]
        fn always_fits(
            pipeline in proptest::option::of(0_u64..u64::MAX / 4),
            tasks in proptest::option::of(0_u64..u64::MAX / 4),
            finally in proptest::option::of(0_u64..u64::MAX / 4),
        ) {
            let some = |nanoseconds: Option<u64>| nanoseconds.filter(|n| *n > 0).map(Duration::from_nanos);
            let fitted = Parts { pipeline: some(pipeline), tasks: some(tasks), finally: some(finally) }.fitted();
            let sum = fitted.tasks.unwrap_or_default().saturating_add(fitted.finally.unwrap_or_default());
            prop_assert!(sum <= fitted.pipeline.unwrap_or_default(), "{fitted:?}");
        }
    }
}
