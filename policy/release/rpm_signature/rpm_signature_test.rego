package policy.release.rpm_signature_test

import rego.v1

import data.lib.fixtures
import data.policy.release.rpm_signature

_data := {"allowed_rpm_signature_keys": ["199e2f91fd431d51"]}

_scanned(value) := fixtures.input_of([fixtures.task("rpms-signature-scan", {"RPMS_DATA": value}, {})])

test_allowed_passes if {
	every value in [{"keys": {}}, {"keys": {"199e2f91fd431d51": 300}}] {
		fixtures.none(rpm_signature.deny) with input as _scanned(value) with data.rule_data as _data
	}
	fixtures.none(rpm_signature.deny) with input as fixtures.input_of([fixtures.buildah]) with data.rule_data as _data
}

test_allowed_fails_for_other_keys_and_unsigned_packages if {
	expected := {
		{
			"code": "rpm_signature.allowed",
			"msg": "2 RPM packages are signed with \"unsigned\", which is not a permitted key",
			"term": "unsigned",
		},
		{
			"code": "rpm_signature.allowed",
			"msg": "1 RPM packages are signed with \"aaaaaaaaaaaaaaaa\", which is not a permitted key",
			"term": "aaaaaaaaaaaaaaaa",
		},
	}
	value := {"keys": {"199e2f91fd431d51": 300, "unsigned": 2, "aaaaaaaaaaaaaaaa": 1}}
	fixtures.same(rpm_signature.deny, expected) with input as _scanned(value) with data.rule_data as _data
}

test_allowed_adds_up_scans if {
	tasks := [fixtures.task(name, {"RPMS_DATA": {"keys": {"unsigned": 2}}}, {}) | some name in ["one", "two"]]
	expected := {{
		"code": "rpm_signature.allowed",
		"msg": "4 RPM packages are signed with \"unsigned\", which is not a permitted key",
		"term": "unsigned",
	}}
	fixtures.same(rpm_signature.deny, expected) with input as fixtures.input_of(tasks) with data.rule_data as _data
}

test_result_format_fails if {
	every value in ["garbage", {}, {"keys": []}, {"keys": {"199e2f91fd431d51": "1"}}] {
		fixtures.same_codes(rpm_signature.deny, {"rpm_signature.result_format"}) with input as _scanned(value)
			with data.rule_data as _data
	}
}

test_result_format_names_the_task if {
	results := rpm_signature.deny with input as _scanned("garbage") with data.rule_data as _data
	every result in results {
		startswith(result.msg, "The result RPMS_DATA of task \"rpms-signature-scan\" cannot be read: ")
	}
}

test_rule_data_provided_fails if {
	every rules in [{}, {"allowed_rpm_signature_keys": []}, {"allowed_rpm_signature_keys": "x"}] {
		fixtures.same_codes(rpm_signature.deny, {"rpm_signature.rule_data_provided"}) with input as _scanned({"keys": {}})
			with data.rule_data as rules
	}
}

test_result_format_passes_without_packages if {
	fixtures.none(rpm_signature.deny) with input as _scanned({"keys": {"199e2f91fd431d51": 0}}) with data.rule_data as _data
}

test_rule_data_provided_passes if {
	fixtures.none(rpm_signature.deny) with input as fixtures.input_of([])
		with data.rule_data as {"allowed_rpm_signature_keys": ["a", "b"]}
}
