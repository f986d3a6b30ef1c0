# METADATA
# title: Tekton Task step image registry policies
# description: >-
#   The steps of a Task run in images from registries that are allowed.
package policy.task.step_image_registries

import rego.v1

import data.lib
import data.lib.registries

# METADATA
# title: Step images come from permitted registry
# description: >-
#   The image of each step, its own or that of the template, begins with one of the prefixes in the rule data
#   `allowed_step_image_registry_prefixes`. An image that only a param, or the definition of a step elsewhere, tells is not
#   permitted.
# custom:
#   short_name: step_images_permitted
#   failure_msg: Step %d uses disallowed image ref '%s'
#   solution: Use an image from one of these registries.
deny contains result if {
	some index, step in input.spec.steps
	image := object.get(step, "image", _default)
	not registries.is_permitted(image, lib.rule_data("allowed_step_image_registry_prefixes"))
	result := lib.result_with_term(rego.metadata.chain(), [index, image], image)
}

# METADATA
# title: Permitted step image registry prefix list provided
# description: >-
#   The rule data `allowed_step_image_registry_prefixes` is a list of texts that is not empty.
# custom:
#   short_name: step_image_registry_prefix_list_provided
#   failure_msg: "%s"
#   solution: Correct `allowed_step_image_registry_prefixes` in the rule data of the policy.
deny contains result if {
	some error in lib.rule_data_errors("allowed_step_image_registry_prefixes", lib.some_texts)
	result := lib.result(rego.metadata.chain(), [error])
}

_default := image if {
	image := input.spec.stepTemplate.image
} else := ""
