# What the attestations of the image say.
package lib

import rego.v1

# Statements of the attestations, in their order.
statements := [attestation.statement | some attestation in input.attestations]

_v02_build_types := {
	"tekton.dev/v1/PipelineRun",
	"tekton.dev/v1beta1/PipelineRun",
	"https://tekton.dev/attestations/chains/pipelinerun@v2",
}

_v1_build_types := {
	"https://tekton.dev/chains/v2/slsa",
	"https://tekton.dev/chains/v2/slsa-tekton",
}

# Statements of provenance about PipelineRuns. Other attestations, those of single TaskRuns among them, prove nothing about
# the pipeline that has built the image.
pipelinerun_attestations := [statement | some statement in statements; _is_of_pipeline_run(statement)]

_is_of_pipeline_run(statement) if {
	data.lib.tekton.format(statement) == "v0.2"
	statement.predicate.buildType in _v02_build_types
}

_is_of_pipeline_run(statement) if {
	data.lib.tekton.format(statement) == "v1"
	statement.predicate.buildDefinition.buildType in _v1_build_types
	some key in ["pipelineRef", "pipelineSpec"]
	is_object(statement.predicate.buildDefinition.externalParameters.runSpec[key])
}

# Who has built it.
builder_id(statement) := statement.predicate.builder.id if {
	data.lib.tekton.format(statement) == "v0.2"
} else := statement.predicate.runDetails.builder.id

# What went into it: objects with `uri` and `digest`.
materials(statement) := [material | some material in statement.predicate.materials] if {
	data.lib.tekton.format(statement) == "v0.2"
} else := [material | some material in statement.predicate.buildDefinition.resolvedDependencies]

# Tasks of each of these attestations (see tekton.rego). Use this rather than tekton.tasks(): it is computed once.
tasks_by_attestation := [data.lib.tekton.tasks(statement) | some statement in pipelinerun_attestations]

# All of them in one list.
tasks := [task | some tasks_of_one in tasks_by_attestation; some task in tasks_of_one]

# Those that build an image.
build_tasks := [task | some task in tasks; data.lib.tekton.is_build(task)]

# Results of that name, of any task: objects with `task` (its name in the catalogue), `pipeline_task` and `value`.
results_named(name) := [{"task": task.name, "pipeline_task": task.pipeline_task, "value": value} |
	some task in tasks
	some key, value in task.results
	key == name
]

# The digest of the image that is judged.
image_digest := data.lib.image.parse(input.image.ref).digest
