package lib_test

import rego.v1

import data.lib
import data.lib.fixtures

# METADATA
# title: Sample
# custom:
#   short_name: sample
#   failure_msg: "Found %s"
#   collections: [minimal]
#   effective_on: "2024-05-06T00:00:00Z"
sample := lib.result(rego.metadata.chain(), ["it"])

# METADATA
# title: Plain
# custom:
#   short_name: plain
#   failure_msg: "100% plain"
plain := lib.result_with_term(rego.metadata.chain(), [], "x")

test_result_takes_all_from_the_annotations if {
	sample == {
		"code": "lib_test.sample",
		"msg": "Found it",
		"collections": ["minimal"],
		"effective_on": "2024-05-06T00:00:00Z",
	}
}

test_result_has_defaults if {
	plain == {
		"code": "lib_test.plain",
		"msg": "100% plain",
		"collections": [],
		"effective_on": "2022-01-01T00:00:00Z",
		"term": "x",
	}
}

# METADATA
# title: Odd
# custom:
#   short_name: odd
#   failure_msg: "Found %s, %q and %d"
odd(params) := lib.result(rego.metadata.chain(), params)

test_result_shows_values_of_any_type if {
	odd(["a", "b", 3]).msg == `Found a, "b" and 3`
	odd([["a"], null, 3]).msg == `Found ["a"], "null" and 3`
	odd([{"a": true}, "b", 3]).msg == `Found {"a":true}, "b" and 3`
}

test_result_is_there_if_it_cannot_be_formatted if {
	odd(["a", "b", "c"]).code == "lib_test.odd"
	odd([1, 2, null]).code == "lib_test.odd"
	odd([]).code == "lib_test.odd"
}

test_code_leaves_out_what_all_packages_share if {
	annotated := {"annotations": {"custom": {"short_name": "x"}}}
	lib.code([object.union(annotated, {"path": ["policy", "release", "cve", "deny"]})]) == "cve.x"
	lib.code([object.union(annotated, {"path": ["policy", "pipeline", "basic", "deny"]})]) == "basic.x"
	lib.code([object.union(annotated, {"path": ["policy", "task", "kind", "deny"]})]) == "task.kind.x"
	lib.code([object.union(annotated, {"path": ["own", "deny"]})]) == "own.x"
	lib.code([object.union(annotated, {"path": ["own", "release", "cve", "deny"]})]) == "own.release.cve.x"
}

test_rule_data_looks_in_one_place_after_the_other if {
	lib.rule_data("k") == [] with data.rule_data as {}
	lib.rule_data("k") == 3 with data.rule_data as {"k": 3}
	lib.rule_data("k") == 2 with data.rule_data as {"k": 3} with data.rule_data_custom as {"k": 2}
	lib.rule_data("k") == false with data.rule_data as {"k": 3}
		with data.rule_data_custom as {"k": 2}
		with data.rule_data__configuration__ as {"k": false}
	lib.rule_data("allowed_builder_ids") == ["https://tekton.dev/chains/v2"] with data.rule_data as {}
}

test_rule_data_errors_name_the_key if {
	count(lib.rule_data_errors("k", lib.some_texts)) == 0 with data.rule_data as {"k": ["x"]}
	count(lib.rule_data_errors("k", lib.some_texts)) == 1 with data.rule_data as {"k": []}
	count(lib.rule_data_errors("k", lib.texts)) == 0 with data.rule_data as {"k": []}
	count(lib.rule_data_errors("k", lib.some_texts)) == 2 with data.rule_data as {"k": [1, true]}
	some error in lib.rule_data_errors("k", lib.texts) with data.rule_data as {"k": "text"}
	startswith(error, "Rule data k has unexpected format: ")
}

test_pipelinerun_attestations_are_those_of_pipelines if {
	of_pipeline := fixtures.provenance([])
	of_pipeline_v1 := fixtures.provenance_v1([])
	odd := fixtures.changed(of_pipeline, "/statement/predicateType", "https://example.com/other")
	build_type := "/statement/predicate/buildType"
	attestations := [
		of_pipeline,
		of_pipeline_v1,
		odd,
		fixtures.changed(of_pipeline, build_type, "tekton.dev/v1beta1/TaskRun"),
		fixtures.changed(of_pipeline_v1, "/statement/predicate/buildDefinition/externalParameters/runSpec", {"taskRef": {}}),
		fixtures.changed(of_pipeline_v1, "/statement/predicate/buildDefinition/buildType", "https://example.com/other"),
		{"signatures": []},
		{"statement": "text"},
		null,
	]
	expected := [of_pipeline.statement, of_pipeline_v1.statement, odd.statement]
	lib.pipelinerun_attestations == expected with input.attestations as attestations
}

test_both_formats_say_the_same if {
	lib.builder_id(fixtures.statement([])) == lib.builder_id(fixtures.statement_v1([]))
	lib.materials(fixtures.statement([])) == [{
		"uri": "git+https://git.example/team/app.git",
		"digest": {"sha1": fixtures.commit},
	}]
	lib.materials(fixtures.statement_v1([]))[0].digest == {"sha1": fixtures.commit}
}

test_results_named_are_of_all_tasks if {
	expected := [{"task": "buildah", "pipeline_task": "buildah-in-pipeline", "value": fixtures.digest}]
	lib.results_named("IMAGE_DIGEST") == expected with input as fixtures.input_of([fixtures.git_clone, fixtures.buildah])
	lib.results_named("other") == [] with input as fixtures.input_of([fixtures.git_clone, fixtures.buildah])
}

test_build_tasks_have_an_image if {
	[task.name | some task in lib.build_tasks] == ["buildah"] with input as fixtures.input_of([
		fixtures.git_clone,
		fixtures.buildah,
		fixtures.task("without-digest", {"IMAGE_URL": "registry.example/x"}, {}),
		fixtures.task("with-empty", {"IMAGE_URL": " ", "IMAGE_DIGEST": fixtures.digest}, {}),
	])
}
