package policy.release.attestation_task_bundle_test

import rego.v1

import data.lib.fixtures
import data.policy.release.attestation_task_bundle as task_bundle

trusted := fixtures.trusted({"buildah"})

good := fixtures.input_of([fixtures.buildah])

with_ref(ref) := fixtures.input_of([fixtures.changed(fixtures.buildah, "/ref", ref)])

test_tasks_defined_in_bundle_passes if {
	fixtures.none(task_bundle.deny) with input as good with data.trusted_tasks as trusted
}

test_tasks_defined_in_bundle_fails if {
	expected := {{
		"code": "attestation_task_bundle.tasks_defined_in_bundle",
		"msg": "Pipeline task 'buildah-in-pipeline' does not contain a bundle reference",
	}}
	every ref in [{}, {"name": "buildah", "kind": "Task"}, {"resolver": "git", "params": []}] {
		fixtures.same(task_bundle.deny, expected) with input as with_ref(ref) with data.trusted_tasks as trusted
	}
}

test_task_ref_bundles_not_empty_passes if {
	fixtures.none(task_bundle.deny) with input as good with data.trusted_tasks as trusted
}

test_task_ref_bundles_not_empty_fails if {
	expected := {{
		"code": "attestation_task_bundle.task_ref_bundles_not_empty",
		"msg": "Pipeline task 'buildah-in-pipeline' uses an empty bundle image reference",
	}}
	every ref in [{"name": "buildah", "bundle": ""}, fixtures.bundle_reference("buildah", ""), {"resolver": "bundles"}] {
		fixtures.same(task_bundle.deny, expected) with input as with_ref(ref) with data.trusted_tasks as trusted
	}
}

test_task_ref_bundles_pinned_passes if {
	fixtures.none(task_bundle.warn) with input as good with data.trusted_tasks as trusted
}

test_task_ref_bundles_pinned_fails if {
	bundle := "registry.example/tasks/task-buildah:0.1"
	expected := {{
		"code": "attestation_task_bundle.task_ref_bundles_pinned",
		"msg": sprintf("Pipeline task 'buildah-in-pipeline' uses an unpinned task bundle reference '%s'", [bundle]),
	}}
	fixtures.same(task_bundle.warn, expected) with input as with_ref(fixtures.bundle_reference("buildah", bundle))
		with data.trusted_tasks as trusted
}

test_task_ref_bundles_current_passes if {
	fixtures.none(task_bundle.warn) with input as good with data.trusted_tasks as trusted
}

test_task_ref_bundles_current_fails if {
	expected := {{
		"code": "attestation_task_bundle.task_ref_bundles_current",
		"msg": sprintf("Pipeline task 'buildah-in-pipeline' uses an out of date task bundle '%s'", [fixtures.bundle("buildah")]),
	}}
	key := "oci://registry.example/tasks/task-buildah:0.1"
	newer := {"ref": fixtures.other_digest, "effective_on": "2262-01-01T00:00:00Z"}
	fixtures.same(task_bundle.warn, expected) with input as good
		with data.trusted_tasks as {key: array.concat([newer], trusted[key])}
	fixtures.none(task_bundle.deny) with input as good
		with data.trusted_tasks as {key: array.concat([newer], trusted[key])}
}

test_task_ref_bundles_trusted_passes if {
	fixtures.none(task_bundle.deny) with input as good with data.trusted_tasks as trusted
}

test_task_ref_bundles_trusted_fails if {
	bundles := [
		sprintf("registry.example/tasks/task-buildah:0.1@%s", [fixtures.other_digest]),
		sprintf("registry.example/tasks/task-buildah:0.2@%s", [fixtures.task_digest]),
		sprintf("other.example/tasks/task-buildah:0.1@%s", [fixtures.task_digest]),
		"registry.example/tasks/task-buildah:0.1",
		"?",
	]
	every bundle in bundles {
		expected := {{
			"code": "attestation_task_bundle.task_ref_bundles_trusted",
			"msg": sprintf("Pipeline task 'buildah-in-pipeline' uses an untrusted task bundle '%s'", [bundle]),
		}}
		fixtures.same(task_bundle.deny, expected) with input as with_ref(fixtures.bundle_reference("buildah", bundle))
			with data.trusted_tasks as trusted
	}
}

test_trusted_bundles_provided_passes if {
	fixtures.none(task_bundle.deny) with data.trusted_tasks as trusted
}

test_trusted_bundles_provided_fails if {
	expected := {{
		"code": "attestation_task_bundle.trusted_bundles_provided",
		"msg": "Missing required trusted_tasks data",
	}}
	fixtures.same(task_bundle.deny, expected)
	fixtures.same(task_bundle.deny, expected) with data.trusted_tasks as {}
}
