package policy.release.olm_test

import rego.v1

import data.lib.fixtures
import data.policy.release.olm

_pinned := sprintf("registry.example/team/part@%s", [fixtures.other_digest])

_feature := "features.operators.openshift.io/disconnected"

_data := {"required_olm_features_annotations": [_feature]}

_csv := {
	"apiVersion": "operators.coreos.com/v1alpha1",
	"kind": "ClusterServiceVersion",
	"metadata": {
		"name": "app.v1.2.3",
		"annotations": {
			_feature: "true",
			"operators.openshift.io/valid-subscription": "[\"One\", \"Two\"]",
			"containerImage": _pinned,
			"also": sprintf("https://docs.example/app, %s;team/app:v1 docs.example/app", [_pinned]),
		},
	},
	"spec": {
		"version": "1.2.3",
		"relatedImages": [{"name": "part", "image": _pinned}],
		"install": {"spec": {"deployments": [{"spec": {"template": {"spec": {
			"containers": [{
				"image": _pinned,
				"env": [{"name": "RELATED_IMAGE_PART", "value": _pinned}, {"name": "OTHER", "value": "a.example/b:c"}],
			}],
			"initContainers": [{"image": _pinned, "env": []}],
		}}}}]}},
	},
}

_label := {"operators.operatorframework.io.bundle.manifests.v1": "manifests/"}

_bundle(csv) := {"image": object.union(fixtures.image, {
	"config": {"Labels": _label},
	"files": {"manifests/app.yaml": csv, "manifests/service.yaml": {"kind": "Service"}},
})}

_changed(path, value) := _bundle(fixtures.changed(_csv, path, value))

test_a_good_bundle_passes_all_rules if {
	fixtures.none(olm.deny) with input as _bundle(_csv) with data.rule_data as _data
}

test_other_images_pass_all_rules if {
	image := object.union(fixtures.image, {"config": {"Labels": {}}, "files": {"manifests/app.yaml": {"kind": "x"}}})
	fixtures.none(olm.deny) with input as {"image": image} with data.rule_data as _data
}

_version_is(shown) := {{
	"code": "olm.csv_semver_format",
	"msg": sprintf("spec.version of manifests/app.yaml is no semantic version: %s", [shown]),
}}

test_csv_semver_format_fails if {
	fixtures.same(olm.deny, _version_is("\"1.2\"")) with input as _changed("/spec/version", "1.2")
		with data.rule_data as _data
	fixtures.same(olm.deny, _version_is("1")) with input as _changed("/spec/version", 1) with data.rule_data as _data
	fixtures.same(olm.deny, _version_is("nothing")) with input as _changed("/spec/version", "")
		with data.rule_data as _data
}

test_csv_semver_format_fails_without_a_csv if {
	expected := {{
		"code": "olm.csv_semver_format",
		"msg": "The bundle has no ClusterServiceVersion in \"manifests/\"",
	}}
	fixtures.same(olm.deny, expected) with input as _changed("/kind", "ConfigMap") with data.rule_data as _data
}

test_csv_semver_format_fails_without_a_csv_in_the_folder if {
	elsewhere := {"apiVersion": "example.org/v1", "kind": "ClusterServiceVersion"}
	image := object.union(fixtures.image, {
		"config": {"Labels": _label},
		"files": {"elsewhere/app.yaml": _csv, "manifests/other.yaml": elsewhere},
	})
	fixtures.same_codes(olm.deny, {"olm.csv_semver_format"}) with input as {"image": image} with data.rule_data as _data
}

_unpinned(reference, path) := {{
	"code": "olm.unpinned_references",
	"msg": sprintf("The image %q, which manifests/app.yaml names at %s, has no digest", [reference, path]),
	"term": reference,
}}

test_unpinned_references_fails_at_each_place if {
	pod := "/spec/install/spec/deployments/0/spec/template/spec"
	named := "spec.install.spec.deployments[0].spec.template.spec"
	reference := "registry.example/team/part:v1"
	every path, shown in {
		"/spec/relatedImages/0/image": "spec.relatedImages[0].image",
		"/metadata/annotations/containerImage": "metadata.annotations.containerImage",
		concat("", [pod, "/containers/0/image"]): concat("", [named, ".containers[0].image"]),
		concat("", [pod, "/containers/0/env/0/value"]): concat("", [named, ".containers[0].env[\"RELATED_IMAGE_PART\"].value"]),
		concat("", [pod, "/initContainers/0/image"]): concat("", [named, ".initContainers[0].image"]),
	} {
		fixtures.same(olm.deny, _unpinned(reference, shown)) with input as _changed(path, reference)
			with data.rule_data as _data
	}
}

test_unpinned_references_fails_for_names_without_host_in_fields if {
	fixtures.same(olm.deny, _unpinned("part", "spec.relatedImages[0].image"))
		with input as _changed("/spec/relatedImages/0/image", "part")
		with data.rule_data as _data
}

test_unpinned_references_fails_for_short_digests if {
	reference := "registry.example/team/part@sha256:12"
	fixtures.same(olm.deny, _unpinned(reference, "spec.relatedImages[0].image"))
		with input as _changed("/spec/relatedImages/0/image", reference)
		with data.rule_data as _data
}

test_unpinned_references_fails_in_annotations if {
	path := "metadata.annotations[\"also\"]"
	every reference in ["registry.example/team/part:v1", "localhost:5000/part:v1", "registry:5000/a/b:v1"] {
		text := sprintf("see;%s\n%s", [reference, _pinned])
		fixtures.same(olm.deny, _unpinned(reference, path)) with input as _changed("/metadata/annotations/also", text)
			with data.rule_data as _data
	}
}

test_feature_annotations_format_fails if {
	expected := {{
		"code": "olm.feature_annotations_format",
		"msg": sprintf("The annotation %q of manifests/app.yaml must be \"true\" or \"false\"", [_feature]),
		"term": _feature,
	}}
	annotations := _csv.metadata.annotations
	every changed in [object.union(annotations, {_feature: "yes"}), object.remove(annotations, [_feature])] {
		fixtures.same(olm.deny, expected) with input as _changed("/metadata/annotations", changed)
			with data.rule_data as _data
	}
}

test_feature_annotations_format_passes_for_false if {
	annotations := object.union(_csv.metadata.annotations, {_feature: "false"})
	fixtures.none(olm.deny) with input as _changed("/metadata/annotations", annotations) with data.rule_data as _data
}

test_subscriptions_annotation_format_fails if {
	key := "operators.openshift.io/valid-subscription"
	every value, shown in {
		"": "nothing",
		"One": "\"One\"",
		"[]": "\"[]\"",
		"[1]": "\"[1]\"",
		"[\"One\", \"One\"]": "\"[\\\"One\\\", \\\"One\\\"]\"",
	} {
		expected := {{
			"code": "olm.subscriptions_annotation_format",
			"msg": sprintf("The annotation %s of manifests/app.yaml is no JSON list of strings: %s", [key, shown]),
		}}
		annotations := object.union(_csv.metadata.annotations, {key: value})
		fixtures.same(olm.deny, expected) with input as _changed("/metadata/annotations", annotations)
			with data.rule_data as _data
	}
}

test_required_olm_features_annotations_provided_fails if {
	every rules in [{}, {"required_olm_features_annotations": "x"}] {
		fixtures.same_codes(olm.deny, {"olm.required_olm_features_annotations_provided"}) with input as _bundle(_csv)
			with data.rule_data as rules
	}
}

test_csv_semver_format_passes if {
	every version in ["0.0.1", "1.2.3-rc.1+build.5"] {
		fixtures.none(olm.deny) with input as _changed("/spec/version", version) with data.rule_data as _data
	}
}

test_unpinned_references_passes_for_a_tag_beside_the_digest if {
	reference := sprintf("registry.example/team/part:v1@%s", [fixtures.other_digest])
	fixtures.none(olm.deny) with input as _changed("/spec/relatedImages/0/image", reference) with data.rule_data as _data
}

test_subscriptions_annotation_format_passes_for_one if {
	annotations := object.union(_csv.metadata.annotations, {"operators.openshift.io/valid-subscription": "[\"One\"]"})
	fixtures.none(olm.deny) with input as _changed("/metadata/annotations", annotations) with data.rule_data as _data
}

test_required_olm_features_annotations_provided_passes if {
	fixtures.none(olm.deny) with input as {"image": fixtures.image}
		with data.rule_data as {"required_olm_features_annotations": ["features.operators.openshift.io/fips-compliant"]}
}
