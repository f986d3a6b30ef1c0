package policy.release.slsa_build_build_service_test

import rego.v1

import data.lib.fixtures
import data.policy.release.slsa_build_build_service as build_service

with_id(id) := fixtures.changed(fixtures.provenance([]), "/statement/predicate/builder", {"id": id})

test_slsa_builder_id_found_passes if {
	fixtures.none(build_service.deny) with input.attestations as [fixtures.provenance([]), fixtures.provenance_v1([])]
		with data.rule_data as {}
}

test_slsa_builder_id_found_fails if {
	expected := {{
		"code": "slsa_build_build_service.slsa_builder_id_found",
		"msg": "Builder ID not set in attestation",
	}}
	without := fixtures.changed(fixtures.provenance([]), "/statement/predicate/builder", {})
	without_v1 := fixtures.changed(fixtures.provenance_v1([]), "/statement/predicate/runDetails", {})
	every attestation in [without, without_v1, with_id(""), with_id(null), with_id(["https://tekton.dev/chains/v2"])] {
		fixtures.same(build_service.deny, expected) with input.attestations as [attestation]
	}
}

test_slsa_builder_id_accepted_passes if {
	fixtures.none(build_service.deny) with input.attestations as [with_id("https://own.example/builder")]
		with data.rule_data as {"allowed_builder_ids": ["https://own.example/builder"]}
}

test_slsa_builder_id_accepted_fails if {
	expected := {{
		"code": "slsa_build_build_service.slsa_builder_id_accepted",
		"msg": `Builder ID "https://other.example/builder" is unexpected`,
	}}
	fixtures.same(build_service.deny, expected) with input.attestations as [with_id("https://other.example/builder")]
}

test_allowed_builder_ids_provided_passes if {
	fixtures.none(build_service.deny) with data.rule_data as {"allowed_builder_ids": ["https://own.example/builder"]}
}

test_allowed_builder_ids_provided_fails if {
	every value in [[], "x", [1], null] {
		fixtures.same_codes(build_service.deny, {"slsa_build_build_service.allowed_builder_ids_provided"})
			with data.rule_data as {"allowed_builder_ids": value}
	}
}
