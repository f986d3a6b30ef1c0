# METADATA
# title: Base images
# description: >-
#   What an image is built on, and with, comes from registries that the policy trusts. The base images are known from
#   the result BASE_IMAGES_DIGESTS of the build and from the SBOM of the image.
package policy.release.base_image_registries

import rego.v1

import data.lib
import data.lib.registries
import data.lib.sbom as sboms

# METADATA
# title: Each base image is from a permitted place
# description: The name of each base image starts with one of the rule data allowed_registry_prefixes.
# custom:
#   short_name: base_image_permitted
#   failure_msg: The base image %q is from a registry or repository that is not allowed
#   solution: >-
#     Build on an image whose name starts with one of allowed_registry_prefixes, or add the prefix to that list.
#   collections:
#   - minimal
#   - redhat
#   depends_on:
#   - base_image_registries.base_image_info_found
#   - base_image_registries.allowed_registries_provided
deny contains result if {
	some base in _base_images
	not registries.is_permitted(base, lib.rule_data(_key))
	result := lib.result(rego.metadata.chain(), [base])
}

# METADATA
# title: Base images are known
# description: >-
#   A task of the build pipeline has the result BASE_IMAGES_DIGESTS, or there is an SBOM. The result is empty for an
#   image that is built from scratch.
# custom:
#   short_name: base_image_info_found
#   failure_msg: Neither a result BASE_IMAGES_DIGESTS nor an SBOM tells what the image is built on
#   solution: >-
#     Build with a pipeline whose build task has the result BASE_IMAGES_DIGESTS, or that attaches an SBOM.
#   collections:
#   - minimal
#   - redhat
#   depends_on:
#   - attestation_type.known_attestation_type
deny contains result if {
	count(lib.pipelinerun_attestations) > 0
	count(lib.results_named(_result_name)) == 0
	count(sboms.cyclonedx) == 0
	count(sboms.spdx) == 0
	result := lib.result(rego.metadata.chain(), [])
}

# METADATA
# title: Permitted places are given
# description: The rule data allowed_registry_prefixes is a list of at least one prefix.
# custom:
#   short_name: allowed_registries_provided
#   failure_msg: '%s'
#   solution: >-
#     Give the rule data of the policy a list allowed_registry_prefixes, as ["registry.example/base/"].
#   collections:
#   - minimal
#   - redhat
#   - policy_data
deny contains result if {
	some error in lib.rule_data_errors(_key, lib.some_texts)
	result := lib.result(rego.metadata.chain(), [error])
}

_result_name := "BASE_IMAGES_DIGESTS"

_key := "allowed_registry_prefixes"

_base_images contains base if {
	some found in lib.results_named(_result_name)
	some line in split(sprintf("%v", [found.value]), "\n")
	base := trim_space(line)
	base != ""
}

_base_images contains base if {
	some found in sboms.cyclonedx
	some formula in found.document.formulation
	some component in formula.components
	component.type == "container"
	some property in component.properties
	_tells_of_base_image(property.name, property.value)
	some base in _names(component.name, object.get(component, "purl", ""))
}

_base_images contains base if {
	some found in sboms.spdx
	some package_ in found.document.packages
	some annotation in package_.annotations
	property := json.unmarshal(annotation.comment)
	_tells_of_base_image(property.name, property.value)
	some purl in (sboms.purls(package_) | {""})
	some base in _names(package_.name, purl)
}

# An SBOM has two names for one image. Both must be permitted, or one could hide the other; a short name counts with the
# host that the package URL gives.
_names(name, purl) := full | {name | not _is_end_of_one(name, full)} if {
	full := {qualifier.value |
		some qualifier in ec.purl.parse(purl).qualifiers
		qualifier.key == "repository_url"
	}
}

_is_end_of_one(name, full) if {
	some long in full
	endswith(long, concat("", ["/", name]))
}

_tells_of_base_image(name, value) if {
	name == "konflux:container:is_base_image"
	value == "true"
}

_tells_of_base_image(name, value) if {
	name == "konflux:container:is_builder_image:for_stage"
	regex.match(`^[0-9]+$`, value)
}
