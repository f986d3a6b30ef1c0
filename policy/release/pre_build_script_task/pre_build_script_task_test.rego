package policy.release.pre_build_script_task_test

import rego.v1

import data.lib.fixtures
import data.policy.release.pre_build_script_task

rule_data := {"allowed_registry_prefixes": ["registry.example/"]}

runner := sprintf("registry.example/runner:1@%s", [fixtures.other_digest])

hex := trim_prefix(fixtures.other_digest, "sha256:")

boms := [
	{"bomFormat": "CycloneDX", "components": [{"purl": sprintf("pkg:oci/runner@sha256%%3A%s", [hex])}]},
	{"bomFormat": "CycloneDX", "formulation": [{"components": [{"purl": sprintf("pkg:oci/runner@%s", [fixtures.other_digest])}]}]},
	{"bomFormat": "CycloneDX", "components": [{"hashes": [{"alg": "SHA-256", "content": hex}]}]},
]

seen(results, bom) := {
	"image": object.union(fixtures.image, {"files": {"root/buildinfo/content_manifests/sbom-cyclonedx.json": bom}}),
	"attestations": [fixtures.provenance([fixtures.buildah, fixtures.task("run-script-oci-ta", results, {})])],
}

ran_in(image) := seen({"SCRIPT_RUNNER_IMAGE_REFERENCE": image}, boms[0])

test_pre_build_script_task_runner_image_in_results_passes if {
	fixtures.none(pre_build_script_task.deny) with input as ran_in(runner) with data.rule_data as rule_data
	fixtures.none(pre_build_script_task.deny) with input as fixtures.input_of([fixtures.buildah])
}

test_pre_build_script_task_runner_image_in_results_fails if {
	expected := {{
		"code": "pre_build_script_task.pre_build_script_task_runner_image_in_results",
		"msg": `The runner image used for the pre-Build-Script task "run-script-oci-ta-in-pipeline" is not listed in the task results`,
		"term": "run-script-oci-ta",
	}}
	every results in [{}, {"SCRIPT_RUNNER_IMAGE_REFERENCE": ""}] {
		fixtures.same(pre_build_script_task.deny, expected) with input as seen(results, boms[0])
			with data.rule_data as rule_data
	}
}

test_valid_pre_build_script_task_runner_image_ref_passes if {
	fixtures.none(pre_build_script_task.deny) with input as ran_in(sprintf("%s\n", [runner])) with data.rule_data as rule_data
}

test_valid_pre_build_script_task_runner_image_ref_fails if {
	every odd in ["registry.example/runner:1", "registry.example/runner@sha256:12", "registry.example/a@b@c"] {
		expected := {
			{
				"code": "pre_build_script_task.valid_pre_build_script_task_runner_image_ref",
				"msg": sprintf("Pre-Build-Script task runner image %q is not a valid image reference", [odd]),
				"term": odd,
			},
			{
				"code": "pre_build_script_task.pre_build_script_task_runner_image_in_sbom",
				"msg": sprintf("Pre-Build-Script task runner image %q is not in the SBOM", [odd]),
				"term": odd,
			},
		}
		fixtures.same(pre_build_script_task.deny, expected) with input as ran_in(odd) with data.rule_data as rule_data
	}
}

test_pre_build_script_task_runner_image_allowed_passes if {
	fixtures.none(pre_build_script_task.deny) with input as ran_in(runner)
		with data.rule_data as {"allowed_registry_prefixes": ["other.example/", "registry.example/runner"]}
}

test_pre_build_script_task_runner_image_allowed_fails if {
	expected := {{
		"code": "pre_build_script_task.pre_build_script_task_runner_image_allowed",
		"msg": sprintf("Pre-Build-Script task runner image %q is from a disallowed registry", [runner]),
		"term": runner,
	}}
	every prefixes in [[], ["other.example/"]] {
		fixtures.same(pre_build_script_task.deny, expected) with input as ran_in(runner)
			with data.rule_data as {"allowed_registry_prefixes": prefixes}
	}
}

test_pre_build_script_task_runner_image_in_sbom_passes if {
	every bom in boms {
		fixtures.none(pre_build_script_task.deny) with data.rule_data as rule_data
			with input as seen({"SCRIPT_RUNNER_IMAGE_REFERENCE": runner}, bom)
	}
}

test_pre_build_script_task_runner_image_in_sbom_fails if {
	expected := {{
		"code": "pre_build_script_task.pre_build_script_task_runner_image_in_sbom",
		"msg": sprintf("Pre-Build-Script task runner image %q is not in the SBOM", [runner]),
		"term": runner,
	}}
	empty := {"bomFormat": "CycloneDX", "components": []}
	fixtures.same(pre_build_script_task.deny, expected) with data.rule_data as rule_data
		with input as seen({"SCRIPT_RUNNER_IMAGE_REFERENCE": runner}, empty)
}
