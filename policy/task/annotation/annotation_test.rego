package policy.task.annotation_test

import rego.v1

import data.lib.fixtures
import data.policy.task.annotation

expires(date) := {"kind": "Task", "metadata": {"annotations": {"build.appstudio.redhat.com/expires-on": date}}}

test_expires_on_format_passes if {
	fixtures.none(annotation.deny) with input as {"kind": "Task"}
	fixtures.none(annotation.deny) with input as expires("2024-06-01T00:00:00Z")
	fixtures.none(annotation.deny) with input as expires("2024-06-01T00:00:00+02:00")
}

test_expires_on_format_fails if {
	every date in ["", "soon", "2024-06-01", "2024-06-01T00:00:00"] {
		expected := {{
			"code": "task.annotation.expires_on_format",
			"msg": sprintf("Expires on time is not in RFC3339 format, %q", [date]),
		}}
		fixtures.same(annotation.deny, expected) with input as expires(date)
	}
}
