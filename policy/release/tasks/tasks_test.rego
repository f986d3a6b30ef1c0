package policy.release.tasks_test

import rego.v1

import data.lib.fixtures
import data.policy.release.tasks

march := time.parse_rfc3339_ns("2024-03-01T00:00:00Z")

trusted := fixtures.trusted({"git-clone", "buildah", "kaniko", "sast"})

list(names) := [{"effective_on": "2024-01-01T00:00:00Z", "tasks": names}]

labelled(task, labels) := fixtures.changed(task, "/invocation/environment/labels", labels)

docker_build := labelled(fixtures.buildah, {"build.appstudio.redhat.com/build_type": "docker"})

good := fixtures.input_of([fixtures.git_clone, docker_build])

required := {"docker": list(["git-clone", "buildah"])}

run := fixtures.task_run("buildah", fixtures.build_results, {})

input_v1(runs) := {"image": fixtures.image, "attestations": [fixtures.provenance_v1(runs)]}

test_pipeline_has_tasks_passes if {
	fixtures.none(tasks.deny) with input as good with data.trusted_tasks as trusted
		with data["pipeline-required-tasks"] as required
	fixtures.none(tasks.deny) with input as input_v1([run]) with data.trusted_tasks as trusted
		with data["required-tasks"] as list(["buildah"])
}

test_pipeline_has_tasks_fails if {
	expected := {{"code": "tasks.pipeline_has_tasks", "msg": "No tasks found in PipelineRun attestation"}}
	fixtures.same(tasks.deny, expected) with input as fixtures.input_of([])
		with data["pipeline-required-tasks"] as {}
		with data["required-tasks"] as list([])
	fixtures.same(tasks.deny, expected) with input as input_v1([])
		with data["pipeline-required-tasks"] as {}
		with data["required-tasks"] as list([])
}

test_successful_pipeline_tasks_passes if {
	fixtures.none(tasks.deny) with input as good with data.trusted_tasks as trusted
		with data["pipeline-required-tasks"] as required
}

test_successful_pipeline_tasks_fails if {
	every status in ["Failed", "Running", "", null] {
		shown := {"Failed": "Failed", "Running": "Running"}
		expected := {{
			"code": "tasks.successful_pipeline_tasks",
			"msg": sprintf("Pipeline task \"buildah-in-pipeline\" did not complete successfully, %q", [object.get(shown, status, "MISSING")]),
			"term": "buildah",
		}}
		failed := fixtures.changed(fixtures.buildah, "/status", status)
		fixtures.same(tasks.deny, expected) with input as fixtures.input_of([fixtures.git_clone, failed])
			with data["pipeline-required-tasks"] as {}
			with data["required-tasks"] as list([])
	}
}

test_successful_pipeline_tasks_fails_in_v1 if {
	failed := fixtures.changed(run, "/status/conditions/0/status", "False")
	unknown := fixtures.changed(run, "/status/conditions/0/status", "Unknown")
	expected := {
		{
			"code": "tasks.successful_pipeline_tasks",
			"msg": `Pipeline task "buildah-in-pipeline" did not complete successfully, "Failed"`,
			"term": "buildah",
		},
		{
			"code": "tasks.successful_pipeline_tasks",
			"msg": `Pipeline task "buildah-in-pipeline" did not complete successfully, "MISSING"`,
			"term": "buildah",
		},
	}
	fixtures.same(tasks.deny, expected) with input as input_v1([run, failed, unknown])
		with data["pipeline-required-tasks"] as {}
		with data["required-tasks"] as list([])
}

test_required_tasks_found_passes if {
	names := ["git-clone", ["kaniko", "buildah"], "buildah[HERMETIC=true]"]
	fixtures.none(tasks.deny) with input as good with data.trusted_tasks as trusted
		with data["pipeline-required-tasks"] as {"docker": list(names)}
}

test_required_tasks_found_passes_if_it_will_not_be_required_any_more if {
	lists := array.concat(list(["sast"]), [{"effective_on": "2024-06-01T00:00:00Z", "tasks": []}])
	fixtures.none(tasks.deny) with input as good with data.trusted_tasks as trusted
		with data["pipeline-required-tasks"] as {}
		with data["required-tasks"] as lists
		with data.config.policy.when_ns as march
}

test_required_tasks_found_fails if {
	expected := {
		{"code": "tasks.required_tasks_found", "msg": `Required task "sast" is missing`, "term": "sast"},
		{"code": "tasks.required_tasks_found", "msg": `One of "a", "b" tasks is missing`, "term": ["a", "b"]},
		{
			"code": "tasks.required_tasks_found",
			"msg": `Required task "buildah[HERMETIC=false]" is missing`,
			"term": "buildah[HERMETIC=false]",
		},
	}
	names := ["sast", ["a", "b"], "buildah[HERMETIC=false]", "buildah"]
	fixtures.same(tasks.deny, expected) with input as good with data.trusted_tasks as trusted
		with data["pipeline-required-tasks"] as {"docker": list(names)}
}

sast_missing := {{"code": "tasks.required_tasks_found", "msg": `Required task "sast" is missing`, "term": "sast"}}

sast := fixtures.task("sast", {}, {})

with_sast := fixtures.input_of([docker_build, sast])

test_an_empty_list_for_a_kind_is_none if {
	fixtures.same(tasks.deny, sast_missing) with input as good with data.trusted_tasks as trusted
		with data["pipeline-required-tasks"] as {"docker": []}
		with data["required-tasks"] as list(["sast"])
}

test_required_tasks_found_fails_if_untrusted if {
	fixtures.same(tasks.deny, sast_missing) with input as with_sast with data.trusted_tasks as fixtures.trusted({"buildah"})
		with data["pipeline-required-tasks"] as {"docker": list(["sast"])}
}

test_required_tasks_found_fails_in_each_attestation if {
	fixtures.same(tasks.deny, sast_missing) with data.trusted_tasks as trusted
		with data["pipeline-required-tasks"] as {}
		with data["required-tasks"] as list(["sast"])
		with input.attestations as [fixtures.provenance([sast]), fixtures.provenance([fixtures.buildah])]
}

test_required_tasks_found_fails_for_a_label_that_lies if {
	liar := labelled(fixtures.buildah, {"tekton.dev/task": "sast"})
	fixtures.same(tasks.deny, sast_missing) with input as fixtures.input_of([liar]) with data.trusted_tasks as trusted
		with data["pipeline-required-tasks"] as {}
		with data["required-tasks"] as list(["sast"])
}

test_required_untrusted_task_found_passes if {
	fixtures.none(tasks.warn) with input as with_sast with data.trusted_tasks as trusted
		with data["pipeline-required-tasks"] as {"docker": list(["sast"])}
	fixtures.none(tasks.warn) with input as good with data.trusted_tasks as trusted
		with data["pipeline-required-tasks"] as {"docker": list(["sast"])}
}

test_required_untrusted_task_found_fails if {
	expected := {{
		"code": "tasks.required_untrusted_task_found",
		"msg": `Required task "sast" is required and present but not from a trusted task`,
		"term": "sast",
	}}
	fixtures.same(tasks.warn, expected) with input as with_sast with data.trusted_tasks as fixtures.trusted({"buildah"})
		with data["pipeline-required-tasks"] as {"docker": list(["sast"])}
}

test_pipeline_required_tasks_list_provided_passes if {
	fixtures.none(tasks.warn) with input as good with data["pipeline-required-tasks"] as {"docker": list([])}
}

test_pipeline_required_tasks_list_provided_fails if {
	expected := {{
		"code": "tasks.pipeline_required_tasks_list_provided",
		"msg": "Required tasks do not exist for pipeline",
	}}
	fixtures.same(tasks.warn, expected) with input as good
		with data["pipeline-required-tasks"] as {}
		with data["required-tasks"] as list([])
	fixtures.same(tasks.warn, expected) with input as good
		with data["pipeline-required-tasks"] as {"java": list([])}
		with data["required-tasks"] as list([])
}

test_kinds_of_pipelines if {
	runtime := "/statement/predicate/invocation/environment/labels"
	plain := fixtures.provenance([fixtures.buildah])
	labelled_pipeline := fixtures.changed(plain, runtime, {"pipelines.openshift.io/runtime": "generic"})
	fixtures.none(tasks.warn) with input.attestations as [labelled_pipeline]
		with data["pipeline-required-tasks"] as {"generic": list([])}
	labelled_v1 := fixtures.changed(
		fixtures.provenance_v1([run]),
		"/statement/predicate/buildDefinition/internalParameters",
		{"labels": {"pipelines.openshift.io/runtime": "generic"}},
	)
	fixtures.none(tasks.warn) with input.attestations as [labelled_v1]
		with data["pipeline-required-tasks"] as {"generic": list([])}
	catalog := {"config": {"Labels": {"operators.operatorframework.io.index.configs.v1": "/configs"}}}
	fixtures.none(tasks.warn) with input.attestations as [fixtures.provenance([docker_build])]
		with input.image as catalog
		with data["pipeline-required-tasks"] as {"fbc": list([])}
}

lists_of_tomorrow := array.concat(list(["buildah"]), [{"effective_on": "2024-06-01T00:00:00Z", "tasks": ["buildah", "sast"]}])

test_future_required_tasks_found_passes if {
	fixtures.none(tasks.warn) with input as with_sast with data.trusted_tasks as trusted
		with data["pipeline-required-tasks"] as {"docker": lists_of_tomorrow}
		with data.config.policy.when_ns as march
}

test_future_required_tasks_found_fails if {
	expected := {{
		"code": "tasks.future_required_tasks_found",
		"msg": `Required task "sast" is missing and will be required on 2024-06-01T00:00:00Z`,
		"term": "sast",
	}}
	fixtures.same(tasks.warn, expected) with input as good with data.trusted_tasks as trusted
		with data["pipeline-required-tasks"] as {"docker": lists_of_tomorrow}
		with data.config.policy.when_ns as march
	dates := {result.effective_on | some result in tasks.warn} with input as good
		with data.trusted_tasks as trusted
		with data["pipeline-required-tasks"] as {"docker": lists_of_tomorrow}
		with data.config.policy.when_ns as march
	dates == {"2024-06-01T00:00:00Z"}
}

test_future_required_tasks_found_leaves_out_what_is_required_already if {
	expected := {{
		"code": "tasks.future_required_tasks_found",
		"msg": `Required task "sast" is missing and will be required on 2024-06-01T00:00:00Z`,
		"term": "sast",
	}}
	fixtures.same(tasks.warn, expected) with input as good with data.trusted_tasks as fixtures.trusted({"git-clone"})
		with data["pipeline-required-tasks"] as {"docker": [
			{"effective_on": "2024-06-01T00:00:00Z", "tasks": ["kaniko", "sast"]},
			{"effective_on": "2024-01-01T00:00:00Z", "tasks": ["kaniko"]},
		]}
		with data.config.policy.when_ns as march
}

test_future_becomes_present if {
	july := time.parse_rfc3339_ns("2024-07-01T00:00:00Z")
	fixtures.same(tasks.deny, sast_missing) with input as good with data.trusted_tasks as trusted
		with data["pipeline-required-tasks"] as {"docker": lists_of_tomorrow}
		with data.config.policy.when_ns as july
	fixtures.none(tasks.warn) with input as good with data.trusted_tasks as trusted
		with data["pipeline-required-tasks"] as {"docker": lists_of_tomorrow}
		with data.config.policy.when_ns as july
}

test_required_tasks_list_provided_passes if {
	fixtures.none(tasks.deny) with input as good
		with data["pipeline-required-tasks"] as {}
		with data["required-tasks"] as list([])
}

test_required_tasks_list_provided_fails if {
	expected := {{"code": "tasks.required_tasks_list_provided", "msg": "Missing required required-tasks data"}}
	fixtures.same(tasks.deny, expected) with input as good
		with data["pipeline-required-tasks"] as {}
		with data["required-tasks"] as {}
	fixtures.same(tasks.deny, expected) with input as good
		with data["pipeline-required-tasks"] as {}
		with data["required-tasks"] as []
	fixtures.same(tasks.deny, expected) with input as good
		with data["pipeline-required-tasks"] as {}
		with data["required-tasks"] as [{"tasks": [], "effective_on": "soon"}]
}

test_pinned_task_refs_passes if {
	inlined := fixtures.changed(fixtures.git_clone, "/ref", {})
	fixtures.none(tasks.deny) with input as fixtures.input_of([docker_build, inlined])
		with data["pipeline-required-tasks"] as {}
		with data["required-tasks"] as list([])
}

test_pinned_task_refs_fails if {
	expected := {{
		"code": "tasks.pinned_task_refs",
		"msg": "Task buildah is used by pipeline task buildah-in-pipeline via an unpinned reference.",
		"term": "buildah",
	}}
	every ref in [{"name": "buildah"}, fixtures.bundle_reference("buildah", "registry.example/t:0.1")] {
		unpinned := fixtures.changed(fixtures.buildah, "/ref", ref)
		fixtures.same(tasks.deny, expected) with input as fixtures.input_of([unpinned])
			with data["pipeline-required-tasks"] as {}
			with data["required-tasks"] as list([])
	}
}

test_unsupported_passes if {
	fixtures.none(tasks.deny) with input as good
		with data["pipeline-required-tasks"] as {}
		with data["required-tasks"] as list([])
}

test_unsupported_fails if {
	expires := {"build.appstudio.redhat.com/expires-on": "2024-06-01T00:00:00Z"}
	with_hint := object.union(expires, {"build.appstudio.redhat.com/expiry-message": "Use version 0.2."})
	every pair in [[expires, ""], [with_hint, " Use version 0.2."]] {
		expected := {{
			"code": "tasks.unsupported",
			"msg": sprintf(
				"Task \"buildah\" is used by pipeline task \"buildah-in-pipeline\" is or will be unsupported as of 2024-06-01T00:00:00Z.%s",
				[pair[1]],
			),
			"term": "buildah",
		}}
		old := fixtures.changed(fixtures.buildah, "/invocation/environment/annotations", pair[0])
		fixtures.same(tasks.deny, expected) with input as fixtures.input_of([old])
			with data["pipeline-required-tasks"] as {}
			with data["required-tasks"] as list([])
		dates := {result.effective_on | some result in tasks.deny} with input as fixtures.input_of([old])
			with data["pipeline-required-tasks"] as {}
			with data["required-tasks"] as list([])
		dates == {"2024-06-01T00:00:00Z"}
	}
}
