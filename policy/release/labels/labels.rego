# METADATA
# title: Labels
# description: >-
#   Labels of the image are as the rule data demands. Images of operator catalogues (FBC) have lists of their own, whose
#   keys start with "fbc_".
package policy.release.labels

import rego.v1

import data.lib

# METADATA
# title: No deprecated label
# description: The image has no label that the rule data deprecated_labels lists.
# custom:
#   short_name: deprecated_labels
#   failure_msg: The label %q is deprecated, use %q instead
#   solution: Replace the label in the Dockerfile, or where else it is set.
#   collections:
#   - redhat
deny contains result if {
	some entry in lib.rule_data("deprecated_labels")
	_has(_labels, entry.name)
	finding := lib.result_with_term(
		rego.metadata.chain(),
		[entry.name, object.get(entry, "replacement", "nothing")],
		entry.name,
	)
	result := _dated(finding, entry)
}

# METADATA
# title: Each required label
# description: The image has each label that the rule data required_labels lists, with a value.
# custom:
#   short_name: required_labels
#   failure_msg: 'The required label %q is missing. What it is for: %s'
#   solution: Set the label in the Dockerfile.
#   collections:
#   - redhat
deny contains result if {
	not _is_index
	some entry in lib.rule_data(_key("required_labels"))
	not _has_value(_labels, entry.name)
	finding := lib.result_with_term(rego.metadata.chain(), [entry.name, _description(entry)], entry.name)
	result := _dated(finding, entry)
}

# METADATA
# title: No label from the parent that the image must set itself
# description: >-
#   Labels that the rule data disallowed_inherited_labels lists have not the value that the parent image gives them.
# custom:
#   short_name: disallowed_inherited_labels
#   failure_msg: The label %q is inherited from the parent image and must be set by the image itself
#   solution: Set the label in the Dockerfile to a value of the image itself.
#   collections:
#   - redhat
deny contains result if {
	some entry in lib.rule_data(_key("disallowed_inherited_labels"))
	_has_value(_labels, entry.name)
	_labels[entry.name] == _parent_labels[entry.name]
	finding := lib.result_with_term(rego.metadata.chain(), [entry.name], entry.name)
	result := _dated(finding, entry)
}

# METADATA
# title: The labels of the image can be read
# description: The configuration of the image, which holds its labels, could be fetched. An image index has none.
# custom:
#   short_name: inaccessible_config
#   failure_msg: The configuration of the image %q could not be fetched, so that nothing is known about its labels
#   solution: Check that the registry serves the configuration of the image, and with which credentials.
#   collections:
#   - redhat
deny contains result if {
	not _is_index
	not _is_configured(input.image)
	result := lib.result(rego.metadata.chain(), [input.image.ref])
}

# METADATA
# title: The labels of the parent image can be read
# description: The image names a parent image, and the parent's configuration could be fetched.
# custom:
#   short_name: inaccessible_parent_config
#   failure_msg: The configuration of the parent image %q could not be fetched, so that nothing is known about its labels
#   solution: Check that the registry serves the configuration of the parent image, and with which credentials.
#   collections:
#   - redhat
deny contains result if {
	object.get(input.image, ["parent", "ref"], "") != ""
	not _is_configured(input.image.parent)
	result := lib.result(rego.metadata.chain(), [input.image.parent.ref])
}

# METADATA
# title: Rule data on labels has the right form
# description: Each list of labels in the rule data holds objects with a name.
# custom:
#   short_name: rule_data_provided
#   failure_msg: '%s'
#   solution: Correct the value of the named key in the rule data of the policy.
#   collections:
#   - redhat
#   - policy_data
deny contains result if {
	some key, fields in {
		"deprecated_labels": {"replacement"},
		"required_labels": {"description"},
		"fbc_required_labels": {"description"},
		"optional_labels": {"description"},
		"fbc_optional_labels": {"description"},
		"disallowed_inherited_labels": {"description"},
		"fbc_disallowed_inherited_labels": {"description"},
	}
	some error in lib.rule_data_errors(key, _schema(fields))
	result := lib.result(rego.metadata.chain(), [error])
}

# METADATA
# title: Each optional label
# description: The image has each label that the rule data optional_labels lists, with a value.
# custom:
#   short_name: optional_labels
#   failure_msg: 'The optional label %q is missing. What it is for: %s'
#   solution: Set the label in the Dockerfile.
#   collections:
#   - redhat
warn contains result if {
	not _is_index
	some entry in lib.rule_data(_key("optional_labels"))
	not _has_value(_labels, entry.name)
	finding := lib.result_with_term(rego.metadata.chain(), [entry.name, _description(entry)], entry.name)
	result := _dated(finding, entry)
}

_labels := _labels_of(input.image)

_parent_labels := _labels_of(object.get(input.image, "parent", {}))

_labels_of(source) := labels if {
	labels := source.config.Labels
	is_object(labels)
} else := {}

_is_configured(source) if is_object(source.config)

_has(labels, name) if name in object.keys(labels)

_has_value(labels, name) if trim_space(labels[name]) != ""

# An index has neither configuration nor labels: its manifests are judged as images of their own.
_is_index if ec.oci.image_index(input.image.ref)

_key(key) := concat("", ["fbc_", key]) if {
	_has(_labels, "operators.operatorframework.io.index.configs.v1")
} else := key

_description(entry) := object.get(entry, "description", "not said")

# An entry of the rule data can bring its own date.
_dated(finding, entry) := object.union(finding, object.filter(entry, ["effective_on"]))

_schema(fields) := {
	"type": "array",
	"uniqueItems": true,
	"items": {
		"type": "object",
		"properties": object.union(
			{
				"name": {"type": "string", "minLength": 1},
				"effective_on": {"type": "string", "format": "date-time"},
			},
			{field: {"type": "string"} | some field in fields},
		),
		"additionalProperties": false,
		"required": ["name"],
	},
}
