//! Which tasks are not run, and which are next (sections 1.1 and 1.2): one pass in the order of the graph.

use pipelines_engine_api::reasons::SkippingReason;
use pipelines_engine_api::{ParamValue, WhenExpression};

use super::graph::{Graph, result_references};
use super::progress::{Member, Outcome};
use super::results::Results;
use crate::cel;
use crate::substitution::Replacements;
use crate::substitution::pipeline::in_when;
use crate::substitution::references::ResultRef;

/// What keeps new tasks from being started.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "each is a reason of its own, and several can hold")]
pub struct Brakes {
    /// `spec.status` is `CancelledRunFinally`.
    pub cancelled: bool,
    /// `spec.status` is `StoppedRunFinally`.
    pub stopped: bool,
    pub pipeline_timed_out: bool,
    pub tasks_timed_out: bool,
    pub finally_timed_out: bool,
}

/// What is to become of a task that has no runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Next {
    /// It has runs.
    Started,
    /// Something that it waits for is not done.
    Waits,
    Start,
    Skip {
        reason: SkippingReason,
        when: Vec<WhenExpression>,
    },
    /// It cannot ever start: a task that succeeded did not give out what this one refers to.
    Impossible(ResultRef),
    /// It cannot be told whether it is to start: the expression of a condition, and what is wrong with it.
    Untold {
        cel: String,
        why: cel::Invalid,
    },
}

impl Next {
    fn skip(reason: SkippingReason) -> Self {
        Self::Skip { reason, when: Vec::new() }
    }

    fn reason(&self) -> Option<SkippingReason> {
        match self {
            Self::Skip { reason, .. } => Some(*reason),
            _ => None,
        }
    }

    pub fn is_skipped(&self) -> bool {
        self.reason().is_some()
    }
}

/// Of each of `members`, those of `spec.tasks` in the order of the graph's positions.
pub fn of_tasks(members: &[Member], graph: &Graph, results: &Results, brakes: Brakes) -> Vec<Next> {
    let stopping = members.iter().any(Member::stops_run);
    let values = results.replacements();
    let mut next = vec![Next::Waits; members.len()];
    for &position in graph.order() {
        next[position] = of_task(position, members, &next, graph, results, &values, brakes, stopping);
    }
    next
}

#[expect(clippy::too_many_arguments, reason = "one step of the pass above, which holds all of this")]
fn of_task(
    position: usize,
    members: &[Member],
    next: &[Next],
    graph: &Graph,
    results: &Results,
    values: &Replacements,
    brakes: Brakes,
    stopping: bool,
) -> Next {
    let member = &members[position];
    if member.has_started() {
        return Next::Started;
    }
    if stopping {
        return Next::skip(SkippingReason::Stopping);
    }
    if brakes.cancelled {
        return Next::skip(SkippingReason::GracefullyCancelled);
    }
    if brakes.stopped {
        return Next::skip(SkippingReason::GracefullyStopped);
    }
    let mut parents = graph.parents(position);
    let blocks = |reason: Option<SkippingReason>| {
        reason.is_some_and(|reason| reason != SkippingReason::WhenExpressions)
    };
    if parents.any(|parent| blocks(next[parent].reason())) {
        return Next::skip(SkippingReason::ParentTasks);
    }
    let done = |parent: usize| members[parent].has_finished() || next[parent].is_skipped();
    if !graph.parents(position).all(done) {
        return timed_out(brakes).unwrap_or(Next::Waits);
    }
    if let Some(missing) = results.missing_for(member) {
        let producer = members.iter().position(|other| other.task.name == missing.task);
        let was_skipped = producer.is_some_and(|producer| next[producer].is_skipped());
        let has_failed =
            producer.is_some_and(|producer| members[producer].outcome() == Some(Outcome::Failed));
        if was_skipped || has_failed || member.task.continues_on_error() {
            return Next::skip(SkippingReason::MissingResults);
        }
        return Next::Impossible(missing);
    }
    by_value(member, values, || timed_out(brakes))
}

fn timed_out(brakes: Brakes) -> Option<Next> {
    if brakes.pipeline_timed_out {
        Some(Next::skip(SkippingReason::PipelineTimeout))
    } else if brakes.tasks_timed_out {
        Some(Next::skip(SkippingReason::TasksTimeout))
    } else {
        None
    }
}

/// Of each of `members`, those of `spec.finally`, once all tasks are done.
pub fn of_finally(members: &[Member], results: &Results, values: &Replacements, brakes: Brakes) -> Vec<Next> {
    let mut values = values.clone();
    values.extend(results.replacements());
    members
        .iter()
        .map(|member| {
            if member.has_started() {
                return Next::Started;
            }
            if result_references(&member.task).iter().any(|reference| !results.has(reference)) {
                return Next::skip(SkippingReason::MissingResults);
            }
            by_value(member, &values, || {
                if brakes.pipeline_timed_out {
                    Some(Next::skip(SkippingReason::PipelineTimeout))
                } else {
                    brakes.finally_timed_out.then(|| Next::skip(SkippingReason::FinallyTimeout))
                }
            })
        })
        .collect()
}

/// What conditions and a matrix make of a task that could start.
fn by_value(member: &Member, values: &Replacements, timed_out: impl Fn() -> Option<Next>) -> Next {
    let mut when = member.task.when.clone();
    in_when(&mut when, values);
    for expression in &when {
        match holds(expression) {
            Ok(true) => {}
            Ok(false) => return Next::Skip { reason: SkippingReason::WhenExpressions, when },
            Err(why) => return Next::Untold { cel: expression.cel.clone(), why },
        }
    }
    if let Some(skipped) = timed_out() {
        return skipped;
    }
    if let Some(matrix) = &member.task.matrix {
        let mut params = matrix.params.clone();
        values.in_params(&mut params);
        if params.iter().any(|param| param.value == ParamValue::Array(Vec::new())) {
            return Next::skip(SkippingReason::EmptyMatrix);
        }
    }
    Next::Start
}

/// Whether a condition holds, with values put in.
fn holds(expression: &WhenExpression) -> Result<bool, cel::Invalid> {
    if !expression.cel.is_empty() {
        return cel::holds(&expression.cel);
    }
    let is_in = expression.values.contains(&expression.input);
    Ok(match expression.operator.as_str() {
        "in" => is_in,
        "notin" => !is_in,
        // Validation has let nothing else through.
        _ => false,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pipeline_run::testing::{done, ended, run, task};
    use rstest::rstest;
    use serde_json::json;

    /// What is next for each task, in a word.
    fn words(members: &[Member], brakes: Brakes) -> Vec<String> {
        let tasks: Vec<_> = members.iter().map(|member| member.task.clone()).collect();
        let next = of_tasks(members, &Graph::new(&tasks).unwrap(), &Results::of(members), brakes);
        next.iter().map(word).collect()
    }

    fn word(next: &Next) -> String {
        match next {
            Next::Skip { reason, .. } => reason.to_string(),
            other => format!("{other:?}"),
        }
    }

    #[test]
    fn a_task_waits_for_its_parents() {
        let members = [task(json!({"name": "a"})), task(json!({"name": "b", "runAfter": ["a"]}))];
        assert_eq!(words(&members, Brakes::default()), ["Start", "Waits"]);
        let mut running = members.clone();
        running[0].children = vec![ended(run("a"), "Unknown", "Running")];
        assert_eq!(words(&running, Brakes::default()), ["Started", "Waits"]);
        running[0].children = vec![ended(run("a"), "True", "Succeeded")];
        assert_eq!(words(&running, Brakes::default()), ["Started", "Start"]);
    }

    /// Scenario 3: what only comes after a task that its condition skipped still runs, what needs its results not.
    #[test]
    fn a_condition_skips_consumers_only() {
        let members = [
            task(json!({"name": "a", "when": [{"input": "x", "operator": "in", "values": ["y"]}]})),
            task(json!({"name": "b", "runAfter": ["a"]})),
            task(json!({"name": "c", "params": [{"name": "p", "value": "$(tasks.a.results.r)"}]})),
            task(json!({"name": "d", "runAfter": ["c"]})),
        ];
        assert_eq!(
            words(&members, Brakes::default()),
            [
                "When Expressions evaluated to false",
                "Start",
                "Results were missing",
                "Parent Tasks were skipped"
            ]
        );
    }

    #[test]
    fn a_condition_sees_results() {
        let consumer = json!({
            "name": "b", "when": [{"input": "$(tasks.a.results.r)", "operator": "notin", "values": ["no"]}],
        });
        let members = [done(json!({"name": "a"}), "True", &[("r", "no")]), task(consumer.clone())];
        assert_eq!(words(&members, Brakes::default())[1], "When Expressions evaluated to false");
        let members = [done(json!({"name": "a"}), "True", &[("r", "yes")]), task(consumer)];
        assert_eq!(words(&members, Brakes::default())[1], "Start");
    }

    #[rstest]
    #[case::holds("'$(tasks.a.results.r)'.startsWith('v')", "Start")]
    #[case::does_not("'$(tasks.a.results.r)' == 'x'", "When Expressions evaluated to false")]
    #[case::no_boolean("'$(tasks.a.results.r)'", "Untold")]
    #[case::fault("int('$(tasks.a.results.r)') > 1", "Untold")]
    fn an_expression_sees_results(#[case] cel: &str, #[case] expected: &str) {
        let consumer = json!({"name": "b", "when": [{"cel": cel}]});
        let members = [done(json!({"name": "a"}), "True", &[("r", "v1' || 'x")]), task(consumer)];
        assert!(words(&members, Brakes::default())[1].starts_with(expected), "{members:?}");
    }

    #[test]
    fn a_failure_stops_the_rest() {
        let members = [done(json!({"name": "a"}), "False", &[]), task(json!({"name": "b"}))];
        assert_eq!(words(&members, Brakes::default())[1], "PipelineRun was stopping");
        let members =
            [done(json!({"name": "a", "onError": "continue"}), "False", &[]), task(json!({"name": "b"}))];
        assert_eq!(words(&members, Brakes::default())[1], "Start");
    }

    #[test]
    fn a_result_that_a_success_did_not_give_is_impossible() {
        let consumer = json!({"name": "b", "params": [{"name": "p", "value": "$(tasks.a.results.r)"}]});
        let members = [done(json!({"name": "a"}), "True", &[]), task(consumer.clone())];
        assert!(words(&members, Brakes::default())[1].starts_with("Impossible"), "it ends the run");
        let ignored = json!({"name": "a", "onError": "continue"});
        let members = [done(ignored, "False", &[]), task(consumer)];
        assert_eq!(words(&members, Brakes::default())[1], "Results were missing");
    }

    #[rstest]
    #[case(Brakes { cancelled: true, ..Brakes::default() }, "PipelineRun was gracefully cancelled")]
    #[case(Brakes { stopped: true, ..Brakes::default() }, "PipelineRun was gracefully stopped")]
    #[case(Brakes { pipeline_timed_out: true, ..Brakes::default() }, "PipelineRun timeout has been reached")]
    #[case(Brakes { tasks_timed_out: true, ..Brakes::default() }, "PipelineRun Tasks timeout has been reached")]
    fn brakes_skip(#[case] brakes: Brakes, #[case] expected: &str) {
        assert_eq!(words(&[task(json!({"name": "a"}))], brakes), [expected]);
    }

    #[test]
    fn an_empty_matrix_skips() {
        let member = task(json!({"name": "a", "matrix": {"params": [{"name": "p", "value": []}]}}));
        assert_eq!(words(&[member], Brakes::default()), ["Matrix Parameters have an empty array"]);
    }

    #[test]
    fn finally_sees_states_and_skips_what_it_lacks() {
        let tasks = [done(json!({"name": "a"}), "False", &[])];
        let finally = [
            task(
                json!({"name": "x", "when": [{"input": "$(tasks.a.status)", "operator": "in", "values": ["Failed"]}]}),
            ),
            task(json!({"name": "y", "params": [{"name": "p", "value": "$(tasks.a.results.r)"}]})),
            task(json!({"name": "z"})),
        ];
        let mut states = Replacements::default();
        states.set("tasks.a.status", "Failed");
        let next = of_finally(&finally, &Results::of(&tasks), &states, Brakes::default());
        assert_eq!(next.iter().map(word).collect::<Vec<_>>(), ["Start", "Results were missing", "Start"]);
        let late = Brakes { finally_timed_out: true, ..Brakes::default() };
        let next = of_finally(&finally, &Results::of(&tasks), &states, late);
        assert_eq!(word(&next[2]), "PipelineRun Finally timeout has been reached");
    }
}
