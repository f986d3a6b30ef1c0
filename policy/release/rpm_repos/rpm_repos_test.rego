package policy.release.rpm_repos_test

import rego.v1

import data.lib.fixtures
import data.policy.release.rpm_repos

_data := {"known_rpm_repositories": ["ubi-9-baseos-rpms"]}

_listed(purls) := {
	"image": object.union(fixtures.image, {"files": {"root/buildinfo/content_manifests/sbom.json": {
		"bomFormat": "CycloneDX",
		"components": [{"type": "library", "name": "x", "purl": purl} | some purl in purls],
	}}}),
	"attestations": [],
}

_known := "pkg:rpm/redhat/bash@5.1.8-9.el9?arch=x86_64&repository_id=ubi-9-baseos-rpms"

_other := "pkg:rpm/redhat/bash@5.1.8-9.el9?arch=x86_64&repository_id=mine"

_silent := "pkg:rpm/redhat/bash@5.1.8-9.el9?arch=x86_64"

test_ids_known_passes if {
	fixtures.none(rpm_repos.deny) with input as _listed([_known, "pkg:npm/left-pad@1.0.0", "garbage"])
		with data.rule_data as _data
}

test_ids_known_fails if {
	expected := {
		{
			"code": "rpm_repos.ids_known",
			"msg": sprintf("The RPM package %q is from the repository \"mine\", which is not a known one", [_other]),
			"term": _other,
		},
		{
			"code": "rpm_repos.ids_known",
			"msg": sprintf("The SBOM does not say from which repository the RPM package %q is", [_silent]),
			"term": _silent,
		},
	}
	fixtures.same(rpm_repos.deny, expected) with input as _listed([_known, _other, _silent]) with data.rule_data as _data
}

test_rule_data_provided_fails if {
	every rules in [{}, {"known_rpm_repositories": []}, {"known_rpm_repositories": "x"}] {
		fixtures.same_codes(rpm_repos.deny, {"rpm_repos.rule_data_provided"}) with input as _listed([])
			with data.rule_data as rules
	}
}

test_rule_data_provided_passes if {
	fixtures.none(rpm_repos.deny) with input as _listed([])
		with data.rule_data as {"known_rpm_repositories": ["ubi-9-baseos-rpms", "ubi-9-appstream-rpms"]}
}
