# METADATA
# title: Tasks
# description: >-
#   The pipeline has run the tasks that are required of it, and with success.
package policy.release.tasks

import rego.v1

import data.lib
import data.lib.dates
import data.lib.required
import data.lib.trusted

# METADATA
# title: Pipeline run includes at least one task
# description: >-
#   Each provenance of a PipelineRun names tasks.
# custom:
#   short_name: pipeline_has_tasks
#   failure_msg: No tasks found in PipelineRun attestation
#   solution: >-
#     See that the provenance is made from the whole PipelineRun, in a format that holds its tasks.
#   collections: [minimal, redhat, slsa3]
#   depends_on: [attestation_type.known_attestation_type]
deny contains result if {
	some tasks in lib.tasks_by_attestation
	count(tasks) == 0
	result := lib.result(rego.metadata.chain(), [])
}

# METADATA
# title: Successful pipeline tasks
# description: >-
#   Each task of the pipeline has succeeded.
# custom:
#   short_name: successful_pipeline_tasks
#   failure_msg: Pipeline task %q did not complete successfully, %q
#   solution: Find in the run why the task has failed, correct it, and build again.
#   collections: [minimal, redhat, slsa3]
#   depends_on: [tasks.pipeline_has_tasks]
deny contains result if {
	some task in lib.tasks
	task.status != "Succeeded"
	result := lib.result_with_term(rego.metadata.chain(), [task.pipeline_task, task.status], task.name)
}

# METADATA
# title: All required tasks were included in the pipeline
# description: >-
#   Each task on the list of required tasks is part of the pipeline, and is a trusted one.
# custom:
#   short_name: required_tasks_found
#   failure_msg: "%s is missing"
#   solution: >-
#     Add the task to the pipeline, by a reference that is trusted. A new pipeline definition has all that are required.
#   collections: [redhat]
#   depends_on: [tasks.pipeline_has_tasks]
deny contains result if {
	some index, statement in lib.pipelinerun_attestations
	some item in required.still_required(required.lists(statement, lib.tasks_by_attestation[index]))
	not required.is_met(item, _trusted[index])
	result := lib.result_with_term(rego.metadata.chain(), [required.describe(item)], item)
}

# METADATA
# title: Required tasks come from trusted tasks
# description: >-
#   A required task that is part of the pipeline is a trusted one. Otherwise it is missing for `required_tasks_found`, and
#   this tells why.
# custom:
#   short_name: required_untrusted_task_found
#   failure_msg: "%s is required and present but not from a trusted task"
#   solution: Refer to the task in a version that `trusted_tasks` has a record of.
#   collections: [redhat]
#   depends_on: [tasks.pipeline_has_tasks]
warn contains result if {
	some index, statement in lib.pipelinerun_attestations
	tasks := lib.tasks_by_attestation[index]
	some item in required.still_required(required.lists(statement, tasks))
	not required.is_met(item, _trusted[index])
	required.is_met(item, tasks)
	result := lib.result_with_term(rego.metadata.chain(), [required.describe(item)], item)
}

# METADATA
# title: Required tasks list for pipeline was provided
# description: >-
#   There is a list of required tasks for this kind of pipeline. If there is none, the list for all kinds counts.
# custom:
#   short_name: pipeline_required_tasks_list_provided
#   failure_msg: Required tasks do not exist for pipeline
#   solution: >-
#     Add a list for this kind of pipeline to `pipeline-required-tasks`; the label `build.appstudio.redhat.com/build_type` of
#     the build task, or `pipelines.openshift.io/runtime` of the pipeline, says its kind.
#   collections: [redhat]
#   depends_on: [tasks.pipeline_has_tasks]
warn contains result if {
	some index, statement in lib.pipelinerun_attestations
	count(required.own_lists(statement, lib.tasks_by_attestation[index])) == 0
	result := lib.result(rego.metadata.chain(), [])
}

# METADATA
# title: Future required tasks were found
# description: >-
#   Each task that will be required once the newest list is in force is part of the pipeline, and is a trusted one.
# custom:
#   short_name: future_required_tasks_found
#   failure_msg: "%s is missing and will be required on %s"
#   solution: Add the task to the pipeline before that day.
#   collections: [redhat]
#   depends_on: [tasks.pipeline_has_tasks]
warn contains result if {
	some index, statement in lib.pipelinerun_attestations
	lists := required.lists(statement, lib.tasks_by_attestation[index])
	some item in required.newly_required(lists)
	not required.is_met(item, _trusted[index])
	date := dates.latest(lists).effective_on
	found := lib.result_with_term(rego.metadata.chain(), [required.describe(item), date], item)
	result := object.union(found, {"effective_on": date})
}

# METADATA
# title: Required tasks list was provided
# description: >-
#   The data of the policy has a list of required tasks that is in force.
# custom:
#   short_name: required_tasks_list_provided
#   failure_msg: Missing required required-tasks data
#   solution: >-
#     Add a data source with `required-tasks` or `pipeline-required-tasks` to the policy.
#   collections: [redhat]
#   depends_on: [tasks.pipeline_has_tasks]
deny contains result if {
	some index, statement in lib.pipelinerun_attestations
	not required.is_list_given(required.lists(statement, lib.tasks_by_attestation[index]))
	result := lib.result(rego.metadata.chain(), [])
}

# METADATA
# title: Pinned Task references
# description: >-
#   Each reference to a task has a digest or a commit, so that what it names cannot change.
# custom:
#   short_name: pinned_task_refs
#   failure_msg: Task %s is used by pipeline task %s via an unpinned reference.
#   solution: Add the digest of the bundle, or the commit, to the reference in the pipeline.
#   collections: [redhat]
#   depends_on: [tasks.pipeline_has_tasks]
deny contains result if {
	some task in lib.tasks
	not trusted.is_pinned(task)
	result := lib.result_with_term(rego.metadata.chain(), [task.name, task.pipeline_task], task.name)
}

# METADATA
# title: Task version unsupported
# description: >-
#   No task has been given up: those that have, or will be, say so by the annotation `build.appstudio.redhat.com/expires-on`.
# custom:
#   short_name: unsupported
#   failure_msg: Task %q is used by pipeline task %q is or will be unsupported as of %s.%s
#   solution: Use a newer version of the task before that day.
#   collections: [redhat]
#   depends_on: [tasks.pipeline_has_tasks]
deny contains result if {
	some task in lib.tasks
	date := task.annotations["build.appstudio.redhat.com/expires-on"]
	hint := _hint(task.annotations)
	found := lib.result_with_term(rego.metadata.chain(), [task.name, task.pipeline_task, date, hint], task.name)
	result := object.union(found, {"effective_on": date})
}

_hint(annotations) := sprintf(" %s", [hint]) if {
	hint := annotations["build.appstudio.redhat.com/expiry-message"]
	is_string(hint)
} else := ""

# Of each attestation.
_trusted := [[task | some task in tasks; trusted.is_trusted(task)] | some tasks in lib.tasks_by_attestation]
