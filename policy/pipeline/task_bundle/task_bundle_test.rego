package policy.pipeline.task_bundle_test

import rego.v1

import data.lib.fixtures
import data.policy.pipeline.task_bundle

pipeline(ref) := {"kind": "Pipeline", "spec": {"tasks": [{"name": "build", "taskRef": ref}]}}

good := pipeline(fixtures.reference("buildah"))

trusted := fixtures.trusted({"buildah"})

found(short_name, msg) := {{"code": sprintf("task_bundle.%s", [short_name]), "msg": msg, "term": "buildah"}}

bundled(bundle) := pipeline(fixtures.bundle_reference("buildah", bundle))

test_disallowed_task_reference_passes if {
	fixtures.none(task_bundle.deny) with input as good with data.trusted_tasks as trusted
}

test_disallowed_task_reference_fails if {
	expected := found("disallowed_task_reference", "Pipeline task 'build' does not contain a bundle reference")
	fixtures.same(task_bundle.deny, expected) with input as pipeline({"name": "buildah"}) with data.trusted_tasks as trusted
}

test_disallowed_task_reference_fails_for_inline_tasks if {
	inline := {"kind": "Pipeline", "spec": {"finally": [{"name": "build", "taskSpec": {"steps": []}}]}}
	fixtures.same_codes(task_bundle.deny, {"task_bundle.disallowed_task_reference"}) with input as inline
		with data.trusted_tasks as trusted
}

test_empty_task_bundle_reference_passes if {
	fixtures.none(task_bundle.deny) with input as good with data.trusted_tasks as trusted
}

test_empty_task_bundle_reference_fails if {
	expected := found("empty_task_bundle_reference", "Pipeline task 'build' uses an empty bundle image reference")
	fixtures.same(task_bundle.deny, expected) with input as bundled("") with data.trusted_tasks as trusted
	fixtures.same(task_bundle.deny, expected) with input as pipeline({"name": "buildah", "bundle": ""})
		with data.trusted_tasks as trusted
}

test_untrusted_task_bundle_passes if {
	fixtures.none(task_bundle.deny) with input as good with data.trusted_tasks as trusted
}

test_untrusted_task_bundle_fails if {
	bundle := sprintf("registry.example/tasks/task-buildah:0.1@%s", [fixtures.other_digest])
	expected := found("untrusted_task_bundle", sprintf("Pipeline task 'build' uses an untrusted task bundle '%s'", [bundle]))
	fixtures.same(task_bundle.deny, expected) with input as bundled(bundle) with data.trusted_tasks as trusted
}

test_unpinned_task_bundle_passes if {
	fixtures.none(task_bundle.warn) with input as good with data.trusted_tasks as trusted
}

test_unpinned_task_bundle_fails if {
	bundle := "registry.example/tasks/task-buildah:0.1"
	expected := found(
		"unpinned_task_bundle",
		sprintf("Pipeline task 'build' uses an unpinned task bundle reference '%s'", [bundle]),
	)
	fixtures.same(task_bundle.warn, expected) with input as bundled(bundle) with data.trusted_tasks as trusted
}

test_out_of_date_task_bundle_passes if {
	fixtures.none(task_bundle.warn) with input as good with data.trusted_tasks as trusted
}

test_out_of_date_task_bundle_fails if {
	key := "oci://registry.example/tasks/task-buildah:0.1"
	newer := {"ref": fixtures.other_digest, "effective_on": "2262-01-01T00:00:00Z"}
	expected := found(
		"out_of_date_task_bundle",
		sprintf("Pipeline task 'build' uses an out of date task bundle '%s'", [fixtures.bundle("buildah")]),
	)
	fixtures.same(task_bundle.warn, expected) with input as good
		with data.trusted_tasks as {key: array.concat([newer], trusted[key])}
}

test_missing_required_data_passes if {
	fixtures.none(task_bundle.deny) with input as good with data.trusted_tasks as trusted
}

test_missing_required_data_fails if {
	expected := {{"code": "task_bundle.missing_required_data", "msg": "Missing required trusted_tasks data"}}
	fixtures.same(task_bundle.deny, expected) with input as {"kind": "Pipeline"}
}
