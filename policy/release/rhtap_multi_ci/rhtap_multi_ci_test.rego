package policy.release.rhtap_multi_ci_test

import rego.v1

import data.lib.fixtures
import data.policy.release.rhtap_multi_ci

made_by(system) := {"statement": {
	"predicateType": "https://slsa.dev/provenance/v1",
	"predicate": {
		"buildDefinition": {
			"buildType": sprintf("https://redhat.com/rhtap/slsa-build-types/%s-build/v1", [system]),
			"externalParameters": {},
		},
		"runDetails": {
			"builder": {"id": "https://ci.example/runner"},
			"metadata": {"invocationID": "https://ci.example/runs/1"},
		},
	},
}}

test_attestation_found_passes if {
	every system in ["azure", "github", "gitlab", "jenkins"] {
		fixtures.none(rhtap_multi_ci.deny) with input.attestations as [fixtures.provenance([]), made_by(system)]
	}
}

test_attestation_found_fails if {
	expected := {{
		"code": "rhtap_multi_ci.attestation_found",
		"msg": concat(", ", [
			"SLSA v1.0 attestation with a known build type not found: expected https://redhat.com/rhtap/slsa-build-types/azure-build/v1",
			"https://redhat.com/rhtap/slsa-build-types/github-build/v1",
			"https://redhat.com/rhtap/slsa-build-types/gitlab-build/v1",
			"https://redhat.com/rhtap/slsa-build-types/jenkins-build/v1",
		]),
	}}
	of_v02 := fixtures.changed(made_by("github"), "/statement/predicateType", "https://slsa.dev/provenance/v0.2")
	every attestations in [[], [fixtures.provenance([])], [made_by("other")], [of_v02]] {
		fixtures.same(rhtap_multi_ci.deny, expected) with input.attestations as attestations
	}
}

test_attestation_format_passes if {
	fixtures.none(rhtap_multi_ci.deny) with input.attestations as [made_by("gitlab")]
}

test_attestation_format_fails if {
	every change in [
		["/statement/predicate/runDetails", {}],
		["/statement/predicate/runDetails/builder", {}],
		["/statement/predicate/runDetails/builder/id", ""],
		["/statement/predicate/runDetails/metadata", {}],
		["/statement/predicate/buildDefinition/externalParameters", null],
	] {
		broken := fixtures.changed(made_by("gitlab"), change[0], change[1])
		fixtures.same_codes(rhtap_multi_ci.deny, {"rhtap_multi_ci.attestation_format"}) with input.attestations as [broken]
	}
}
