package policy.release.base_image_registries_test

import rego.v1

import data.lib.fixtures
import data.policy.release.base_image_registries as base_images

_data := {"allowed_registry_prefixes": ["registry.example/base/", "mirror.example"]}

_built_on(text) := fixtures.input_of([fixtures.task(
	"buildah",
	object.union(fixtures.build_results, {"BASE_IMAGES_DIGESTS": text}),
	{},
)])

_ref(name) := sprintf("%s@%s", [name, fixtures.other_digest])

_denied(name) := {
	"code": "base_image_registries.base_image_permitted",
	"msg": sprintf("The base image %q is from a registry or repository that is not allowed", [name]),
}

_with_sbom(document) := {
	"image": object.union(
		fixtures.image,
		{"files": {"root/buildinfo/content_manifests/sbom.json": document}},
	),
	"attestations": [fixtures.provenance([fixtures.buildah])],
}

_cyclonedx(name, purl, property) := {
	"bomFormat": "CycloneDX",
	"formulation": [{"components": [object.union(
		{"type": "container", "name": name, "properties": [property]},
		purl,
	)]}],
}

_is_base := {"name": "konflux:container:is_base_image", "value": "true"}

_is_builder := {"name": "konflux:container:is_builder_image:for_stage", "value": "0"}

_spdx(name, comment) := {
	"spdxVersion": "SPDX-2.3",
	"packages": [{"name": name, "annotations": [{"comment": comment}]}],
}

_purl(repository) := {"purl": sprintf("pkg:oci/os@%s?repository_url=%s", [fixtures.other_digest, repository])}

test_base_image_permitted_passes_for_prefixes_and_hosts if {
	text := concat("\n", [_ref("registry.example/base/os:9"), "", _ref("mirror.example/any/thing:<none>"), ""])
	fixtures.none(base_images.deny) with input as _built_on(text) with data.rule_data as _data
}

test_base_image_permitted_fails_for_others if {
	other := _ref("registry.example/other/os:9")
	similar := _ref("mirror.example.evil.example/os")
	text := concat("\n", [_ref("registry.example/base/os:9"), other, similar])
	expected := {_denied(other), _denied(similar)}
	fixtures.same(base_images.deny, expected) with input as _built_on(text) with data.rule_data as _data
}

test_base_image_permitted_fails_for_what_is_no_text if {
	fixtures.same_codes(base_images.deny, {"base_image_registries.base_image_permitted"})
		with input as _built_on(["registry.example/base/os"])
		with data.rule_data as _data
}

test_base_image_permitted_reads_cyclonedx if {
	every property in [_is_base, _is_builder] {
		fixtures.same(base_images.deny, {_denied("evil.example/os")})
			with input as _with_sbom(_cyclonedx("evil.example/os", {}, property))
			with data.rule_data as _data
	}
}

test_base_image_permitted_passes_over_other_containers if {
	other := {"name": "konflux:container:is_base_image", "value": "false"}
	fixtures.none(base_images.deny)
		with input as _with_sbom(_cyclonedx("evil.example/os", _purl("evil.example/os"), other))
		with data.rule_data as _data
}

test_base_image_permitted_passes_over_other_components if {
	document := _cyclonedx("evil.example/os", {"purl": "pkg:oci/os"}, _is_base)
	library := fixtures.changed(document, "/formulation/0/components/0/type", "library")
	fixtures.none(base_images.deny) with input as _with_sbom(library) with data.rule_data as _data
	every property in [{"name": "other", "value": "true"}, {"name": "other", "value": "0"}, _no_stage] {
		fixtures.none(base_images.deny)
			with input as _with_sbom(_cyclonedx("evil.example/os", {}, property))
			with data.rule_data as _data
		fixtures.none(base_images.deny)
			with input as _with_sbom(_spdx("evil.example/os", json.marshal(property)))
			with data.rule_data as _data
	}
}

_no_stage := {"name": "konflux:container:is_builder_image:for_stage", "value": "last"}

test_base_image_permitted_takes_no_other_qualifier if {
	purl := sprintf("pkg:oci/os@%s?arch=amd64&repository_url=registry.example/base/os", [fixtures.other_digest])
	fixtures.none(base_images.deny)
		with input as _with_sbom(_cyclonedx("os", {"purl": purl}, _is_base))
		with data.rule_data as _data
}

test_base_image_permitted_takes_the_host_of_short_names_from_the_package_url if {
	fixtures.none(base_images.deny)
		with input as _with_sbom(_cyclonedx("os", _purl("registry.example/base/os"), _is_base))
		with data.rule_data as _data
}

test_base_image_permitted_fails_if_either_name_does if {
	fixtures.same(base_images.deny, {_denied("evil.example/os")})
		with input as _with_sbom(_cyclonedx("registry.example/base/os", _purl("evil.example/os"), _is_base))
		with data.rule_data as _data
	fixtures.same(base_images.deny, {_denied("evil.example/other")})
		with input as _with_sbom(_cyclonedx("evil.example/other", _purl("registry.example/base/os"), _is_base))
		with data.rule_data as _data
}

test_base_image_permitted_reads_spdx if {
	comment := json.marshal(_is_builder)
	fixtures.same(base_images.deny, {_denied("evil.example/os")})
		with input as _with_sbom(_spdx("evil.example/os", comment))
		with data.rule_data as _data
	fixtures.none(base_images.deny)
		with input as _with_sbom(_spdx("evil.example/os", "no JSON"))
		with data.rule_data as _data
}

test_base_image_info_found_passes_for_images_from_scratch if {
	fixtures.none(base_images.deny) with input as _built_on("") with data.rule_data as _data
}

test_base_image_info_found_passes_with_an_sbom_alone if {
	fixtures.none(base_images.deny) with input as _with_sbom({"bomFormat": "CycloneDX"}) with data.rule_data as _data
}

test_base_image_info_found_fails_without_both if {
	expected := {{
		"code": "base_image_registries.base_image_info_found",
		"msg": "Neither a result BASE_IMAGES_DIGESTS nor an SBOM tells what the image is built on",
	}}
	fixtures.same(base_images.deny, expected) with input as fixtures.input_of([fixtures.buildah])
		with data.rule_data as _data
}

test_base_image_info_found_passes_without_provenance if {
	fixtures.none(base_images.deny) with input as {"image": fixtures.image, "attestations": []} with data.rule_data as _data
}

test_allowed_registries_provided_fails_for_no_list if {
	every value in ["x", [], [1], ["a/", "a/"]] {
		fixtures.same_codes(base_images.deny, {"base_image_registries.allowed_registries_provided"})
			with input as _built_on("")
			with data.rule_data as {"allowed_registry_prefixes": value}
	}
	fixtures.same_codes(base_images.deny, {"base_image_registries.allowed_registries_provided"})
		with input as _built_on("")
		with data.rule_data as {}
}

test_allowed_registries_provided_says_what_is_wrong if {
	results := base_images.deny with input as _built_on("") with data.rule_data as {"allowed_registry_prefixes": "x"}
	some result in results
	startswith(result.msg, "Rule data allowed_registry_prefixes has unexpected format: ")
}

test_allowed_registries_provided_passes if {
	fixtures.none(base_images.deny) with input as _built_on("")
		with data.rule_data as {"allowed_registry_prefixes": ["registry.example"]}
}
