package policy.release.tampered_runs_test

import rego.v1

import data.lib.fixtures
import data.policy.release.tampered_runs

by_exec := [{"kind": "TaskRun", "name": "build", "reason": "Exec"}]

expected := {{
	"code": "tampered_runs.nobody_was_let_in",
	"msg": `TaskRun "build" was tampered with while it ran: Exec`,
	"term": "Exec",
}}

environment := "/statement/predicate/invocation/environment/tampered"

internal := "/statement/predicate/buildDefinition/internalParameters/tampered"

plain := fixtures.provenance([fixtures.buildah])

run := fixtures.task_run("buildah", fixtures.build_results, {})

plain_v1 := fixtures.provenance_v1([run])

test_nobody_was_let_in_passes if {
	fixtures.none(tampered_runs.deny) with input.attestations as [plain, plain_v1]
	empty := fixtures.changed(plain, environment, [])
	empty_v1 := fixtures.changed(plain_v1, internal, [])
	taken_back := fixtures.changed(run, "/status/conditions/-", {"type": "Tampered", "status": "False"})
	fixtures.none(tampered_runs.deny) with input.attestations as [empty, empty_v1, fixtures.provenance_v1([taken_back])]
	fixtures.none(tampered_runs.deny) with input.attestations as [{"statement": {"predicate": {}}}]
}

test_nobody_was_let_in_fails if {
	of_task := fixtures.changed(fixtures.buildah, "/invocation/environment/tampered", by_exec)
	every attestation in [
		fixtures.changed(plain, environment, by_exec),
		fixtures.provenance([of_task]),
		fixtures.changed(plain_v1, internal, by_exec),
	] {
		fixtures.same(tampered_runs.deny, expected) with input.attestations as [plain, attestation]
	}
}

test_nobody_was_let_in_fails_for_the_provenance_of_a_task if {
	of_task := fixtures.changed(plain, "/statement/predicate/buildType", "tekton.dev/v1beta1/TaskRun")
	fixtures.same(tampered_runs.deny, expected) with input.attestations as [fixtures.changed(of_task, environment, by_exec)]
}

test_nobody_was_let_in_fails_for_the_condition_of_a_run if {
	every status in ["True", "Unknown", ""] {
		condition := {"type": "Tampered", "status": status, "reason": "Attach"}
		tampered := fixtures.changed(run, "/status/conditions/-", condition)
		found := {{
			"code": "tampered_runs.nobody_was_let_in",
			"msg": `TaskRun "run-buildah" was tampered with while it ran: Attach`,
			"term": "Attach",
		}}
		fixtures.same(tampered_runs.deny, found) with input.attestations as [fixtures.provenance_v1([tampered])]
	}
}

test_nobody_was_let_in_fails_for_what_cannot_be_read if {
	every value in [["text"], true, false, null, {"kind": "TaskRun"}, "no"] {
		fixtures.same_codes(tampered_runs.deny, {"tampered_runs.nobody_was_let_in"})
			with input.attestations as [fixtures.changed(plain, environment, value)]
		fixtures.same_codes(tampered_runs.deny, {"tampered_runs.nobody_was_let_in"})
			with input.attestations as [fixtures.changed(plain_v1, internal, value)]
	}
}
