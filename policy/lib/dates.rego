# Dates of records, seen from the time for which the policy is evaluated.
package lib.dates

import rego.v1

# In nanoseconds since 1970: the effective time if there is one, else that of the clock.
now_ns := data.config.policy.when_ns if {
	is_number(data.config.policy.when_ns)
} else := time.now_ns()

# Has `record` begun to be in force? One without a date has. One whose date cannot be read has not.
is_past(record) if begins_at(record) <= now_ns

is_future(record) if begins_at(record) > now_ns

# Is `record` not in force any more? Then it has an `expires_on` that is over, or that cannot be read.
is_expired(record) if {
	expires_on := record.expires_on
	not _later(expires_on)
}

_later(date) if time.parse_rfc3339_ns(date) > now_ns

begins_at(record) := time.parse_rfc3339_ns(object.get(record, "effective_on", "1970-01-01T00:00:00Z"))

# The one of `records` that is in force: of those that are not in the future the newest. Undefined if there is none.
current(records) := record if {
	past := [candidate | some candidate in records; is_past(candidate)]
	record := _newest(past)
}

# The one of `records` with the latest date, be it in the future. Undefined if there is none.
latest(records) := _newest([record | some record in records; begins_at(record)])

# Of several with one date the first.
_newest(records) := records[index] if {
	count(records) > 0
	times := [begins_at(record) | some record in records]
	newest := max(times)
	index := min([position | some position, time_ns in times; time_ns == newest])
}
