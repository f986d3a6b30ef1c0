package policy.release.sbom_cyclonedx_test

import rego.v1

import data.lib.fixtures
import data.policy.release.sbom_cyclonedx

# As the build pipelines write it, with a bit of everything.
_document := {
	"$schema": "http://cyclonedx.org/schema/bom-1.5.schema.json",
	"bomFormat": "CycloneDX",
	"specVersion": "1.5",
	"serialNumber": "urn:uuid:3e671687-395b-41f5-a30f-a58921a69b79",
	"version": 1,
	"metadata": {
		"timestamp": "2024-05-06T07:08:09Z",
		"tools": {"components": [{"type": "application", "author": "us", "name": "toolbox", "version": "1"}]},
		"component": {"type": "container", "name": "registry.example/team/app"},
	},
	"components": [
		_component("pkg:golang/example.org/lib@v1.5.0"),
		{
			"type": "library",
			"name": "left-pad",
			"bom-ref": "left-pad",
			"purl": "pkg:npm/left-pad@1.0.0",
			"hashes": [{"alg": "SHA-256", "content": trim_prefix(fixtures.other_digest, "sha256:")}],
			"licenses": [{"license": {"id": "MIT"}}, {"expression": "MIT OR Apache-2.0"}],
			"properties": [{"name": "cachi2:found_by", "value": "cachi2"}],
			"externalReferences": [{"type": "distribution", "url": "https://packages.example/left-pad.tgz"}],
			"evidence": {"occurrences": [{"location": "package.json"}]},
		},
	],
	"dependencies": [{"ref": "left-pad", "dependsOn": []}],
	"formulation": [{"components": [{
		"type": "container",
		"name": "registry.example/base/os",
		"properties": [{"name": "konflux:container:is_base_image", "value": "true"}],
	}]}],
}

_component(purl) := {"type": "library", "name": "lib", "purl": purl}

_file := "root/buildinfo/content_manifests/sbom-cyclonedx.json"

_origin := sprintf("file %s of the image", [_file])

_with(document) := {
	"image": object.union(fixtures.image, {"files": {_file: document}}),
	"attestations": [],
}

_changed(path, value) := _with(fixtures.changed(_document, path, value))

_listing(components) := _changed("/components", components)

_sources := {"allowed_package_sources": [{"type": "npm", "patterns": ["^https://packages\\.example/"]}]}

test_a_good_document_passes_all_rules if {
	fixtures.none(sbom_cyclonedx.deny) with input as _with(_document) with data.rule_data as _sources
}

test_found_fails_without_one if {
	expected := {{
		"code": "sbom_cyclonedx.found",
		"msg": "There is no SBOM in the format CycloneDX",
	}}
	fixtures.same(sbom_cyclonedx.deny, expected) with input as _with({"spdxVersion": "SPDX-2.3"})
		with data.rule_data as {}
}

test_found_passes_for_an_attested_one if {
	statement := {"predicateType": "https://cyclonedx.org/bom/v1.5", "predicate": _document}
	fixtures.none(sbom_cyclonedx.deny)
		with input as {"image": fixtures.image, "attestations": [{"statement": statement, "signatures": []}]}
		with data.rule_data as _sources
}

test_valid_passes_for_other_versions if {
	every version in ["1.4", "1.6"] {
		fixtures.none(sbom_cyclonedx.deny) with input as _changed("/specVersion", version) with data.rule_data as _sources
	}
	fixtures.none(sbom_cyclonedx.deny) with input as _changed("/metadata/tools", [{"vendor": "us", "name": "toolbox"}])
		with data.rule_data as _sources
}

test_contains_components_passes_for_one if {
	fixtures.none(sbom_cyclonedx.deny) with input as _listing([{"type": "library", "name": "lib"}])
		with data.rule_data as {}
}

test_valid_fails if {
	every path, value in {
		"/specVersion": "2.0",
		"/serialNumber": "urn:uuid:1",
		"/version": 0,
		"/metadata/timestamp": 1,
		"/components/0/type": "thing",
		"/components/0/name": 1,
		"/components/0/components": [{"type": "library"}],
		"/components/0/purl": 1,
		"/components/1/bom-ref": "",
		"/components/1/hashes/0/alg": "sha256",
		"/components/1/hashes/0/content": "12",
		"/components/1/licenses/0": {},
		"/components/1/properties/0/value": 1,
		"/components/1/externalReferences/0/type": "home",
		"/dependencies/0": {},
		"/formulation/0/components/0": {"name": "no type"},
	} {
		print(path)
		"sbom_cyclonedx.valid" in fixtures.codes(sbom_cyclonedx.deny) with input as _changed(path, value)
			with data.rule_data as _sources
	}
}

test_valid_says_where_and_what if {
	results := sbom_cyclonedx.deny with input as _changed("/version", 0) with data.rule_data as _sources
	count(results) == 1
	some result in results
	startswith(result.msg, sprintf("The CycloneDX SBOM from %s is not valid: version: ", [_origin]))
}

test_contains_components_fails if {
	expected := {{
		"code": "sbom_cyclonedx.contains_components",
		"msg": sprintf("The CycloneDX SBOM from %s lists no components", [_origin]),
	}}
	fixtures.same(sbom_cyclonedx.deny, expected) with input as _listing([])
		with data.rule_data as {}
}

_disallowed(entry) := {"disallowed_packages": [object.union({"purl": "pkg:golang/example.org/lib"}, entry)]}

_range := _disallowed({"format": "semverv", "min": "v1.2.0", "max": "v1.5.0"})

_denied(purl) := {{
	"code": "sbom_cyclonedx.allowed",
	"msg": sprintf("The package %q, which the SBOM from %s lists, is not allowed", [purl, _origin]),
}}

test_allowed_fails_within_the_range if {
	every version in ["v1.2.0", "v1.4.9", "v1.5.0"] {
		purl := sprintf("pkg:golang/example.org/lib@%s", [version])
		fixtures.same(sbom_cyclonedx.deny, _denied(purl)) with input as _listing([_component(purl)])
			with data.rule_data as _range
	}
}

test_allowed_passes_out_of_the_range if {
	every version in ["v1.1.9", "v1.5.1", "v1.2.0-rc.1", "v1.5.1+incompatible"] {
		purl := sprintf("pkg:golang/example.org/lib@%s", [version])
		fixtures.none(sbom_cyclonedx.deny) with input as _listing([_component(purl)]) with data.rule_data as _range
	}
}

test_allowed_passes_for_other_packages if {
	purls := ["pkg:golang/example.org/lib2@v1.4.0", "pkg:golang/lib@v1.4.0", "pkg:npm/example.org/lib@v1.4.0"]
	fixtures.none(sbom_cyclonedx.deny) with input as _listing([_component(purl) | some purl in purls])
		with data.rule_data as _range
}

test_allowed_fails_if_versions_cannot_be_compared if {
	every purl in ["pkg:golang/example.org/lib@main", "pkg:golang/example.org/lib"] {
		fixtures.same(sbom_cyclonedx.deny, _denied(purl)) with input as _listing([_component(purl)])
			with data.rule_data as _range
	}
}

test_allowed_takes_open_ranges if {
	purl := "pkg:golang/example.org/lib@1.4.0"
	every entry in [{}, {"min": "1.4.0"}, {"max": "1.4.0"}] {
		fixtures.same(sbom_cyclonedx.deny, _denied(purl)) with input as _listing([_component(purl)])
			with data.rule_data as _disallowed(object.union({"format": "semver"}, entry))
	}
	every entry in [{"min": "1.4.1"}, {"max": "1.3.9"}] {
		fixtures.none(sbom_cyclonedx.deny) with input as _listing([_component(purl)])
			with data.rule_data as _disallowed(object.union({"format": "semver"}, entry))
	}
}

test_allowed_sees_components_within_others if {
	purl := "pkg:golang/example.org/lib@v1.4.0"
	outer := object.union(_component("pkg:npm/a@1"), {"components": [_component(purl)]})
	fixtures.same(sbom_cyclonedx.deny, _denied(purl)) with input as _listing([outer]) with data.rule_data as _range
}

test_allowed_reads_spdx_as_well if {
	purl := "pkg:golang/example.org/lib@v1.4.0"
	spdx := {
		"spdxVersion": "SPDX-2.3",
		"packages": [{"externalRefs": [{"referenceType": "purl", "referenceLocator": purl}]}],
	}
	"sbom_cyclonedx.allowed" in fixtures.codes(sbom_cyclonedx.deny) with input as _with(spdx) with data.rule_data as _range
}

_except_for_a_part := _disallowed({"format": "semverv", "exceptions": [{"subpath": "sub/part"}]})

test_allowed_passes_for_exceptions if {
	purl := "pkg:golang/example.org/lib@v1.4.0#sub/part"
	fixtures.none(sbom_cyclonedx.deny) with input as _listing([_component(purl)])
		with data.rule_data as _except_for_a_part
}

test_allowed_fails_beside_exceptions if {
	purl := "pkg:golang/example.org/lib@v1.4.0#sub"
	fixtures.same(sbom_cyclonedx.deny, _denied(purl)) with input as _listing([_component(purl)])
		with data.rule_data as _except_for_a_part
}

_with_attributes(entries) := object.union(_sources, {"disallowed_attributes": entries})

test_disallowed_package_attributes_fails if {
	expected := {{
		"code": "sbom_cyclonedx.disallowed_package_attributes",
		"msg": concat("", [
			"The component \"pkg:npm/left-pad@1.0.0\", which the SBOM from ",
			_origin,
			" lists, has the property \"cachi2:found_by\", which is not allowed",
		]),
	}}
	every entry in [{"name": "cachi2:found_by"}, {"name": "cachi2:found_by", "value": "cachi2"}] {
		fixtures.same(sbom_cyclonedx.deny, expected) with input as _with(_document)
			with data.rule_data as _with_attributes([entry])
	}
}

test_disallowed_package_attributes_passes_for_other_values if {
	entries := [{"name": "cachi2:found_by", "value": "other"}, {"name": "other"}]
	fixtures.none(sbom_cyclonedx.deny) with input as _with(_document) with data.rule_data as _with_attributes(entries)
}

test_disallowed_package_attributes_takes_the_date_of_the_entry if {
	entry := {"name": "cachi2:found_by", "effective_on": "2030-01-01T00:00:00Z"}
	results := sbom_cyclonedx.deny with input as _with(_document) with data.rule_data as _with_attributes([entry])
	{result.effective_on | some result in results} == {"2030-01-01T00:00:00Z"}
}

_reference(words) := concat("", [
	"The component \"pkg:npm/left-pad@1.0.0\", which the SBOM from ",
	_origin,
	" lists, ",
	words,
])

_url := "\"https://packages.example/left-pad.tgz\""

test_allowed_package_external_references_fails if {
	expected := {{
		"code": "sbom_cyclonedx.allowed_package_external_references",
		"msg": _reference(sprintf("has a reference of type distribution to %s, which is not allowed", [_url])),
	}}
	rules := {"allowed_external_references": [{"type": "distribution", "url": "^https://other\\.example/"}]}
	fixtures.same(sbom_cyclonedx.deny, expected) with input as _with(_document)
		with data.rule_data as object.union(_sources, rules)
}

test_allowed_package_external_references_passes if {
	every entry in [{"type": "distribution", "url": "packages"}, {"type": "vcs", "url": "^https://other\\.example/"}] {
		fixtures.none(sbom_cyclonedx.deny) with input as _with(_document)
			with data.rule_data as object.union(_sources, {"allowed_external_references": [entry]})
	}
}

test_disallowed_package_external_references_fails if {
	expected := {{
		"code": "sbom_cyclonedx.disallowed_package_external_references",
		"msg": _reference(sprintf("has a reference of type distribution to %s, which is forbidden", [_url])),
	}}
	rules := {"disallowed_external_references": [{"type": "distribution", "url": "packages"}]}
	fixtures.same(sbom_cyclonedx.deny, expected) with input as _with(_document)
		with data.rule_data as object.union(_sources, rules)
}

test_disallowed_package_external_references_passes if {
	every entry in [{"type": "distribution", "url": "^other"}, {"type": "vcs", "url": "packages"}] {
		fixtures.none(sbom_cyclonedx.deny) with input as _with(_document)
			with data.rule_data as object.union(_sources, {"disallowed_external_references": [entry]})
	}
}

test_allowed_package_sources_fails if {
	expected := {{
		"code": "sbom_cyclonedx.allowed_package_sources",
		"msg": _reference(sprintf("was fetched from %s, which is not allowed", [_url])),
	}}
	every rules in [
		{},
		{"allowed_package_sources": [{"type": "maven", "patterns": ["packages"]}]},
		{"allowed_package_sources": [{"type": "npm", "patterns": ["^other"]}]},
	] {
		fixtures.same(sbom_cyclonedx.deny, expected) with input as _with(_document) with data.rule_data as rules
	}
}

test_allowed_package_sources_passes_for_what_was_not_prefetched if {
	every properties in [[], [{"name": "other:found_by", "value": "cachi2"}]] {
		fixtures.none(sbom_cyclonedx.deny) with input as _changed("/components/1/properties", properties)
			with data.rule_data as {}
	}
}

test_allowed_package_sources_passes_for_references_of_other_types if {
	fixtures.none(sbom_cyclonedx.deny) with input as _changed("/components/1/externalReferences/0/type", "website")
		with data.rule_data as {}
}

test_disallowed_packages_provided_fails if {
	every rules in [
		{"disallowed_packages": "x"},
		{"disallowed_packages": [{"format": "semver"}]},
		{"disallowed_packages": [{"purl": "garbage", "format": "semver"}]},
		{"disallowed_packages": [{"purl": "pkg:npm/a", "format": "other"}]},
		{"disallowed_packages": [{"purl": "pkg:npm/a", "format": "semver", "min": "v1.2.3"}]},
		{"disallowed_packages": [{"purl": "pkg:npm/a", "format": "semverv", "max": "1"}]},
		{"disallowed_packages": [{"purl": "pkg:npm/a", "format": "semver", "exceptions": [{}]}]},
		{"disallowed_packages": [{"purl": "pkg:npm/a", "format": "semver", "exceptions": ["a"]}]},
		{"disallowed_packages": [{
			"purl": "pkg:npm/a",
			"format": "semver",
			"exceptions": [{"subpath": "a", "more": "b"}],
		}]},
		{"disallowed_attributes": [{"value": "x"}]},
		{"allowed_external_references": [{"type": "vcs"}]},
		{"allowed_external_references": [{"type": "vcs", "url": "("}]},
		{"disallowed_external_references": [{"type": "vcs", "url": "("}]},
		{"allowed_package_sources": [{"type": "npm"}]},
		{"allowed_package_sources": [{"type": "npm", "patterns": []}]},
		{"allowed_package_sources": [{"type": "npm", "patterns": ["("]}]},
	] {
		print(rules)
		"sbom_cyclonedx.disallowed_packages_provided" in fixtures.codes(sbom_cyclonedx.deny)
			with input as _with(_document)
			with data.rule_data as rules
	}
}

test_disallowed_packages_provided_fails_for_unknown_members if {
	every key, entry in {
		"disallowed_packages": {"purl": "pkg:npm/a", "format": "semver"},
		"disallowed_attributes": {"name": "a"},
		"allowed_external_references": {"type": "vcs", "url": "a"},
		"disallowed_external_references": {"type": "vcs", "url": "a"},
		"allowed_package_sources": {"type": "npm", "patterns": ["a"]},
	} {
		every value in [["text"], [object.union(entry, {"more": 1})], [entry, entry]] {
			print(key, value)
			"sbom_cyclonedx.disallowed_packages_provided" in fixtures.codes(sbom_cyclonedx.deny)
				with input as _with(_document)
				with data.rule_data as {key: value}
		}
		not "sbom_cyclonedx.disallowed_packages_provided" in fixtures.codes(sbom_cyclonedx.deny)
			with input as _with(_document)
			with data.rule_data as {key: [entry]}
	}
}

test_disallowed_packages_provided_says_what_is_wrong if {
	expected := {{
		"code": "sbom_cyclonedx.disallowed_packages_provided",
		"msg": "Rule data disallowed_packages has unexpected format: \"garbage\" is no package URL",
	}}
	rules := object.union(_sources, {"disallowed_packages": [{"purl": "garbage", "format": "semver"}]})
	fixtures.same(sbom_cyclonedx.deny, expected) with input as _with(_document) with data.rule_data as rules
}

test_disallowed_packages_provided_passes if {
	rules := {
		"disallowed_packages": [
			{"purl": "pkg:npm/a", "format": "semver", "min": "1.0.0", "max": "2.0.0-rc.1"},
			{"purl": "pkg:golang/example.org/a", "format": "semverv", "exceptions": [{"subpath": "b"}]},
		],
		"disallowed_attributes": [{"name": "a", "value": "b", "effective_on": "2030-01-01T00:00:00Z"}],
		"disallowed_external_references": [{"type": "vcs", "url": "^git://"}],
	}
	fixtures.none(sbom_cyclonedx.deny) with input as _with(_document) with data.rule_data as object.union(_sources, rules)
}
