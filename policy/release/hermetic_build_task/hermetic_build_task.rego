# METADATA
# title: Hermetic build task
# description: >-
#   The image was built without network.
package policy.release.hermetic_build_task

import rego.v1

import data.lib
import data.lib.trusted

# METADATA
# title: Build task called with hermetic param set
# description: >-
#   Each task that builds images was given the param `HERMETIC` with the value `true`. Trusted tasks in the rule data
#   `assembling_tasks` are left out: they put together what others have built, and run nothing of the sources.
# custom:
#   short_name: build_task_hermetic
#   failure_msg: Build task was not invoked with the hermetic parameter set
#   solution: >-
#     Set the param `hermetic` of the pipeline to `true`, and let it prefetch what the build needs.
#   collections: [redhat]
#   depends_on: [attestation_type.known_attestation_type]
deny contains result if {
	some task in lib.build_tasks
	not _only_assembles(task)
	not _is_hermetic(task)
	result := lib.result(rego.metadata.chain(), [])
}

_is_hermetic(task) if task.params.HERMETIC == "true"

_only_assembles(task) if {
	task.name in lib.rule_data("assembling_tasks")
	trusted.is_trusted(task)
}
