# METADATA
# title: SLSA build, build service
# description: >-
#   The image was built by a build service that the policy trusts.
package policy.release.slsa_build_build_service

import rego.v1

import data.lib

# METADATA
# title: SLSA builder ID found
# description: >-
#   Each provenance of a PipelineRun says who has built the image.
# custom:
#   short_name: slsa_builder_id_found
#   failure_msg: Builder ID not set in attestation
#   solution: Have the provenance made by a build service that sets its `builder.id`.
#   collections: [slsa3, redhat]
#   depends_on: [attestation_type.known_attestation_type]
deny contains result if {
	some statement in lib.pipelinerun_attestations
	not _builder_id(statement)
	result := lib.result(rego.metadata.chain(), [])
}

# METADATA
# title: SLSA builder ID accepted
# description: >-
#   The builder of each provenance of a PipelineRun is one of those in the rule data.
# custom:
#   short_name: slsa_builder_id_accepted
#   failure_msg: Builder ID %q is unexpected
#   solution: >-
#     Build the image where one of the builders in `allowed_builder_ids` builds, or add this builder to that list if it is
#     as well guarded as the others.
#   collections: [slsa3, redhat]
#   depends_on: [attestation_type.known_attestation_type]
deny contains result if {
	some statement in lib.pipelinerun_attestations
	id := _builder_id(statement)
	not id in lib.rule_data("allowed_builder_ids")
	result := lib.result(rego.metadata.chain(), [id])
}

# METADATA
# title: Allowed builder IDs provided
# description: >-
#   The rule data `allowed_builder_ids` is a list of texts that is not empty.
# custom:
#   short_name: allowed_builder_ids_provided
#   failure_msg: "%s"
#   solution: Correct `allowed_builder_ids` in the rule data of the policy.
#   collections: [slsa3, redhat, policy_data]
#   depends_on: [attestation_type.known_attestation_type]
deny contains result if {
	some error in lib.rule_data_errors("allowed_builder_ids", lib.some_texts)
	result := lib.result(rego.metadata.chain(), [error])
}

_builder_id(statement) := id if {
	id := lib.builder_id(statement)
	is_string(id)
	id != ""
}
