package policy.release.java_test

import rego.v1

import data.lib.fixtures
import data.policy.release.java

_data := {"allowed_java_component_sources": ["redhat", "rebuilt"]}

_counted(value) := fixtures.input_of([fixtures.task(
	"buildah",
	object.union(fixtures.build_results, {"SBOM_JAVA_COMPONENTS_COUNT": value}),
	{},
)])

test_no_foreign_dependencies_passes if {
	every value in ["", " ", {}, " {\"redhat\": 12, \"rebuilt\": 42}"] {
		fixtures.none(java.deny) with input as _counted(value) with data.rule_data as _data
	}
	fixtures.none(java.deny) with input as fixtures.input_of([fixtures.buildah]) with data.rule_data as _data
}

test_no_foreign_dependencies_fails if {
	expected := {{
		"code": "java.no_foreign_dependencies",
		"msg": "Java components were built by \"central\", and only those of redhat, rebuilt are allowed",
	}}
	fixtures.same(java.deny, expected) with input as _counted({"redhat": 1, "central": 1}) with data.rule_data as _data
}

test_no_foreign_dependencies_fails_for_what_cannot_be_read if {
	expected := {{
		"code": "java.no_foreign_dependencies",
		"msg": "The Java components that task \"buildah\" has counted are no JSON object",
	}}
	every value in ["garbage", ["redhat"]] {
		fixtures.same(java.deny, expected) with input as _counted(value) with data.rule_data as _data
	}
}

test_trusted_dependencies_source_list_provided_fails if {
	every value in [[], "redhat", [1]] {
		fixtures.same_codes(java.deny, {"java.trusted_dependencies_source_list_provided"}) with input as _counted({})
			with data.rule_data as {"allowed_java_component_sources": value}
	}
}

test_trusted_dependencies_source_list_provided_passes if {
	fixtures.none(java.deny) with input as _counted({}) with data.rule_data as _data
}
