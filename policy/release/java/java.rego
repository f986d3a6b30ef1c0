# METADATA
# title: Java
# description: Java dependencies come from those whom the policy trusts to build them.
package policy.release.java

import rego.v1

import data.lib

# METADATA
# title: No Java dependency from others
# description: >-
#   The result SBOM_JAVA_COMPONENTS_COUNT counts Java components by who has built them. Each of them is in the rule data
#   allowed_java_component_sources.
# custom:
#   short_name: no_foreign_dependencies
#   failure_msg: '%s'
#   solution: >-
#     Have the dependencies rebuilt by the platform, or use versions that one of allowed_java_component_sources has built.
#   collections:
#   - redhat
#   depends_on:
#   - java.trusted_dependencies_source_list_provided
deny contains result if {
	some problem in _problems
	result := lib.result(rego.metadata.chain(), [problem])
}

# METADATA
# title: Those who may build Java dependencies are given
# description: The rule data allowed_java_component_sources is a list of at least one name.
# custom:
#   short_name: trusted_dependencies_source_list_provided
#   failure_msg: '%s'
#   solution: >-
#     Give the rule data of the policy a list allowed_java_component_sources, as ["redhat", "rebuilt"].
#   collections:
#   - redhat
#   - policy_data
#   depends_on:
#   - attestation_type.known_attestation_type
deny contains result if {
	some error in lib.rule_data_errors(_key, lib.some_texts)
	result := lib.result(rego.metadata.chain(), [error])
}

_key := "allowed_java_component_sources"

# Builds without Java leave the result empty.
_counts := [found |
	some found in lib.results_named("SBOM_JAVA_COMPONENTS_COUNT")
	not _is_blank(found.value)
]

_is_blank(value) if trim_space(value) == ""

_problems contains problem if {
	some found in _counts
	is_object(found.value)
	allowed := lib.rule_data(_key)
	some source, _ in found.value
	not source in allowed
	problem := sprintf(
		"Java components were built by %q, and only those of %s are allowed",
		[source, concat(", ", allowed)],
	)
}

_problems contains problem if {
	some found in _counts
	not is_object(found.value)
	problem := sprintf("The Java components that task %q has counted are no JSON object", [found.task])
}
