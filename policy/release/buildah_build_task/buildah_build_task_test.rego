package policy.release.buildah_build_task_test

import rego.v1

import data.lib.fixtures
import data.policy.release.buildah_build_task

made(name, params) := fixtures.input_of([fixtures.task(name, fixtures.build_results, params)])

built(params) := made("buildah", object.union({"DOCKERFILE": "Dockerfile"}, params))

test_buildah_task_has_dockerfile_param_passes if {
	every name in ["buildah", "buildah-remote-oci-ta"] {
		fixtures.none(buildah_build_task.deny) with input as made(name, {"DOCKERFILE": "./image/Dockerfile"})
	}
	fixtures.none(buildah_build_task.deny) with input as made("buildahish", {})
	run := fixtures.task_run("buildah", {}, {"DOCKERFILE": "Dockerfile"})
	fixtures.none(buildah_build_task.deny) with input.attestations as [fixtures.provenance_v1([run])]
}

test_buildah_task_has_dockerfile_param_fails if {
	every name in ["buildah", "buildah-remote-oci-ta"] {
		expected := {{
			"code": "buildah_build_task.buildah_task_has_dockerfile_param",
			"msg": sprintf("The DOCKERFILE param was not included in the buildah task: \"%s-in-pipeline\"", [name]),
			"term": name,
		}}
		fixtures.same(buildah_build_task.deny, expected) with input as made(name, {})
		fixtures.same(buildah_build_task.deny, expected) with input as made(name, {"DOCKERFILE": ""})
	}
}

test_buildah_uses_local_dockerfile_passes if {
	every path in ["Dockerfile", "./a/Dockerfile", "https/Dockerfile"] {
		fixtures.none(buildah_build_task.deny) with input as built({"DOCKERFILE": path})
	}
}

test_buildah_uses_local_dockerfile_fails if {
	every url in ["https://x.example/Dockerfile", "HTTP://x.example/Dockerfile", " git+ssh://x.example/Dockerfile"] {
		expected := {{
			"code": "buildah_build_task.buildah_uses_local_dockerfile",
			"msg": sprintf("DOCKERFILE param value (%s) is an external source", [url]),
		}}
		fixtures.same(buildah_build_task.deny, expected) with input as built({"DOCKERFILE": url})
	}
	fixtures.same_codes(buildah_build_task.deny, {"buildah_build_task.buildah_uses_local_dockerfile"})
		with input as built({"DOCKERFILE": ["https://x.example/Dockerfile"]})
}

test_add_capabilities_param_passes if {
	fixtures.none(buildah_build_task.deny) with input as built({"ADD_CAPABILITIES": ""})
}

test_add_capabilities_param_fails if {
	expected := {{
		"code": "buildah_build_task.add_capabilities_param",
		"msg": "ADD_CAPABILITIES parameter is not allowed",
	}}
	every value in ["SYS_ADMIN", ["SYS_ADMIN"]] {
		fixtures.same(buildah_build_task.deny, expected) with input as built({"ADD_CAPABILITIES": value})
	}
}

patterns := {"disallowed_platform_patterns": [".*root.*", "^local$"]}

test_platform_param_passes if {
	fixtures.none(buildah_build_task.deny) with input as built({"PLATFORM": "linux/arm64"}) with data.rule_data as patterns
}

test_platform_param_fails if {
	expected := {{
		"code": "buildah_build_task.platform_param",
		"msg": `PLATFORM parameter value "linux-root/arm64" is disallowed by regex ".*root.*"`,
	}}
	fixtures.same(buildah_build_task.deny, expected) with data.rule_data as patterns
		with input as built({"PLATFORM": "linux-root/arm64"})
}

test_privileged_nested_param_passes if {
	every value in ["", "false"] {
		fixtures.none(buildah_build_task.deny) with input as built({"PRIVILEGED_NESTED": value})
	}
}

test_privileged_nested_param_fails if {
	expected := {{
		"code": "buildah_build_task.privileged_nested_param",
		"msg": "setting PRIVILEGED_NESTED parameter to true is not allowed",
	}}
	every value in ["true", "True", ["true"]] {
		fixtures.same(buildah_build_task.deny, expected) with input as built({"PRIVILEGED_NESTED": value})
	}
}

test_disallowed_platform_patterns_provided_passes if {
	fixtures.none(buildah_build_task.deny) with data.rule_data as patterns
	fixtures.none(buildah_build_task.deny)
}

test_disallowed_platform_patterns_provided_fails if {
	every value in ["x", [1], ["a", "a"]] {
		fixtures.same_codes(buildah_build_task.deny, {"buildah_build_task.disallowed_platform_patterns_provided"})
			with data.rule_data as {"disallowed_platform_patterns": value}
	}
	expected := {{
		"code": "buildah_build_task.disallowed_platform_patterns_provided",
		"msg": `"(" is not a valid regular expression in rule data disallowed_platform_patterns`,
	}}
	fixtures.same(buildah_build_task.deny, expected) with data.rule_data as {"disallowed_platform_patterns": ["("]}
}
