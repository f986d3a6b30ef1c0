package policy.release.slsa_source_correlated_test

import rego.v1

import data.lib.fixtures
import data.policy.release.slsa_source_correlated as correlated

rule_data := {"supported_vcs": ["git"], "supported_digests": ["sha1", "gitCommit"]}

url := "https://git.example/team/app"

image_of(url_, revision) := {"source": {"git": {"url": url_, "revision": revision}}}

matching := image_of(url, fixtures.commit)

materials := "/statement/predicate/materials"

test_source_code_reference_provided_passes if {
	fixtures.none(correlated.warn) with input.image as matching
}

test_source_code_reference_provided_fails if {
	expected := {{
		"code": "slsa_source_correlated.source_code_reference_provided",
		"msg": "Expected source code reference was not provided for verification",
	}}
	every image in [{}, {"source": {}}, {"source": null}, {"source": {"git": {}}}, image_of("", "")] {
		fixtures.same(correlated.warn, expected) with input.image as image
		fixtures.none(correlated.deny) with input.image as image
			with input.attestations as [fixtures.provenance([])]
			with data.rule_data as rule_data
	}
}

test_attested_source_code_reference_passes if {
	fixtures.none(correlated.deny) with input.attestations as [fixtures.provenance([]), fixtures.provenance_v1([])]
		with data.rule_data as rule_data
}

test_attested_source_code_reference_fails if {
	expected := {{
		"code": "slsa_source_correlated.attested_source_code_reference",
		"msg": "The attested material contains no source code reference",
	}}
	every list in [
		[],
		[{"uri": "oci://registry.example/x", "digest": {"sha256": "ab"}}],
		[{"uri": "hg+https://git.example/team/app", "digest": {"sha1": fixtures.commit}}],
		[{"uri": "git+https://git.example/team/app", "digest": {"md5": fixtures.commit}}],
		[{"uri": "git+https://git.example/team/app", "digest": {"sha1": ""}}],
	] {
		fixtures.same(correlated.deny, expected) with data.rule_data as rule_data
			with input.attestations as [fixtures.changed(fixtures.provenance([]), materials, list)]
	}
}

test_expected_source_code_reference_passes if {
	every form in ["%s", "%s.git", "%s/", "%s.git/", "git+%s.git"] {
		fixtures.none(correlated.deny) with input.attestations as [fixtures.provenance([]), fixtures.provenance_v1([])]
			with input.image as image_of(sprintf(form, [url]), fixtures.commit)
			with data.rule_data as rule_data
	}
}

test_expected_source_code_reference_passes_with_other_materials_and_git_commit if {
	list := [
		{"uri": "git+https://git.example/tasks.git", "digest": {"sha1": "dd"}},
		{"uri": "git+https://git.example/team/app/", "digest": {"gitCommit": fixtures.commit}},
	]
	fixtures.none(correlated.deny) with input.image as matching with data.rule_data as rule_data
		with input.attestations as [fixtures.changed(fixtures.provenance([]), materials, list)]
}

test_expected_source_code_reference_fails if {
	every pair in [
		[url, "dddddddddddddddddddddddddddddddddddddddd"],
		["https://git.example/team/other", fixtures.commit],
		[url, ""],
		["", fixtures.commit],
	] {
		reference := sprintf("git+%s@sha1:%s", pair)
		expected := {{
			"code": "slsa_source_correlated.expected_source_code_reference",
			"msg": sprintf("The expected source code reference %q is not attested", [reference]),
			"term": reference,
		}}
		fixtures.same(correlated.deny, expected) with input.image as image_of(pair[0], pair[1])
			with input.attestations as [fixtures.provenance([])]
			with data.rule_data as rule_data
	}
}

test_expected_source_code_reference_fails_for_what_is_not_supported if {
	image := {"source": {"hg": {"url": url, "revision": fixtures.commit}}}
	fixtures.same_codes(correlated.deny, {"slsa_source_correlated.expected_source_code_reference"}) with input.image as image
		with input.attestations as [fixtures.provenance([])]
		with data.rule_data as rule_data
}

test_rule_data_provided_passes if {
	fixtures.none(correlated.deny) with data.rule_data as rule_data
	fixtures.none(correlated.deny) with data.rule_data as {}
}

test_rule_data_provided_fails if {
	fixtures.same_codes(correlated.deny, {"slsa_source_correlated.rule_data_provided"}) with data.rule_data as {"supported_vcs": "git"}
	fixtures.same_codes(correlated.deny, {"slsa_source_correlated.rule_data_provided"}) with data.rule_data as {"supported_digests": [1]}
}
