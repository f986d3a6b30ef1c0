# Which tasks are trusted: those whose reference a current record of `data.trusted_tasks` names.
package lib.trusted

import rego.v1

# Are there records at all?
is_data_given if count(object.keys(data.trusted_tasks)) > 0

# Does a record of the task's key name what was asked for? Those yet to come can be trusted, and of the others the newest; none
# that has expired.
is_trusted(task) if {
	task.reference.key != data.lib.tekton.unknown
	is_pinned(task)
	some record in _acceptable(data.trusted_tasks[task.reference.key])
	record.ref == task.reference.pinned
	not data.lib.dates.is_expired(record)
}

_acceptable(records) := array.concat(
	[record | some record in records; data.lib.dates.is_future(record)],
	[record | record := data.lib.dates.current(records)],
)

is_pinned(task) if task.reference.pinned != ""

# The newest record of the task's key.
newest(task) := data.lib.dates.latest(data.trusted_tasks[task.reference.key])

# Trusted still, but there is something newer.
is_out_of_date(task) if {
	is_trusted(task)
	newest(task).ref != task.reference.pinned
}

# How long the record that the task matches remains in force: text, undefined if there is no end.
expiry(task) := min({record.expires_on |
	some record in data.trusted_tasks[task.reference.key]
	record.ref == task.reference.pinned
	is_string(record.expires_on)
})
