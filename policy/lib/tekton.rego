# Tasks: read from provenance of either format, from Pipelines and from single Tasks, in one form.
#
# A task is an object with
#   pipeline_task  its name within the Pipeline
#   name           its name in the catalogue, `<NAMELESS>` if it has none
#   names          what a list of required tasks may call it: the name, and the name with each param, `name[param=value]`
#   reference      how it was found (see reference.rego)
#   params         values by name
#   results        values by name; those that are JSON as what they stand for
#   labels, annotations
#   steps          objects with `name` and `image`, as far as they are known: none in the definition of a Pipeline
#   tampered       what the build service says about somebody who was let into its pod: empty if nobody was
#   status         `Succeeded`, `Failed`, … or `MISSING`
package lib.tekton

import rego.v1

# The tasks of a statement of provenance, or of the definition of a Pipeline, in their order.
tasks(source) := [task(raw) | some raw in _raw(source)]

nameless := "<NAMELESS>"

missing := "MISSING"

_raw(source) := [raw | some raw in source.predicate.buildConfig.tasks] if {
	format(source) == "v0.2"
} else := [raw |
	# Provenance v1: whole TaskRuns, beside what else the build depended on.
	some dependency in source.predicate.buildDefinition.resolvedDependencies
	dependency.name in {"pipelineTask", "task"}
	raw := json.unmarshal(base64.decode(dependency.content))
	is_object(raw)
] if {
	format(source) == "v1"
} else := [raw |
	some list in ["tasks", "finally"]
	some raw in source.spec[list]
] if {
	format(source) == "Pipeline"
} else := []

# What `source` is: provenance `v0.2` or `v1`, a `Pipeline`, or `other`. What a statement calls itself does not matter here: that is
# a rule's to judge (slsa_provenance_available), and must not keep the others from looking.
format(source) := "v0.2" if {
	is_string(source.predicate.buildType)
} else := "v1" if {
	is_object(source.predicate.buildDefinition)
} else := "Pipeline" if {
	source.kind == "Pipeline"
} else := "other"

# `raw` is a task of provenance v0.2 (`buildConfig.tasks`), a TaskRun, or a task of a Pipeline.
task(raw) := {
	"pipeline_task": _pipeline_task(raw),
	"name": name,
	"names": _names(name, params),
	"reference": reference,
	"params": params,
	"results": {entry.name: _decoded(entry.value) | some entry in _results(raw)},
	"labels": labels,
	"annotations": _annotations(raw),
	"steps": _steps(raw),
	"status": _status(raw),
	"tampered": array.concat(_tampered(raw), _tampered_conditions(raw)),
} if {
	labels := _labels(raw)
	reference := _reference(raw)
	params := _params(raw)
	name := _name(labels, reference)
}

_pipeline_task(raw) := raw.name if {
	is_string(raw.name)
} else := raw.metadata.labels["tekton.dev/pipelineTask"] if {
	is_string(raw.metadata.labels["tekton.dev/pipelineTask"])
} else := nameless

# Names that somebody was free to choose must not pass for a name with a param: what follows a bracket is cut off.
_name(labels, reference) := split(_recorded_name(labels, reference), "[")[0]

# A label may lie: who writes a PipelineRun can give labels to its tasks. Of a bundle, which may hold several tasks, the reference
# says which one has run; of a file in git the label has to be part of its path.
_recorded_name(labels, reference) := reference.name if {
	reference.form == "bundle"
	reference.name != ""
} else := nameless if {
	reference.form == "bundle"
} else := label if {
	reference.form == "git"
	label := labels["tekton.dev/task"]
	label in reference.path
} else := reference.path[count(reference.path) - 1] if {
	count(reference.path) > 0
} else := labels["tekton.dev/task"] if {
	is_string(labels["tekton.dev/task"])
	labels["tekton.dev/task"] != ""
} else := reference.name if {
	reference.name != ""
} else := nameless

_names(name, params) := {name} | {sprintf("%s[%s=%s]", [name, param, value]) |
	some param, value in params
	is_string(value)
}

_labels(raw) := raw.invocation.environment.labels if {
	is_object(raw.invocation.environment.labels)
} else := raw.metadata.labels if {
	is_object(raw.metadata.labels)
} else := {}

_annotations(raw) := raw.invocation.environment.annotations if {
	is_object(raw.invocation.environment.annotations)
} else := raw.metadata.annotations if {
	is_object(raw.metadata.annotations)
} else := {}

_params(raw) := raw.invocation.parameters if {
	is_object(raw.invocation.parameters)
} else := _by_name(raw.spec.params) if {
	raw.spec.params
} else := _by_name(raw.params) if {
	raw.params
} else := {}

# Of several with one name the last counts, as for Tekton.
_by_name(params) := {name: value |
	some param in params
	name := param.name
	values := [other.value | some other in params; other.name == name]
	value := values[count(values) - 1]
}

_results(raw) := raw.results if {
	is_array(raw.results)
} else := raw.status.results if {
	is_array(raw.status.results)
} else := raw.status.taskResults if {
	is_array(raw.status.taskResults)
} else := []

# Numbers remain texts: a commit may consist of digits.
_decoded(value) := json.unmarshal(value) if {
	is_string(value)
	not regex.match(`^\s*-?[0-9]`, value)
	json.is_valid(value)
} else := value

_steps(raw) := [{"name": object.get(environment, "container", ""), "image": _image(object.get(environment, "image", ""))} |
	some step in raw.steps
	environment := object.get(step, "environment", {})
] if {
	is_array(raw.steps)
} else := [{"name": object.get(step, "name", ""), "image": _image(object.get(step, "imageID", ""))} |
	some step in raw.status.steps
] if {
	is_array(raw.status.steps)
} else := []

_image(id) := trim_prefix(trim_prefix(id, "oci://"), "docker-pullable://")

_status(raw) := raw.status if {
	is_string(raw.status)
	raw.status != ""
} else := "Succeeded" if {
	_ended(raw, "True")
} else := "Failed" if {
	_ended(raw, "False")
} else := missing

_ended(run, status) if {
	some condition in run.status.conditions
	condition.type == "Succeeded"
	condition.status == status
}

# The value of the result `name` of `task`. Undefined if the task has none.
task_result(task, name) := task.results[name]

# The same as text without white space at its ends, as references and digests are compared. Undefined if it is no text.
text_result(task, name) := trim_space(task.results[name])

# Images that `task` says to have built. Results of other builds may have prefixes: `<x>IMAGE_URL` goes with `<x>IMAGE_DIGEST`.
images(task) := [image |
	some key, value in task.results
	endswith(key, "IMAGE_URL")
	is_string(value)
	url := trim_space(value)
	url != ""
	digest := text_result(task, sprintf("%sIMAGE_DIGEST", [trim_suffix(key, "IMAGE_URL")]))
	digest != ""
	image := {"url": url, "digest": digest}
]

# References, with digests, of all that Tekton Chains takes for a product of `task`: images, and what its results name by `IMAGES`,
# by pairs `<x>ARTIFACT_URI` and `<x>ARTIFACT_DIGEST`, or by objects `<x>ARTIFACT_OUTPUTS`.
products(task) := array.concat(
	array.concat(
		[sprintf("%s@%s", [built.url, built.digest]) | some built in images(task)],
		[trim_space(reference) | some reference in regex.split(`[,\n]`, text_result(task, "IMAGES"))],
	),
	array.concat(
		[sprintf("%s@%s", [text_result(task, key), text_result(task, digest)]) |
			some key, _ in task.results
			endswith(key, "ARTIFACT_URI")
			digest := concat("", [trim_suffix(key, "URI"), "DIGEST"])
		],
		[sprintf("%s@%s", [value.uri, value.digest]) |
			some key, value in task.results
			endswith(key, "ARTIFACT_OUTPUTS")
		],
	),
)

# Does `task` build an image?
is_build(task) if count(images(task)) > 0

# Does `task` fetch sources from git?
is_git_clone(task) if {
	is_string(task.results.commit)
	is_string(task.results.url)
}

_tampered(raw) := tampered(raw.invocation.environment) if {
	raw.invocation.environment
} else := []

_tampered_conditions(raw) := [{"kind": "TaskRun", "name": object.get(raw, ["metadata", "name"], ""), "reason": object.get(condition, "reason", "")} |
	some condition in raw.status.conditions
	condition.type == "Tampered"
	condition.status != "False"
] if {
	is_array(raw.status.conditions)
} else := []

# What `place` in provenance says: `invocation.environment` of v0.2 or `internalParameters` of v1. What cannot be read counts,
# too.
tampered(place) := [] if {
	not _is_there(place, "tampered")
} else := place.tampered if {
	is_array(place.tampered)
} else := [place.tampered]

_is_there(place, key) if object.keys(place)[key]
