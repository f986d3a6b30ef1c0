package policy.release.rpm_pipeline_test

import rego.v1

import data.lib.fixtures
import data.policy.release.rpm_pipeline

_data := {"allowed_rpm_build_pipelines": ["build-rpm", "build-rpm-oci-ta"]}

_v02(name) := {"image": fixtures.image, "attestations": [fixtures.changed(
	fixtures.provenance([fixtures.buildah]),
	"/statement/predicate/invocation/environment/labels",
	{"tekton.dev/pipeline": name},
)]}

_v1(name) := {"image": fixtures.image, "attestations": [fixtures.changed(
	fixtures.provenance_v1([]),
	"/statement/predicate/buildDefinition/internalParameters/labels",
	{"tekton.dev/pipeline": name},
)]}

_denied(name, allowed) := {{
	"code": "rpm_pipeline.invalid_pipeline",
	"msg": sprintf("The pipeline %q is not one of those that may build RPM packages, which are %s", [name, allowed]),
}}

test_invalid_pipeline_passes if {
	fixtures.none(rpm_pipeline.deny) with input as _v02("build-rpm") with data.rule_data as _data
	fixtures.none(rpm_pipeline.deny) with input as _v1("build-rpm-oci-ta") with data.rule_data as _data
}

test_invalid_pipeline_fails_for_others if {
	expected := _denied("docker-build", "build-rpm, build-rpm-oci-ta")
	fixtures.same(rpm_pipeline.deny, expected) with input as _v02("docker-build") with data.rule_data as _data
	fixtures.same(rpm_pipeline.deny, expected) with input as _v1("docker-build") with data.rule_data as _data
}

test_invalid_pipeline_fails_without_name if {
	expected := _denied("", "build-rpm, build-rpm-oci-ta")
	fixtures.same(rpm_pipeline.deny, expected) with input as fixtures.input_of([]) with data.rule_data as _data
}

test_invalid_pipeline_fails_without_rule_data if {
	fixtures.same(rpm_pipeline.deny, _denied("build-rpm", "none")) with input as _v02("build-rpm")
		with data.rule_data as {}
}
