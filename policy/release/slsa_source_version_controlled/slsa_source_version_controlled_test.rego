package policy.release.slsa_source_version_controlled_test

import rego.v1

import data.lib.fixtures
import data.policy.release.slsa_source_version_controlled as version_controlled

materials := "/statement/predicate/materials"

with_materials(list) := [fixtures.changed(fixtures.provenance([]), materials, list)]

image := {"uri": "oci://registry.example/base", "digest": {"sha256": "ab"}}

good := {"uri": "git+https://git.example/team/app.git", "digest": {"sha1": fixtures.commit}}

test_materials_format_okay_passes if {
	fixtures.none(version_controlled.deny) with input.attestations as with_materials([image, good])
	fixtures.none(version_controlled.deny) with input.attestations as [fixtures.provenance_v1([])]
}

test_materials_format_okay_fails if {
	expected := {{
		"code": "slsa_source_version_controlled.materials_format_okay",
		"msg": "No materials match expected format",
	}}
	odd := [{"digest": good.digest}, {"uri": good.uri}, {"uri": good.uri, "digest": {"sha1": 7}}, "text", null]
	every list in [[], [image], odd, null] {
		fixtures.same(version_controlled.deny, expected) with input.attestations as with_materials(list)
	}
}

test_materials_uri_is_git_repo_passes if {
	fixtures.none(version_controlled.deny) with input.attestations as with_materials([good])
}

test_materials_uri_is_git_repo_fails if {
	expected := {{
		"code": "slsa_source_version_controlled.materials_uri_is_git_repo",
		"msg": `Material URI "hg+https://git.example/team/app" is not a git URI`,
	}}
	other := {"uri": "hg+https://git.example/team/app", "digest": good.digest}
	fixtures.same(version_controlled.deny, expected) with input.attestations as with_materials([good, other])
}

test_materials_include_git_sha_passes if {
	fixtures.none(version_controlled.deny) with input.attestations as with_materials([good])
}

test_materials_include_git_sha_fails if {
	every commit in ["", "main", substring(fixtures.commit, 0, 39), concat("", [fixtures.commit, "0"])] {
		expected := {{
			"code": "slsa_source_version_controlled.materials_include_git_sha",
			"msg": sprintf("Material digest %q is not a git commit sha", [commit]),
		}}
		other := {"uri": good.uri, "digest": {"sha1": commit}}
		fixtures.same(version_controlled.deny, expected) with input.attestations as with_materials([good, other])
	}
}
