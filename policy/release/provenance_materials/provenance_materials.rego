# METADATA
# title: Provenance materials
# description: >-
#   The provenance names the sources that a task of the pipeline has fetched.
package policy.release.provenance_materials

import rego.v1

import data.lib
import data.lib.tekton

# METADATA
# title: Git clone task found
# description: >-
#   In each provenance of a PipelineRun some task has the results `commit` and `url`: it has fetched the sources.
# custom:
#   short_name: git_clone_task_found
#   failure_msg: Task git-clone not found
#   solution: Have the sources fetched by a task with these results, as `git-clone`.
#   collections: [minimal, redhat]
#   depends_on: [attestation_type.known_attestation_type]
deny contains result if {
	some tasks in lib.tasks_by_attestation
	count([task | some task in tasks; tekton.is_git_clone(task)]) == 0
	result := lib.result(rego.metadata.chain(), [])
}

# METADATA
# title: Git clone source matches materials provenance
# description: >-
#   What such a task has fetched is among the materials of the provenance.
# custom:
#   short_name: git_clone_source_matches_provenance
#   failure_msg: Entry in materials for the git repo %q and commit %q not found
#   solution: >-
#     See that the results `CHAINS-GIT_URL` and `CHAINS-GIT_COMMIT` of the pipeline are the results of the task that fetches
#     the sources.
#   collections: [minimal, redhat]
#   depends_on: [provenance_materials.git_clone_task_found]
deny contains result if {
	some index, statement in lib.pipelinerun_attestations
	some task in lib.tasks_by_attestation[index]
	url := tekton.text_result(task, "url")
	commit := tekton.text_result(task, "commit")
	not _is_material(url, commit, statement)
	result := lib.result(rego.metadata.chain(), [url, commit])
}

_is_material(url, commit, statement) if {
	some material in lib.materials(statement)
	material.digest.sha1 == commit
	_normalized(material.uri) == _normalized(sprintf("git+%s", [url]))
}

# Provenance has the suffix, results need not.
_normalized(uri) := trim_suffix(uri, ".git")
