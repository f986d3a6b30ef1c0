package policy.release.labels_test

import rego.v1

import data.lib.fixtures
import data.policy.release.labels

_image(own, parent) := {"image": object.union(fixtures.image, {
	"config": {"Labels": own},
	"parent": {"ref": "registry.example/base@sha256:0", "config": {"Labels": parent}},
})}

_fbc := {"operators.operatorframework.io.index.configs.v1": "/configs"}

_index(_) := {"manifests": []}

test_without_rule_data_everything_passes if {
	fixtures.none(labels.deny) with input as _image({"name": "app"}, {"name": "app"}) with data.rule_data as {}
	fixtures.none(labels.warn) with input as _image({}, {}) with data.rule_data as {}
}

test_deprecated_labels_fails if {
	expected := {
		{
			"code": "labels.deprecated_labels",
			"msg": "The label \"old\" is deprecated, use \"new\" instead",
			"term": "old",
		},
		{
			"code": "labels.deprecated_labels",
			"msg": "The label \"older\" is deprecated, use \"nothing\" instead",
			"term": "older",
		},
	}
	fixtures.same(labels.deny, expected) with input as _image({"old": "", "older": "x"}, {})
		with data.rule_data as {"deprecated_labels": [{"name": "old", "replacement": "new"}, {"name": "older"}]}
}

test_deprecated_labels_passes_without_them if {
	fixtures.none(labels.deny) with input as _image({"new": "x"}, {"old": "x"})
		with data.rule_data as {"deprecated_labels": [{"name": "old", "replacement": "new"}]}
}

_required := {"required_labels": [
	{"name": "name", "description": "How it is called."},
	{"name": "vendor", "effective_on": "2030-01-01T00:00:00Z"},
]}

test_required_labels_fails_for_missing_and_empty_ones if {
	expected := {
		{
			"code": "labels.required_labels",
			"msg": "The required label \"name\" is missing. What it is for: How it is called.",
			"term": "name",
		},
		{
			"code": "labels.required_labels",
			"msg": "The required label \"vendor\" is missing. What it is for: not said",
			"term": "vendor",
		},
	}
	fixtures.same(labels.deny, expected) with input as _image({"name": " "}, {"vendor": "x"})
		with data.rule_data as _required
}

test_required_labels_takes_the_date_of_the_entry if {
	results := labels.deny with input as _image({}, {}) with data.rule_data as _required
	{result.effective_on | some result in results; result.term == "vendor"} == {"2030-01-01T00:00:00Z"}
	{result.effective_on | some result in results; result.term == "name"} == {"2022-01-01T00:00:00Z"}
}

test_required_labels_passes if {
	fixtures.none(labels.deny) with input as _image({"name": "app", "vendor": "us"}, {})
		with data.rule_data as _required
}

test_required_labels_of_catalogues_are_others if {
	rules := object.union(_required, {"fbc_required_labels": [{"name": "catalogue"}]})
	expected := {{
		"code": "labels.required_labels",
		"msg": "The required label \"catalogue\" is missing. What it is for: not said",
		"term": "catalogue",
	}}
	fixtures.same(labels.deny, expected) with input as _image(_fbc, {}) with data.rule_data as rules
}

test_required_labels_passes_for_an_index if {
	fixtures.none(labels.deny) with input as {"image": fixtures.image}
		with data.rule_data as _required
		with ec.oci.image_index as _index
}

test_labels_may_be_null if {
	image := {"image": object.union(fixtures.image, {"config": {"Labels": null}})}
	fixtures.same_codes(labels.deny, {"labels.required_labels"}) with input as image with data.rule_data as _required
}

test_optional_labels_passes_for_an_index if {
	fixtures.none(labels.warn) with input as {"image": fixtures.image}
		with data.rule_data as {"optional_labels": [{"name": "url"}]}
		with ec.oci.image_index as _index
}

test_optional_labels_fails_and_passes if {
	rules := {"optional_labels": [{"name": "url", "description": "Where to read more."}]}
	expected := {{
		"code": "labels.optional_labels",
		"msg": "The optional label \"url\" is missing. What it is for: Where to read more.",
		"term": "url",
	}}
	fixtures.same(labels.warn, expected) with input as _image({}, {}) with data.rule_data as rules
	fixtures.none(labels.deny) with input as _image({}, {}) with data.rule_data as rules
	fixtures.none(labels.warn) with input as _image({"url": "https://x"}, {}) with data.rule_data as rules
	fixtures.none(labels.warn) with input as _image(_fbc, {}) with data.rule_data as rules
}

_inherited := {"disallowed_inherited_labels": [{"name": "name"}]}

test_disallowed_inherited_labels_fails_for_the_parents_value if {
	expected := {{
		"code": "labels.disallowed_inherited_labels",
		"msg": "The label \"name\" is inherited from the parent image and must be set by the image itself",
		"term": "name",
	}}
	fixtures.same(labels.deny, expected) with input as _image({"name": "base"}, {"name": "base"})
		with data.rule_data as _inherited
}

test_disallowed_inherited_labels_passes_for_other_or_no_values if {
	fixtures.none(labels.deny) with input as _image({"name": "app"}, {"name": "base"}) with data.rule_data as _inherited
	fixtures.none(labels.deny) with input as _image({"name": ""}, {"name": ""}) with data.rule_data as _inherited
	fixtures.none(labels.deny) with input as _image({}, {"name": "base"}) with data.rule_data as _inherited
	fixtures.none(labels.deny) with input as _image(object.union(_fbc, {"name": "base"}), {"name": "base"})
		with data.rule_data as _inherited
}

test_inaccessible_config_fails_without_one if {
	expected := {{
		"code": "labels.inaccessible_config",
		"msg": sprintf(
			"The configuration of the image %q could not be fetched, so that nothing is known about its labels",
			[fixtures.image.ref],
		),
	}}
	every image in [fixtures.image, object.union(fixtures.image, {"config": null})] {
		fixtures.same(labels.deny, expected) with input as {"image": image} with data.rule_data as {}
	}
}

test_inaccessible_config_passes_for_an_index if {
	fixtures.none(labels.deny) with input as {"image": fixtures.image}
		with data.rule_data as {}
		with ec.oci.image_index as _index
}

test_inaccessible_parent_config_fails_without_one if {
	expected := {{
		"code": "labels.inaccessible_parent_config",
		"msg": concat("", [
			"The configuration of the parent image \"registry.example/base@sha256:0\" could not be fetched,",
			" so that nothing is known about its labels",
		]),
	}}
	parent := {"config": {}, "parent": {"ref": "registry.example/base@sha256:0"}}
	fixtures.same(labels.deny, expected) with input as {"image": object.union(fixtures.image, parent)}
		with data.rule_data as {}
}

test_inaccessible_parent_config_passes_without_a_parent if {
	every parent in [{}, {"ref": ""}] {
		fixtures.none(labels.deny)
			with input as {"image": object.union(fixtures.image, {"config": {}, "parent": parent})}
			with data.rule_data as {}
	}
}

test_rule_data_provided_fails_for_each_key if {
	every key in [
		"deprecated_labels",
		"required_labels",
		"fbc_required_labels",
		"optional_labels",
		"fbc_optional_labels",
		"disallowed_inherited_labels",
		"fbc_disallowed_inherited_labels",
	] {
		every value in [
			"x",
			["x"],
			[{"description": "no name"}],
			[{"name": ""}],
			[{"name": "a", "other": 1}],
			[{"name": "a"}, {"name": "a"}],
		] {
			"labels.rule_data_provided" in fixtures.codes(labels.deny) with input as _image({}, {})
				with data.rule_data as {key: value}
		}
	}
}

test_rule_data_provided_passes if {
	fixtures.none(labels.deny) with input as _image({}, {})
		with data.rule_data as {"optional_labels": [{"name": "a", "effective_on": "2030-01-01T00:00:00Z"}]}
}
