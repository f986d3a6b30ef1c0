# METADATA
# title: Attestation type
# description: >-
#   The image comes with provenance of the pipeline that has built it, in a form that these rules can read.
package policy.release.attestation_type

import rego.v1

import data.lib

# METADATA
# title: Known attestation type found
# description: >-
#   The `_type` of each provenance of a PipelineRun is one of those in the rule data.
# custom:
#   short_name: known_attestation_type
#   failure_msg: Unknown attestation type '%s'
#   solution: >-
#     Have the provenance made by a build system that writes one of the types in `known_attestation_types`, or add the type
#     to that list.
#   collections: [minimal, redhat]
#   depends_on: [attestation_type.pipelinerun_attestation_found]
deny contains result if {
	some statement in lib.pipelinerun_attestations
	type := object.get(statement, "_type", "")
	not type in lib.rule_data("known_attestation_types")
	result := lib.result(rego.metadata.chain(), [type])
}

# METADATA
# title: Known attestation types provided
# description: >-
#   The rule data `known_attestation_types` is a list of texts that is not empty.
# custom:
#   short_name: known_attestation_types_provided
#   failure_msg: "%s"
#   solution: Correct `known_attestation_types` in the rule data of the policy.
#   collections: [minimal, redhat, policy_data]
deny contains result if {
	some error in lib.rule_data_errors("known_attestation_types", lib.some_texts)
	result := lib.result(rego.metadata.chain(), [error])
}

# METADATA
# title: PipelineRun attestation found
# description: >-
#   Among the attestations of the image is provenance of a PipelineRun.
# custom:
#   short_name: pipelinerun_attestation_found
#   failure_msg: Missing pipelinerun attestation
#   solution: >-
#     Build the image by a pipeline whose results name it (`IMAGE_URL` and `IMAGE_DIGEST`), and see that the run is signed.
#   collections: [minimal, slsa3, redhat]
deny contains result if {
	count(lib.pipelinerun_attestations) == 0
	result := lib.result(rego.metadata.chain(), [])
}

# METADATA
# title: Deprecated policy attestation format
# description: >-
#   Each attestation of the input has its statement in `statement`, not at its top.
# custom:
#   short_name: deprecated_policy_attestation_format
#   failure_msg: Deprecated policy attestation format found
#   solution: Use a newer version of `ec`.
#   collections: [minimal, redhat]
#   effective_on: "2023-08-31T00:00:00Z"
deny contains result if {
	some attestation in input.attestations
	not _has_statement(attestation)
	result := lib.result(rego.metadata.chain(), [])
}

_has_statement(attestation) if is_object(attestation.statement)
