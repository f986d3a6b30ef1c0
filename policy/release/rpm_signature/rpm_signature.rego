# METADATA
# title: Signatures of RPM packages
# description: The task rpms-signature-scan counts the RPM packages of an image by the key that has signed them.
package policy.release.rpm_signature

import rego.v1

import data.lib

# METADATA
# title: Each package is signed with a permitted key
# description: >-
#   Each key that the result RPMS_DATA names is in the rule data allowed_rpm_signature_keys. Packages without a signature
#   are counted there as "unsigned".
# custom:
#   short_name: allowed
#   failure_msg: '%d RPM packages are signed with %q, which is not a permitted key'
#   solution: >-
#     Install packages from repositories that sign with one of allowed_rpm_signature_keys, or add the key to that list.
#   collections:
#   - redhat
#   depends_on:
#   - rpm_signature.result_format
#   - rpm_signature.rule_data_provided
#   effective_on: "2024-10-05T00:00:00Z"
deny contains result if {
	some key, amount in _amounts
	not key in lib.rule_data("allowed_rpm_signature_keys")
	result := lib.result_with_term(rego.metadata.chain(), [amount, key], key)
}

# METADATA
# title: The count by keys can be read
# description: 'The result RPMS_DATA is JSON of the form {"keys": {"<key>": <amount>}}.'
# custom:
#   short_name: result_format
#   failure_msg: 'The result RPMS_DATA of task %q cannot be read: %s'
#   solution: Look at the log of the task that scans the packages, and update that task.
#   collections:
#   - redhat
#   effective_on: "2024-10-05T00:00:00Z"
deny contains result if {
	some found in _found
	some error in lib.schema_errors(found.value, _schema)
	result := lib.result(rego.metadata.chain(), [found.task, error])
}

# METADATA
# title: Permitted keys are given
# description: The rule data allowed_rpm_signature_keys is a list of different strings.
# custom:
#   short_name: rule_data_provided
#   failure_msg: '%s'
#   solution: Give the rule data of the policy a list allowed_rpm_signature_keys, as ["199e2f91fd431d51"].
#   collections:
#   - redhat
#   - policy_data
#   effective_on: "2024-10-05T00:00:00Z"
deny contains result if {
	some error in lib.rule_data_errors("allowed_rpm_signature_keys", lib.some_texts)
	result := lib.result(rego.metadata.chain(), [error])
}

_found := lib.results_named("RPMS_DATA")

# Packages by key, over all scans.
_amounts[key] := amount if {
	some found in _found
	some key, _ in found.value.keys
	amount := sum([other.value.keys[key] | some other in _found])
}

_schema := {
	"type": "object",
	"required": ["keys"],
	"properties": {"keys": {
		"type": "object",
		"additionalProperties": {"type": "integer", "minimum": 0},
	}},
}
