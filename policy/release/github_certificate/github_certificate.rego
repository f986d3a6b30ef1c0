# METADATA
# title: Certificates of GitHub workflows
# description: >-
#   An image that a GitHub workflow has signed without a key of its own is signed with a certificate, which says in which
#   workflow it happened.
package policy.release.github_certificate

import rego.v1

import data.lib

# METADATA
# title: The workflow is known
# description: The certificate of each signature says which workflow has signed.
# custom:
#   short_name: gh_workflow_extensions
#   failure_msg: 'A certificate that signed the image does not say: %s'
#   solution: Sign in a GitHub workflow that has the permission "id-token".
#   collections:
#   - github
warn contains result if {
	some certificate in _certificates
	missing := {name |
		some name, number in _extensions
		not _text(certificate, number)
	}
	count(missing) > 0
	result := lib.result(rego.metadata.chain(), [concat(", ", sort(missing))])
}

# METADATA
# title: The workflow is of a permitted repository
# description: >-
#   The repository whose workflow has signed the image is in the rule data allowed_gh_workflow_repos, if that has any.
# custom:
#   short_name: gh_workflow_repository
#   failure_msg: '%s'
#   solution: Sign in a workflow of one of allowed_gh_workflow_repos, or add the repository to that list.
#   collections:
#   - github
#   depends_on:
#   - github_certificate.rule_data_provided
deny contains result if {
	some problem in _problems("GitHub Workflow Repository", "allowed_gh_workflow_repos")
	result := lib.result(rego.metadata.chain(), [problem])
}

# METADATA
# title: The workflow ran for a permitted reference
# description: >-
#   The branch or tag for which the workflow has signed the image is in the rule data allowed_gh_workflow_refs, if that
#   has any.
# custom:
#   short_name: gh_workflow_ref
#   failure_msg: '%s'
#   solution: Sign in a workflow that runs for one of allowed_gh_workflow_refs, or add the reference to that list.
#   collections:
#   - github
#   depends_on:
#   - github_certificate.rule_data_provided
deny contains result if {
	some problem in _problems("GitHub Workflow Ref", "allowed_gh_workflow_refs")
	result := lib.result(rego.metadata.chain(), [problem])
}

# METADATA
# title: The workflow is a permitted one
# description: >-
#   The name of the workflow that has signed the image is in the rule data allowed_gh_workflow_names, if that has any.
# custom:
#   short_name: gh_workflow_name
#   failure_msg: '%s'
#   solution: Sign in one of allowed_gh_workflow_names, or add the workflow's name to that list.
#   collections:
#   - github
#   depends_on:
#   - github_certificate.rule_data_provided
deny contains result if {
	some problem in _problems("GitHub Workflow Name", "allowed_gh_workflow_names")
	result := lib.result(rego.metadata.chain(), [problem])
}

# METADATA
# title: The workflow was started by a permitted event
# description: >-
#   The event that has started the workflow is in the rule data allowed_gh_workflow_triggers, if that has any.
# custom:
#   short_name: gh_workflow_trigger
#   failure_msg: '%s'
#   solution: Sign in a workflow that one of allowed_gh_workflow_triggers starts, or add the event to that list.
#   collections:
#   - github
#   depends_on:
#   - github_certificate.rule_data_provided
deny contains result if {
	some problem in _problems("GitHub Workflow Trigger", "allowed_gh_workflow_triggers")
	result := lib.result(rego.metadata.chain(), [problem])
}

# METADATA
# title: Rule data on GitHub workflows has the right form
# description: Each list of this package in the rule data is one of different strings.
# custom:
#   short_name: rule_data_provided
#   failure_msg: '%s'
#   solution: Correct the value of the named key in the rule data of the policy.
#   collections:
#   - github
#   - policy_data
deny contains result if {
	some key in {
		"allowed_gh_workflow_repos",
		"allowed_gh_workflow_refs",
		"allowed_gh_workflow_names",
		"allowed_gh_workflow_triggers",
	}
	some error in lib.rule_data_errors(key, lib.texts)
	result := lib.result(rego.metadata.chain(), [error])
}

# Of the extensions 1.3.6.1.4.1.57264.1.<number> those that hold their text as it is.
_extensions := {
	"GitHub Workflow Trigger": 2,
	"GitHub Workflow SHA": 3,
	"GitHub Workflow Name": 4,
	"GitHub Workflow Repository": 5,
	"GitHub Workflow Ref": 6,
}

# Certificates that may sign code, of the signatures of the image. As in Go's x509: the lowest bit of the key usage is
# that of digital signatures, 3 the extended usage of code signing.
_certificates := [certificate |
	some signature in input.image.signatures
	some certificate in crypto.x509.parse_certificates(signature.certificate)
	bits.and(certificate.KeyUsage, 1) == 1
	3 in certificate.ExtKeyUsage
]

_text(certificate, number) := text if {
	some extension in certificate.Extensions
	extension.Id == [1, 3, 6, 1, 4, 1, 57264, 1, number]
	text := base64.decode(extension.Value)
}

# What is wrong with the values of an extension, given a list of those that are permitted. A list without entries
# permits all, one with entries demands that the certificate has a value.
_problems(name, key) := {problem |
	allowed := lib.rule_data(key)
	count(allowed) > 0
	some value in _values(name)
	not value in allowed
	problem := sprintf("%s %q is not one of %s: %s", [name, value, key, concat(", ", allowed)])
} | {problem |
	count(lib.rule_data(key)) > 0
	count(_values(name)) == 0
	problem := sprintf("No certificate that signed the image has a %s, which must be one of %s", [name, key])
}

_values(name) := {_text(certificate, _extensions[name]) | some certificate in _certificates}
