# METADATA
# title: Pre-build-script task checks
# description: >-
#   Tasks that run a script before the build, in an image of the tenant's choice, say in which, and that image is allowed.
package policy.release.pre_build_script_task

import rego.v1

import data.lib
import data.lib.image as images
import data.lib.registries
import data.lib.sbom

# METADATA
# title: Script runner image is listed in the task results
# description: >-
#   Each task `run-script` has the result `SCRIPT_RUNNER_IMAGE_REFERENCE`.
# custom:
#   short_name: pre_build_script_task_runner_image_in_results
#   failure_msg: The runner image used for the pre-Build-Script task %q is not listed in the task results
#   solution: Use a version of the task that sets its result `SCRIPT_RUNNER_IMAGE_REFERENCE`.
#   collections: [redhat]
deny contains result if {
	some task in _tasks
	object.get(task.results, _result, "") == ""
	result := lib.result_with_term(rego.metadata.chain(), [task.pipeline_task], task.name)
}

# METADATA
# title: Script runner image is a valid image reference
# description: >-
#   The result names an image by digest.
# custom:
#   short_name: valid_pre_build_script_task_runner_image_ref
#   failure_msg: Pre-Build-Script task runner image %q is not a valid image reference
#   solution: Use a version of the task that sets its result to a reference with a digest.
#   collections: [redhat]
deny contains result if {
	some runner in _runners
	not _is_pinned(runner)
	result := lib.result_with_term(rego.metadata.chain(), [runner], runner)
}

# METADATA
# title: Script runner image comes from an allowed registry
# description: >-
#   The image begins with one of the prefixes in the rule data `allowed_registry_prefixes`.
# custom:
#   short_name: pre_build_script_task_runner_image_allowed
#   failure_msg: Pre-Build-Script task runner image %q is from a disallowed registry
#   solution: Run the script in an image from one of these registries.
#   collections: [redhat]
deny contains result if {
	some runner in _runners
	not registries.is_permitted(runner, lib.rule_data("allowed_registry_prefixes"))
	result := lib.result_with_term(rego.metadata.chain(), [runner], runner)
}

# METADATA
# title: Script runner image is included in the SBOM
# description: >-
#   An SBOM of the image names the image in which the script has run, by its digest.
# custom:
#   short_name: pre_build_script_task_runner_image_in_sbom
#   failure_msg: Pre-Build-Script task runner image %q is not in the SBOM
#   solution: Have the SBOM made by a build task that takes the images of scripts into account.
#   collections: [redhat]
deny contains result if {
	some runner in _runners
	not _is_in_sbom(runner)
	result := lib.result_with_term(rego.metadata.chain(), [runner], runner)
}

_result := "SCRIPT_RUNNER_IMAGE_REFERENCE"

# `run-script` and its variants.
_tasks := [task | some task in lib.tasks; regex.match(`^run-script(-|$)`, task.name)]

_runners contains trim_space(value) if {
	some found in lib.results_named(_result)
	value := found.value
	is_string(value)
	trim_space(value) != ""
}

_is_pinned(reference) if images.is_digest(images.parse(reference).digest)

_is_in_sbom(runner) if {
	digest := images.parse(runner).digest
	images.is_digest(digest)
	some found in sbom.all
	walk(found.document, [_, text])
	is_string(text)
	_names_digest(text, digest)
}

# As it stands in package URLs (`@sha256:…`, with the colon also escaped), and in lists of hashes.
_names_digest(text, digest) if contains(lower(replace(text, "%3A", ":")), digest)

_names_digest(text, digest) if text == split(digest, ":")[1]
