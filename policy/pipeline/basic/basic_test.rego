package policy.pipeline.basic_test

import rego.v1

import data.lib.fixtures
import data.policy.pipeline.basic

test_expected_kind_passes if {
	fixtures.none(basic.deny) with input as {"kind": "Pipeline"}
}

test_expected_kind_fails if {
	fixtures.same(basic.deny, {{
		"code": "basic.expected_kind",
		"msg": "Unexpected kind 'Task' for pipeline definition",
	}}) with input as {"kind": "Task"}
	fixtures.same_codes(basic.deny, {"basic.expected_kind"}) with input as {}
}
