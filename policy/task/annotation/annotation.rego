# METADATA
# title: Tekton Task annotations
# description: >-
#   Annotations of a Task that rules read have a form that they can read.
package policy.task.annotation

import rego.v1

import data.lib

# METADATA
# title: Task definition uses expires-on annotation in RFC3339 format
# description: >-
#   The annotation `build.appstudio.redhat.com/expires-on`, from which on `tasks.unsupported` refuses the task, is a date as
#   `2024-06-01T00:00:00Z`.
# custom:
#   short_name: expires_on_format
#   failure_msg: Expires on time is not in RFC3339 format, %q
#   solution: Write the date so.
deny contains result if {
	date := input.metadata.annotations["build.appstudio.redhat.com/expires-on"]
	not time.parse_rfc3339_ns(date)
	result := lib.result(rego.metadata.chain(), [date])
}
