# METADATA
# title: Tampered runs
# description: >-
#   Nobody was let into a pod of the pipeline while it ran: by an exec, an attach, a forwarded port, a proxy or a container
#   that was added. Otherwise what its steps report need not be what they have done.
package policy.release.tampered_runs

import rego.v1

import data.lib
import data.lib.tekton

# METADATA
# title: No run was tampered with
# description: >-
#   No attestation says that somebody was let into a run, and neither does any of the TaskRuns in it.
# custom:
#   short_name: nobody_was_let_in
#   failure_msg: "%s %q was tampered with while it ran: %s"
#   solution: >-
#     Build the image anew, and let nobody into the pods of the build.
#   collections: [minimal, slsa3, redhat]
deny contains result if {
	some entry in _entries
	result := lib.result_with_term(rego.metadata.chain(), [entry.kind, entry.name, entry.reason], entry.reason)
}

_entries contains _readable(entry) if {
	some statement in lib.statements
	some entry in tekton.tampered(statement.predicate.invocation.environment)
}

_entries contains _readable(entry) if {
	some statement in lib.statements
	some entry in tekton.tampered(statement.predicate.buildDefinition.internalParameters)
}

_entries contains _readable(entry) if {
	some statement in lib.statements
	some task in tekton.tasks(statement)
	some entry in task.tampered
}

_readable(entry) := {
	"kind": object.get(entry, "kind", "Run"),
	"name": object.get(entry, "name", ""),
	"reason": object.get(entry, "reason", "Unknown"),
} if {
	is_object(entry)
} else := {"kind": "Run", "name": "", "reason": "Unknown"}
