package policy.release.git_branch_test

import rego.v1

import data.lib.fixtures
import data.policy.release.git_branch

rule_data := {"allowed_target_branch_patterns": ["^c10s$", "^rhel-10\\.[0-9]+$"]}

built_for(annotations) := fixtures.input_of([
	fixtures.git_clone,
	fixtures.changed(fixtures.buildah, "/invocation/environment/annotations", annotations),
])

on_branch(name) := built_for({"build.appstudio.redhat.com/target_branch": name})

test_git_branch_passes if {
	every branch in ["c10s", "rhel-10.1"] {
		fixtures.none(git_branch.deny) with input as on_branch(branch) with data.rule_data as rule_data
	}
}

test_git_branch_fails if {
	every branch in ["main", "c10s-private", ""] {
		expected := {{
			"code": "git_branch.git_branch",
			"msg": sprintf("Build target is %s which is not a trusted target branch", [branch]),
		}}
		fixtures.same(git_branch.deny, expected) with input as on_branch(branch) with data.rule_data as rule_data
	}
}

test_git_branch_fails_if_it_is_not_known if {
	expected := {{
		"code": "git_branch.git_branch",
		"msg": "Build target is unknown which is not a trusted target branch",
	}}
	every seen in [built_for({}), fixtures.input_of([fixtures.git_clone])] {
		fixtures.same(git_branch.deny, expected) with input as seen with data.rule_data as rule_data
	}
}

test_rule_data_provided_passes if {
	fixtures.none(git_branch.deny) with input as on_branch("c10s") with data.rule_data as rule_data
}

test_rule_data_provided_fails if {
	every value in [[], "^main$", [1]] {
		"git_branch.rule_data_provided" in fixtures.codes(git_branch.deny) with input as on_branch("c10s")
			with data.rule_data as {"allowed_target_branch_patterns": value}
	}
}
