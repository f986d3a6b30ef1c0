# METADATA
# title: Pipeline definition sanity checks
# description: >-
#   What is checked is the definition of a Pipeline.
package policy.pipeline.basic

import rego.v1

import data.lib

# METADATA
# title: Pipeline definition has expected kind
# description: >-
#   The `kind` is `Pipeline`.
# custom:
#   short_name: expected_kind
#   failure_msg: Unexpected kind '%s' for pipeline definition
#   solution: Check the definition of a Pipeline by this policy, and of a Task by the rules for tasks.
deny contains result if {
	kind := object.get(input, "kind", "")
	kind != "Pipeline"
	result := lib.result(rego.metadata.chain(), [kind])
}
