package policy.release.rpm_ostree_task_test

import rego.v1

import data.lib.fixtures
import data.policy.release.rpm_ostree_task

_data := {"allowed_rpm_ostree_builder_image_prefixes": ["registry.example/builders/"]}

_built(params) := fixtures.input_of([fixtures.task("rpm-ostree", fixtures.build_results, params)])

_pinned := sprintf("registry.example/builders/ostree:1@%s", [fixtures.other_digest])

_denied(problem) := {{
	"code": "rpm_ostree_task.builder_image_param",
	"msg": sprintf("BUILDER_IMAGE of the task rpm-ostree %s", [problem]),
}}

test_builder_image_param_passes if {
	fixtures.none(rpm_ostree_task.deny) with input as _built({"BUILDER_IMAGE": _pinned}) with data.rule_data as _data
}

test_builder_image_param_passes_for_other_tasks if {
	fixtures.none(rpm_ostree_task.deny) with input as fixtures.input_of([fixtures.buildah]) with data.rule_data as _data
}

test_builder_image_param_fails_if_absent if {
	fixtures.same(rpm_ostree_task.deny, _denied("is not given")) with input as _built({}) with data.rule_data as _data
}

test_builder_image_param_fails_for_others if {
	problem := concat(" ", [
		"is \"evil.example/ostree\", whose name starts with none of",
		"allowed_rpm_ostree_builder_image_prefixes",
	])
	fixtures.same(rpm_ostree_task.deny, _denied(problem)) with input as _built({"BUILDER_IMAGE": "evil.example/ostree"})
		with data.rule_data as _data
}

test_builder_image_param_fails_without_digest if {
	every tag in ["", ":1", ":1@sha256:0", ":1:2"] {
		builder := concat("", ["registry.example/builders/ostree", tag])
		fixtures.same(rpm_ostree_task.deny, _denied(sprintf("is %q, which has no digest", [builder])))
			with input as _built({"BUILDER_IMAGE": builder})
			with data.rule_data as _data
	}
}

test_rule_data_fails_if_absent_or_no_list if {
	every rules in [{}, {"allowed_rpm_ostree_builder_image_prefixes": "x"}] {
		fixtures.same_codes(rpm_ostree_task.deny, {"rpm_ostree_task.rule_data"})
			with input as fixtures.input_of([fixtures.buildah])
			with data.rule_data as rules
	}
}

test_rule_data_passes if {
	fixtures.none(rpm_ostree_task.deny) with input as fixtures.input_of([])
		with data.rule_data as {"allowed_rpm_ostree_builder_image_prefixes": ["registry.example"]}
}
