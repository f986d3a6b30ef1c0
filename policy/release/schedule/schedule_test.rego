package policy.release.schedule_test

import rego.v1

import data.lib.fixtures
import data.policy.release.schedule

# A Friday.
friday := time.parse_rfc3339_ns("2023-01-06T00:00:00Z")

last_moment := time.parse_rfc3339_ns("2023-01-06T23:59:59Z")

saturday := time.parse_rfc3339_ns("2023-01-07T00:00:00Z")

rule_data := {"disallowed_weekdays": ["FRIday", "Sunday"], "disallowed_dates": ["2023-01-06"]}

test_weekday_restriction_passes if {
	fixtures.none(schedule.deny) with data.rule_data as rule_data with data.config.policy.when_ns as saturday
	fixtures.none(schedule.deny) with data.config.policy.when_ns as friday
}

test_weekday_restriction_fails if {
	expected := {{"code": "schedule.weekday_restriction", "msg": "friday is a disallowed weekday: FRIday, Sunday"}}
	every now in [friday, last_moment] {
		fixtures.same(schedule.deny, expected) with data.rule_data as {"disallowed_weekdays": ["FRIday", "Sunday"]}
			with data.config.policy.when_ns as now
	}
}

test_date_restriction_passes if {
	fixtures.none(schedule.deny) with data.rule_data as {"disallowed_dates": ["2023-01-06"]}
		with data.config.policy.when_ns as saturday
}

test_date_restriction_fails if {
	expected := {{"code": "schedule.date_restriction", "msg": "2023-01-06 is a disallowed date: 2023-01-06"}}
	every now in [friday, last_moment] {
		fixtures.same(schedule.deny, expected) with data.rule_data as {"disallowed_dates": ["2023-01-06"]}
			with data.config.policy.when_ns as now
	}
}

test_rule_data_provided_passes if {
	fixtures.none(schedule.deny) with data.rule_data as rule_data with data.config.policy.when_ns as saturday
}

test_rule_data_provided_fails if {
	every odd in [
		{"disallowed_weekdays": ["Fryday"]},
		{"disallowed_weekdays": [5]},
		{"disallowed_weekdays": "friday"},
		{"disallowed_dates": ["24.12."]},
		{"disallowed_dates": [20241224]},
		{"disallowed_dates": {"2024-12-24": true}},
	] {
		fixtures.same_codes(schedule.deny, {"schedule.rule_data_provided"}) with data.rule_data as odd
			with data.config.policy.when_ns as saturday
	}
}
