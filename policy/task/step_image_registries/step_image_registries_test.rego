package policy.task.step_image_registries_test

import rego.v1

import data.lib.fixtures
import data.policy.task.step_image_registries as registries

task(steps) := {"kind": "Task", "spec": {"steps": steps}}

rule_data := {"allowed_step_image_registry_prefixes": ["registry.example/tools/"]}

test_step_images_permitted_passes if {
	fixtures.none(registries.deny) with input as task([{"image": "registry.example/tools/git:1"}]) with data.rule_data as rule_data
}

test_step_images_permitted_passes_by_the_template if {
	by_template := {"spec": {"stepTemplate": {"image": "registry.example/tools/git:1"}, "steps": [{"name": "run"}]}}
	fixtures.none(registries.deny) with input as by_template with data.rule_data as rule_data
}

test_step_images_permitted_fails if {
	every image in ["registry.example/other/git:1", "other.example/registry.example/tools/git", "$(params.image)"] {
		expected := {{
			"code": "task.step_image_registries.step_images_permitted",
			"msg": sprintf("Step 1 uses disallowed image ref '%s'", [image]),
			"term": image,
		}}
		steps := [{"image": "registry.example/tools/git:1"}, {"image": image}]
		fixtures.same(registries.deny, expected) with input as task(steps) with data.rule_data as rule_data
	}
}

test_step_images_permitted_fails_without_image if {
	expected := {{
		"code": "task.step_image_registries.step_images_permitted",
		"msg": "Step 0 uses disallowed image ref ''",
		"term": "",
	}}
	fixtures.same(registries.deny, expected) with input as task([{"ref": {"name": "elsewhere"}}]) with data.rule_data as rule_data
}

test_step_image_registry_prefix_list_provided_passes if {
	fixtures.none(registries.deny) with input as task([]) with data.rule_data as rule_data
}

test_step_image_registry_prefix_list_provided_fails if {
	expected := {"task.step_image_registries.step_image_registry_prefix_list_provided"}
	every value in [[], "x", [1]] {
		fixtures.same_codes(registries.deny, expected) with input as task([])
			with data.rule_data as {"allowed_step_image_registry_prefixes": value}
	}
}
