# METADATA
# title: Git branch
# description: >-
#   The image was built from a branch whose changes are reviewed.
package policy.release.git_branch

import rego.v1

import data.lib

# METADATA
# title: Builds have a trusted target branch
# description: >-
#   The branch for which each task that builds images was run, by its annotation
#   `build.appstudio.redhat.com/target_branch`, matches one of the patterns in the rule data `allowed_target_branch_patterns`.
# custom:
#   short_name: git_branch
#   failure_msg: Build target is %s which is not a trusted target branch
#   solution: Build from one of these branches, or add a pattern that matches this one.
#   collections: [redhat_rpms]
deny contains result if {
	some branch in _branches
	not _is_allowed(branch)
	result := lib.result(rego.metadata.chain(), [branch])
}

# METADATA
# title: Rule data provided
# description: >-
#   The rule data `allowed_target_branch_patterns` is a list of regular expressions that is not empty.
# custom:
#   short_name: rule_data_provided
#   failure_msg: "%s"
#   solution: Correct `allowed_target_branch_patterns` in the rule data of the policy.
#   collections: [redhat_rpms, policy_data]
deny contains result if {
	some error in lib.rule_data_errors("allowed_target_branch_patterns", lib.some_texts)
	result := lib.result(rego.metadata.chain(), [error])
}

_branches contains object.get(task.annotations, "build.appstudio.redhat.com/target_branch", "unknown") if {
	some task in lib.build_tasks
}

# Nothing that was built has a branch.
_branches contains "unknown" if count(lib.build_tasks) == 0

_is_allowed(branch) if {
	some pattern in lib.rule_data("allowed_target_branch_patterns")
	regex.match(pattern, branch)
}
