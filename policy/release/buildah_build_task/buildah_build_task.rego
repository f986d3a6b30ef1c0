# METADATA
# title: Buildah build task
# description: >-
#   The tasks that build images by a Dockerfile were given nothing that makes the build less safe.
package policy.release.buildah_build_task

import rego.v1

import data.lib

# METADATA
# title: Buildah task has Dockerfile param defined
# description: >-
#   Each of these tasks was given the param `DOCKERFILE`.
# custom:
#   short_name: buildah_task_has_dockerfile_param
#   failure_msg: "The DOCKERFILE param was not included in the buildah task: %q"
#   solution: Give the task the param `DOCKERFILE` in the pipeline.
#   collections: [redhat]
#   depends_on: [attestation_type.known_attestation_type]
deny contains result if {
	some task in _tasks
	object.get(task.params, "DOCKERFILE", "") == ""
	result := lib.result_with_term(rego.metadata.chain(), [task.pipeline_task], task.name)
}

# METADATA
# title: Buildah task uses a local Dockerfile
# description: >-
#   The param `DOCKERFILE` is a path in the sources, not a URL: what is fetched from elsewhere is in no provenance.
# custom:
#   short_name: buildah_uses_local_dockerfile
#   failure_msg: DOCKERFILE param value (%s) is an external source
#   solution: Put the Dockerfile into the repository of the sources.
#   collections: [redhat]
#   depends_on: [attestation_type.known_attestation_type]
deny contains result if {
	some task in _tasks
	dockerfile := task.params.DOCKERFILE
	_is_remote(dockerfile)
	result := lib.result(rego.metadata.chain(), [dockerfile])
}

# METADATA
# title: ADD_CAPABILITIES parameter
# description: >-
#   None of these tasks was given Linux capabilities by the param `ADD_CAPABILITIES`.
# custom:
#   short_name: add_capabilities_param
#   failure_msg: ADD_CAPABILITIES parameter is not allowed
#   solution: Leave the param `ADD_CAPABILITIES` of the task empty.
#   collections: [redhat]
#   depends_on: [attestation_type.known_attestation_type]
deny contains result if {
	some task in _tasks
	object.get(task.params, "ADD_CAPABILITIES", "") != ""
	result := lib.result(rego.metadata.chain(), [])
}

# METADATA
# title: PLATFORM parameter
# description: >-
#   No machine on which one of these tasks has built, its param `PLATFORM`, matches a pattern in the rule data
#   `disallowed_platform_patterns`.
# custom:
#   short_name: platform_param
#   failure_msg: PLATFORM parameter value %q is disallowed by regex %q
#   solution: Build on another kind of machine.
#   collections: [redhat]
#   depends_on: [attestation_type.known_attestation_type]
deny contains result if {
	some task in _tasks
	platform := task.params.PLATFORM
	some pattern in lib.rule_data("disallowed_platform_patterns")
	regex.match(pattern, platform)
	result := lib.result(rego.metadata.chain(), [platform, pattern])
}

# METADATA
# title: PRIVILEGED_NESTED parameter
# description: >-
#   None of these tasks was given more privilege by the param `PRIVILEGED_NESTED`.
# custom:
#   short_name: privileged_nested_param
#   failure_msg: setting PRIVILEGED_NESTED parameter to true is not allowed
#   solution: Leave the param `PRIVILEGED_NESTED` of the task away, or set it to `false`.
#   collections: [redhat]
#   depends_on: [attestation_type.known_attestation_type]
deny contains result if {
	some task in _tasks
	not object.get(task.params, "PRIVILEGED_NESTED", "") in {"", "false"}
	result := lib.result(rego.metadata.chain(), [])
}

# METADATA
# title: Disallowed platform patterns provided
# description: >-
#   The rule data `disallowed_platform_patterns` is a list of regular expressions.
# custom:
#   short_name: disallowed_platform_patterns_provided
#   failure_msg: "%s"
#   solution: Correct `disallowed_platform_patterns` in the rule data of the policy.
#   collections: [redhat, policy_data]
#   depends_on: [attestation_type.known_attestation_type]
deny contains result if {
	some error in _pattern_errors
	result := lib.result(rego.metadata.chain(), [error])
}

_pattern_errors contains error if {
	some error in lib.rule_data_errors("disallowed_platform_patterns", lib.texts)
}

_pattern_errors contains error if {
	some pattern in lib.rule_data("disallowed_platform_patterns")
	is_string(pattern)
	not regex.is_valid(pattern)
	error := sprintf("%q is not a valid regular expression in rule data disallowed_platform_patterns", [pattern])
}

# `buildah` and its variants, as `buildah-remote-oci-ta`.
_tasks := [task | some task in lib.tasks; regex.match(`^buildah(-|$)`, task.name)]

_is_remote(dockerfile) if regex.match(`^\s*[A-Za-z][A-Za-z0-9+.-]*://`, dockerfile)

_is_remote(dockerfile) if not is_string(dockerfile)
