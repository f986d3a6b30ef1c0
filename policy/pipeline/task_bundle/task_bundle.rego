# METADATA
# title: Task bundle checks
# description: >-
#   The definition of a Pipeline refers to bundles of tasks that are trusted.
package policy.pipeline.task_bundle

import rego.v1

import data.lib
import data.lib.tekton
import data.lib.trusted

# METADATA
# title: Task reference is a bundle
# description: >-
#   Each task is found in a bundle.
# custom:
#   short_name: disallowed_task_reference
#   failure_msg: Pipeline task '%s' does not contain a bundle reference
#   solution: Refer to the task by its bundle.
deny contains result if {
	some task in _tasks
	task.reference.form != "bundle"
	result := lib.result_with_term(rego.metadata.chain(), [task.pipeline_task], task.name)
}

# METADATA
# title: Task bundle reference is empty
# description: >-
#   Each reference to a bundle names an image.
# custom:
#   short_name: empty_task_bundle_reference
#   failure_msg: Pipeline task '%s' uses an empty bundle image reference
#   solution: Name the image of the bundle.
deny contains result if {
	some task in _tasks
	task.reference.bundle == ""
	result := lib.result_with_term(rego.metadata.chain(), [task.pipeline_task], task.name)
}

# METADATA
# title: Task bundle is not trusted
# description: >-
#   Of each bundle `trusted_tasks` has a record that is in force, or will be.
# custom:
#   short_name: untrusted_task_bundle
#   failure_msg: Pipeline task '%s' uses an untrusted task bundle '%s'
#   solution: Use a bundle of which `trusted_tasks` has a record, in the version that the record names.
deny contains result if {
	some task in _named
	not trusted.is_trusted(task)
	result := lib.result_with_term(rego.metadata.chain(), [task.pipeline_task, task.reference.bundle], task.name)
}

# METADATA
# title: Unpinned task bundle reference
# description: >-
#   Each reference to a bundle has a digest.
# custom:
#   short_name: unpinned_task_bundle
#   failure_msg: Pipeline task '%s' uses an unpinned task bundle reference '%s'
#   solution: Add the digest of the bundle.
warn contains result if {
	some task in _named
	not trusted.is_pinned(task)
	result := lib.result_with_term(rego.metadata.chain(), [task.pipeline_task, task.reference.bundle], task.name)
}

# METADATA
# title: Task bundle is out of date
# description: >-
#   Each bundle is the newest of those that are trusted.
# custom:
#   short_name: out_of_date_task_bundle
#   failure_msg: Pipeline task '%s' uses an out of date task bundle '%s'
#   solution: Update the reference to the newest bundle of the task.
warn contains result if {
	some task in _named
	trusted.is_out_of_date(task)
	result := lib.result_with_term(rego.metadata.chain(), [task.pipeline_task, task.reference.bundle], task.name)
}

# METADATA
# title: Missing required data
# description: >-
#   The data of the policy has records of trusted tasks.
# custom:
#   short_name: missing_required_data
#   failure_msg: Missing required trusted_tasks data
#   solution: Add a data source with `trusted_tasks` to the policy; `ec track bundle` writes it.
deny contains result if {
	not trusted.is_data_given
	result := lib.result(rego.metadata.chain(), [])
}

_tasks := tekton.tasks(input)

_named := [task | some task in _tasks; task.reference.bundle != ""]
