# The data beside this file: do the rules accept it? Tests of rules bring data of their own, so that it does not matter to them.
package data_test

import rego.v1

import data.lib
import data.lib.fixtures
import data.lib.required
import data.policy.release.attestation_type
import data.policy.release.base_image_registries
import data.policy.release.cve
import data.policy.release.git_branch
import data.policy.release.github_certificate
import data.policy.release.java
import data.policy.release.labels
import data.policy.release.olm
import data.policy.release.rpm_ostree_task
import data.policy.release.rpm_repos
import data.policy.release.rpm_signature
import data.policy.release.sbom_cyclonedx
import data.policy.release.schedule
import data.policy.release.slsa_build_build_service
import data.policy.release.slsa_provenance_available
import data.policy.release.slsa_source_correlated
import data.policy.release.test

_findings := union({
	attestation_type.deny,
	base_image_registries.deny,
	cve.deny,
	github_certificate.deny,
	git_branch.deny,
	java.deny,
	labels.deny,
	olm.deny,
	rpm_ostree_task.deny,
	rpm_repos.deny,
	rpm_signature.deny,
	sbom_cyclonedx.deny,
	schedule.deny,
	slsa_build_build_service.deny,
	slsa_provenance_available.deny,
	slsa_source_correlated.deny,
	test.deny,
})

_about_data(code) if endswith(code, "_provided")

_about_data(code) if endswith(code, ".rule_data")

test_rules_accept_the_data if {
	bad := {finding | some finding in _findings; _about_data(finding.code)}
	fixtures.none(bad) with input as {"image": fixtures.image, "attestations": []}
}

test_each_kind_of_pipeline_has_a_list_in_force if {
	every kind in ["docker", "java", "nodejs", "tkn-bundle", "fbc", "any other"] {
		required.is_list_given(required.lists_for(kind))
	}
}

test_each_shipped_build_task_is_enough_for_its_kind if {
	every kind, task in {"docker": "buildah-oci-ta", "java": "s2i-java", "nodejs": "s2i-nodejs", "tkn-bundle": "tkn-bundle"} {
		some list in required.lists_for(kind)
		some item in list.tasks
		task in _alternatives(item)
	}
}

_alternatives(item) := item if is_array(item)

_alternatives(item) := [item] if is_string(item)

test_values_are_read_from_here if {
	"https://fleet.konflux-ci.dev/chains" in lib.rule_data("allowed_builder_ids")
}
