package policy.release.provenance_materials_test

import rego.v1

import data.lib.fixtures
import data.policy.release.provenance_materials

test_git_clone_task_found_passes if {
	fixtures.none(provenance_materials.deny) with input as fixtures.input_of([fixtures.git_clone, fixtures.buildah])
}

test_git_clone_task_found_fails if {
	expected := {{"code": "provenance_materials.git_clone_task_found", "msg": "Task git-clone not found"}}
	only_commit := fixtures.task("git-clone", {"commit": fixtures.commit}, {})
	fixtures.same(provenance_materials.deny, expected) with input as fixtures.input_of([only_commit, fixtures.buildah])
}

test_git_clone_source_matches_provenance_passes if {
	every end in ["", ".git", "\n", ".git\n"] {
		results := {"url": concat("", ["https://git.example/team/app", end]), "commit": fixtures.commit}
		fixtures.none(provenance_materials.deny) with input as fixtures.input_of([fixtures.task("git-clone", results, {})])
		fixtures.none(provenance_materials.deny) with input.attestations as [fixtures.provenance_v1([fixtures.task_run("git-clone", results, {})])]
	}
}

test_git_clone_source_matches_provenance_fails if {
	other := "dddddddddddddddddddddddddddddddddddddddd"
	every pair in [["https://git.example/team/app", other], ["https://git.example/team/other", fixtures.commit]] {
		expected := {{
			"code": "provenance_materials.git_clone_source_matches_provenance",
			"msg": sprintf("Entry in materials for the git repo %q and commit %q not found", pair),
		}}
		clone := fixtures.task("git-clone", {"url": pair[0], "commit": pair[1]}, {})
		fixtures.same(provenance_materials.deny, expected) with input as fixtures.input_of([fixtures.git_clone, clone])
	}
}

test_a_commit_of_digits_is_no_number if {
	commit := "1234567890123456789012345678901234567890"
	clone := fixtures.task("git-clone", {"url": "https://git.example/team/app", "commit": commit}, {})
	made := fixtures.changed(fixtures.input_of([clone]), "/attestations/0/statement/predicate/materials/0/digest/sha1", commit)
	fixtures.none(provenance_materials.deny) with input as made
}
