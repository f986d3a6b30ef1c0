package lib.dates_test

import rego.v1

import data.lib.dates

old := {"ref": "old", "effective_on": "2024-01-01T00:00:00Z"}

newer := {"ref": "newer", "effective_on": "2024-02-01T00:00:00Z"}

future := {"ref": "future", "effective_on": "2024-04-01T00:00:00Z"}

march := time.parse_rfc3339_ns("2024-03-01T00:00:00Z")

test_now_is_the_effective_time if {
	dates.now_ns == 7 with data.config.policy.when_ns as 7
}

test_now_is_the_time_of_the_clock if {
	dates.now_ns == 9 with time.now_ns as 9
}

test_current_is_the_newest_that_has_begun if {
	dates.current([future, old, newer]) == newer with data.config.policy.when_ns as march
	dates.latest([future, old, newer]) == future with data.config.policy.when_ns as march
	not dates.current([future]) with data.config.policy.when_ns as march
	not dates.latest([])
}

test_a_record_begins_at_its_date if {
	now := time.parse_rfc3339_ns(newer.effective_on)
	dates.is_past(newer) with data.config.policy.when_ns as now
	not dates.is_future(newer) with data.config.policy.when_ns as now
}

test_a_record_without_date_has_begun if {
	dates.is_past({"ref": "x"})
	not dates.is_future({"ref": "x"})
}

test_a_date_that_cannot_be_read_is_never_in_force if {
	not dates.is_past({"effective_on": "soon"})
	not dates.is_future({"effective_on": "soon"})
	not dates.is_past({"effective_on": 5})
	not dates.is_past({"effective_on": null})
	not dates.latest([{"effective_on": "soon"}])
	dates.is_expired({"expires_on": "soon"})
	dates.is_expired({"expires_on": 5})
}

test_expiry if {
	dates.is_expired({"expires_on": "2024-02-01T00:00:00Z"}) with data.config.policy.when_ns as march
	dates.is_expired({"expires_on": "2024-03-01T00:00:00Z"}) with data.config.policy.when_ns as march
	not dates.is_expired({"expires_on": "2024-03-01T00:00:01Z"}) with data.config.policy.when_ns as march
	not dates.is_expired({})
}
