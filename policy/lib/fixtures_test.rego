# What the tests of rules are made from. In a file of tests, so that it is not released.
package lib.fixtures

import rego.v1

# Compares what rules have found with what they should have: code, message and, where there is one, term. Nothing else: the
# rest comes from annotations, which result_test.rego covers.
same(actual, expected) if {
	found := brief(actual)
	print("found", found, "expected", expected)
	found == {object.filter(result, {"code", "msg", "term"}) | some result in expected}
}

brief(results) := {object.filter(result, {"code", "msg", "term"}) | some result in results}

# For rules whose message is not ours, as that of a schema.
codes(results) := {result.code | some result in results}

none(actual) if same(actual, set())

# Compares without messages.
same_codes(actual, expected) if {
	print("found", codes(actual), "expected", expected)
	codes(actual) == expected
}

digest := "sha256:1111111111111111111111111111111111111111111111111111111111111111"

repository := "registry.example/team/app"

image := {"ref": sprintf("%s@%s", [repository, digest])}

task_digest := "sha256:aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"

other_digest := "sha256:bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"

bundle(name) := sprintf("registry.example/tasks/task-%s:0.1@%s", [name, task_digest])

# A resolver's reference to `name` in a bundle, pinned.
reference(name) := bundle_reference(name, bundle(name))

bundle_reference(name, bundle_) := {"resolver": "bundles", "params": [
	{"name": "name", "value": name},
	{"name": "bundle", "value": bundle_},
	{"name": "kind", "value": "task"},
]}

# `data.trusted_tasks` with the references of these tasks, in force since long ago.
trusted(names) := {sprintf("oci://registry.example/tasks/task-%s:0.1", [name]): [{
	"ref": task_digest,
	"effective_on": "2022-01-01T00:00:00Z",
}] |
	some name in names
}

# A task of provenance v0.2 that has succeeded. Values that are no texts become JSON, as Tekton has it.
task(name, results, params) := {
	"name": sprintf("%s-in-pipeline", [name]),
	"ref": reference(name),
	"status": "Succeeded",
	"steps": [{
		"entryPoint": "/bin/true",
		"environment": {"container": "run", "image": sprintf("oci://registry.example/tools@%s", [task_digest])},
	}],
	"invocation": {
		"parameters": params,
		"environment": {"labels": {"tekton.dev/task": name}, "annotations": {}},
	},
	"results": [{"name": key, "type": "string", "value": text(value)} | some key, value in results],
}

text(value) := value if is_string(value)

text(value) := json.marshal(value) if not is_string(value)

# The same as a TaskRun, for provenance v1.
task_run(name, results, params) := {
	"apiVersion": "tekton.dev/v1",
	"kind": "TaskRun",
	"metadata": {
		"name": sprintf("run-%s", [name]),
		"labels": {"tekton.dev/task": name, "tekton.dev/pipelineTask": sprintf("%s-in-pipeline", [name])},
		"annotations": {},
	},
	"spec": {
		"params": [{"name": key, "value": value} | some key, value in params],
		"taskRef": reference(name),
	},
	"status": {
		"conditions": [{"type": "Succeeded", "status": "True"}],
		"results": [{"name": key, "type": "string", "value": text(value)} | some key, value in results],
		"steps": [{"name": "run", "imageID": sprintf("registry.example/tools@%s", [task_digest])}],
	},
}

build_results := {"IMAGE_URL": sprintf("%s:latest", [repository]), "IMAGE_DIGEST": digest}

clone_results := {"url": "https://git.example/team/app", "commit": commit}

commit := "cccccccccccccccccccccccccccccccccccccccc"

# Two ordinary tasks: one fetches the sources, one builds the image.
git_clone := task("git-clone", clone_results, {"url": "https://git.example/team/app"})

buildah := task("buildah", build_results, {"DOCKERFILE": "./Dockerfile", "HERMETIC": "true"})

# An attestation with provenance v0.2 of a pipeline with these tasks.
provenance(tasks) := {"statement": statement(tasks), "signatures": []}

statement(tasks) := {
	"_type": "https://in-toto.io/Statement/v0.1",
	"predicateType": "https://slsa.dev/provenance/v0.2",
	"subject": [{"name": repository, "digest": {"sha256": trim_prefix(digest, "sha256:")}}],
	"predicate": {
		"builder": {"id": "https://tekton.dev/chains/v2"},
		"buildType": "tekton.dev/v1beta1/PipelineRun",
		"buildConfig": {"tasks": tasks},
		"invocation": {"parameters": {}, "environment": {"labels": {}, "annotations": {}}},
		"materials": [{"uri": "git+https://git.example/team/app.git", "digest": {"sha1": commit}}],
	},
}

# The same with provenance v1; `runs` as of task_run().
provenance_v1(runs) := {"statement": statement_v1(runs), "signatures": []}

statement_v1(runs) := {
	"_type": "https://in-toto.io/Statement/v1",
	"predicateType": "https://slsa.dev/provenance/v1",
	"subject": [{"name": repository, "digest": {"sha256": trim_prefix(digest, "sha256:")}}],
	"predicate": {
		"buildDefinition": {
			"buildType": "https://tekton.dev/chains/v2/slsa-tekton",
			"externalParameters": {"runSpec": {"pipelineRef": {"name": "docker-build"}, "params": []}},
			"internalParameters": {},
			"resolvedDependencies": array.concat(
				[{"uri": "git+https://git.example/team/app.git", "digest": {"sha1": commit}, "name": "inputs/result"}],
				[{"name": "pipelineTask", "uri": "oci://registry.example/tasks", "content": base64.encode(json.marshal(run))} |
					some run in runs
				],
			),
		},
		"runDetails": {"builder": {"id": "https://tekton.dev/chains/v2"}},
	},
}

# The input for an image with one attestation of these tasks.
input_of(tasks) := {"image": image, "attestations": [provenance(tasks)]}

# `object` with the value at `path` replaced.
changed(object_, path, value) := json.patch(object_, [{"op": "add", "path": path, "value": value}])
