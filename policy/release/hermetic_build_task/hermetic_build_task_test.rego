package policy.release.hermetic_build_task_test

import rego.v1

import data.lib.fixtures
import data.policy.release.hermetic_build_task

with_params(params) := fixtures.task("buildah", fixtures.build_results, params)

index := fixtures.task("build-image-index", fixtures.build_results, {})

expected := {{
	"code": "hermetic_build_task.build_task_hermetic",
	"msg": "Build task was not invoked with the hermetic parameter set",
}}

test_build_task_hermetic_passes if {
	fixtures.none(hermetic_build_task.deny) with input as fixtures.input_of([fixtures.git_clone, fixtures.buildah])
	run := fixtures.task_run("buildah", fixtures.build_results, {"HERMETIC": "true"})
	fixtures.none(hermetic_build_task.deny) with input.attestations as [fixtures.provenance_v1([run])]
}

test_build_task_hermetic_passes_with_a_trusted_task_that_assembles if {
	fixtures.none(hermetic_build_task.deny) with input as fixtures.input_of([fixtures.buildah, index])
		with data.trusted_tasks as fixtures.trusted({"build-image-index"})
}

test_build_task_hermetic_fails if {
	every params in [{}, {"HERMETIC": "false"}, {"HERMETIC": ""}, {"HERMETIC": true}, {"HERMETIC": ["true"]}] {
		fixtures.same(hermetic_build_task.deny, expected) with input as fixtures.input_of([fixtures.buildah, with_params(params)])
	}
}

test_build_task_hermetic_fails_with_an_untrusted_task_that_assembles if {
	fixtures.same(hermetic_build_task.deny, expected) with input as fixtures.input_of([fixtures.buildah, index])
		with data.trusted_tasks as fixtures.trusted({"buildah"})
	fixtures.same(hermetic_build_task.deny, expected) with input as fixtures.input_of([fixtures.buildah, index])
		with data.trusted_tasks as fixtures.trusted({"build-image-index"})
		with data.rule_data as {"assembling_tasks": []}
}
