package policy.release.cve_test

import rego.v1

import data.lib.fixtures
import data.policy.release.cve

_input(results) := fixtures.input_of([fixtures.buildah, fixtures.task("scan", results, {})])

_none := {"critical": 0, "high": 0, "medium": 0, "low": 0}

_scan(patched, unpatched) := {
	"vulnerabilities": object.union(_none, patched),
	"unpatched_vulnerabilities": object.union(_none, unpatched),
}

_scanned(patched, unpatched) := _input({"SCAN_OUTPUT": _scan(patched, unpatched)})

_levels(key, levels) := {key: levels}

test_no_vulnerabilities_pass_all_rules if {
	fixtures.none(cve.deny) with input as _scanned({}, {})
		with data.rule_data as {}
	fixtures.none(cve.warn) with input as _scanned({}, {})
		with data.rule_data as {}
}

test_cve_blockers_fails_per_level if {
	expected := {
		{
			"code": "cve.cve_blockers",
			"msg": "The scan has found 1 vulnerabilities of level critical for which there is a correction",
			"term": "critical",
		},
		{
			"code": "cve.cve_blockers",
			"msg": "The scan has found 10 vulnerabilities of level high for which there is a correction",
			"term": "high",
		},
	}
	fixtures.same(cve.deny, expected) with input as _scanned({"critical": 1, "high": 10, "medium": 3}, {})
		with data.rule_data as {}
}

test_cve_blockers_passes_for_levels_that_do_not_block if {
	fixtures.none(cve.deny) with input as _scanned({"medium": 1, "low": 1, "unknown": 1}, {})
		with data.rule_data as {}
	fixtures.none(cve.deny) with input as _scanned({"critical": 1}, {})
		with data.rule_data as _levels("restrict_cve_security_levels", [])
}

test_cve_blockers_adds_what_several_scans_have_found if {
	tasks := [fixtures.task(name, {"SCAN_OUTPUT": _scan({"high": 2}, {})}, {}) | some name in ["one", "two"]]
	expected := {{
		"code": "cve.cve_blockers",
		"msg": "The scan has found 4 vulnerabilities of level high for which there is a correction",
		"term": "high",
	}}
	fixtures.same(cve.deny, expected) with input as fixtures.input_of(tasks)
		with data.rule_data as {}
}

test_unpatched_cve_blockers_fails if {
	expected := {{
		"code": "cve.unpatched_cve_blockers",
		"msg": "The scan has found 2 vulnerabilities of level low for which there is no correction yet",
		"term": "low",
	}}
	fixtures.same(cve.deny, expected) with input as _scanned({}, {"low": 2, "high": 1})
		with data.rule_data as _levels("restrict_unpatched_cve_security_levels", ["low"])
}

test_unpatched_cve_blockers_passes_by_default if {
	fixtures.none(cve.deny) with input as _scanned({}, {"critical": 1})
		with data.rule_data as {}
}

test_unpatched_vulnerabilities_may_be_absent if {
	fixtures.none(cve.deny) with input as _input({"SCAN_OUTPUT": {"vulnerabilities": _none}})
		with data.rule_data as {}
	fixtures.none(cve.warn) with input as _input({"SCAN_OUTPUT": {"vulnerabilities": _none}})
		with data.rule_data as {}
}

test_cve_warnings_fails if {
	expected := {{
		"code": "cve.cve_warnings",
		"msg": "The scan has found 3 vulnerabilities of level medium for which there is a correction",
		"term": "medium",
	}}
	fixtures.same(cve.warn, expected) with input as _scanned({"medium": 3, "low": 1}, {})
		with data.rule_data as _levels("warn_cve_security_levels", ["medium"])
}

test_cve_warnings_passes_without_any if {
	fixtures.none(cve.warn) with input as _scanned({"low": 1}, {})
		with data.rule_data as _levels("warn_cve_security_levels", ["medium"])
}

test_cve_warnings_passes_by_default if {
	fixtures.none(cve.warn) with input as _scanned({"critical": 1}, {})
		with data.rule_data as {}
}

test_unpatched_cve_warnings_fails if {
	expected := {{
		"code": "cve.unpatched_cve_warnings",
		"msg": "The scan has found 3 vulnerabilities of level high for which there is no correction yet",
		"term": "high",
	}}
	fixtures.same(cve.warn, expected) with input as _scanned({}, {"high": 3, "low": 1})
		with data.rule_data as {}
}

test_unpatched_cve_warnings_passes_for_other_levels if {
	fixtures.none(cve.warn) with input as _scanned({}, {"medium": 3, "low": 1})
		with data.rule_data as {}
}

test_cve_results_found_fails_without_a_scan if {
	expected := {{
		"code": "cve.cve_results_found",
		"msg": "No task of the build pipeline has reported vulnerabilities in a result named SCAN_OUTPUT",
	}}
	fixtures.same(cve.deny, expected) with input as _input({})
		with data.rule_data as {}
}

test_cve_results_found_passes_without_provenance if {
	fixtures.none(cve.deny) with input as {"image": fixtures.image, "attestations": []}
		with data.rule_data as {}
}

test_what_cannot_be_read_takes_nothing_from_the_rest if {
	tasks := [
		fixtures.task("one", {"SCAN_OUTPUT": _scan({"high": 1}, {})}, {}),
		fixtures.task("two", {"SCAN_OUTPUT": _scan({"high": -1}, {})}, {}),
	]
	fixtures.same_codes(cve.deny, {"cve.cve_blockers", "cve.cve_results_found"}) with input as fixtures.input_of(tasks)
		with data.rule_data as {}
}

test_cve_results_found_fails_for_what_cannot_be_read if {
	every value in [
		"garbage",
		{"unpatched_vulnerabilities": _none},
		{"vulnerabilities": object.remove(_none, ["critical"])},
		{"vulnerabilities": object.union(_none, {"critical": "0"})},
		{"vulnerabilities": object.union(_none, {"critical": -1})},
		{"vulnerabilities": object.union(_none, {"critical": 0.5})},
		{"vulnerabilities": _none, "unpatched_vulnerabilities": []},
	] {
		fixtures.same_codes(cve.deny, {"cve.cve_results_found"}) with input as _input({"SCAN_OUTPUT": value})
		with data.rule_data as {}
	}
}

test_cve_results_found_names_the_task if {
	results := cve.deny with input as _input({"SCAN_OUTPUT": {}})
		with data.rule_data as {}
	every result in results {
		startswith(result.msg, "The vulnerabilities that task \"scan\" has reported cannot be read: ")
	}
}

test_cve_results_found_fails_for_one_of_two if {
	tasks := [
		fixtures.task("good", {"SCAN_OUTPUT": _scan({}, {})}, {}),
		fixtures.task("bad", {"SCAN_OUTPUT": "garbage"}, {}),
	]
	fixtures.same_codes(cve.deny, {"cve.cve_results_found"}) with input as fixtures.input_of(tasks)
		with data.rule_data as {}
}

_old := _input({"CLAIR_SCAN_RESULT": _scan({"high": 1}, {})})

test_deprecated_cve_result_name_fails if {
	expected := {
		"code": "cve.deprecated_cve_result_name",
		"msg": "Task \"scan\" reports vulnerabilities in CLAIR_SCAN_RESULT and not in SCAN_OUTPUT",
	}
	results := cve.warn with input as _old with data.rule_data as {}
	expected in fixtures.brief(results)
}

test_deprecated_unpatched_cve_result_name_fails if {
	expected := {
		"code": "cve.deprecated_unpatched_cve_result_name",
		"msg": "Task \"scan\" reports vulnerabilities without a correction in CLAIR_SCAN_RESULT and not in SCAN_OUTPUT",
	}
	results := cve.warn with input as _old with data.rule_data as {}
	expected in fixtures.brief(results)
}

test_what_has_the_deprecated_name_counts if {
	fixtures.same_codes(cve.deny, {"cve.cve_blockers"}) with input as _old with data.rule_data as {}
}

test_deprecated_unpatched_cve_result_name_passes_without_them if {
	fixtures.same_codes(cve.warn, {"cve.deprecated_cve_result_name"})
		with input as _input({"CLAIR_SCAN_RESULT": {"vulnerabilities": _none}})
		with data.rule_data as {}
}

test_deprecated_cve_result_name_passes_beside_the_new_one if {
	both := _input({"CLAIR_SCAN_RESULT": _scan({"high": 1}, {}), "SCAN_OUTPUT": _scan({}, {})})
	fixtures.none(cve.warn) with input as both
		with data.rule_data as {}
	fixtures.none(cve.deny) with input as both
		with data.rule_data as {}
}

test_rule_data_provided_fails_for_other_levels if {
	every key in {
		"restrict_cve_security_levels",
		"warn_cve_security_levels",
		"restrict_unpatched_cve_security_levels",
		"warn_unpatched_cve_security_levels",
	} {
		every value in ["high", ["severe"], ["high", "high"], {"high": true}] {
			fixtures.same_codes(cve.deny, {"cve.rule_data_provided"}) with input as _scanned({}, {})
				with data.rule_data as {key: value}
		}
	}
}

test_rule_data_provided_passes_for_empty_lists if {
	fixtures.none(cve.deny) with input as _scanned({}, {})
		with data.rule_data as _levels("restrict_cve_security_levels", [])
}
