# What the rules report.
package lib

import rego.v1

# A rule without a date of its own has always been in force: this day lies before the first release of the policy.
always := "2022-01-01T00:00:00Z"

# One finding of the rule whose annotations are the first of `chain`: pass `rego.metadata.chain()`.
# `params` fill the rule's `failure_msg`.
result(chain, params) := {
	"code": code(chain),
	"msg": _message(chain[0].annotations.custom.failure_msg, params),
	"collections": object.get(chain[0].annotations.custom, "collections", []),
	"effective_on": object.get(chain[0].annotations.custom, "effective_on", always),
}

# As `result`, about one of several things, so that a policy can exclude `<code>:<term>` alone.
result_with_term(chain, params, term) := object.union(result(chain, params), {"term": term})

# The full name of a rule: its package without the parts that all packages share, and its short name.
code(chain) := concat(".", array.concat(_package(chain[0].path), [chain[0].annotations.custom.short_name]))

# The last element of `path` is `deny` or `warn`.
_package(path) := array.slice(path, 2, count(path) - 1) if {
	path[0] == "policy"
	path[1] in {"release", "pipeline"}
} else := array.slice(path, 1, count(path) - 1) if {
	path[0] == "policy"
} else := array.slice(path, 0, count(path) - 1)

# A text without verbs is not formatted: it may hold per cent signs. One that cannot be filled, since a param is of another type,
# must not make the finding vanish.
_message(format, params) := format if {
	count(params) == 0
} else := message if {
	message := sprintf(format, [_param(param) | some param in params])
} else := concat(" ", [format, json.marshal(params)])

_param(value) := value if {
	is_number(value)
} else := text(value)

# Any value as text, for messages and terms.
text(value) := value if {
	is_string(value)
} else := json.marshal(value)
