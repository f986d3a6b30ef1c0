package policy.release.redhat_manifests_test

import rego.v1

import data.lib.fixtures
import data.policy.release.redhat_manifests

_labels(component, vendor) := {"Labels": {
	"com.redhat.component": component,
	"version": "1.2",
	"release": "3",
	"vendor": vendor,
}}

_file(component) := sprintf("root/buildinfo/content_manifests/%s-1.2-3.json", [component])

_image(vendor, components) := {"image": object.union(fixtures.image, {
	"config": _labels("app-container", vendor),
	"parent": {"config": _labels("ubi9-container", vendor)},
	"files": {_file(component): {} | some component in components},
})}

test_redhat_manifests_missing_passes if {
	fixtures.none(redhat_manifests.deny)
		with input as _image("Red Hat, Inc.", ["app-container", "ubi9-container"])
}

test_redhat_manifests_missing_passes_for_other_vendors if {
	fixtures.none(redhat_manifests.deny) with input as _image("Us", [])
}

test_redhat_manifests_missing_fails_for_image_and_parent if {
	expected := {{
		"code": "redhat_manifests.redhat_manifests_missing",
		"msg": sprintf("The image has no file %q", [file]),
		"term": file,
	} |
		some file in [_file("app-container"), _file("ubi9-container")]
	}
	count(expected) == 2
	fixtures.same(redhat_manifests.deny, expected) with input as _image("Red Hat, Inc.", [])
}

test_redhat_manifests_missing_fails_without_files if {
	image := object.remove(_image("Red Hat, Inc.", []).image, ["files"])
	fixtures.same_codes(redhat_manifests.deny, {"redhat_manifests.redhat_manifests_missing"})
		with input as {"image": image}
}
