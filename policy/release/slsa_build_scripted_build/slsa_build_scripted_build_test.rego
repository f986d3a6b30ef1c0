package policy.release.slsa_build_scripted_build_test

import rego.v1

import data.lib.fixtures
import data.policy.release.slsa_build_scripted_build as scripted_build

trusted := fixtures.trusted({"git-clone", "buildah"})

good := [fixtures.git_clone, fixtures.buildah]

run := fixtures.task_run("buildah", fixtures.build_results, {})

good_v1 := {"image": fixtures.image, "attestations": [fixtures.provenance_v1([run])]}

subject := "/attestations/0/statement/subject"

test_build_script_used_passes if {
	fixtures.none(scripted_build.deny) with input as fixtures.input_of(good) with data.trusted_tasks as trusted
	fixtures.none(scripted_build.deny) with input as good_v1 with data.trusted_tasks as trusted
}

test_build_script_used_fails if {
	expected := {{
		"code": "slsa_build_scripted_build.build_script_used",
		"msg": `Build task "buildah" does not contain any steps`,
	}}
	without_steps := fixtures.changed(fixtures.buildah, "/steps", [])
	fixtures.same(scripted_build.deny, expected) with input as fixtures.input_of([without_steps])
		with data.trusted_tasks as trusted
	run_without := fixtures.changed(run, "/status/steps", [])
	fixtures.same(scripted_build.deny, expected) with data.trusted_tasks as trusted
		with input as {"image": fixtures.image, "attestations": [fixtures.provenance_v1([run_without])]}
}

test_build_task_image_results_found_passes if {
	fixtures.none(scripted_build.deny) with input as fixtures.input_of(good) with data.trusted_tasks as trusted
}

test_build_task_image_results_found_fails if {
	expected := {{"code": "slsa_build_scripted_build.build_task_image_results_found", "msg": "Build task not found"}}
	of_nothing := fixtures.changed(fixtures.provenance([fixtures.git_clone]), "/statement/subject", [])
	fixtures.same(scripted_build.deny, expected) with data.trusted_tasks as trusted
		with input as {"image": fixtures.image, "attestations": [fixtures.provenance(good), of_nothing]}
}

test_subject_build_task_matches_passes if {
	fixtures.none(scripted_build.deny) with input as fixtures.input_of(good) with data.trusted_tasks as trusted
}

test_subject_build_task_matches_passes_with_several_images if {
	results := {"SOURCE_IMAGE_URL": "registry.example/team/source:1", "SOURCE_IMAGE_DIGEST": fixtures.other_digest}
	tasks := array.concat(good, [fixtures.task("source-build", results, {})])
	both := array.concat(fixtures.statement([]).subject, [{
		"name": "registry.example/team/source",
		"digest": {"sha256": trim_prefix(fixtures.other_digest, "sha256:")},
	}])
	fixtures.none(scripted_build.deny) with input as fixtures.changed(fixtures.input_of(tasks), subject, both)
		with data.trusted_tasks as trusted
}

test_subject_build_task_matches_passes_with_artifacts if {
	outputs := {"uri": "registry.example/team/app", "digest": fixtures.other_digest}
	built := fixtures.changed(fixtures.buildah, "/results/-", {
		"name": "SBOM_ARTIFACT_OUTPUTS",
		"type": "object",
		"value": outputs,
	})
	both := array.concat(fixtures.statement([]).subject, [{
		"name": "registry.example/team/app",
		"digest": {"sha256": trim_prefix(fixtures.other_digest, "sha256:")},
	}])
	fixtures.none(scripted_build.deny) with data.trusted_tasks as trusted
		with input as fixtures.changed(fixtures.input_of([fixtures.git_clone, built]), subject, both)
}

test_subject_build_task_matches_fails if {
	other := [{"name": fixtures.repository, "digest": {"sha256": "22"}}]
	expected := {{
		"code": "slsa_build_scripted_build.subject_build_task_matches",
		"msg": `The attestation subject, "registry.example/team/app@sha256:22", does not match any of the images built`,
	}}
	fixtures.same(scripted_build.deny, expected) with data.trusted_tasks as trusted
		with input as fixtures.changed(fixtures.input_of(good), subject, other)
}

test_subject_build_task_matches_fails_for_another_repository if {
	elsewhere := fixtures.changed(fixtures.input_of(good), concat("/", [subject, "0/name"]), "registry.example/other")
	fixtures.same_codes(scripted_build.deny, {"slsa_build_scripted_build.subject_build_task_matches"}) with input as elsewhere
		with data.trusted_tasks as trusted
}

test_subject_build_task_matches_fails_for_what_is_no_subject if {
	every odd in ["text", null, 5, {}, {"name": fixtures.repository}, {"digest": {"sha256": "11"}}, {"name": 5, "digest": 5}] {
		made := fixtures.changed(fixtures.input_of(good), subject, [odd])
		fixtures.same_codes(scripted_build.deny, {"slsa_build_scripted_build.subject_build_task_matches"}) with input as made
			with data.trusted_tasks as trusted
	}
}

test_image_built_by_trusted_task_fails_for_what_is_no_reference if {
	every odd in ["text", null, 5, {}, []] {
		made := fixtures.changed(fixtures.input_of(good), "/image/ref", odd)
		fixtures.same_codes(scripted_build.deny, {"slsa_build_scripted_build.image_built_by_trusted_task"}) with input as made
			with data.trusted_tasks as trusted
	}
}

test_subject_build_task_matches_fails_without_digest if {
	odd := fixtures.changed(fixtures.input_of(good), concat("/", [subject, "0/digest"]), {})
	fixtures.same_codes(scripted_build.deny, {"slsa_build_scripted_build.subject_build_task_matches"}) with input as odd
		with data.trusted_tasks as trusted
}

test_image_built_by_trusted_task_passes if {
	fixtures.none(scripted_build.deny) with input as fixtures.input_of(good) with data.trusted_tasks as trusted
}

test_image_built_by_trusted_task_fails if {
	expected := {{
		"code": "slsa_build_scripted_build.image_built_by_trusted_task",
		"msg": sprintf("Image %q not built by a trusted task: Build Task(s) %q are not trusted", [fixtures.image.ref, "buildah"]),
	}}
	fixtures.same(scripted_build.deny, expected) with input as fixtures.input_of(good)
		with data.trusted_tasks as fixtures.trusted({"git-clone"})
}

test_image_built_by_trusted_task_fails_if_one_of_several_is_not if {
	other := fixtures.task("copy", {"IMAGE_DIGEST": sprintf("%s\n", [fixtures.digest])}, {})
	fixtures.same_codes(scripted_build.deny, {"slsa_build_scripted_build.image_built_by_trusted_task"}) with data.trusted_tasks as trusted
		with input as fixtures.input_of(array.concat(good, [other]))
}

test_image_built_by_trusted_task_passes_with_other_results_that_name_it if {
	scan := fixtures.task("scan", {"SCANNED": fixtures.digest}, {})
	fixtures.none(scripted_build.deny) with input as fixtures.input_of(array.concat(good, [scan]))
		with data.trusted_tasks as trusted
}

test_image_built_by_trusted_task_fails_if_no_task_built_it if {
	ref := sprintf("%s@%s", [fixtures.repository, fixtures.other_digest])
	expected := {{
		"code": "slsa_build_scripted_build.image_built_by_trusted_task",
		"msg": sprintf("Image %q not built by a trusted task: No Pipeline Tasks built the image", [ref]),
	}}
	fixtures.same(scripted_build.deny, expected) with data.trusted_tasks as trusted
		with input as fixtures.changed(fixtures.input_of(good), "/image/ref", ref)
	fixtures.same_codes(scripted_build.deny, {"slsa_build_scripted_build.image_built_by_trusted_task"}) with data.trusted_tasks as trusted
		with input.attestations as [fixtures.provenance(good)]
}
