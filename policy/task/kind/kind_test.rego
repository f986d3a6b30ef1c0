package policy.task.kind_test

import rego.v1

import data.lib.fixtures
import data.policy.task.kind

test_kind_present_passes if {
	fixtures.none(kind.deny) with input as {"kind": "Task"}
}

test_kind_present_fails if {
	expected := {{"code": "task.kind.kind_present", "msg": "Required field 'kind' not found"}}
	fixtures.same(kind.deny, expected) with input as {}
	fixtures.same(kind.deny, expected) with input as {"kind": ""}
}

test_expected_kind_passes if {
	fixtures.none(kind.deny) with input as {"kind": "Task"}
}

test_expected_kind_fails if {
	expected := {{"code": "task.kind.expected_kind", "msg": "Unexpected kind 'Pipeline' for task definition"}}
	fixtures.same(kind.deny, expected) with input as {"kind": "Pipeline"}
}
