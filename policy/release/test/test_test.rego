package policy.release.test_test

import rego.v1

import data.lib.fixtures
import data.policy.release.test

_input(results) := fixtures.input_of([fixtures.git_clone, fixtures.task("scan", results, {})])

_with_outcome(outcome) := _input({"TEST_OUTPUT": {"result": outcome}})

_data := {
	"supported_tests_results": ["SUCCESS", "FAILURE", "WARNING", "SKIPPED", "ERROR"],
	"failed_tests_results": ["FAILURE"],
	"erred_tests_results": ["ERROR"],
	"skipped_tests_results": ["SKIPPED"],
	"warned_tests_results": ["WARNING"],
}

_informative := object.union(_data, {"informative_tests": ["scan"]})

test_success_passes_all_rules if {
	fixtures.none(test.deny) with input as _with_outcome("SUCCESS") with data.rule_data as _data
	fixtures.none(test.warn) with input as _with_outcome("SUCCESS") with data.rule_data as _data
}

test_test_data_found_fails_without_results if {
	expected := {{
		"code": "test.test_data_found",
		"msg": "No task of the build pipeline has reported a test in a result named TEST_OUTPUT",
	}}
	fixtures.same(test.deny, expected) with input as _input({}) with data.rule_data as _data
}

test_test_data_found_passes_without_provenance if {
	fixtures.none(test.deny) with input as {"image": fixtures.image, "attestations": []} with data.rule_data as _data
}

test_test_results_found_fails_without_outcome if {
	expected := {{
		"code": "test.test_results_found",
		"msg": "The TEST_OUTPUT of task \"scan\" has no \"result\"",
		"term": "scan",
	}}
	fixtures.same(test.deny, expected) with input as _input({"TEST_OUTPUT": {"namespace": "default"}})
		with data.rule_data as _data
}

test_test_results_found_fails_for_each_bad_value if {
	every value in [{"namespace": "default"}, {"result": 1}, "garbage", "", [{"result": "SUCCESS"}]] {
		fixtures.same_codes(test.deny, {"test.test_results_found"}) with input as _input({"TEST_OUTPUT": value})
			with data.rule_data as _data
	}
}

test_test_results_known_fails_for_others if {
	expected := {{
		"code": "test.test_results_known",
		"msg": "The test of task \"scan\" has the unknown result \"success\"",
		"term": "scan",
	}}
	fixtures.same(test.deny, expected) with input as _with_outcome("success") with data.rule_data as _data
}

test_no_failed_tests_fails if {
	expected := {{
		"code": "test.no_failed_tests",
		"msg": "The test of task \"scan\" has failed",
		"term": "scan",
	}}
	fixtures.same(test.deny, expected) with input as _with_outcome("FAILURE") with data.rule_data as _data
	fixtures.none(test.warn) with input as _with_outcome("FAILURE") with data.rule_data as _data
}

test_no_failed_tests_fails_without_rule_data if {
	fixtures.same_codes(test.deny, {"test.no_failed_tests"}) with input as _with_outcome("FAILURE")
		with data.rule_data as {}
}

test_no_failed_tests_passes_for_informative_ones if {
	fixtures.none(test.deny) with input as _with_outcome("FAILURE") with data.rule_data as _informative
}

test_no_failed_informative_tests_fails if {
	expected := {{
		"code": "test.no_failed_informative_tests",
		"msg": "The informative test of task \"scan\" has failed",
		"term": "scan",
	}}
	fixtures.same(test.warn, expected) with input as _with_outcome("FAILURE") with data.rule_data as _informative
}

test_no_failed_informative_tests_passes_if_it_succeeds if {
	fixtures.none(test.warn) with input as _with_outcome("SUCCESS") with data.rule_data as _informative
}

test_no_erred_tests_fails if {
	expected := {{
		"code": "test.no_erred_tests",
		"msg": "The test of task \"scan\" has run into an error",
		"term": "scan",
	}}
	fixtures.same(test.deny, expected) with input as _with_outcome("ERROR") with data.rule_data as _data
}

test_no_skipped_tests_fails if {
	expected := {{
		"code": "test.no_skipped_tests",
		"msg": "The test of task \"scan\" was skipped",
		"term": "scan",
	}}
	fixtures.same(test.deny, expected) with input as _with_outcome("SKIPPED") with data.rule_data as _data
}

test_no_test_warnings_fails if {
	expected := {{
		"code": "test.no_test_warnings",
		"msg": "The test of task \"scan\" has warnings",
		"term": "scan",
	}}
	fixtures.same(test.warn, expected) with input as _with_outcome("WARNING") with data.rule_data as _data
	fixtures.none(test.deny) with input as _with_outcome("WARNING") with data.rule_data as _data
}

_processed(value) := _input({"TEST_OUTPUT": {"result": "SUCCESS"}, "IMAGES_PROCESSED": value})

test_test_all_images_passes_for_the_image if {
	processed := {"image": {"pullspec": "registry.example/a", "digests": [fixtures.other_digest, fixtures.digest]}}
	fixtures.none(test.deny) with input as _processed(processed) with data.rule_data as _data
}

test_test_all_images_fails_for_another_one if {
	processed := {"image": {"pullspec": "registry.example/a", "digests": [fixtures.other_digest]}}
	expected := {{
		"code": "test.test_all_images",
		"msg": sprintf("Task \"scan\" has not looked at the image with digest %s", [fixtures.digest]),
		"term": "scan",
	}}
	fixtures.same(test.deny, expected) with input as _processed(processed) with data.rule_data as _data
}

test_test_all_images_fails_for_what_cannot_be_read if {
	every value in ["", "garbage", {}, {"image": {"digests": fixtures.digest}}, {"image": {"digests": {"a": fixtures.digest}}}] {
		fixtures.same_codes(test.deny, {"test.test_all_images"}) with input as _processed(value)
			with data.rule_data as _data
	}
}

test_rule_data_provided_fails_for_no_list if {
	every key in object.keys(_informative) {
		broken := object.union(_informative, {key: "SUCCESS"})
		"test.rule_data_provided" in fixtures.codes(test.deny) with input as _with_outcome("SUCCESS")
			with data.rule_data as broken
	}
}

test_rule_data_provided_fails_for_doubles if {
	broken := object.union(_data, {"failed_tests_results": ["FAILURE", "FAILURE"]})
	fixtures.same_codes(test.deny, {"test.rule_data_provided"}) with input as _with_outcome("SUCCESS")
		with data.rule_data as broken
}

test_results_of_provenance_v1_are_read_as_well if {
	runs := [fixtures.task_run("scan", {"TEST_OUTPUT": {"result": "FAILURE"}}, {})]
	fixtures.same_codes(test.deny, {"test.no_failed_tests"}) with data.rule_data as _data
		with input as {"image": fixtures.image, "attestations": [fixtures.provenance_v1(runs)]}
}

test_test_results_found_passes_with_more_members if {
	value := {"result": "SUCCESS", "timestamp": "2024-05-06T07:08:09Z", "successes": 3, "failures": 0, "warnings": 0}
	fixtures.none(test.deny) with input as _input({"TEST_OUTPUT": value}) with data.rule_data as _data
}

test_test_results_known_passes_for_what_the_data_adds if {
	more := object.union(_data, {"supported_tests_results": ["SUCCESS", "FINE"]})
	fixtures.none(test.deny) with input as _with_outcome("FINE") with data.rule_data as more
}

test_no_erred_tests_passes if {
	fixtures.none(test.deny) with input as _with_outcome("WARNING") with data.rule_data as _data
}

test_no_skipped_tests_passes_if_the_data_says_so if {
	fixtures.none(test.deny) with input as _with_outcome("SKIPPED")
		with data.rule_data as object.union(_data, {"skipped_tests_results": []})
}

test_no_test_warnings_passes if {
	fixtures.none(test.warn) with input as _with_outcome("SKIPPED") with data.rule_data as _data
}

test_rule_data_provided_passes_for_the_defaults if {
	fixtures.none(test.deny) with input as _with_outcome("SUCCESS") with data.rule_data as {}
}
