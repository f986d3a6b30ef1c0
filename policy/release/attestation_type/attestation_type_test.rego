package policy.release.attestation_type_test

import rego.v1

import data.lib.fixtures
import data.policy.release.attestation_type

rule_data := {"known_attestation_types": ["https://in-toto.io/Statement/v0.1", "https://in-toto.io/Statement/v1"]}

test_known_attestation_type_passes if {
	fixtures.none(attestation_type.deny) with input.attestations as [fixtures.provenance([]), fixtures.provenance_v1([])]
		with data.rule_data as rule_data
}

test_known_attestation_type_fails if {
	odd := fixtures.changed(fixtures.provenance([]), "/statement/_type", "https://example.com/odd")
	expected := {{"code": "attestation_type.known_attestation_type", "msg": "Unknown attestation type 'https://example.com/odd'"}}
	fixtures.same(attestation_type.deny, expected) with input.attestations as [fixtures.provenance([]), odd]
		with data.rule_data as rule_data
}

test_known_attestation_type_fails_without_type if {
	untyped := json.patch(fixtures.provenance([]), [{"op": "remove", "path": "/statement/_type"}])
	expected := {{"code": "attestation_type.known_attestation_type", "msg": "Unknown attestation type ''"}}
	fixtures.same(attestation_type.deny, expected) with input.attestations as [untyped] with data.rule_data as rule_data
}

test_known_attestation_types_provided_passes if {
	fixtures.none(attestation_type.deny) with input.attestations as [fixtures.provenance([])] with data.rule_data as rule_data
}

test_known_attestation_types_provided_fails if {
	every value in [[], "https://in-toto.io/Statement/v0.1", [1], ["a", "a"], null] {
		"attestation_type.known_attestation_types_provided" in fixtures.codes(attestation_type.deny)
			with data.rule_data as {"known_attestation_types": value}
	}
}

test_known_attestation_types_provided_fails_without_data if {
	"attestation_type.known_attestation_types_provided" in fixtures.codes(attestation_type.deny) with data.rule_data as {}
}

test_pipelinerun_attestation_found_passes if {
	fixtures.none(attestation_type.deny) with input.attestations as [fixtures.provenance([])] with data.rule_data as rule_data
}

test_pipelinerun_attestation_found_fails if {
	of_task := fixtures.changed(fixtures.provenance([]), "/statement/predicate/buildType", "tekton.dev/v1beta1/TaskRun")
	expected := {{"code": "attestation_type.pipelinerun_attestation_found", "msg": "Missing pipelinerun attestation"}}
	every attestations in [[], [of_task]] {
		fixtures.same(attestation_type.deny, expected) with input.attestations as attestations with data.rule_data as rule_data
	}
}

test_deprecated_policy_attestation_format_passes if {
	fixtures.none(attestation_type.deny) with input.attestations as [fixtures.provenance([])] with data.rule_data as rule_data
}

test_deprecated_policy_attestation_format_fails if {
	expected := {{
		"code": "attestation_type.deprecated_policy_attestation_format",
		"msg": "Deprecated policy attestation format found",
	}}
	fixtures.same(attestation_type.deny, expected) with data.rule_data as rule_data
		with input.attestations as [fixtures.provenance([]), fixtures.statement([])]
}
