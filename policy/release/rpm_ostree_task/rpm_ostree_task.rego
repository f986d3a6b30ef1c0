# METADATA
# title: rpm-ostree
# description: The task rpm-ostree builds with an image that its users choose, which has to be a trusted one.
package policy.release.rpm_ostree_task

import rego.v1

import data.lib
import data.lib.image as images
import data.lib.registries

# METADATA
# title: The builder image is permitted
# description: >-
#   The parameter BUILDER_IMAGE of each task rpm-ostree names an image by digest, and begins with one of the rule data
#   allowed_rpm_ostree_builder_image_prefixes.
# custom:
#   short_name: builder_image_param
#   failure_msg: 'BUILDER_IMAGE of the task rpm-ostree %s'
#   solution: >-
#     Give the task rpm-ostree a builder image whose name starts with one of
#     allowed_rpm_ostree_builder_image_prefixes, with its digest.
#   collections:
#   - redhat
#   depends_on:
#   - rpm_ostree_task.rule_data
#   effective_on: "2024-03-20T00:00:00Z"
deny contains result if {
	some task in lib.tasks
	task.name == "rpm-ostree"
	some problem in _problems(object.get(task.params, "BUILDER_IMAGE", ""))
	result := lib.result(rego.metadata.chain(), [problem])
}

# METADATA
# title: Permitted builder images are given
# description: The rule data allowed_rpm_ostree_builder_image_prefixes is a list of at least one prefix.
# custom:
#   short_name: rule_data
#   failure_msg: '%s'
#   solution: >-
#     Give the rule data of the policy a list allowed_rpm_ostree_builder_image_prefixes, as ["registry.example/builders/"].
#   collections:
#   - redhat
#   effective_on: "2024-03-20T00:00:00Z"
deny contains result if {
	some error in lib.rule_data_errors(_key, lib.some_texts)
	result := lib.result(rego.metadata.chain(), [error])
}

_key := "allowed_rpm_ostree_builder_image_prefixes"

_problems(builder) := {"is not given"} if {
	builder == ""
} else := {sprintf("is %q, whose name starts with none of %s", [builder, _key])} if {
	not registries.is_permitted(builder, lib.rule_data(_key))
} else := {sprintf("is %q, which has no digest", [builder])} if {
	not _is_pinned(builder)
} else := set()

_is_pinned(builder) if images.is_digest(images.parse(builder).digest)
