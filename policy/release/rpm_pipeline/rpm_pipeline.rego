# METADATA
# title: Pipelines for RPM packages
# description: RPM packages are built by certain pipelines only.
package policy.release.rpm_pipeline

import rego.v1

import data.lib

# METADATA
# title: The pipeline is permitted
# description: >-
#   The pipeline that has built the package, by its label tekton.dev/pipeline, is in the rule data
#   allowed_rpm_build_pipelines.
# custom:
#   short_name: invalid_pipeline
#   failure_msg: The pipeline %q is not one of those that may build RPM packages, which are %s
#   solution: Build with one of allowed_rpm_build_pipelines.
#   collections:
#   - redhat_rpms
#   depends_on:
#   - attestation_type.known_attestation_type
deny contains result if {
	some attestation in lib.pipelinerun_attestations
	name := _pipeline(attestation)
	allowed := lib.rule_data("allowed_rpm_build_pipelines")
	not name in allowed
	result := lib.result(rego.metadata.chain(), [name, _listed(allowed)])
}

# Of provenance v0.2; else of v1, whose labels are those of the PipelineRun.
_pipeline(attestation) := name if {
	name := attestation.predicate.invocation.environment.labels["tekton.dev/pipeline"]
} else := name if {
	name := attestation.predicate.buildDefinition.internalParameters.labels["tekton.dev/pipeline"]
} else := ""

_listed(names) := concat(", ", names) if {
	count(names) > 0
} else := "none"
