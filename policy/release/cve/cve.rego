# METADATA
# title: Vulnerabilities
# description: >-
#   A scan reports how many known vulnerabilities of each level an image has: "vulnerabilities" are those with a
#   correction, "unpatched_vulnerabilities" those without. Rule data says which levels block a release and which only
#   warn.
package policy.release.cve

import rego.v1

import data.lib

# METADATA
# title: No vulnerability of a blocking level
# description: There is no vulnerability with a correction at a level of the rule data restrict_cve_security_levels.
# custom:
#   short_name: cve_blockers
#   failure_msg: The scan has found %d vulnerabilities of level %s for which there is a correction
#   solution: >-
#     Update what the scan names in its log. Or, if that must wait, list the level in warn_cve_security_levels only.
#   collections:
#   - minimal
#   - redhat
#   depends_on:
#   - cve.cve_results_found
deny contains result if {
	some level in lib.rule_data("restrict_cve_security_levels")
	amount := _amount("vulnerabilities", level)
	amount > 0
	result := lib.result_with_term(rego.metadata.chain(), [amount, level], level)
}

# METADATA
# title: No vulnerability without a correction of a blocking level
# description: >-
#   There is no vulnerability without a correction at a level of the rule data restrict_unpatched_cve_security_levels.
# custom:
#   short_name: unpatched_cve_blockers
#   failure_msg: The scan has found %d vulnerabilities of level %s for which there is no correction yet
#   solution: >-
#     Build without what the scan names in its log, or list the level in warn_unpatched_cve_security_levels only.
#   collections:
#   - minimal
#   - redhat
#   depends_on:
#   - cve.cve_results_found
deny contains result if {
	some level in lib.rule_data("restrict_unpatched_cve_security_levels")
	amount := _amount("unpatched_vulnerabilities", level)
	amount > 0
	result := lib.result_with_term(rego.metadata.chain(), [amount, level], level)
}

# METADATA
# title: The image was scanned
# description: >-
#   A task of the build pipeline reports vulnerabilities in the result SCAN_OUTPUT, and each such report can be read:
#   it counts at least those of the levels critical, high, medium and low.
# custom:
#   short_name: cve_results_found
#   failure_msg: '%s'
#   solution: >-
#     Build with a pipeline that scans the image, as with the task clair-scan. Its result must be JSON of the form
#     {"vulnerabilities": {"critical": 0, "high": 0, "medium": 0, "low": 0}}.
#   collections:
#   - minimal
#   - redhat
#   depends_on:
#   - attestation_type.known_attestation_type
deny contains result if {
	some problem in _problems
	result := lib.result(rego.metadata.chain(), [problem])
}

# METADATA
# title: Rule data on vulnerabilities has the right form
# description: Each list of levels in the rule data is one of different known levels.
# custom:
#   short_name: rule_data_provided
#   failure_msg: '%s'
#   solution: Correct the value of the named key in the rule data of the policy.
#   collections:
#   - minimal
#   - redhat
#   - policy_data
deny contains result if {
	some key in {
		"restrict_cve_security_levels",
		"warn_cve_security_levels",
		"restrict_unpatched_cve_security_levels",
		"warn_unpatched_cve_security_levels",
	}
	some error in lib.rule_data_errors(key, {
		"type": "array",
		"uniqueItems": true,
		"items": {"enum": ["critical", "high", "medium", "low", "unknown"]},
	})
	result := lib.result(rego.metadata.chain(), [error])
}

# METADATA
# title: No vulnerability of a warning level
# description: There is no vulnerability with a correction at a level of the rule data warn_cve_security_levels.
# custom:
#   short_name: cve_warnings
#   failure_msg: The scan has found %d vulnerabilities of level %s for which there is a correction
#   solution: Update what the scan names in its log.
#   collections:
#   - minimal
#   - redhat
#   depends_on:
#   - cve.cve_results_found
warn contains result if {
	some level in lib.rule_data("warn_cve_security_levels")
	amount := _amount("vulnerabilities", level)
	amount > 0
	result := lib.result_with_term(rego.metadata.chain(), [amount, level], level)
}

# METADATA
# title: No vulnerability without a correction of a warning level
# description: >-
#   There is no vulnerability without a correction at a level of the rule data warn_unpatched_cve_security_levels.
# custom:
#   short_name: unpatched_cve_warnings
#   failure_msg: The scan has found %d vulnerabilities of level %s for which there is no correction yet
#   solution: Build without what the scan names in its log, or update it as soon as there is a correction.
#   collections:
#   - minimal
#   - redhat
#   depends_on:
#   - cve.cve_results_found
warn contains result if {
	some level in lib.rule_data("warn_unpatched_cve_security_levels")
	amount := _amount("unpatched_vulnerabilities", level)
	amount > 0
	result := lib.result_with_term(rego.metadata.chain(), [amount, level], level)
}

# METADATA
# title: The scan reports under the present name
# description: The vulnerabilities had to be read from the result CLAIR_SCAN_RESULT, whose name is now SCAN_OUTPUT.
# custom:
#   short_name: deprecated_cve_result_name
#   failure_msg: Task %q reports vulnerabilities in CLAIR_SCAN_RESULT and not in SCAN_OUTPUT
#   solution: Update the task that scans to a version with the result SCAN_OUTPUT.
#   collections:
#   - minimal
#   - redhat
#   depends_on:
#   - attestation_type.known_attestation_type
warn contains result if {
	count(_present) == 0
	some report in _deprecated
	result := lib.result(rego.metadata.chain(), [report.task])
}

# METADATA
# title: The scan reports what has no correction under the present name
# description: >-
#   The vulnerabilities without a correction had to be read from the result CLAIR_SCAN_RESULT, whose name is now
#   SCAN_OUTPUT.
# custom:
#   short_name: deprecated_unpatched_cve_result_name
#   failure_msg: Task %q reports vulnerabilities without a correction in CLAIR_SCAN_RESULT and not in SCAN_OUTPUT
#   solution: Update the task that scans to a version with the result SCAN_OUTPUT.
#   collections:
#   - minimal
#   - redhat
#   depends_on:
#   - attestation_type.known_attestation_type
warn contains result if {
	count(_present) == 0
	some report in _deprecated
	report.value.unpatched_vulnerabilities
	result := lib.result(rego.metadata.chain(), [report.task])
}

_present := lib.results_named("SCAN_OUTPUT")

_deprecated := lib.results_named("CLAIR_SCAN_RESULT")

# The old name counts only where nobody uses the new one: a task may give both for a while.
_reports := _present if {
	count(_present) > 0
} else := _deprecated

# How many vulnerabilities of a level all scans have found together.
_amount(kind, level) := sum([amount |
	some report in _reports
	amount := report.value[kind][level]
	_is_amount(amount)
])

_problems contains "No task of the build pipeline has reported vulnerabilities in a result named SCAN_OUTPUT" if {
	count(lib.pipelinerun_attestations) > 0
	count(_reports) == 0
}

_problems contains problem if {
	some report in _reports
	some error in json.match_schema(json.marshal(report.value), _report_schema)[1]
	problem := sprintf("The vulnerabilities that task %q has reported cannot be read: %s", [report.task, error.error])
}

# Anything else than a whole number would compare as something without meaning.
_is_amount(amount) if {
	amount >= 0
	amount == floor(amount)
}

_report_schema := {
	"type": "object",
	"required": ["vulnerabilities"],
	"properties": {
		"vulnerabilities": object.union(_levels_schema, {"required": ["critical", "high", "medium", "low"]}),
		"unpatched_vulnerabilities": _levels_schema,
	},
}

_levels_schema := {"type": "object", "additionalProperties": {"type": "integer", "minimum": 0}}
