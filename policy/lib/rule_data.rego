# Lists and settings that the rules compare with, given by whoever writes the policy.
package lib

import rego.v1

# The value of `key`: what the policy source says (`ruleData`), else the two places in data files, else the default here,
# else the empty list. No place is merged with another.
rule_data(key) := value if {
	value := data.rule_data__configuration__[key]
} else := value if {
	value := data.rule_data_custom[key]
} else := value if {
	value := data.rule_data[key]
} else := value if {
	value := _defaults[key]
} else := []

_defaults := {
	"allowed_builder_ids": ["https://tekton.dev/chains/v2"],
	"assembling_tasks": ["build-image-index", "source-build", "source-build-oci-ta"],
	"restrict_cve_security_levels": ["critical", "high"],
	"warn_cve_security_levels": [],
	"restrict_unpatched_cve_security_levels": [],
	"warn_unpatched_cve_security_levels": ["critical", "high"],
	"cve_leeway": {"critical": 0, "high": 0, "medium": 0, "low": 0, "unknown": 0},
	"pipeline_intention": null,
	"supported_tests_results": ["SUCCESS", "FAILURE", "WARNING", "SKIPPED", "ERROR"],
	"failed_tests_results": ["FAILURE"],
	"erred_tests_results": ["ERROR"],
	"skipped_tests_results": ["SKIPPED"],
	"warned_tests_results": ["WARNING"],
}

# A list of texts, each once, that may be empty.
texts := {
	"$schema": "http://json-schema.org/draft-07/schema#",
	"type": "array",
	"items": {"type": "string"},
	"uniqueItems": true,
}

# A list of texts, each once, of which there has to be one.
some_texts := object.union(texts, {"minItems": 1})

# What is wrong with the value of `key`: one text for each way in which it does not match `schema`.
rule_data_errors(key, schema) := {message |
	some error in schema_errors(rule_data(key), schema)
	message := sprintf("Rule data %s has unexpected format: %s", [key, error])
}

# The same for any value.
schema_errors(value, schema) := {error.error |
	some error in json.match_schema(json.marshal(value), schema)[1]
}
