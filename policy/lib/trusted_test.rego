package lib.trusted_test

import rego.v1

import data.lib.fixtures
import data.lib.tekton
import data.lib.trusted

key := "oci://registry.example/tasks/task-x:0.1"

pinned_to(digest) := tekton.task({"name": "x", "ref": fixtures.bundle_reference(
	"x",
	sprintf("registry.example/tasks/task-x:0.1@%s", [digest]),
)})

a := pinned_to(fixtures.task_digest)

b := pinned_to(fixtures.other_digest)

records(first, second) := {key: [
	{"ref": fixtures.other_digest, "effective_on": first},
	{"ref": fixtures.task_digest, "effective_on": second},
]}

march := time.parse_rfc3339_ns("2024-03-01T00:00:00Z")

test_only_the_newest_of_the_past_is_trusted if {
	trusted_tasks := records("2024-02-01T00:00:00Z", "2024-01-01T00:00:00Z")
	trusted.is_trusted(b) with data.trusted_tasks as trusted_tasks with data.config.policy.when_ns as march
	not trusted.is_trusted(a) with data.trusted_tasks as trusted_tasks with data.config.policy.when_ns as march
}

test_the_future_is_trusted_and_makes_the_present_out_of_date if {
	trusted_tasks := records("2024-04-01T00:00:00Z", "2024-01-01T00:00:00Z")
	trusted.is_trusted(b) with data.trusted_tasks as trusted_tasks with data.config.policy.when_ns as march
	trusted.is_trusted(a) with data.trusted_tasks as trusted_tasks with data.config.policy.when_ns as march
	trusted.is_out_of_date(a) with data.trusted_tasks as trusted_tasks with data.config.policy.when_ns as march
	not trusted.is_out_of_date(b) with data.trusted_tasks as trusted_tasks with data.config.policy.when_ns as march
}

test_what_has_expired_is_not_trusted if {
	trusted_tasks := {key: [{"ref": fixtures.task_digest, "expires_on": "2024-02-01T00:00:00Z"}]}
	not trusted.is_trusted(a) with data.trusted_tasks as trusted_tasks with data.config.policy.when_ns as march
	january := time.parse_rfc3339_ns("2024-01-01T00:00:00Z")
	trusted.is_trusted(a) with data.trusted_tasks as trusted_tasks with data.config.policy.when_ns as january
	trusted.expiry(a) == "2024-02-01T00:00:00Z" with data.trusted_tasks as trusted_tasks
	of_two := {key: array.concat(trusted_tasks[key], [{"ref": fixtures.other_digest, "expires_on": "2023-02-01T00:00:00Z"}])}
	trusted.expiry(a) == "2024-02-01T00:00:00Z" with data.trusted_tasks as of_two
	never := {key: [{
		"ref": fixtures.task_digest,
		"effective_on": "2024-04-01T00:00:00Z",
		"expires_on": "2024-02-01T00:00:00Z",
	}]}
	not trusted.is_trusted(a) with data.trusted_tasks as never with data.config.policy.when_ns as march
}

test_nothing_else_is_trusted if {
	trusted_tasks := fixtures.trusted({"x"})
	trusted.is_trusted(a) with data.trusted_tasks as trusted_tasks
	not trusted.is_trusted(b) with data.trusted_tasks as trusted_tasks
	not trusted.is_trusted(pinned_to("")) with data.trusted_tasks as trusted_tasks
	not trusted.is_trusted(a) with data.trusted_tasks as {}
	not trusted.is_trusted(a)
}

test_what_is_not_pinned_or_unknown_is_not_trusted_whatever_the_records_say if {
	inlined := tekton.task({"name": "x"})
	not trusted.is_trusted(inlined) with data.trusted_tasks as {"<UNKNOWN>": [{"ref": "<INLINED>"}]}
	of_cluster := tekton.task({"name": "x", "ref": {"name": "x"}})
	not trusted.is_trusted(of_cluster) with data.trusted_tasks as {"<UNKNOWN>": [{"ref": ""}]}
	not trusted.is_trusted(pinned_to("")) with data.trusted_tasks as {key: [{"ref": ""}]}
}

test_pinned if {
	trusted.is_pinned(a)
	trusted.is_pinned(tekton.task({"name": "x"}))
	not trusted.is_pinned(tekton.task({"name": "x", "ref": {"name": "x"}}))
}

test_data_given if {
	trusted.is_data_given with data.trusted_tasks as fixtures.trusted({"x"})
	not trusted.is_data_given with data.trusted_tasks as {}
	not trusted.is_data_given
}
