# METADATA
# title: Expiration
# description: An image that is released must stay. Registries remove images with a certain label after a time.
package policy.release.quay_expiration

import rego.v1

import data.lib

# METADATA
# title: The image does not expire
# description: >-
#   The image has no label quay.expires-after, if the rule data pipeline_intention is release, production or staging.
# custom:
#   short_name: expires_label
#   failure_msg: The image has the label quay.expires-after with the value %q, after which the registry removes it
#   solution: Build without the parameter image-expires-after, as for pushes to a branch.
#   collections:
#   - redhat
deny contains result if {
	lib.rule_data("pipeline_intention") in {"release", "production", "staging"}
	some name, value in input.image.config.Labels
	name == "quay.expires-after"
	result := lib.result(rego.metadata.chain(), [value])
}
