package policy.release.external_parameters_test

import rego.v1

import data.lib.fixtures
import data.policy.release.external_parameters

run_spec := "/statement/predicate/buildDefinition/externalParameters/runSpec"

given := [{"name": "git-url", "value": "x"}, {"name": "revision", "value": "y"}]

of_params(params) := fixtures.changed(fixtures.provenance_v1([]), concat("/", [run_spec, "params"]), params)

of_workspaces(workspaces) := fixtures.changed(of_params(given), concat("/", [run_spec, "workspaces"]), workspaces)

rule_data := {"pipeline_run_params": ["git-url", "revision"]}

test_pipeline_run_params_passes if {
	fixtures.none(external_parameters.deny) with input.attestations as [of_params(given)] with data.rule_data as rule_data
}

test_pipeline_run_params_fails if {
	every params in [[], [given[0]], array.concat(given, [{"name": "more", "value": "z"}])] {
		expected := {{
			"code": "external_parameters.pipeline_run_params",
			"msg": sprintf(`PipelineRun params, %s, do not match expectation, ["git-url","revision"].`, [
				json.marshal(sort([param.name | some param in params])),
			]),
		}}
		fixtures.same(external_parameters.deny, expected) with input.attestations as [of_params(params)]
			with data.rule_data as rule_data
	}
}

test_pipeline_run_params_of_v02 if {
	parameters := "/statement/predicate/invocation/parameters"
	same := fixtures.changed(fixtures.provenance([]), parameters, {"git-url": "x", "revision": "y"})
	not _refused(same)
	other := fixtures.changed(fixtures.provenance([]), parameters, {"git-url": "x"})
	_refused(other)
}

_refused(attestation) if {
	codes := fixtures.codes(external_parameters.deny) with input.attestations as [attestation] with data.rule_data as rule_data
	"external_parameters.pipeline_run_params" in codes
}

test_pipeline_run_params_provided_passes if {
	fixtures.none(external_parameters.deny) with data.rule_data as rule_data
}

test_pipeline_run_params_provided_fails if {
	every value in [[], "x", [1], null] {
		fixtures.same_codes(external_parameters.deny, {"external_parameters.pipeline_run_params_provided"})
			with data.rule_data as {"pipeline_run_params": value}
	}
}

test_restrict_shared_volumes_passes if {
	workspaces := [
		{"name": "a", "volumeClaimTemplate": {}},
		{"name": "b", "emptyDir": {}},
		{"name": "c", "secret": {"secretName": "git-auth"}},
	]
	fixtures.none(external_parameters.deny) with input.attestations as [of_workspaces(workspaces)] with data.rule_data as rule_data
}

test_restrict_shared_volumes_fails if {
	expected := {{
		"code": "external_parameters.restrict_shared_volumes",
		"msg": `PipelineRun uses shared volumes, workspace "shared".`,
	}}
	workspaces := [{"name": "a", "emptyDir": {}}, {"name": "shared", "persistentVolumeClaim": {"claimName": "x"}}]
	fixtures.same(external_parameters.deny, expected) with input.attestations as [of_workspaces(workspaces)]
		with data.rule_data as rule_data
}

test_restrict_shared_volumes_fails_for_v02 if {
	codes := fixtures.codes(external_parameters.deny) with input.attestations as [fixtures.provenance([])]
		with data.rule_data as rule_data
	"external_parameters.restrict_shared_volumes" in codes
}
