# METADATA
# title: SLSA source, version controlled
# description: >-
#   The sources come from a git repository, by commit.
package policy.release.slsa_source_version_controlled

import rego.v1

import data.lib

# METADATA
# title: Materials have uri and digest
# description: >-
#   Each provenance of a PipelineRun has a material with `uri` and `digest.sha1`.
# custom:
#   short_name: materials_format_okay
#   failure_msg: No materials match expected format
#   solution: >-
#     See that the task which fetches the sources, or the pipeline, has the results `CHAINS-GIT_URL` and `CHAINS-GIT_COMMIT`.
#   collections: [minimal, slsa3, redhat]
#   depends_on: [attestation_type.known_attestation_type]
deny contains result if {
	some statement in lib.pipelinerun_attestations
	count(_sources(statement)) == 0
	result := lib.result(rego.metadata.chain(), [])
}

# METADATA
# title: Material uri is a git repo
# description: >-
#   The `uri` of each material with `digest.sha1` begins with `git+`.
# custom:
#   short_name: materials_uri_is_git_repo
#   failure_msg: Material URI %q is not a git URI
#   solution: See that the sources are fetched from a git repository.
#   collections: [minimal, slsa3, redhat]
#   depends_on: [attestation_type.known_attestation_type]
deny contains result if {
	some statement in lib.pipelinerun_attestations
	some source in _sources(statement)
	not startswith(source.uri, "git+")
	result := lib.result(rego.metadata.chain(), [source.uri])
}

# METADATA
# title: Materials include git commit shas
# description: >-
#   The `digest.sha1` of each material is a commit: 40 hexadecimal digits.
# custom:
#   short_name: materials_include_git_sha
#   failure_msg: Material digest %q is not a git commit sha
#   solution: See that the sources are fetched by commit, and that the results name the whole commit.
#   collections: [minimal, slsa3, redhat]
#   depends_on: [attestation_type.known_attestation_type]
deny contains result if {
	some statement in lib.pipelinerun_attestations
	some source in _sources(statement)
	commit := source.digest.sha1
	not regex.match(`^[0-9a-f]{40}$`, commit)
	result := lib.result(rego.metadata.chain(), [commit])
}

# Materials by commit. Images and artifacts have other digests.
_sources(statement) := [material |
	some material in lib.materials(statement)
	is_string(material.uri)
	is_string(material.digest.sha1)
]
