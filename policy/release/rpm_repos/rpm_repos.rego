# METADATA
# title: Repositories of RPM packages
# description: RPM packages are installed from repositories that the policy knows.
package policy.release.rpm_repos

import rego.v1

import data.lib
import data.lib.sbom as sboms

# METADATA
# title: Each package is from a known repository
# description: >-
#   The package URL of each RPM package in the SBOM has the qualifier repository_id, and its value is in the rule data
#   known_rpm_repositories.
# custom:
#   short_name: ids_known
#   failure_msg: '%s'
#   solution: >-
#     Install the package from one of known_rpm_repositories, in a way that the SBOM tells, as with prefetched RPM
#     packages.
#   collections:
#   - redhat
#   depends_on:
#   - rpm_repos.rule_data_provided
#   effective_on: "2024-11-10T00:00:00Z"
deny contains result if {
	some package_ in sboms.packages
	package_.type == "rpm"
	problem := _problem(package_)
	result := lib.result_with_term(rego.metadata.chain(), [problem], package_.purl)
}

# METADATA
# title: Known repositories are given
# description: The rule data known_rpm_repositories is a list of at least one identifier.
# custom:
#   short_name: rule_data_provided
#   failure_msg: '%s'
#   solution: >-
#     Give the rule data of the policy a list known_rpm_repositories, as ["ubi-9-baseos-rpms"].
#   collections:
#   - redhat
#   - policy_data
#   effective_on: "2024-11-10T00:00:00Z"
deny contains result if {
	some error in lib.rule_data_errors("known_rpm_repositories", lib.some_texts)
	result := lib.result(rego.metadata.chain(), [error])
}

_problem(package_) := sprintf("The SBOM does not say from which repository the RPM package %q is", [package_.purl]) if {
	not package_.qualifiers.repository_id
} else := problem if {
	not package_.qualifiers.repository_id in lib.rule_data("known_rpm_repositories")
	problem := sprintf(
		"The RPM package %q is from the repository %q, which is not a known one",
		[package_.purl, package_.qualifiers.repository_id],
	)
}
