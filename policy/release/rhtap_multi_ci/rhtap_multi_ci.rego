# METADATA
# title: RHTAP Multi-CI
# description: >-
#   Provenance that was not made by Tekton Chains but by the build scripts of another CI system: for images from there, in
#   place of the rules about PipelineRuns.
package policy.release.rhtap_multi_ci

import rego.v1

import data.lib

# METADATA
# title: SLSA Provenance Attestation Found
# description: >-
#   The image has provenance with the build type of one of these systems.
# custom:
#   short_name: attestation_found
#   failure_msg: "SLSA v1.0 attestation with a known build type not found: expected %s"
#   solution: Have the build scripts make and sign an attestation.
#   collections: [rhtap-multi-ci]
deny contains result if {
	count(_provenance) == 0
	result := lib.result(rego.metadata.chain(), [concat(", ", [_build_type(system) | some system in _systems])])
}

# METADATA
# title: SLSA Provenance Attestation Format
# description: >-
#   That provenance says who has built the image, in which run, and from which parameters.
# custom:
#   short_name: attestation_format
#   failure_msg: Unexpected attestation format, %s
#   solution: Use the build scripts as they are.
#   collections: [rhtap-multi-ci]
#   depends_on: [rhtap_multi_ci.attestation_found]
deny contains result if {
	some statement in _provenance
	some error in lib.schema_errors(statement.predicate, _format)
	result := lib.result(rego.metadata.chain(), [error])
}

_systems := ["azure", "github", "gitlab", "jenkins"]

_build_type(system) := sprintf("https://redhat.com/rhtap/slsa-build-types/%s-build/v1", [system])

_provenance := [statement |
	some statement in lib.statements
	statement.predicateType == "https://slsa.dev/provenance/v1"
	some system in _systems
	statement.predicate.buildDefinition.buildType == _build_type(system)
]

_format := {
	"$schema": "http://json-schema.org/draft-07/schema#",
	"type": "object",
	"required": ["buildDefinition", "runDetails"],
	"properties": {
		"buildDefinition": {
			"type": "object",
			"required": ["externalParameters"],
			"properties": {"externalParameters": {"type": "object"}},
		},
		"runDetails": {
			"type": "object",
			"required": ["builder", "metadata"],
			"properties": {
				"builder": {
					"type": "object",
					"required": ["id"],
					"properties": {"id": {"type": "string", "minLength": 1}},
				},
				"metadata": {
					"type": "object",
					"required": ["invocationID"],
					"properties": {"invocationID": {"type": "string", "minLength": 1}},
				},
			},
		},
	},
}
