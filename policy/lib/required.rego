# Which tasks a pipeline has to have: `data["pipeline-required-tasks"]` by kind of pipeline, else `data["required-tasks"]`. Each
# is a list of objects `{effective_on, tasks}`; an item of `tasks` is a name, `name[PARAM=value]`, or a list of which one is
# enough.
package lib.required

import rego.v1

# The lists for a kind of pipeline.
lists_for(kind) := lists if {
	lists := data["pipeline-required-tasks"][kind]
	count(lists) > 0
} else := lists if {
	lists := data["required-tasks"]
} else := []

# The lists for the pipeline of `source`, provenance or the definition of a Pipeline, whose tasks are `tasks`.
lists(source, tasks) := found if {
	found := lists_for(kind(source, tasks))
} else := lists_for("")

# As lists(), without those that are for all kinds.
own_lists(source, tasks) := found if {
	found := data["pipeline-required-tasks"][kind(source, tasks)]
} else := []

_build_type := "build.appstudio.redhat.com/build_type"

_runtime := "pipelines.openshift.io/runtime"

# Catalogs of operators are built by the tasks that build any image: there the image says what it is.
kind(source, tasks) := "fbc" if {
	input.image.config.Labels["operators.operatorframework.io.index.configs.v1"]
} else := sort(types)[0] if {
	types := {task.labels[_build_type] | some task in tasks; data.lib.tekton.is_build(task); is_string(task.labels[_build_type])}
	count(types) > 0
} else := runtime if {
	runtime := source.predicate.invocation.environment.labels[_runtime]
} else := runtime if {
	runtime := source.predicate.buildDefinition.internalParameters.labels[_runtime]
} else := runtime if {
	runtime := source.metadata.labels[_runtime]
}

is_list_given(all) if is_array(data.lib.dates.current(all).tasks)

# What is required today, and will be tomorrow: what the newest list gives up is not asked for any more.
still_required(all) := {item |
	some item in data.lib.dates.current(all).tasks
	item in data.lib.dates.latest(all).tasks
}

# What only the newest list asks for, which is not in force yet.
newly_required(all) := {item |
	some item in data.lib.dates.latest(all).tasks
	not _is_in_current(item, all)
}

_is_in_current(item, all) if item in data.lib.dates.current(all).tasks

# Is one of `tasks` what `item` asks for?
is_met(item, tasks) if {
	some task in tasks
	count(_alternatives(item) & task.names) > 0
}

_alternatives(item) := {item} if is_string(item)

_alternatives(item) := {name | some name in item} if is_array(item)

describe(item) := sprintf("Required task %q", [item]) if {
	is_string(item)
} else := sprintf("One of %s tasks", [concat(", ", names)]) if {
	is_array(item)
	names := [sprintf("%q", [data.lib.text(name)]) | some name in item]
} else := sprintf("Required task %s", [data.lib.text(item)])
