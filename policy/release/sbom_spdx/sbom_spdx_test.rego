package policy.release.sbom_spdx_test

import rego.v1

import data.lib.fixtures
import data.policy.release.sbom_spdx

_document := {
	"spdxVersion": "SPDX-2.3",
	"SPDXID": "SPDXRef-DOCUMENT",
	"dataLicense": "CC0-1.0",
	"name": fixtures.image.ref,
	"documentNamespace": "https://sbom.example/1",
	"creationInfo": {"created": "2024-05-06T07:08:09Z", "creators": ["Tool: toolbox-1"]},
	"packages": [
		{
			"SPDXID": "SPDXRef-image",
			"name": fixtures.repository,
			"downloadLocation": "NOASSERTION",
			"filesAnalyzed": false,
		},
		{
			"SPDXID": "SPDXRef-base",
			"name": "registry.example/base/os",
			"downloadLocation": "NOASSERTION",
			"checksums": [{"algorithm": "SHA256", "checksumValue": trim_prefix(fixtures.other_digest, "sha256:")}],
			"externalRefs": [{
				"referenceCategory": "PACKAGE-MANAGER",
				"referenceType": "purl",
				"referenceLocator": sprintf("pkg:oci/os@%s", [fixtures.other_digest]),
			}],
			"annotations": [{
				"annotationDate": "2024-05-06T07:08:09Z",
				"annotationType": "OTHER",
				"annotator": "Tool: toolbox-1",
				"comment": "a base",
			}],
		},
	],
	"files": [{
		"SPDXID": "SPDXRef-file",
		"fileName": "/bin/sh",
		"checksums": [{"algorithm": "SHA1", "checksumValue": "85ed0817af83a24ad8da68c2b5094de69833983c"}],
	}],
	"relationships": [{
		"spdxElementId": "SPDXRef-DOCUMENT",
		"relationshipType": "DESCRIBES",
		"relatedSpdxElement": "SPDXRef-image",
	}],
}

_file := "root/buildinfo/content_manifests/sbom-spdx.json"

_origin := sprintf("file %s of the image", [_file])

_with(document) := {
	"image": object.union(fixtures.image, {"files": {_file: document}}),
	"attestations": [],
}

_changed(path, value) := _with(fixtures.changed(_document, path, value))

test_a_good_document_passes_all_rules if {
	fixtures.none(sbom_spdx.deny) with input as _with(_document)
}

test_found_fails_without_one if {
	expected := {{
		"code": "sbom_spdx.found",
		"msg": "There is no SBOM in the format SPDX",
	}}
	fixtures.same(sbom_spdx.deny, expected) with input as _with({"bomFormat": "CycloneDX"})
}

test_valid_fails if {
	every path, value in {
		"/SPDXID": "SPDXRef-other",
		"/spdxVersion": "SPDX-3.0",
		"/documentNamespace": "no URI",
		"/creationInfo": {"created": "2024-05-06T07:08:09Z"},
		"/creationInfo/created": "2024-05-06",
		"/creationInfo/creators": ["toolbox"],
		"/packages/0/SPDXID": "image",
		"/packages/0/downloadLocation": 1,
		"/packages/1/checksums/0/algorithm": "SHA-256",
		"/packages/1/externalRefs/0/referenceCategory": "PACKAGES",
		"/packages/1/annotations/0/annotationType": "NOTE",
		"/files/0": {"SPDXID": "SPDXRef-file"},
		"/relationships/0/relationshipType": "describes",
	} {
		print(path)
		fixtures.codes(sbom_spdx.deny) == {"sbom_spdx.valid"} with input as _changed(path, value)
	}
}

test_valid_says_where_and_what if {
	results := sbom_spdx.deny with input as _changed("/documentNamespace", "no URI")
	count(results) == 1
	some result in results
	startswith(result.msg, sprintf("The SPDX SBOM from %s is not valid: documentNamespace: ", [_origin]))
}

test_contains_packages_fails if {
	expected := {{
		"code": "sbom_spdx.contains_packages",
		"msg": sprintf("The SPDX SBOM from %s lists no packages", [_origin]),
	}}
	fixtures.same(sbom_spdx.deny, expected) with input as _changed("/packages", [])
	fixtures.same(sbom_spdx.deny, expected) with input as _with(object.remove(_document, ["packages"]))
}

test_contains_files_fails if {
	expected := {{
		"code": "sbom_spdx.contains_files",
		"msg": sprintf("The SPDX SBOM from %s lists no files", [_origin]),
	}}
	fixtures.same(sbom_spdx.deny, expected) with input as _changed("/files", [])
}

_about(what) := {{
	"code": "sbom_spdx.matches_image",
	"msg": sprintf(
		"The SPDX SBOM from %s is about %s, and not about the image with digest %s",
		[_origin, what, fixtures.digest],
	),
}}

test_matches_image_fails_for_another_digest if {
	fixtures.same(sbom_spdx.deny, _about(fixtures.other_digest))
		with input as _changed("/name", sprintf("registry.example/team/app@%s", [fixtures.other_digest]))
}

test_matches_image_fails_without_a_digest if {
	fixtures.same(sbom_spdx.deny, _about("no image by digest")) with input as _changed("/name", "app:latest")
}

test_matches_image_takes_the_package_that_is_described if {
	checksum := {"checksums": [{"algorithm": "SHA256", "checksumValue": trim_prefix(fixtures.digest, "sha256:")}]}
	purl := {"externalRefs": [{
		"referenceCategory": "PACKAGE-MANAGER",
		"referenceType": "purl",
		"referenceLocator": sprintf("pkg:oci/app@%s", [fixtures.digest]),
	}]}
	every more in [checksum, purl] {
		packages := [object.union(_document.packages[0], more), _document.packages[1]]
		unnamed := fixtures.changed(_document, "/name", "app")
		fixtures.none(sbom_spdx.deny) with input as _with(fixtures.changed(unnamed, "/packages", packages))
		other := fixtures.changed(unnamed, "/relationships/0/relationshipType", "DEPENDS_ON")
		fixtures.same(sbom_spdx.deny, _about("no image by digest"))
			with input as _with(fixtures.changed(other, "/packages", packages))
		inner := fixtures.changed(unnamed, "/relationships/0/spdxElementId", "SPDXRef-base")
		fixtures.same(sbom_spdx.deny, _about("no image by digest"))
			with input as _with(fixtures.changed(inner, "/packages", packages))
		swapped := fixtures.changed(unnamed, "/relationships/0/relatedSpdxElement", "SPDXRef-base")
		fixtures.same(sbom_spdx.deny, _about(fixtures.other_digest))
			with input as _with(fixtures.changed(swapped, "/packages", packages))
	}
}

test_matches_image_takes_no_digest_of_something_else if {
	hex := trim_prefix(fixtures.digest, "sha256:")
	checksum := {"checksums": [{"algorithm": "SHA3-256", "checksumValue": hex}]}
	purl := {"externalRefs": [{
		"referenceCategory": "PACKAGE-MANAGER",
		"referenceType": "purl",
		"referenceLocator": sprintf("pkg:generic/app@%s", [fixtures.digest]),
	}]}
	every more in [checksum, purl] {
		packages := [object.union(_document.packages[0], more)]
		unnamed := fixtures.changed(_document, "/name", "app")
		fixtures.same(sbom_spdx.deny, _about("no image by digest"))
			with input as _with(fixtures.changed(unnamed, "/packages", packages))
	}
}

test_found_passes_for_an_attested_one if {
	statement := {"predicateType": "https://spdx.dev/Document/v2.3", "predicate": _document}
	fixtures.none(sbom_spdx.deny)
		with input as {"image": fixtures.image, "attestations": [{"statement": statement, "signatures": []}]}
}

test_valid_passes_for_the_version_before if {
	fixtures.none(sbom_spdx.deny) with input as _changed("/spdxVersion", "SPDX-2.2")
}

test_contains_packages_passes_for_one if {
	fixtures.none(sbom_spdx.deny) with input as _changed("/packages", [_document.packages[0]])
}

test_contains_files_passes_for_one if {
	file := {"SPDXID": "SPDXRef-f", "fileName": "/f", "checksums": []}
	fixtures.none(sbom_spdx.deny) with input as _changed("/files", [file])
}

test_matches_image_passes_for_the_digest_in_another_repository if {
	fixtures.none(sbom_spdx.deny) with input as _changed("/name", sprintf("mirror.example/app@%s", [fixtures.digest]))
}
