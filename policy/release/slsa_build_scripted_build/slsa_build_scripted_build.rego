# METADATA
# title: SLSA build, scripted build
# description: >-
#   The image is what the steps of a task of the pipeline have built, and that task can be trusted.
package policy.release.slsa_build_scripted_build

import rego.v1

import data.lib
import data.lib.image as images
import data.lib.tekton
import data.lib.trusted

# METADATA
# title: Build task contains steps
# description: >-
#   Each task that has built an image consists of steps that the provenance names.
# custom:
#   short_name: build_script_used
#   failure_msg: Build task %q does not contain any steps
#   solution: See that the build task has steps, and that the provenance was made from its TaskRun.
#   collections: [slsa3, redhat]
#   depends_on: [attestation_type.known_attestation_type]
deny contains result if {
	some task in lib.build_tasks
	count(task.steps) == 0
	result := lib.result(rego.metadata.chain(), [task.name])
}

# METADATA
# title: Build task set image digest and url task results
# description: >-
#   In each provenance of a PipelineRun some task has results that end in `IMAGE_URL` and `IMAGE_DIGEST`.
# custom:
#   short_name: build_task_image_results_found
#   failure_msg: Build task not found
#   solution: See that the task that builds the image sets its results `IMAGE_URL` and `IMAGE_DIGEST`.
#   collections: [slsa3, redhat]
#   depends_on: [attestation_type.known_attestation_type]
deny contains result if {
	some tasks in lib.tasks_by_attestation
	count([task | some task in tasks; tekton.is_build(task)]) == 0
	result := lib.result(rego.metadata.chain(), [])
}

# METADATA
# title: Provenance subject matches build task image result
# description: >-
#   Each subject of the provenance of a PipelineRun is an image that one of its tasks has built, or another product of one.
# custom:
#   short_name: subject_build_task_matches
#   failure_msg: The attestation subject, %q, does not match any of the images built
#   solution: >-
#     See that the results of the pipeline name the images that its build tasks have named, and nothing else.
#   collections: [slsa3, redhat]
#   depends_on: [attestation_type.known_attestation_type]
deny contains result if {
	some index, statement in lib.pipelinerun_attestations
	some subject in statement.subject
	reference := _reference(subject)
	not _is_built(reference, lib.tasks_by_attestation[index])
	result := lib.result(rego.metadata.chain(), [reference])
}

# METADATA
# title: Image built by trusted task
# description: >-
#   Each task that says to have built this image, by the digest in a result that ends in `IMAGE_DIGEST`, is a trusted one,
#   and there is such a task.
# custom:
#   short_name: image_built_by_trusted_task
#   failure_msg: "Image %q not built by a trusted task: %s"
#   solution: >-
#     Build the image with a task of which `trusted_tasks` has a record, in the version that the record names.
#   collections: [redhat]
#   depends_on: [attestation_type.known_attestation_type]
deny contains result if {
	some reason in _doubts
	result := lib.result(rego.metadata.chain(), [_image, reason])
}

_image := object.get(input, ["image", "ref"], "")

_doubts contains "No Pipeline Tasks built the image" if count(_builders) == 0

_doubts contains sprintf("Build Task(s) %q are not trusted", [concat(",", sort(untrusted))]) if {
	untrusted := {task.name | some task in _builders; not trusted.is_trusted(task)}
	count(untrusted) > 0
}

# Tasks that name the image which is judged among what they have built.
_builders := [task |
	some task in lib.tasks
	digests := {trim_space(value) |
		some name, value in task.results
		endswith(name, "IMAGE_DIGEST")
		is_string(value)
	}
	lib.image_digest in digests
]

_reference(subject) := concat("@sha256:", [name, hex]) if {
	name := subject.name
	hex := subject.digest.sha256
	is_string(name)
	is_string(hex)
} else := lib.text(subject)

_is_built(reference, tasks) if {
	some task in tasks
	some product in tekton.products(task)
	images.same(reference, product)
}
