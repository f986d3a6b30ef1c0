# METADATA
# title: Required tasks
# description: >-
#   The definition of a Pipeline has the tasks that will be asked for when an image which it has built is released.
package policy.pipeline.required_tasks

import rego.v1

import data.lib
import data.lib.dates
import data.lib.required
import data.lib.tekton

# METADATA
# title: Pipeline contains tasks
# description: >-
#   The Pipeline has tasks at all.
# custom:
#   short_name: tasks_found
#   failure_msg: No tasks found in pipeline
#   solution: Add the tasks that are required.
#   depends_on: [basic.expected_kind]
deny contains result if {
	input.kind == "Pipeline"
	count(_tasks) == 0
	result := lib.result(rego.metadata.chain(), [])
}

# METADATA
# title: Required task list is present in rule data
# description: >-
#   The data of the policy has a list of required tasks that is in force.
# custom:
#   short_name: required_tasks_list_present
#   failure_msg: The required tasks list is missing from the rule data
#   solution: >-
#     Add a data source with `required-tasks` or `pipeline-required-tasks` to the policy.
#   depends_on: [basic.expected_kind]
deny contains result if {
	input.kind == "Pipeline"
	not required.is_list_given(_lists)
	result := lib.result(rego.metadata.chain(), [])
}

# METADATA
# title: Required tasks found in pipeline definition
# description: >-
#   There is a list of required tasks for this kind of Pipeline. If there is none, the list for all kinds counts.
# custom:
#   short_name: required_tasks_found
#   failure_msg: Required tasks do not exist for pipeline %q
#   solution: >-
#     Add the label `pipelines.openshift.io/runtime` with the kind of the Pipeline, or a list for this kind to
#     `pipeline-required-tasks`.
#   depends_on: [basic.expected_kind]
warn contains result if {
	input.kind == "Pipeline"
	count(required.own_lists(input, _tasks)) == 0
	result := lib.result(rego.metadata.chain(), [_name])
}

# METADATA
# title: Missing required task
# description: >-
#   Each task on the list is part of the Pipeline.
# custom:
#   short_name: missing_required_task
#   failure_msg: "%s is missing"
#   solution: Add the task to the Pipeline.
#   depends_on: [required_tasks.tasks_found]
deny contains result if {
	input.kind == "Pipeline"
	some item in required.still_required(_lists)
	not required.is_met(item, _tasks)
	result := lib.result_with_term(rego.metadata.chain(), [required.describe(item)], item)
}

# METADATA
# title: Missing future required task
# description: >-
#   Each task that will be required once the newest list is in force is part of the Pipeline.
# custom:
#   short_name: missing_future_required_task
#   failure_msg: "%s is missing and will be required on %s"
#   solution: Add the task to the Pipeline before that day.
#   depends_on: [required_tasks.tasks_found]
warn contains result if {
	input.kind == "Pipeline"
	some item in required.newly_required(_lists)
	not required.is_met(item, _tasks)
	date := dates.latest(_lists).effective_on
	found := lib.result_with_term(rego.metadata.chain(), [required.describe(item), date], item)
	result := object.union(found, {"effective_on": date})
}

_tasks := tekton.tasks(input)

_lists := required.lists(input, _tasks)

_name := object.get(input, ["metadata", "name"], "")
