# METADATA
# title: Trusted Task checks
# description: >-
#   Each task of the pipeline, wherever it was found, is one that the policy trusts, and so is what it was given.
package policy.release.trusted_task

import rego.v1

import data.lib
import data.lib.image as images
import data.lib.tekton
import data.lib.trusted

# METADATA
# title: Task references are pinned
# description: >-
#   Each reference to a task has a digest or a commit: a tag or a branch can name something else tomorrow.
# custom:
#   short_name: pinned
#   failure_msg: Pipeline task %q uses an unpinned task reference, %s
#   solution: Add the digest of the bundle, or the commit, to the reference in the pipeline.
#   collections: [redhat]
#   effective_on: "2024-05-07T00:00:00Z"
warn contains result if {
	some task in lib.tasks
	not trusted.is_pinned(task)
	result := lib.result_with_term(rego.metadata.chain(), [task.pipeline_task, _shown(task)], task.name)
}

# METADATA
# title: Task references are tagged
# description: >-
#   Each reference to a bundle has a tag: by its tag, a version, the records of trusted tasks are found.
# custom:
#   short_name: tagged
#   failure_msg: Pipeline task %q uses an untagged task reference, %s
#   solution: Add the tag of the bundle to the reference in the pipeline.
#   collections: [redhat]
#   effective_on: "2024-05-07T00:00:00Z"
warn contains result if {
	some task in lib.tasks
	images.parse(task.reference.bundle).tag == ""
	result := lib.result_with_term(rego.metadata.chain(), [task.pipeline_task, _shown(task)], task.name)
}

# METADATA
# title: Tasks using the latest versions
# description: >-
#   Each task is the newest of those that are trusted.
# custom:
#   short_name: current
#   failure_msg: "Pipeline task %q uses an out of date task reference, %s%s"
#   solution: Update the reference in the pipeline to the newest version of the task.
#   collections: [redhat]
#   effective_on: "2024-05-07T00:00:00Z"
warn contains result if {
	some task in lib.tasks
	trusted.is_out_of_date(task)
	result := lib.result_with_term(
		rego.metadata.chain(),
		[task.pipeline_task, _shown(task), _until(task)],
		task.name,
	)
}

# METADATA
# title: Tasks are trusted
# description: >-
#   Of each task `trusted_tasks` has a record that is in force, or will be.
# custom:
#   short_name: trusted
#   failure_msg: Pipeline task %q uses an untrusted task reference, %s
#   solution: Use a task of which `trusted_tasks` has a record, in the version that the record names.
#   collections: [redhat]
#   effective_on: "2024-05-07T00:00:00Z"
deny contains result if {
	some task in lib.tasks
	not trusted.is_trusted(task)
	result := lib.result_with_term(rego.metadata.chain(), [task.pipeline_task, _shown(task)], task.name)
}

# METADATA
# title: Trusted Artifact inputs
# description: >-
#   Each artifact that a task was given, by a param whose name ends in `_ARTIFACT`, is one that another, trusted task of the
#   same pipeline has made, by a result whose name ends so.
# custom:
#   short_name: valid_trusted_artifact_inputs
#   failure_msg: Code tampering detected, input %q for task %q was not produced by the pipeline as attested
#   solution: >-
#     Hand artifacts on from task to task in the pipeline, by their results alone.
#   collections: [redhat]
#   effective_on: "2024-05-07T00:00:00Z"
deny contains result if {
	some tasks in lib.tasks_by_attestation
	produced := _artifacts(tasks)
	some task in tasks
	some name, value in task.params
	endswith(name, "_ARTIFACT")
	value != ""
	not value in produced
	result := lib.result_with_term(rego.metadata.chain(), [value, task.pipeline_task], task.name)
}

# METADATA
# title: Trusted parameters
# description: >-
#   Each image that a task which builds images was given by digest, in its param `IMAGES`, is one that a trusted task of the
#   same pipeline has built.
# custom:
#   short_name: trusted_parameters
#   failure_msg: "The %q parameter of the %q PipelineTask includes an untrusted digest: %s"
#   solution: Give the task nothing but images that trusted tasks of the pipeline have built.
#   collections: [redhat]
#   effective_on: "2024-05-07T00:00:00Z"
deny contains result if {
	some tasks in lib.tasks_by_attestation
	some task in tasks
	tekton.is_build(task)
	some reference in _texts(task.params.IMAGES)
	some digest in regex.find_n(`sha256:[0-9a-f]{64}`, reference, -1)
	not digest in _built(tasks, task)
	result := lib.result_with_term(rego.metadata.chain(), ["IMAGES", task.pipeline_task, digest], task.name)
}

# METADATA
# title: Task tracking data was provided
# description: >-
#   The data of the policy has records of trusted tasks.
# custom:
#   short_name: data
#   failure_msg: Missing required trusted_tasks data
#   solution: Add a data source with `trusted_tasks` to the policy; `ec track bundle` writes it.
#   collections: [redhat]
#   effective_on: "2024-05-07T00:00:00Z"
deny contains result if {
	not trusted.is_data_given
	result := lib.result(rego.metadata.chain(), [])
}

# METADATA
# title: Data format
# description: >-
#   `trusted_tasks` has by reference lists of records with `ref`, and with dates that can be read.
# custom:
#   short_name: data_format
#   failure_msg: trusted_tasks data has unexpected format %s
#   solution: Write the data by `ec track bundle`.
#   collections: [redhat, policy_data]
#   effective_on: "2024-05-07T00:00:00Z"
deny contains result if {
	some error in lib.schema_errors(data.trusted_tasks, _format)
	result := lib.result(rego.metadata.chain(), [error])
}

_shown(task) := task.reference.bundle if {
	task.reference.bundle
} else := sprintf("%s@%s", [task.reference.key, task.reference.pinned])

_until(task) := sprintf(", which is trusted until %s", [trusted.expiry(task)]) if {
	trusted.expiry(task)
} else := ""

# What a task only hands on, as one that had nothing to do, it has not made: then another has, or nobody.
_artifacts(tasks) := {value |
	some task in tasks
	trusted.is_trusted(task)
	some name, value in task.results
	endswith(name, "_ARTIFACT")
	not _is_taken(value, task)
}

_is_taken(artifact, task) if {
	some name, value in task.params
	endswith(name, "_ARTIFACT")
	value == artifact
}

# Digests of images that trusted tasks but for `other` have built.
_built(tasks, other) := {built.digest |
	some task in tasks
	task != other
	trusted.is_trusted(task)
	some built in tekton.images(task)
}

_texts(value) := [value] if is_string(value)

_texts(value) := [text | some text in value; is_string(text)] if is_array(value)

# A date that only looks like one is in no record that is in force.
_date := {
	"type": "string",
	"pattern": "^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(\\.[0-9]+)?(Z|[+-][0-9]{2}:[0-9]{2})$",
}

_format := {
	"$schema": "http://json-schema.org/draft-07/schema#",
	"type": "object",
	"additionalProperties": {
		"type": "array",
		"minItems": 1,
		"items": {
			"type": "object",
			"required": ["ref"],
			"properties": {
				"ref": {"type": "string", "minLength": 1},
				"effective_on": _date,
				"expires_on": _date,
			},
			"additionalProperties": false,
		},
	},
}
