package policy.release.slsa_provenance_available_test

import rego.v1

import data.lib.fixtures
import data.policy.release.slsa_provenance_available as available

rule_data := {"allowed_predicate_types": ["https://slsa.dev/provenance/v0.2"]}

test_attestation_predicate_type_accepted_passes if {
	fixtures.none(available.deny) with input.attestations as [fixtures.provenance([])] with data.rule_data as rule_data
}

test_attestation_predicate_type_accepted_fails if {
	expected := {{
		"code": "slsa_provenance_available.attestation_predicate_type_accepted",
		"msg": `Attestation predicate type "https://slsa.dev/provenance/v1" is not an expected type (https://slsa.dev/provenance/v0.2)`,
	}}
	fixtures.same(available.deny, expected) with data.rule_data as rule_data
		with input.attestations as [fixtures.provenance([]), fixtures.provenance_v1([])]
}

test_attestation_predicate_type_accepted_fails_whatever_it_is_called if {
	every type in ["https://example.com/provenance/v9", ""] {
		expected := {{
			"code": "slsa_provenance_available.attestation_predicate_type_accepted",
			"msg": sprintf(`Attestation predicate type %q is not an expected type (https://slsa.dev/provenance/v0.2)`, [type]),
		}}
		odd := fixtures.changed(fixtures.provenance([]), "/statement/predicateType", type)
		fixtures.same(available.deny, expected) with input.attestations as [odd] with data.rule_data as rule_data
	}
	untyped := json.patch(fixtures.provenance([]), [{"op": "remove", "path": "/statement/predicateType"}])
	fixtures.same_codes(available.deny, {"slsa_provenance_available.attestation_predicate_type_accepted"}) with input.attestations as [untyped]
		with data.rule_data as rule_data
}

test_allowed_predicate_types_provided_passes if {
	fixtures.none(available.deny) with input.attestations as [fixtures.provenance([])] with data.rule_data as rule_data
}

test_allowed_predicate_types_provided_fails if {
	expected := {
		"slsa_provenance_available.allowed_predicate_types_provided",
		"slsa_provenance_available.attestation_predicate_type_accepted",
	}
	every value in [[], "x", [1], {}, null] {
		fixtures.same_codes(available.deny, expected) with data.rule_data as {"allowed_predicate_types": value}
			with input.attestations as [fixtures.provenance([])]
	}
}
