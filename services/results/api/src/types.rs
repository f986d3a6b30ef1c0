//! Types of records: `<apiVersion>.<Kind>` of the object in their data.
//!
//! Old archives hold the same kinds under older versions, so each kind is a list, the newest version first.

/// PipelineRuns; `PIPELINE_RUN` in filters.
pub const PIPELINE_RUN: [&str; 2] = ["tekton.dev/v1.PipelineRun", "tekton.dev/v1beta1.PipelineRun"];

/// TaskRuns; `TASK_RUN` in filters.
pub const TASK_RUN: [&str; 2] = ["tekton.dev/v1.TaskRun", "tekton.dev/v1beta1.TaskRun"];

/// CustomRuns.
pub const CUSTOM_RUN: [&str; 1] = ["tekton.dev/v1beta1.CustomRun"];

/// Records about stored logs, see [`log`](crate::log). We write the last; newer writers the first.
pub const LOG: [&str; 2] = ["results.tekton.dev/v1alpha3.Log", LOG_V1ALPHA2];

/// Type of the log records that we write.
pub const LOG_V1ALPHA2: &str = "results.tekton.dev/v1alpha2.Log";

/// Events of a run.
pub const EVENT_LIST: &str = "results.tekton.dev/v1.EventList";

/// Most characters that a type may have.
pub const LONGEST: usize = 768;

/// The type of records that hold objects of a kind.
pub fn of(api_version: &str, kind: &str) -> String {
    format!("{api_version}.{kind}")
}

/// Whether a record of this type is about a stored log.
pub fn is_log(record_type: &str) -> bool {
    LOG.contains(&record_type)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn types_are_made_of_version_and_kind() {
        assert_eq!(of("tekton.dev/v1", "PipelineRun"), PIPELINE_RUN[0]);
        assert_eq!(of("tekton.dev/v1beta1", "TaskRun"), TASK_RUN[1]);
        assert!(is_log(&of("results.tekton.dev/v1alpha2", "Log")));
        assert!(is_log(&of("results.tekton.dev/v1alpha3", "Log")));
        assert!(!is_log(PIPELINE_RUN[0]));
    }
}
