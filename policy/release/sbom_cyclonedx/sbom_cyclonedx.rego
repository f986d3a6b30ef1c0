# METADATA
# title: SBOM in CycloneDX
# description: >-
#   What is in the image is listed in the format CycloneDX, and nothing is listed that the policy forbids. Documents count
#   that are in the image, that are attested, or that a build task names by digest.
package policy.release.sbom_cyclonedx

import rego.v1

import data.lib
import data.lib.cyclonedx_schema
import data.lib.sbom as sboms

# METADATA
# title: There is a CycloneDX document
# description: At least one document in the format CycloneDX lists what is in the image.
# custom:
#   short_name: found
#   failure_msg: There is no SBOM in the format CycloneDX
#   solution: >-
#     Build with a pipeline that writes an SBOM in the format CycloneDX, with the parameter SBOM_TYPE "cyclonedx" where
#     the build task has it.
#   collections:
#   - minimal
#   - redhat
deny contains result if {
	count(sboms.cyclonedx) == 0
	result := lib.result(rego.metadata.chain(), [])
}

# METADATA
# title: The document holds to its schema
# description: Each document in the format CycloneDX has the form that CycloneDX 1.5 demands.
# custom:
#   short_name: valid
#   failure_msg: 'The CycloneDX SBOM from %s is not valid: %s'
#   solution: Update the tool that writes the SBOM, or what merges several.
#   collections:
#   - minimal
#   - redhat
deny contains result if {
	some found in sboms.cyclonedx
	some error in lib.schema_errors(found.document, cyclonedx_schema.v1_5)
	result := lib.result(rego.metadata.chain(), [found.origin, error])
}

# METADATA
# title: The document lists something
# description: Each document in the format CycloneDX has at least one component.
# custom:
#   short_name: contains_components
#   failure_msg: The CycloneDX SBOM from %s lists no components
#   solution: Check that the tool that writes the SBOM looks at the image and at its sources.
#   collections:
#   - minimal
#   - redhat
deny contains result if {
	some found in sboms.cyclonedx
	count(sboms.components(found.document)) == 0
	result := lib.result(rego.metadata.chain(), [found.origin])
}

# METADATA
# title: No forbidden package
# description: >-
#   No SBOM, of whichever format, lists a package of the rule data disallowed_packages at a version between min and max.
#   Without these all versions are forbidden, and with them also a version that cannot be compared.
# custom:
#   short_name: allowed
#   failure_msg: The package %q, which the SBOM from %s lists, is not allowed
#   solution: Build without the package, or with a version that is not in disallowed_packages.
#   collections:
#   - redhat
#   depends_on:
#   - sbom_cyclonedx.disallowed_packages_provided
deny contains result if {
	# Lists of packages are long, and most policies forbid none.
	count(_disallowed) > 0
	some package_ in sboms.packages
	some entry in _disallowed[_name(package_)]
	_is_disallowed(package_, entry)
	result := lib.result(rego.metadata.chain(), [package_.purl, package_.origin])
}

# METADATA
# title: No component with a forbidden property
# description: No component has a property that the rule data disallowed_attributes lists, with or without its value.
# custom:
#   short_name: disallowed_package_attributes
#   failure_msg: 'The component %q, which the SBOM from %s lists, has the property %q, which is not allowed'
#   solution: Build in a way that does not need the component, or that obtains it as the policy demands.
#   collections:
#   - redhat
#   depends_on:
#   - sbom_cyclonedx.disallowed_packages_provided
deny contains result if {
	some entry in lib.rule_data("disallowed_attributes")
	some listed in _components
	some property in listed.component.properties
	property.name == entry.name
	object.get(property, "value", "") == object.get(entry, "value", object.get(property, "value", ""))
	finding := lib.result(rego.metadata.chain(), [_identity(listed.component), listed.origin, property.name])
	result := object.union(finding, object.filter(entry, ["effective_on"]))
}

# METADATA
# title: External references are to permitted places
# description: >-
#   If the rule data allowed_external_references has patterns for a type of references, each reference of that type
#   matches one of them.
# custom:
#   short_name: allowed_package_external_references
#   failure_msg: 'The component %q, which the SBOM from %s lists, has a reference of type %s to %q, which is not allowed'
#   solution: Obtain the component from a place that matches allowed_external_references.
#   collections:
#   - redhat
#   depends_on:
#   - sbom_cyclonedx.disallowed_packages_provided
deny contains result if {
	some type, patterns in _patterns("allowed_external_references")
	some listed in _components
	some reference in listed.component.externalReferences
	reference.type == type
	url := object.get(reference, "url", "")
	not _matches_one(url, patterns)
	result := lib.result(rego.metadata.chain(), [_identity(listed.component), listed.origin, type, url])
}

# METADATA
# title: No external reference to a forbidden place
# description: No reference of a component matches a pattern of the rule data disallowed_external_references.
# custom:
#   short_name: disallowed_package_external_references
#   failure_msg: 'The component %q, which the SBOM from %s lists, has a reference of type %s to %q, which is forbidden'
#   solution: Obtain the component from a place that matches no pattern of disallowed_external_references.
#   collections:
#   - redhat
#   depends_on:
#   - sbom_cyclonedx.disallowed_packages_provided
deny contains result if {
	some type, patterns in _patterns("disallowed_external_references")
	some listed in _components
	some reference in listed.component.externalReferences
	reference.type == type
	_matches_one(reference.url, patterns)
	result := lib.result(rego.metadata.chain(), [_identity(listed.component), listed.origin, type, reference.url])
}

# METADATA
# title: Prefetched packages are from permitted places
# description: >-
#   Each component that was fetched before a build without network, and that says from where, matches a pattern that the
#   rule data allowed_package_sources has for its type of packages. There is no default: nothing is permitted without it.
# custom:
#   short_name: allowed_package_sources
#   failure_msg: 'The component %q, which the SBOM from %s lists, was fetched from %q, which is not allowed'
#   solution: Fetch the component from a place that matches allowed_package_sources.
#   collections:
#   - redhat
#   depends_on:
#   - sbom_cyclonedx.disallowed_packages_provided
deny contains result if {
	some listed in _components
	_is_prefetched(listed.component)
	some reference in listed.component.externalReferences
	reference.type == "distribution"
	url := object.get(reference, "url", "")
	not _is_permitted_source(listed.component, url)
	result := lib.result(rego.metadata.chain(), [_identity(listed.component), listed.origin, url])
}

# METADATA
# title: Rule data on packages has the right form
# description: >-
#   The rule data disallowed_packages, disallowed_attributes, allowed_external_references,
#   disallowed_external_references and allowed_package_sources are lists of what their rules can compare with.
# custom:
#   short_name: disallowed_packages_provided
#   failure_msg: '%s'
#   solution: Correct the value of the named key in the rule data of the policy.
#   collections:
#   - redhat
#   - policy_data
deny contains result if {
	some error in _rule_data_errors
	result := lib.result(rego.metadata.chain(), [error])
}

# A list, and without the documents: to put them into a set, each would have to be compared with the others.
_components := [{"origin": found.origin, "component": component} |
	some found in sboms.cyclonedx
	some component in sboms.components(found.document)
]

_identity(component) := purl if {
	purl := component.purl
} else := object.get(component, "name", "without a name")

# Entries of the rule data by what they are about.
_disallowed[name] contains entry if {
	some entry in lib.rule_data("disallowed_packages")
	name := _name(ec.purl.parse(entry.purl))
}

_name(package_) := concat("/", [package_.type, package_.namespace, package_.name])

_is_disallowed(package_, entry) if {
	not _is_excepted(package_, entry)
	not _is_outside(_version(package_.version, entry.format), entry)
}

_is_excepted(package_, entry) if {
	some exception in entry.exceptions
	exception.subpath == package_.subpath
}

# A version that cannot be compared is outside of nothing.
_is_outside(version, entry) if semver.compare(version, _version(entry.min, entry.format)) < 0

_is_outside(version, entry) if semver.compare(version, _version(entry.max, entry.format)) > 0

# Go writes versions with a "v" before them.
_version(version, "semver") := version

_version(version, "semverv") := trim_prefix(version, "v")

# Patterns of the rule data by the type of references that they are for.
_patterns(key) := {type: patterns |
	some type in {entry.type | some entry in lib.rule_data(key)}
	patterns := {entry.url | some entry in lib.rule_data(key); entry.type == type}
}

_matches_one(url, patterns) if {
	some pattern in patterns
	regex.match(pattern, url)
}

_is_prefetched(component) if {
	some property in component.properties
	property.name in {"cachi2:found_by", "hermeto:found_by"}
}

_is_permitted_source(component, url) if {
	some entry in lib.rule_data("allowed_package_sources")
	entry.type == ec.purl.parse(component.purl).type
	_matches_one(url, entry.patterns)
}

_rule_data_errors contains error if {
	some key, schema in _schemas
	some error in lib.rule_data_errors(key, {"type": "array", "uniqueItems": true, "items": schema})
}

_rule_data_errors contains error if {
	some entry in lib.rule_data("disallowed_packages")
	not ec.purl.is_valid(entry.purl)
	error := _error("disallowed_packages", "no package URL", entry.purl)
}

_rule_data_errors contains error if {
	some entry in lib.rule_data("disallowed_packages")
	some limit in ["min", "max"]
	version := entry[limit]
	not semver.is_valid(_version(version, entry.format))
	error := _error("disallowed_packages", concat(" ", ["no version of the format", entry.format]), version)
}

_rule_data_errors contains error if {
	some key in ["allowed_external_references", "disallowed_external_references"]
	some entry in lib.rule_data(key)
	not regex.is_valid(entry.url)
	error := _error(key, "no regular expression", entry.url)
}

_rule_data_errors contains error if {
	some entry in lib.rule_data("allowed_package_sources")
	some pattern in entry.patterns
	not regex.is_valid(pattern)
	error := _error("allowed_package_sources", "no regular expression", pattern)
}

_error(key, problem, value) := sprintf("Rule data %s has unexpected format: %q is %s", [key, value, problem])

_schemas := {
	"disallowed_packages": {
		"type": "object",
		"required": ["purl", "format"],
		"additionalProperties": false,
		"properties": {
			"purl": {"type": "string"},
			"format": {"enum": ["semver", "semverv"]},
			"min": {"type": "string"},
			"max": {"type": "string"},
			"exceptions": {"type": "array", "items": {
				"type": "object",
				"required": ["subpath"],
				"additionalProperties": false,
				"properties": {"subpath": {"type": "string"}},
			}},
		},
	},
	"disallowed_attributes": {
		"type": "object",
		"required": ["name"],
		"additionalProperties": false,
		"properties": {
			"name": {"type": "string"},
			"value": {"type": "string"},
			"effective_on": {"type": "string", "format": "date-time"},
		},
	},
	"allowed_external_references": _reference_schema,
	"disallowed_external_references": _reference_schema,
	"allowed_package_sources": {
		"type": "object",
		"required": ["type", "patterns"],
		"additionalProperties": false,
		"properties": {"type": {"type": "string"}, "patterns": lib.some_texts},
	},
}

_reference_schema := {
	"type": "object",
	"required": ["type", "url"],
	"additionalProperties": false,
	"properties": {"type": {"type": "string"}, "url": {"type": "string"}},
}
