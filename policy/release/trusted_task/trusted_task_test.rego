package policy.release.trusted_task_test

import rego.v1

import data.lib.fixtures
import data.policy.release.trusted_task

trusted := fixtures.trusted({"git-clone", "buildah", "prefetch", "build-image-index"})

good := fixtures.input_of([fixtures.git_clone, fixtures.buildah])

with_ref(ref) := fixtures.input_of([fixtures.changed(fixtures.buildah, "/ref", ref)])

from_git(url, path, revision) := {"resolver": "git", "params": [
	{"name": "url", "value": url},
	{"name": "pathInRepo", "value": path},
	{"name": "revision", "value": revision},
]}

git_key := "git+https://git.example/tasks.git//buildah.yaml"

key := "oci://registry.example/tasks/task-buildah:0.1"

newer := {"ref": fixtures.other_digest, "effective_on": "2262-01-01T00:00:00Z"}

test_pinned_passes if {
	fixtures.none(trusted_task.warn) with input as good with data.trusted_tasks as trusted
}

test_pinned_passes_for_inlined_and_commits if {
	fixtures.none(trusted_task.warn) with input as with_ref({}) with data.trusted_tasks as trusted
	ref := from_git("https://git.example/tasks", "buildah.yaml", fixtures.commit)
	fixtures.none(trusted_task.warn) with input as with_ref(ref) with data.trusted_tasks as trusted
}

test_pinned_fails if {
	bundle := "registry.example/tasks/task-buildah:0.1"
	expected := {{
		"code": "trusted_task.pinned",
		"msg": sprintf("Pipeline task \"buildah-in-pipeline\" uses an unpinned task reference, %s", [bundle]),
		"term": "buildah",
	}}
	fixtures.same(trusted_task.warn, expected) with data.trusted_tasks as trusted
		with input as with_ref(fixtures.bundle_reference("buildah", bundle))
}

test_pinned_fails_for_branches if {
	expected := {{
		"code": "trusted_task.pinned",
		"msg": sprintf("Pipeline task \"buildah-in-pipeline\" uses an unpinned task reference, %s@", [git_key]),
		"term": "buildah",
	}}
	fixtures.same(trusted_task.warn, expected) with data.trusted_tasks as trusted
		with input as with_ref(from_git("https://git.example/tasks", "buildah.yaml", "main"))
}

test_tagged_passes if {
	fixtures.none(trusted_task.warn) with input as good with data.trusted_tasks as trusted
}

test_tagged_fails if {
	bundle := sprintf("registry.example/tasks/task-buildah@%s", [fixtures.task_digest])
	expected := {{
		"code": "trusted_task.tagged",
		"msg": sprintf("Pipeline task \"buildah-in-pipeline\" uses an untagged task reference, %s", [bundle]),
		"term": "buildah",
	}}
	fixtures.same(trusted_task.warn, expected) with data.trusted_tasks as trusted
		with input as with_ref(fixtures.bundle_reference("buildah", bundle))
}

test_current_passes if {
	fixtures.none(trusted_task.warn) with input as good with data.trusted_tasks as trusted
}

test_current_fails if {
	shown := fixtures.bundle("buildah")
	old := trusted[key][0]
	expected := {{
		"code": "trusted_task.current",
		"msg": sprintf("Pipeline task \"buildah-in-pipeline\" uses an out of date task reference, %s", [shown]),
		"term": "buildah",
	}}
	fixtures.same(trusted_task.warn, expected) with input as with_ref(fixtures.reference("buildah"))
		with data.trusted_tasks as {key: [newer, old]}
}

test_current_fails_and_says_until_when if {
	old := object.union(trusted[key][0], {"expires_on": newer.effective_on})
	expected := {{
		"code": "trusted_task.current",
		"msg": sprintf(
			"Pipeline task \"buildah-in-pipeline\" uses an out of date task reference, %s, which is trusted until %s",
			[fixtures.bundle("buildah"), newer.effective_on],
		),
		"term": "buildah",
	}}
	fixtures.same(trusted_task.warn, expected) with input as with_ref(fixtures.reference("buildah"))
		with data.trusted_tasks as {key: [newer, old]}
}

test_trusted_passes if {
	fixtures.none(trusted_task.deny) with input as good with data.trusted_tasks as trusted
	run := fixtures.task_run("buildah", fixtures.build_results, {})
	fixtures.none(trusted_task.deny) with input.attestations as [fixtures.provenance_v1([run])]
		with data.trusted_tasks as trusted
}

test_trusted_passes_from_git if {
	fixtures.none(trusted_task.deny) with data.trusted_tasks as {git_key: [{"ref": fixtures.commit}]}
		with input as with_ref(from_git("https://git.example/tasks.git", "buildah.yaml", fixtures.commit))
}

test_trusted_fails if {
	pinned := sprintf("registry.example/tasks/task-buildah:0.1@%s", [fixtures.other_digest])
	every pair in [
		[fixtures.bundle_reference("buildah", pinned), pinned],
		[{}, "<UNKNOWN>@<INLINED>"],
		[{"name": "buildah"}, "<UNKNOWN>@"],
		[from_git("https://git.example/tasks", "buildah.yaml", fixtures.commit), sprintf("%s@%s", [git_key, fixtures.commit])],
	] {
		expected := {{
			"code": "trusted_task.trusted",
			"msg": sprintf("Pipeline task \"buildah-in-pipeline\" uses an untrusted task reference, %s", [pair[1]]),
			"term": "buildah",
		}}
		fixtures.same(trusted_task.deny, expected) with input as with_ref(pair[0]) with data.trusted_tasks as trusted
	}
}

test_trusted_fails_in_v1 if {
	run := fixtures.task_run("unheard-of", {}, {})
	fixtures.same_codes(trusted_task.deny, {"trusted_task.trusted"}) with data.trusted_tasks as trusted
		with input.attestations as [fixtures.provenance_v1([run])]
}

artifact := sprintf("oci:%s@%s", [fixtures.repository, fixtures.other_digest])

maker := fixtures.task("prefetch", {"SOURCE_ARTIFACT": artifact}, {})

taker := fixtures.task("buildah", {}, {"SOURCE_ARTIFACT": artifact, "CACHI2_ARTIFACT": ""})

test_valid_trusted_artifact_inputs_passes if {
	fixtures.none(trusted_task.deny) with input as fixtures.input_of([maker, taker]) with data.trusted_tasks as trusted
}

test_valid_trusted_artifact_inputs_passes_if_it_is_handed_on if {
	between := fixtures.task("prefetch", {"SOURCE_ARTIFACT": artifact}, {"SOURCE_ARTIFACT": artifact})
	clone := fixtures.task("git-clone", {"SOURCE_ARTIFACT": artifact}, {})
	fixtures.none(trusted_task.deny) with input as fixtures.input_of([clone, between, taker]) with data.trusted_tasks as trusted
}

artifact_tampered := {
	"code": "trusted_task.valid_trusted_artifact_inputs",
	"msg": sprintf(
		"Code tampering detected, input %q for task \"buildah-in-pipeline\" was not produced by the pipeline as attested",
		[artifact],
	),
	"term": "buildah",
}

test_valid_trusted_artifact_inputs_fails if {
	expected := {artifact_tampered}
	fixtures.same(trusted_task.deny, expected) with input as fixtures.input_of([fixtures.git_clone, taker])
		with data.trusted_tasks as trusted
}

test_valid_trusted_artifact_inputs_fails_if_made_by_an_untrusted_task if {
	expected := {artifact_tampered}
	untrusted := fixtures.task("own", {"SOURCE_ARTIFACT": artifact}, {})
	found := trusted_task.deny with input as fixtures.input_of([untrusted, taker]) with data.trusted_tasks as trusted
	fixtures.same({result | some result in found; result.code != "trusted_task.trusted"}, expected)
}

test_valid_trusted_artifact_inputs_fails_if_another_result_names_it if {
	expected := {artifact_tampered}
	other := fixtures.task("prefetch", {"OTHER": artifact}, {})
	fixtures.same(trusted_task.deny, expected) with data.trusted_tasks as trusted
		with input as fixtures.input_of([other, taker])
}

test_valid_trusted_artifact_inputs_fails_if_it_is_only_handed_on if {
	between := fixtures.task("buildah", {"SOURCE_ARTIFACT": artifact}, {"SOURCE_ARTIFACT": artifact})
	expected := {artifact_tampered}
	fixtures.same(trusted_task.deny, expected) with data.trusted_tasks as trusted
		with input as fixtures.input_of([between, between, taker])
}

test_valid_trusted_artifact_inputs_fails_if_made_by_another_pipeline if {
	expected := {artifact_tampered}
	fixtures.same(trusted_task.deny, expected) with data.trusted_tasks as trusted
		with input.attestations as [fixtures.provenance([maker]), fixtures.provenance([taker])]
}

test_valid_trusted_artifact_inputs_fails_for_values_of_any_type if {
	every value in [null, 5, true, [artifact], {"a": artifact}] {
		odd := fixtures.task("buildah", {}, {"SOURCE_ARTIFACT": value})
		fixtures.same_codes(trusted_task.deny, {"trusted_task.valid_trusted_artifact_inputs"}) with data.trusted_tasks as trusted
			with input as fixtures.input_of([maker, odd])
	}
}

index := {"IMAGE_URL": fixtures.repository, "IMAGE_DIGEST": fixtures.other_digest}

index_of(images) := fixtures.task("build-image-index", index, {"IMAGES": images})

test_trusted_parameters_passes if {
	reference := sprintf("%s@%s", [fixtures.repository, fixtures.digest])
	every images in [[reference], reference] {
		fixtures.none(trusted_task.deny) with data.trusted_tasks as trusted
			with input as fixtures.input_of([fixtures.buildah, index_of(images)])
	}
}

test_trusted_parameters_fails if {
	every digest in [fixtures.task_digest, fixtures.other_digest] {
		expected := {{
			"code": "trusted_task.trusted_parameters",
			"msg": sprintf(
				`The "IMAGES" parameter of the "build-image-index-in-pipeline" PipelineTask includes an untrusted digest: %s`,
				[digest],
			),
			"term": "build-image-index",
		}}
		foreign := sprintf("%s@%s", [fixtures.repository, digest])
		fixtures.same(trusted_task.deny, expected) with data.trusted_tasks as trusted
			with input as fixtures.input_of([fixtures.buildah, index_of([fixtures.image.ref, foreign])])
	}
}

test_trusted_parameters_passes_for_what_builds_nothing if {
	scan := fixtures.task("prefetch", {}, {"IMAGES": [fixtures.image.ref]})
	fixtures.none(trusted_task.deny) with input as fixtures.input_of([scan]) with data.trusted_tasks as trusted
}

test_trusted_parameters_fails_if_built_by_an_untrusted_task if {
	codes := fixtures.codes(trusted_task.deny) with input as fixtures.input_of([fixtures.buildah, index_of([fixtures.image.ref])])
		with data.trusted_tasks as fixtures.trusted({"build-image-index"})
	codes == {"trusted_task.trusted", "trusted_task.trusted_parameters"}
}

test_data_passes if {
	fixtures.none(trusted_task.deny) with data.trusted_tasks as trusted
}

test_data_fails if {
	expected := {{"code": "trusted_task.data", "msg": "Missing required trusted_tasks data"}}
	fixtures.same(trusted_task.deny, expected)
	fixtures.same(trusted_task.deny, expected) with data.trusted_tasks as {}
}

test_data_format_passes if {
	fixtures.none(trusted_task.deny)
		with data.trusted_tasks as {key: [newer, {"ref": "x"}, {"ref": "y", "expires_on": "2024-01-01T00:00:00.5+02:00"}]}
}

test_data_format_fails if {
	every records in [
		"text", [], [{}], [{"ref": 1}],
		[{"ref": "x", "effective_on": 5}], [{"ref": "x", "expires_on": "soon"}], [{"ref": "x", "odd": 1}],
	] {
		fixtures.same_codes(trusted_task.deny, {"trusted_task.data_format"}) with data.trusted_tasks as {key: records}
	}
}
