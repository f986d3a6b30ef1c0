# METADATA
# title: SLSA provenance available
# description: >-
#   The provenance of the image is in a format of SLSA that the policy accepts.
package policy.release.slsa_provenance_available

import rego.v1

import data.lib

# METADATA
# title: Expected attestation predicate type found
# description: >-
#   The `predicateType` of each provenance of a PipelineRun is one of those in the rule data.
# custom:
#   short_name: attestation_predicate_type_accepted
#   failure_msg: Attestation predicate type %q is not an expected type (%s)
#   solution: >-
#     Have the provenance made in one of the formats in `allowed_predicate_types`, or add its format to that list.
#   collections: [minimal, slsa3, redhat]
#   depends_on: [attestation_type.known_attestation_type]
deny contains result if {
	some statement in lib.pipelinerun_attestations
	type := object.get(statement, "predicateType", "")
	allowed := lib.rule_data("allowed_predicate_types")
	not type in allowed
	result := lib.result(rego.metadata.chain(), [type, _listed(allowed)])
}

# METADATA
# title: Allowed predicate types provided
# description: >-
#   The rule data `allowed_predicate_types` is a list of texts that is not empty.
# custom:
#   short_name: allowed_predicate_types_provided
#   failure_msg: "%s"
#   solution: Correct `allowed_predicate_types` in the rule data of the policy.
#   collections: [minimal, slsa3, redhat, policy_data]
#   depends_on: [attestation_type.known_attestation_type]
deny contains result if {
	some error in lib.rule_data_errors("allowed_predicate_types", lib.some_texts)
	result := lib.result(rego.metadata.chain(), [error])
}

_listed(types) := concat(", ", types) if {
	count(lib.schema_errors(types, lib.texts)) == 0
} else := "none that can be read"
