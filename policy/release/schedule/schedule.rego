# METADATA
# title: Schedule
# description: >-
#   Nothing is released on certain days. The time for which the policy is evaluated counts, in UTC.
package policy.release.schedule

import rego.v1

import data.lib
import data.lib.dates

# METADATA
# title: Weekday restriction
# description: >-
#   Today is none of the days of the week in the rule data `disallowed_weekdays`.
# custom:
#   short_name: weekday_restriction
#   failure_msg: "%s is a disallowed weekday: %s"
#   solution: Wait, or take the day out of `disallowed_weekdays`.
#   collections: [redhat]
deny contains result if {
	today := lower(time.weekday(dates.now_ns))
	disallowed := lib.rule_data("disallowed_weekdays")
	today in {lower(day) | some day in disallowed}
	result := lib.result(rego.metadata.chain(), [today, concat(", ", disallowed)])
}

# METADATA
# title: Date restriction
# description: >-
#   Today is none of the days in the rule data `disallowed_dates`, written as `2024-12-24`.
# custom:
#   short_name: date_restriction
#   failure_msg: "%s is a disallowed date: %s"
#   solution: Wait, or take the day out of `disallowed_dates`.
#   collections: [redhat]
deny contains result if {
	today := substring(time.format(dates.now_ns), 0, 10)
	disallowed := lib.rule_data("disallowed_dates")
	today in disallowed
	result := lib.result(rego.metadata.chain(), [today, concat(", ", disallowed)])
}

# METADATA
# title: Rule data provided
# description: >-
#   The rule data `disallowed_weekdays` is a list of days of the week, and `disallowed_dates` one of dates.
# custom:
#   short_name: rule_data_provided
#   failure_msg: "%s"
#   solution: Correct the list in the rule data of the policy.
#   collections: [redhat, policy_data]
deny contains result if {
	some error in _errors
	result := lib.result(rego.metadata.chain(), [error])
}

_errors contains error if {
	some key, schema in {"disallowed_weekdays": lib.texts, "disallowed_dates": _dates}
	some error in lib.rule_data_errors(key, schema)
}

_errors contains error if {
	some day in lib.rule_data("disallowed_weekdays")
	is_string(day)
	not lower(day) in {"monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"}
	error := sprintf("Rule data disallowed_weekdays has unexpected format: %q is no day of the week", [day])
}

_dates := object.union(lib.texts, {"items": {"type": "string", "pattern": "^[0-9]{4}-[0-9]{2}-[0-9]{2}$"}})
