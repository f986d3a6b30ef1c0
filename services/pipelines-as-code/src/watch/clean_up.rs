//! Which ended runs go, as `max-keep-runs` says (spec section 4.13).
//!
//! The Secret with a run's credentials is owned by it, so that garbage collection takes it along.

use std::collections::BTreeMap;
use std::sync::Arc;

use kube::ResourceExt as _;
use pipelines_as_code_api::annotations::read::MAX_KEEP_RUNS;
use pipelines_as_code_api::pipeline_run::State;
use pipelines_engine_api::PipelineRun;

use super::run;
use crate::settings::Settings;

/// The runs of a Repository that are too many: of each name in `.tekton/` the latest stay.
/// `settings_of` are those that a run was started under.
pub fn too_many(
    runs: &[Arc<PipelineRun>],
    settings_of: &dyn Fn(&PipelineRun) -> Arc<Settings>,
) -> Vec<Arc<PipelineRun>> {
    let mut by_name: BTreeMap<&str, Vec<&Arc<PipelineRun>>> = BTreeMap::new();
    for run in runs {
        let is_over = run::state(run) == Some(State::Completed) && run::is_done(run);
        if is_over
            && !run::is_being_deleted(run)
            && let Some(name) = run::original(run)
        {
            by_name.entry(name).or_default().push(run);
        }
    }
    let mut going = Vec::new();
    for mut ended in by_name.into_values() {
        ended.sort_by_cached_key(|run| std::cmp::Reverse((run::completed_at(run), run.name_any())));
        // The latest knows what its author wants now.
        let Some(kept) = ended.first().and_then(|latest| kept(latest, &settings_of(latest))) else {
            continue;
        };
        going.extend(ended.into_iter().skip(kept).cloned());
    }
    going
}

/// How many runs of this name are kept. `None`: all.
fn kept(run: &PipelineRun, settings: &Settings) -> Option<usize> {
    let wanted = run::annotation(run, MAX_KEEP_RUNS).and_then(|count| count.trim().parse::<u32>().ok());
    let wanted = wanted.filter(|count| *count > 0);
    let limit = settings.max_keep_run_upper_limit.filter(|limit| *limit > 0);
    let count = match (wanted, limit) {
        (Some(wanted), Some(limit)) => Some(wanted.min(limit)),
        (Some(wanted), None) => Some(wanted),
        (None, _) => settings.default_max_keep_runs.filter(|count| *count > 0),
    };
    count.and_then(|count| usize::try_from(count).ok())
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    use crate::watch::testing::{RunBuilder, names, run};

    /// Five that ended one after another, the last at 5.
    fn five(with: impl Fn(RunBuilder) -> RunBuilder) -> Vec<Arc<PipelineRun>> {
        let ended = |number: i64| {
            with(run(&format!("app-{number}")).original("app").state("completed").ended_at(number, "True"))
        };
        (1..=5).map(|number| Arc::new(ended(number).build())).collect()
    }

    #[rstest]
    #[case::as_wanted(Some("2"), None, None, &["app-3", "app-2", "app-1"])]
    #[case::nobody_says_anything(None, None, None, &[])]
    #[case::no_more_than_allowed(Some("4"), Some(3), None, &["app-2", "app-1"])]
    #[case::by_default(None, Some(1), Some(4), &["app-1"])]
    #[case::no_number(Some("all"), None, None, &[])]
    #[case::nothing_is_no_number(Some("0"), None, None, &[])]
    fn the_latest_stay(
        #[case] wanted: Option<&str>,
        #[case] limit: Option<u32>,
        #[case] default: Option<u32>,
        #[case] gone: &[&str],
    ) {
        let runs = five(|run| match wanted {
            Some(count) => run.annotation("pipelinesascode.tekton.dev/max-keep-runs", count),
            None => run,
        });
        let settings = Arc::new(Settings {
            max_keep_run_upper_limit: limit,
            default_max_keep_runs: default,
            ..Settings::default()
        });
        assert_eq!(names(&too_many(&runs, &|_| Arc::clone(&settings))), gone);
    }

    #[test]
    fn only_what_is_reported_goes_and_each_name_counts_by_itself() {
        let settings = Arc::new(Settings { default_max_keep_runs: Some(1), ..Settings::default() });
        let runs = [
            run("a-1").original("a").state("completed").ended_at(1, "True").build(),
            run("a-2").original("a").state("completed").ended_at(2, "False").build(),
            run("a-3").original("a").state("started").ended_at(3, "True").build(),
            run("a-4").original("a").state("started").build(),
            run("a-0").original("a").state("failed").ended_at(0, "True").build(),
            run("b-1").original("b").state("completed").ended_at(1, "True").build(),
        ];
        assert_eq!(names(&too_many(&runs.map(Arc::new), &|_| Arc::clone(&settings))), ["a-1"]);
    }
}
