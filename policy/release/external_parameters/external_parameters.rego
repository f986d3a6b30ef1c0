# METADATA
# title: External parameters
# description: >-
#   Whoever has started the pipeline has given it what was expected, and nothing else. These rules are in no collection: a
#   policy that wants them includes them by name.
package policy.release.external_parameters

import rego.v1

import data.lib
import data.lib.tekton

# METADATA
# title: PipelineRun params
# description: >-
#   The params of each PipelineRun are exactly those in the rule data `pipeline_run_params`. Provenance v0.2 does not tell
#   defaults of the pipeline from what was given, so that there defaults count, too.
# custom:
#   short_name: pipeline_run_params
#   failure_msg: PipelineRun params, %s, do not match expectation, %s.
#   solution: Start the pipeline with these params, or correct `pipeline_run_params`.
deny contains result if {
	some statement in lib.pipelinerun_attestations
	given := _params(statement)
	expected := lib.rule_data("pipeline_run_params")
	given != {name | some name in expected}
	result := lib.result(rego.metadata.chain(), [sort(given), expected])
}

# METADATA
# title: PipelineRun params provided
# description: >-
#   The rule data `pipeline_run_params` is a list of texts that is not empty.
# custom:
#   short_name: pipeline_run_params_provided
#   failure_msg: "%s"
#   solution: Correct `pipeline_run_params` in the rule data of the policy.
#   collections: [policy_data]
deny contains result if {
	some error in lib.rule_data_errors("pipeline_run_params", lib.some_texts)
	result := lib.result(rego.metadata.chain(), [error])
}

# METADATA
# title: Restrict shared volumes
# description: >-
#   No PipelineRun was given a claim that exists, in which others may write: workspaces come from a template, or are empty.
#   Provenance v0.2 does not name workspaces and so cannot show it.
# custom:
#   short_name: restrict_shared_volumes
#   failure_msg: "PipelineRun uses shared volumes, %s."
#   solution: >-
#     Give workspaces of the PipelineRun by `volumeClaimTemplate`, and have provenance made in format v1.
deny contains result if {
	some statement in lib.pipelinerun_attestations
	some volume in _shared(statement)
	result := lib.result(rego.metadata.chain(), [volume])
}

_params(statement) := {param.name | some param in statement.predicate.buildDefinition.externalParameters.runSpec.params} if {
	tekton.format(statement) == "v1"
} else := {name | some name, _ in statement.predicate.invocation.parameters}

_shared(statement) := {sprintf("workspace %q", [lib.text(object.get(workspace, "name", ""))]) |
	some workspace in statement.predicate.buildDefinition.externalParameters.runSpec.workspaces
	_is_shared(workspace)
} if {
	tekton.format(statement) == "v1"
} else := {"as far as the provenance tells"}

_is_shared(workspace) if workspace.persistentVolumeClaim
