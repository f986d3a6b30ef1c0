# METADATA
# title: RPM packages
# description: An image for several platforms has the same RPM packages on each of them.
package policy.release.rpm_packages

import rego.v1

import data.lib
import data.lib.sbom as sboms

# METADATA
# title: The same versions on each platform
# description: >-
#   Each RPM package that several SBOMs of the image list has the same versions in all of them. Packages of the rule data
#   non_unique_rpm_names are not looked at.
# custom:
#   short_name: unique_version
#   failure_msg: 'The RPM package %q has different versions: %s'
#   solution: >-
#     Build all platforms from repositories of the same state, as with lock files, or list the package in
#     non_unique_rpm_names.
#   collections:
#   - redhat
deny contains result if {
	some name, seen in _seen
	not name in lib.rule_data("non_unique_rpm_names")
	_differs(seen)
	versions := sort({entry.version | some entry in seen})
	result := lib.result_with_term(rego.metadata.chain(), [name, concat(", ", versions)], name)
}

# Where each package was seen, and at which version.
_seen[package_.name] contains {"origin": package_.origin, "version": package_.version} if {
	some package_ in sboms.packages
	package_.type == "rpm"
}

_differs(seen) if {
	versions_by_origin := {versions |
		some origin in {entry.origin | some entry in seen}
		versions := {entry.version | some entry in seen; entry.origin == origin}
	}
	count(versions_by_origin) > 1
}
