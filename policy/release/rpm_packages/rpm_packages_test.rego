package policy.release.rpm_packages_test

import rego.v1

import data.lib.fixtures
import data.policy.release.rpm_packages

# An image with one SBOM per list of package URLs.
_listed(lists) := {
	"image": object.union(fixtures.image, {"files": {file: document |
		some position, purls in lists
		file := sprintf("root/buildinfo/content_manifests/sbom-%d.json", [position])
		document := {
			"bomFormat": "CycloneDX",
			"components": [{"type": "library", "name": "x", "purl": purl} | some purl in purls],
		}
	}}),
	"attestations": [],
}

_rpm(name, version) := sprintf("pkg:rpm/redhat/%s@%s?arch=x86_64", [name, version])

test_unique_version_passes_for_the_same_versions if {
	purls := [_rpm("bash", "5.1"), _rpm("kernel", "5.14"), _rpm("kernel", "5.15"), "pkg:npm/a@1"]
	fixtures.none(rpm_packages.deny) with input as _listed([purls, purls])
		with data.rule_data as {}
}

test_unique_version_passes_for_packages_of_one_platform if {
	fixtures.none(rpm_packages.deny) with input as _listed([[_rpm("bash", "5.1")], [_rpm("zsh", "5.2"), "pkg:npm/a@2"]])
		with data.rule_data as {}
}

test_unique_version_passes_over_other_packages if {
	fixtures.none(rpm_packages.deny) with input as _listed([["pkg:npm/a@1"], ["pkg:npm/a@2"]])
		with data.rule_data as {}
}

test_unique_version_fails_for_other_versions if {
	expected := {{
		"code": "rpm_packages.unique_version",
		"msg": "The RPM package \"bash\" has different versions: 5.1, 5.2",
		"term": "bash",
	}}
	lists := [[_rpm("bash", "5.1")], [_rpm("bash", "5.2")]]
	fixtures.same(rpm_packages.deny, expected) with input as _listed(lists)
		with data.rule_data as {}
	fixtures.none(rpm_packages.deny) with input as _listed(lists)
		with data.rule_data as {"non_unique_rpm_names": ["bash"]}
}
