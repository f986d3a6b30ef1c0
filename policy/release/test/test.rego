# METADATA
# title: Tests
# description: >-
#   The tasks of a build pipeline report what they found in the result TEST_OUTPUT. They never fail the pipeline because
#   of it, so it is here that the reports are judged. A report that cannot be read is no passed test.
package policy.release.test

import rego.v1

import data.lib
import data.lib.image as images

# METADATA
# title: The build was tested
# description: At least one task of the build pipeline has the result TEST_OUTPUT.
# custom:
#   short_name: test_data_found
#   failure_msg: No task of the build pipeline has reported a test in a result named TEST_OUTPUT
#   solution: >-
#     Build with a pipeline that has the checks of the platform, and do not skip them: the parameter skip-checks must
#     be "false".
#   collections:
#   - redhat
#   depends_on:
#   - attestation_type.known_attestation_type
deny contains result if {
	count(lib.pipelinerun_attestations) > 0
	count(_reports) == 0
	result := lib.result(rego.metadata.chain(), [])
}

# METADATA
# title: Each report has an outcome
# description: Each TEST_OUTPUT is a JSON object whose member "result" says how the test went.
# custom:
#   short_name: test_results_found
#   failure_msg: The TEST_OUTPUT of task %q has no "result"
#   solution: >-
#     Look at the log of the task. What it writes must be JSON with at least the members result, timestamp, successes,
#     failures and warnings.
#   collections:
#   - redhat
#   depends_on:
#   - test.test_data_found
deny contains result if {
	some report in _reports
	not _outcome(report)
	result := lib.result_with_term(rego.metadata.chain(), [report.task], report.task)
}

# METADATA
# title: Each outcome is a known one
# description: The "result" of each TEST_OUTPUT is one that the rule data supported_tests_results lists.
# custom:
#   short_name: test_results_known
#   failure_msg: The test of task %q has the unknown result %q
#   solution: Let the task report one of the known results, or add the result to supported_tests_results.
#   collections:
#   - redhat
#   depends_on:
#   - test.test_data_found
deny contains result if {
	some report in _reports
	outcome := _outcome(report)
	not outcome in lib.rule_data("supported_tests_results")
	result := lib.result_with_term(rego.metadata.chain(), [report.task, outcome], report.task)
}

# METADATA
# title: No test has failed
# description: >-
#   No test has a result of the rule data failed_tests_results. Tests that informative_tests lists only warn.
# custom:
#   short_name: no_failed_tests
#   failure_msg: The test of task %q has failed
#   solution: >-
#     The note of the TEST_OUTPUT and the log of the task tell what was found. Correct it and build again. A test that
#     should not decide about a release can be listed in informative_tests.
#   collections:
#   - redhat
#   depends_on:
#   - test.test_data_found
deny contains result if {
	some task in _tasks_with_outcome_in("failed_tests_results")
	not task in lib.rule_data("informative_tests")
	result := lib.result_with_term(rego.metadata.chain(), [task], task)
}

# METADATA
# title: No test has run into an error
# description: No test has a result of the rule data erred_tests_results, with which nothing is known about the image.
# custom:
#   short_name: no_erred_tests
#   failure_msg: The test of task %q has run into an error
#   solution: The log of the task tells what went wrong. Build again once it is corrected.
#   collections:
#   - redhat
#   depends_on:
#   - test.test_data_found
deny contains result if {
	some task in _tasks_with_outcome_in("erred_tests_results")
	result := lib.result_with_term(rego.metadata.chain(), [task], task)
}

# METADATA
# title: No test was skipped
# description: No test has a result of the rule data skipped_tests_results.
# custom:
#   short_name: no_skipped_tests
#   failure_msg: The test of task %q was skipped
#   solution: >-
#     The note of the TEST_OUTPUT tells why, often a Secret that the task needs. Provide it and build again.
#   collections:
#   - redhat
#   depends_on:
#   - test.test_data_found
#   effective_on: "2023-12-08T00:00:00Z"
deny contains result if {
	some task in _tasks_with_outcome_in("skipped_tests_results")
	result := lib.result_with_term(rego.metadata.chain(), [task], task)
}

# METADATA
# title: Each test looked at this image
# description: >-
#   A task that lists what it looked at in the result IMAGES_PROCESSED lists the digest of the image that is judged. A
#   report about another image says nothing about this one.
# custom:
#   short_name: test_all_images
#   failure_msg: Task %q has not looked at the image with digest %s
#   solution: >-
#     Give the task the image that the pipeline builds, with all its platforms: parameters image-url and image-digest.
#   collections:
#   - redhat
#   depends_on:
#   - test.test_data_found
#   effective_on: "2024-05-29T00:00:00Z"
deny contains result if {
	digest := images.parse(input.image.ref).digest
	some processed in lib.results_named("IMAGES_PROCESSED")
	not _lists(processed.value, digest)
	result := lib.result_with_term(rego.metadata.chain(), [processed.task, digest], processed.task)
}

# METADATA
# title: Rule data of the tests has the right form
# description: Each list of this package in the rule data is one of different strings.
# custom:
#   short_name: rule_data_provided
#   failure_msg: '%s'
#   solution: Correct the value of the named key in the rule data of the policy.
#   collections:
#   - redhat
#   - policy_data
deny contains result if {
	some key in {
		"supported_tests_results",
		"failed_tests_results",
		"informative_tests",
		"erred_tests_results",
		"skipped_tests_results",
		"warned_tests_results",
	}
	some error in lib.rule_data_errors(key, lib.texts)
	result := lib.result(rego.metadata.chain(), [error])
}

# METADATA
# title: No informative test has failed
# description: A test that the rule data informative_tests lists has a result of failed_tests_results.
# custom:
#   short_name: no_failed_informative_tests
#   failure_msg: The informative test of task %q has failed
#   solution: The note of the TEST_OUTPUT and the log of the task tell what was found.
#   collections:
#   - redhat
#   depends_on:
#   - test.test_data_found
warn contains result if {
	some task in _tasks_with_outcome_in("failed_tests_results")
	task in lib.rule_data("informative_tests")
	result := lib.result_with_term(rego.metadata.chain(), [task], task)
}

# METADATA
# title: No test has warnings
# description: No test has a result of the rule data warned_tests_results.
# custom:
#   short_name: no_test_warnings
#   failure_msg: The test of task %q has warnings
#   solution: The note of the TEST_OUTPUT and the log of the task tell what was found.
#   collections:
#   - redhat
#   depends_on:
#   - test.test_data_found
warn contains result if {
	some task in _tasks_with_outcome_in("warned_tests_results")
	result := lib.result_with_term(rego.metadata.chain(), [task], task)
}

_reports := lib.results_named("TEST_OUTPUT")

# What a test says of itself. Undefined if it is not said as text.
_outcome(report) := report.value.result if is_string(report.value.result)

# Names of the tasks whose test ended with one of the results that a key of the rule data lists.
_tasks_with_outcome_in(key) := {report.task |
	some report in _reports
	_outcome(report) in lib.rule_data(key)
}

_lists(processed, digest) if {
	is_array(processed.image.digests)
	digest in processed.image.digests
}
