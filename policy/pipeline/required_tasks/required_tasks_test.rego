package policy.pipeline.required_tasks_test

import rego.v1

import data.lib.fixtures
import data.policy.pipeline.required_tasks

pipeline(names) := {
	"kind": "Pipeline",
	"metadata": {"name": "build", "labels": {"pipelines.openshift.io/runtime": "generic"}},
	"spec": {"tasks": [{"name": name, "taskRef": fixtures.reference(name)} | some name in names]},
}

lists := {"generic": [
	{"effective_on": "2262-01-01T00:00:00Z", "tasks": ["buildah", "sast"]},
	{"effective_on": "2024-01-01T00:00:00Z", "tasks": ["buildah", "summary"]},
]}

test_tasks_found_passes if {
	fixtures.none(required_tasks.deny) with input as pipeline(["buildah", "sast"]) with data["pipeline-required-tasks"] as lists
}

test_tasks_found_fails if {
	expected := {
		{"code": "required_tasks.tasks_found", "msg": "No tasks found in pipeline"},
		{"code": "required_tasks.missing_required_task", "msg": `Required task "buildah" is missing`, "term": "buildah"},
	}
	fixtures.same(required_tasks.deny, expected) with input as pipeline([]) with data["pipeline-required-tasks"] as lists
}

test_required_tasks_list_present_passes if {
	fixtures.none(required_tasks.deny) with input as pipeline(["buildah"])
		with data["pipeline-required-tasks"] as {}
		with data["required-tasks"] as lists.generic
}

test_required_tasks_list_present_fails if {
	expected := {{
		"code": "required_tasks.required_tasks_list_present",
		"msg": "The required tasks list is missing from the rule data",
	}}
	fixtures.same(required_tasks.deny, expected) with input as pipeline(["buildah"])
		with data["pipeline-required-tasks"] as {}
		with data["required-tasks"] as []
}

test_required_tasks_found_passes if {
	fixtures.none(required_tasks.warn) with input as pipeline(["buildah", "sast"]) with data["pipeline-required-tasks"] as lists
}

test_required_tasks_found_fails if {
	expected := {{
		"code": "required_tasks.required_tasks_found",
		"msg": `Required tasks do not exist for pipeline "build"`,
	}}
	fixtures.same(required_tasks.warn, expected) with input as pipeline(["buildah", "sast"])
		with data["pipeline-required-tasks"] as {}
		with data["required-tasks"] as lists.generic
}

test_missing_required_task_passes if {
	fixtures.none(required_tasks.deny) with input as pipeline(["buildah"]) with data["pipeline-required-tasks"] as lists
}

test_missing_required_task_passes_with_a_task_in_finally if {
	last := fixtures.changed(pipeline(["sast"]), "/spec/finally", [{"name": "x", "taskRef": {"name": "buildah"}}])
	fixtures.none(required_tasks.deny) with input as last with data["pipeline-required-tasks"] as lists
}

test_missing_required_task_fails if {
	expected := {{
		"code": "required_tasks.missing_required_task",
		"msg": `Required task "buildah" is missing`,
		"term": "buildah",
	}}
	fixtures.same(required_tasks.deny, expected) with input as pipeline(["sast"]) with data["pipeline-required-tasks"] as lists
}

test_missing_future_required_task_passes if {
	fixtures.none(required_tasks.warn) with input as pipeline(["buildah", "sast"]) with data["pipeline-required-tasks"] as lists
}

test_missing_future_required_task_fails if {
	expected := {{
		"code": "required_tasks.missing_future_required_task",
		"msg": `Required task "sast" is missing and will be required on 2262-01-01T00:00:00Z`,
		"term": "sast",
	}}
	fixtures.same(required_tasks.warn, expected) with input as pipeline(["buildah"]) with data["pipeline-required-tasks"] as lists
}

test_other_kinds_are_left_alone if {
	fixtures.none(required_tasks.deny) with input as {"kind": "Task"} with data["required-tasks"] as lists.generic
	fixtures.none(required_tasks.warn) with input as {"kind": "Task"} with data["required-tasks"] as lists.generic
}
