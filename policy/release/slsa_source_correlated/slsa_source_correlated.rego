# METADATA
# title: SLSA source, correlated
# description: >-
#   The image was built from the sources from which the Snapshot says that it was.
package policy.release.slsa_source_correlated

import rego.v1

import data.lib

# METADATA
# title: Source code reference provided
# description: >-
#   The Snapshot says from which sources the image was built. If it does not, nothing can be compared.
# custom:
#   short_name: source_code_reference_provided
#   failure_msg: Expected source code reference was not provided for verification
#   solution: Give the `source` of each component of the Snapshot.
#   collections: [minimal, slsa3, redhat]
#   depends_on: [attestation_type.known_attestation_type]
warn contains result if {
	count(_expected) == 0
	result := lib.result(rego.metadata.chain(), [])
}

# METADATA
# title: Source reference
# description: >-
#   Each provenance of a PipelineRun names sources: a material whose URI begins with one of `supported_vcs` and that has one
#   of `supported_digests`.
# custom:
#   short_name: attested_source_code_reference
#   failure_msg: The attested material contains no source code reference
#   solution: >-
#     See that the task which fetches the sources, or the pipeline, has the results `CHAINS-GIT_URL` and `CHAINS-GIT_COMMIT`.
#   collections: [minimal, slsa3, redhat]
#   depends_on: [attestation_type.known_attestation_type]
deny contains result if {
	some statement in lib.pipelinerun_attestations
	count(_attested(statement)) == 0
	result := lib.result(rego.metadata.chain(), [])
}

# METADATA
# title: Expected source code reference
# description: >-
#   The sources that the Snapshot names are among the materials of each provenance of a PipelineRun. Other materials may be
#   there, too.
# custom:
#   short_name: expected_source_code_reference
#   failure_msg: The expected source code reference %q is not attested
#   solution: >-
#     Build the image anew from the sources in the Snapshot, or correct the Snapshot.
#   collections: [minimal, slsa3, redhat]
#   depends_on: [attestation_type.known_attestation_type]
deny contains result if {
	some statement in lib.pipelinerun_attestations
	some expected in _expected
	not _is_attested(expected, statement)
	reference := sprintf("%s@sha1:%s", [expected.uri, expected.revision])
	result := lib.result_with_term(rego.metadata.chain(), [reference], reference)
}

# METADATA
# title: Rule data provided
# description: >-
#   The rule data `supported_vcs` and `supported_digests` are lists of texts.
# custom:
#   short_name: rule_data_provided
#   failure_msg: "%s"
#   solution: Correct the list in the rule data of the policy.
#   collections: [minimal, slsa3, redhat, policy_data]
#   depends_on: [attestation_type.known_attestation_type]
deny contains result if {
	some key in ["supported_vcs", "supported_digests"]
	some error in lib.rule_data_errors(key, lib.texts)
	result := lib.result(rego.metadata.chain(), [error])
}

# What the Snapshot names: by kind of version control a URL and a revision, of which at least one is given.
_expected contains {"uri": uri, "revision": revision} if {
	some vcs, source in input.image.source
	url := lib.text(object.get(source, "url", ""))
	revision := lib.text(object.get(source, "revision", ""))
	[url, revision] != ["", ""]
	uri := _normalized(_with_vcs(vcs, url))
}

_with_vcs(vcs, url) := url if {
	startswith(url, sprintf("%s+", [vcs]))
} else := sprintf("%s+%s", [vcs, url])

# What the provenance names: URI, and revision with the name of its digest.
_attested(statement) := {{"uri": _normalized(material.uri), "revision": revision} |
	some material in lib.materials(statement)
	some vcs in lib.rule_data("supported_vcs")
	startswith(material.uri, sprintf("%s+", [vcs]))
	some algorithm in lib.rule_data("supported_digests")
	revision := material.digest[algorithm]
	is_string(revision)
	revision != ""
}

_is_attested(expected, statement) if expected in _attested(statement)

# One repository goes by several names.
_normalized(uri) := trim_suffix(trim_right(uri, "/"), ".git")
