# METADATA
# title: Tekton Task kind checks
# description: >-
#   What is checked is the definition of a Task.
package policy.task.kind

import rego.v1

import data.lib

# METADATA
# title: Kind field is present in task definition
# description: >-
#   The definition has a `kind`.
# custom:
#   short_name: kind_present
#   failure_msg: Required field 'kind' not found
#   solution: Add `kind` to the definition.
deny contains result if {
	object.get(input, "kind", "") == ""
	result := lib.result(rego.metadata.chain(), [])
}

# METADATA
# title: Task definition has expected kind
# description: >-
#   The `kind` is `Task`.
# custom:
#   short_name: expected_kind
#   failure_msg: Unexpected kind '%s' for task definition
#   solution: Check the definition of a Task by this policy, and of a Pipeline by the rules for pipelines.
#   depends_on: [task.kind.kind_present]
deny contains result if {
	kind := object.get(input, "kind", "")
	not kind in {"", "Task"}
	result := lib.result(rego.metadata.chain(), [kind])
}
