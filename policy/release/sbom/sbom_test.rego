package policy.release.sbom_test

import rego.v1

import data.lib.fixtures
import data.policy.release.sbom

_hex(character) := concat("", [character | some _ in numbers.range(1, 64)])

_layer := sprintf("sha256:%s", [_hex("d")])

_document := {"bomFormat": "CycloneDX", "components": []}

_build(layer) := fixtures.task(
	"buildah",
	object.union(fixtures.build_results, {"SBOM_BLOB_URL": sprintf("%s@%s", [fixtures.repository, layer])}),
	{},
)

_in_image := {
	"image": object.union(fixtures.image, {"files": {"root/buildinfo/content_manifests/sbom.json": _document}}),
	"attestations": [fixtures.provenance([fixtures.buildah])],
}

_blob(_) := "{\"bomFormat\": \"CycloneDX\", \"components\": []}"

_other_blob(_) := "{\"bomFormat\": \"CycloneDX\", \"components\": [{}]}"

_tagged(reference) := {"digest": "sha256:e"} if {
	reference == "registry.example/team/app:sha256-1111111111111111111111111111111111111111111111111111111111111111.sbom"
}

_manifest(reference) := {"layers": [{
	"digest": "sha256:dddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddd",
}]} if {
	reference == "registry.example/team/app@sha256:e"
}

test_found_passes if {
	fixtures.none(sbom.deny) with input as _in_image
	fixtures.none(sbom.deny) with input as fixtures.input_of([_build(_layer)]) with ec.oci.blob as _blob
}

test_found_fails_without_one if {
	expected := {{
		"code": "sbom.found",
		"msg": "There is no SBOM in the image, in an attestation or in a result SBOM_BLOB_URL",
	}}
	fixtures.same(sbom.deny, expected) with input as fixtures.input_of([fixtures.buildah])
}

test_found_fails_if_one_cannot_be_read if {
	expected := {{
		"code": "sbom.found",
		"msg": sprintf("The SBOM \"%s@%s\", which the build names, cannot be read", [fixtures.repository, _layer]),
	}}
	fixtures.same(sbom.deny, expected) with input as fixtures.input_of([_build(_layer)])
}

test_tag_vouched_for_passes_without_a_tag if {
	fixtures.none(sbom.deny) with input as _in_image with ec.oci.image_manifest as _manifest
}

test_tag_vouched_for_passes_if_the_build_names_it if {
	fixtures.none(sbom.deny) with input as fixtures.input_of([_build(_layer)])
		with ec.oci.blob as _blob
		with ec.oci.descriptor as _tagged
		with ec.oci.image_manifest as _manifest
}

test_tag_vouched_for_passes_if_the_same_is_in_the_image if {
	fixtures.none(sbom.deny) with input as _in_image
		with ec.oci.blob as _blob
		with ec.oci.descriptor as _tagged
		with ec.oci.image_manifest as _manifest
}

_not_vouched_for := {{
	"code": "sbom.tag_vouched_for",
	"msg": concat(" ", [
		sprintf("The SBOM %s at the tag sha256-%s.sbom", [_layer, _hex("1")]),
		"of the image's repository is vouched for by no attestation",
	]),
}}

test_tag_vouched_for_fails_for_another_document if {
	fixtures.same(sbom.deny, _not_vouched_for) with input as _in_image
		with ec.oci.blob as _other_blob
		with ec.oci.descriptor as _tagged
		with ec.oci.image_manifest as _manifest
}

test_tag_vouched_for_fails_if_it_cannot_be_fetched if {
	fixtures.same(sbom.deny, _not_vouched_for) with input as _in_image
		with ec.oci.descriptor as _tagged
		with ec.oci.image_manifest as _manifest
}

test_tag_vouched_for_fails_if_the_build_names_another if {
	tasks := [_build(sprintf("sha256:%s", [_hex("c")]))]
	codes := {"sbom.tag_vouched_for", "sbom.found"}
	fixtures.same_codes(sbom.deny, codes) with input as fixtures.input_of(tasks)
		with ec.oci.descriptor as _tagged
		with ec.oci.image_manifest as _manifest
}

test_tag_vouched_for_needs_no_content_if_the_build_names_it if {
	fixtures.same_codes(sbom.deny, {"sbom.found"}) with input as fixtures.input_of([_build(_layer)])
		with ec.oci.descriptor as _tagged
		with ec.oci.image_manifest as _manifest
}
