package lib.sbom_test

import rego.v1

import data.lib.fixtures
import data.lib.sbom

_cyclonedx(components) := {"bomFormat": "CycloneDX", "specVersion": "1.5", "components": components}

_spdx := {"spdxVersion": "SPDX-2.3", "packages": [{
	"name": "bash",
	"externalRefs": [
		{"referenceType": "cpe23Type", "referenceLocator": "cpe:2.3:a:gnu:bash"},
		{"referenceType": "purl", "referenceLocator": "pkg:rpm/redhat/bash@5.1?arch=x86_64"},
	],
}]}

_file := "root/buildinfo/content_manifests/sbom-cyclonedx.json"

_with_files(files) := {"image": object.union(fixtures.image, {"files": files}), "attestations": []}

_attested(type, predicate) := {
	"image": fixtures.image,
	"attestations": [
		fixtures.provenance([]),
		{"statement": {"predicateType": type, "predicate": predicate}, "signatures": []},
	],
}

_url(digest) := sprintf("%s@%s", [fixtures.repository, digest])

_build(image_digest, sbom_digest) := fixtures.task(
	"buildah", {
		"IMAGE_URL": fixtures.repository,
		"IMAGE_DIGEST": image_digest,
		"SBOM_BLOB_URL": sprintf("%s\n", [_url(sbom_digest)]),
	},
	{},
)

# Blobs whose digest begins with an "a" are CycloneDX, with a "b" SPDX, with a "d" something else.
_blob(url) := "{\"bomFormat\": \"CycloneDX\"}" if contains(url, "@sha256:aaaa")

_blob(url) := "{\"spdxVersion\": \"SPDX-2.3\"}" if contains(url, "@sha256:bbbb")

_blob(url) := "{}" if contains(url, "@sha256:dddd")

_blob(url) := "[]" if contains(url, "@sha256:eeee")

_blob(url) := "{" if contains(url, "@sha256:ffff")

_hex(character) := sprintf("sha256:%s", [concat("", [character | some _ in numbers.range(1, 64)])])

test_files_of_the_image_are_found_by_what_they_are if {
	files := {
		_file: _cyclonedx([]),
		"root/buildinfo/content_manifests/other.json": _spdx,
		"root/buildinfo/content_manifests/purl.json": {"image_contents": {}},
		"elsewhere/sbom.json": _spdx,
	}
	sbom.cyclonedx == [{
		"origin": sprintf("file %s of the image", [_file]),
		"format": "cyclonedx",
		"document": _cyclonedx([]),
	}] with input as _with_files(files)
	[found.origin | some found in sbom.spdx] == ["file root/buildinfo/content_manifests/other.json of the image"]
		with input as _with_files(files)
}

test_attested_documents_are_found if {
	every type in ["https://cyclonedx.org/bom", "https://cyclonedx.org/bom/v1.5"] {
		every predicate in [_cyclonedx([]), json.marshal(_cyclonedx([])), {"Data": json.marshal(_cyclonedx([]))}] {
			sbom.cyclonedx == [{"origin": "attestation 1", "format": "cyclonedx", "document": _cyclonedx([])}]
				with input as _attested(type, predicate)
		}
	}
	[found.document | some found in sbom.spdx] == [_spdx] with input as _attested("https://spdx.dev/Document", _spdx)
	sbom.all == [] with input as _attested("https://example.org/other", _spdx)
}

test_attested_documents_that_are_something_else_are_kept if {
	every predicate in ["garbage", {"Data": "{}", "more": 1}, 1] {
		[found.document | some found in sbom.cyclonedx] == [predicate]
			with input as _attested("https://cyclonedx.org/bom", predicate)
	}
}

test_purls_are_those_of_their_type if {
	sbom.purls(_spdx.packages[0]) == {"pkg:rpm/redhat/bash@5.1?arch=x86_64"}
	sbom.purls({}) == set()
}

test_documents_of_the_task_that_has_built_the_image_are_found if {
	tasks := [_build(fixtures.digest, _hex("a")), _build(fixtures.other_digest, _hex("b"))]
	[found.format | some found in sbom.all] == ["cyclonedx"] with input as fixtures.input_of(tasks)
		with ec.oci.blob as _blob
	sbom.urls == {_url(_hex("a"))} with input as fixtures.input_of(tasks) with ec.oci.blob as _blob
}

_index(_) := {"manifests": []}

_others := fixtures.input_of([_build(fixtures.other_digest, _hex("a")), _build(fixtures.other_digest, _hex("b"))])

test_documents_of_all_builds_count_for_an_index if {
	{found.format | some found in sbom.all} == {"cyclonedx", "spdx"} with input as _others
		with ec.oci.blob as _blob
		with ec.oci.image_index as _index
}

test_documents_of_other_builds_do_not_count if {
	sbom.all == [] with input as _others with ec.oci.blob as _blob
}

test_tasks_that_build_nothing_do_not_count if {
	tasks := [fixtures.task("evil", {"SBOM_BLOB_URL": _url(_hex("a"))}, {})]
	sbom.all == [] with input as fixtures.input_of(tasks) with ec.oci.blob as _blob
}

test_blobs_that_cannot_be_read_are_named if {
	every character in ["c", "e", "f"] {
		sbom.unreadable == {_url(_hex(character))}
			with input as fixtures.input_of([_build(fixtures.digest, _hex(character))])
			with ec.oci.blob as _blob
	}
	sbom.unreadable == set() with input as fixtures.input_of([_build(fixtures.digest, _hex("a"))])
		with ec.oci.blob as _blob
}

test_blobs_of_no_known_format_count_as_cyclonedx if {
	[found.format | some found in sbom.all] == ["cyclonedx"]
		with input as fixtures.input_of([_build(fixtures.digest, _hex("d"))])
		with ec.oci.blob as _blob
}

test_components_within_others_are_found if {
	document := _cyclonedx([
		{"name": "a", "components": [{"name": "b", "components": [{"name": "c", "properties": [{"name": "p"}]}]}]},
		{"name": "d", "evidence": {"components": [{"name": "no component"}]}},
	])
	[component.name | some component in sbom.components(document)] == ["a", "d", "b", "c"]
	count(sbom.components(document)) == 4
	sbom.components({}) == []
	sbom.components({"components": "garbage"}) == []
}

test_packages_come_from_both_formats if {
	npm := "pkg:npm/%40scope/left-pad@1.0.0#lib"
	files := {
		_file: _cyclonedx([{"name": "x", "purl": npm}, {"name": "y"}, {"name": "z", "purl": "garbage"}, {"name": "n", "purl": 1}]),
		"root/buildinfo/content_manifests/other.json": _spdx,
	}
	expected := {
		{
			"origin": sprintf("file %s of the image", [_file]),
			"purl": npm,
			"type": "npm",
			"namespace": "@scope",
			"name": "left-pad",
			"version": "1.0.0",
			"subpath": "lib",
			"qualifiers": {},
		},
		{
			"origin": "file root/buildinfo/content_manifests/other.json of the image",
			"purl": "pkg:rpm/redhat/bash@5.1?arch=x86_64",
			"type": "rpm",
			"namespace": "redhat",
			"name": "bash",
			"version": "5.1",
			"subpath": "",
			"qualifiers": {"arch": "x86_64"},
		},
	}
	{package_ | some package_ in sbom.packages} == expected with input as _with_files(files)
}
