package policy.release.quay_expiration_test

import rego.v1

import data.lib.fixtures
import data.policy.release.quay_expiration

_labelled(labels) := {"image": object.union(fixtures.image, {"config": {"Labels": labels}})}

test_expires_label_fails_for_each_intention_to_release if {
	expected := {{
		"code": "quay_expiration.expires_label",
		"msg": "The image has the label quay.expires-after with the value \"5d\", after which the registry removes it",
	}}
	every intention in ["release", "production", "staging"] {
		fixtures.same(quay_expiration.deny, expected) with input as _labelled({"quay.expires-after": "5d"})
			with data.rule_data as {"pipeline_intention": intention}
	}
}

test_expires_label_fails_for_an_empty_one if {
	fixtures.same_codes(quay_expiration.deny, {"quay_expiration.expires_label"})
		with input as _labelled({"quay.expires-after": ""})
		with data.rule_data as {"pipeline_intention": "release"}
}

test_expires_label_passes_without_the_label if {
	fixtures.none(quay_expiration.deny) with input as _labelled({"name": "app"})
		with data.rule_data as {"pipeline_intention": "release"}
}

test_expires_label_passes_for_other_intentions if {
	fixtures.none(quay_expiration.deny) with input as _labelled({"quay.expires-after": "5d"})
		with data.rule_data as {}
	fixtures.none(quay_expiration.deny) with input as _labelled({"quay.expires-after": "5d"})
		with data.rule_data as {"pipeline_intention": "test"}
}
