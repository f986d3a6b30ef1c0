# METADATA
# title: Tekton build task
# description: >-
#   The definition of a Task that builds images says what kind of image it builds.
package policy.build_task.labels

import rego.v1

import data.lib

# METADATA
# title: Build task has label
# description: >-
#   The Task has labels.
# custom:
#   short_name: build_task_has_label
#   failure_msg: The task definition does not include any labels
#   solution: Add the label `build.appstudio.redhat.com/build_type`.
deny contains result if {
	count(_labels) == 0
	result := lib.result(rego.metadata.chain(), [])
}

# METADATA
# title: Build type label set
# description: >-
#   The Task has the label `build.appstudio.redhat.com/build_type`: by it the list of required tasks is chosen.
# custom:
#   short_name: build_type_label_set
#   failure_msg: The required build label '%s' is missing
#   solution: Add the label, for instance with the value `docker`.
#   depends_on: [build_task.labels.build_task_has_label]
deny contains result if {
	object.get(_labels, _build_type, "") == ""
	result := lib.result(rego.metadata.chain(), [_build_type])
}

_build_type := "build.appstudio.redhat.com/build_type"

_labels := input.metadata.labels if {
	is_object(input.metadata.labels)
} else := {}
