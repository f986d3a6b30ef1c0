# METADATA
# title: Task bundle checks
# description: >-
#   The tasks of the pipeline come from bundles that the policy trusts. Pipelines with tasks from git need the package
#   `trusted_task` in place of this one.
package policy.release.attestation_task_bundle

import rego.v1

import data.lib
import data.lib.trusted

# METADATA
# title: Tasks defined using bundle references
# description: >-
#   Each task was found in a bundle.
# custom:
#   short_name: tasks_defined_in_bundle
#   failure_msg: Pipeline task '%s' does not contain a bundle reference
#   solution: Refer to the task by its bundle in the pipeline.
#   collections: [minimal, redhat]
#   depends_on: [attestation_type.known_attestation_type]
deny contains result if {
	some task in lib.tasks
	task.reference.form != "bundle"
	result := lib.result(rego.metadata.chain(), [task.pipeline_task])
}

# METADATA
# title: Task bundle references not empty
# description: >-
#   Each reference to a bundle names an image.
# custom:
#   short_name: task_ref_bundles_not_empty
#   failure_msg: Pipeline task '%s' uses an empty bundle image reference
#   solution: Name the image of the bundle in the pipeline.
#   collections: [minimal, redhat]
#   depends_on: [attestation_type.known_attestation_type]
deny contains result if {
	some task in lib.tasks
	task.reference.bundle == ""
	result := lib.result(rego.metadata.chain(), [task.pipeline_task])
}

# METADATA
# title: Task bundle references pinned to digest
# description: >-
#   Each reference to a bundle has a digest: a tag can name something else tomorrow.
# custom:
#   short_name: task_ref_bundles_pinned
#   failure_msg: Pipeline task '%s' uses an unpinned task bundle reference '%s'
#   solution: Add the digest of the bundle to its reference in the pipeline.
#   collections: [redhat]
#   depends_on: [attestation_type.known_attestation_type]
warn contains result if {
	some task in _named
	not trusted.is_pinned(task)
	result := lib.result(rego.metadata.chain(), [task.pipeline_task, task.reference.bundle])
}

# METADATA
# title: Task bundles are latest versions
# description: >-
#   Each bundle is the newest of those that are trusted.
# custom:
#   short_name: task_ref_bundles_current
#   failure_msg: Pipeline task '%s' uses an out of date task bundle '%s'
#   solution: Update the reference in the pipeline to the newest bundle of the task.
#   collections: [redhat]
#   depends_on: [attestation_type.known_attestation_type]
warn contains result if {
	some task in _named
	trusted.is_out_of_date(task)
	result := lib.result(rego.metadata.chain(), [task.pipeline_task, task.reference.bundle])
}

# METADATA
# title: Task bundles are trusted
# description: >-
#   Of each bundle `trusted_tasks` has a record that is in force, or will be.
# custom:
#   short_name: task_ref_bundles_trusted
#   failure_msg: Pipeline task '%s' uses an untrusted task bundle '%s'
#   solution: Use a bundle of which `trusted_tasks` has a record, in the version that the record names.
#   collections: [redhat]
#   depends_on: [attestation_type.known_attestation_type]
deny contains result if {
	some task in _named
	not trusted.is_trusted(task)
	result := lib.result(rego.metadata.chain(), [task.pipeline_task, task.reference.bundle])
}

# METADATA
# title: Trusted bundles list provided
# description: >-
#   The data of the policy has records of trusted tasks.
# custom:
#   short_name: trusted_bundles_provided
#   failure_msg: Missing required trusted_tasks data
#   solution: Add a data source with `trusted_tasks` to the policy; `ec track bundle` writes it.
#   collections: [redhat]
#   depends_on: [attestation_type.known_attestation_type]
deny contains result if {
	not trusted.is_data_given
	result := lib.result(rego.metadata.chain(), [])
}

_named := [task | some task in lib.tasks; task.reference.bundle != ""]
