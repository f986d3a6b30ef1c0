package lib.tekton_test

import rego.v1

import data.lib.fixtures
import data.lib.tekton

test_both_formats_read_alike if {
	params := {"HERMETIC": "true", "LIST": ["a"]}
	results := {"JSON": {"a": 1}, "TEXT": "plain", "NUMBER": "12"}
	old := tekton.tasks(fixtures.statement([fixtures.task("sast", results, params)]))
	new := tekton.tasks(fixtures.statement_v1([fixtures.task_run("sast", results, params)]))
	object.remove(old[0], ["labels"]) == object.remove(new[0], ["labels"])
	old[0].results == {"JSON": {"a": 1}, "TEXT": "plain", "NUMBER": "12"}
	old[0].params == params
	old[0].names == {"sast", "sast[HERMETIC=true]"}
	old[0].pipeline_task == "sast-in-pipeline"
	old[0].status == "Succeeded"
	old[0].steps == [{"name": "run", "image": sprintf("registry.example/tools@%s", [fixtures.task_digest])}]
}

test_results_of_v1beta1_task_runs if {
	run := json.patch(fixtures.task_run("sast", {}, {}), [
		{"op": "remove", "path": "/status/results"},
		{"op": "add", "path": "/status/taskResults", "value": [{"name": "A", "value": "b"}]},
	])
	tekton.task(run).results == {"A": "b"}
}

test_tasks_of_a_pipeline if {
	pipeline := {"kind": "Pipeline", "spec": {
		"tasks": [{"name": "build", "taskRef": {"name": "buildah"}, "params": [{"name": "A", "value": "1"}]}],
		"finally": [{"name": "last", "taskSpec": {"steps": []}}],
	}}
	tasks := tekton.tasks(pipeline)
	[task.name | some task in tasks] == ["buildah", "<NAMELESS>"]
	[task.reference.form | some task in tasks] == ["cluster", "inlined"]
	tasks[0].names == {"buildah", "buildah[A=1]"}
	tasks[0].status == "MISSING"
}

test_what_cannot_be_read_has_no_tasks if {
	tekton.tasks({}) == []
	tekton.tasks({"kind": "Task", "spec": {"tasks": [{"name": "x"}]}}) == []
	broken := fixtures.changed(fixtures.statement_v1([]), "/predicate/buildDefinition/resolvedDependencies", [
		{"name": "pipelineTask", "content": "?"},
		{"name": "pipelineTask", "content": base64.encode("[]")},
		{"name": "pipelineTask", "content": base64.encode("{")},
		{"name": "pipelineTask"},
	])
	tekton.tasks(broken) == []
}

test_other_dependencies_are_no_tasks if {
	run := base64.encode(json.marshal(fixtures.task_run("x", {}, {})))
	dependencies := "/predicate/buildDefinition/resolvedDependencies"
	[count(tekton.tasks(fixtures.changed(fixtures.statement_v1([]), dependencies, [{"name": name, "content": run}]))) |
		some name in ["task", "pipelineTask", "pipeline", "inputs/result", ""]
	] == [1, 1, 0, 0, 0]
}

test_status if {
	run := fixtures.task_run("x", {}, {})
	tekton.task(run).status == "Succeeded"
	tekton.task(fixtures.changed(run, "/status/conditions/0/status", "False")).status == "Failed"
	tekton.task(fixtures.changed(run, "/status/conditions/0/status", "Unknown")).status == "MISSING"
	tekton.task(fixtures.changed(run, "/status/conditions", [])).status == "MISSING"
	tekton.task(fixtures.changed(run, "/status/conditions/0/type", "Ready")).status == "MISSING"
	tekton.task({"name": "x", "status": "Failed"}).status == "Failed"
	tekton.task({"name": "x", "status": ""}).status == "MISSING"
	tekton.task({"name": "x"}).status == "MISSING"
}

test_a_name_cannot_smuggle_a_param if {
	task := tekton.task(fixtures.changed(fixtures.git_clone, "/ref", {"name": "sast[STRICT=true]"}))
	task.name == "git-clone"
	unlabelled := tekton.task({"name": "x", "ref": {"name": "sast[STRICT=true]"}})
	unlabelled.names == {"sast"}
}

test_a_label_does_not_rename_the_task_of_a_bundle if {
	raw := fixtures.changed(fixtures.git_clone, "/invocation/environment/labels", {"tekton.dev/task": "clair-scan"})
	tekton.task(raw).name == "git-clone"
	unnamed := fixtures.changed(raw, "/ref", {"bundle": fixtures.bundle("git-clone")})
	tekton.task(unnamed).name == "<NAMELESS>"
	tekton.task(fixtures.changed(raw, "/ref", {"name": "other"})).name == "clair-scan"
}

test_a_label_names_the_task_of_a_file_only_if_its_path_does if {
	raw := fixtures.changed(fixtures.git_clone, "/invocation/environment/labels", {"tekton.dev/task": "clair-scan"})
	names := [tekton.task(fixtures.changed(raw, "/ref", {"resolver": "git", "params": [{"name": "pathInRepo", "value": path}]})).name |
		some path in [
			"task/clair-scan/0.1/clair-scan.yaml",
			"/task/clair-scan/task.yml",
			"clair-scan.yaml",
			"task/init/0.2/init.yaml",
			"task/not-clair-scan/0.2/init.yml",
			"",
		]
	]
	names == ["clair-scan", "clair-scan", "clair-scan", "init", "init", "clair-scan"]
}

test_references if {
	digest := fixtures.task_digest
	tekton.reference({"name": "x", "bundle": concat("@", ["r.example/t:0.1", digest])}) == {
		"form": "bundle", "name": "x", "key": "oci://r.example/t:0.1", "pinned": digest,
		"bundle": concat("@", ["r.example/t:0.1", digest]),
	}
	unpinned := fixtures.bundle_reference("x", "r.example/t:0.1")
	tekton.reference(unpinned).pinned == ""
	tekton.reference(unpinned).key == "oci://r.example/t:0.1"
	tekton.reference(fixtures.bundle_reference("x", "r.example/t@sha256:12")).pinned == ""
	tekton.reference({}) == {"form": "inlined", "name": "", "key": "<UNKNOWN>", "pinned": "<INLINED>"}
	tekton.reference({"name": "x", "kind": "Task"}) == {"form": "cluster", "name": "x", "key": "<UNKNOWN>", "pinned": ""}
}

test_references_to_git if {
	params := [
		{"name": "url", "value": "https://h.example/o/r"},
		{"name": "pathInRepo", "value": "task/x.yaml"},
		{"name": "revision", "value": fixtures.commit},
	]
	expected := {
		"form": "git", "name": "", "path": ["task", "x"],
		"key": "git+https://h.example/o/r.git//task/x.yaml",
		"pinned": fixtures.commit,
	}
	tekton.reference({"resolver": "git", "params": params}) == expected
	with_suffix := fixtures.changed(params, "/0/value", "https://h.example/o/r.git")
	tekton.reference({"resolver": "git", "params": with_suffix}) == expected
	on_branch := fixtures.changed(params, "/2/value", "main")
	tekton.reference({"resolver": "git", "params": on_branch}).pinned == ""
	tekton.reference({"resolver": "git", "params": []}).key == "<UNKNOWN>"
}

test_what_is_no_task_is_unknown if {
	pipeline := fixtures.changed(fixtures.reference("x"), "/params/2/value", "pipeline")
	tekton.reference(pipeline).form == "cluster"
	tekton.reference(pipeline).key == "<UNKNOWN>"
	tekton.reference(fixtures.changed(fixtures.reference("x"), "/params/2/value", "Task")).form == "bundle"
	tekton.reference({"name": "x", "bundle": fixtures.bundle("x"), "kind": "Pipeline"}).form == "cluster"
	tekton.reference({"resolver": "git", "kind": "Pipeline", "params": []}).form == "cluster"
}

test_images_by_prefix if {
	task := tekton.task(fixtures.task(
		"x", {
			"IMAGE_URL": " r.example/a:1\n", "IMAGE_DIGEST": "sha256:a\n",
			"BASE_IMAGE_URL": "r.example/b", "BASE_IMAGE_DIGEST": "sha256:b",
			"OTHER_IMAGE_URL": "r.example/c",
			"EMPTY_IMAGE_URL": "r.example/d", "EMPTY_IMAGE_DIGEST": " ",
			"PLAIN": "r.example/e", "PLAINIMAGE_DIGEST": "sha256:e",
		},
		{},
	))
	{image | some image in tekton.images(task)} == {
		{"url": "r.example/a:1", "digest": "sha256:a"},
		{"url": "r.example/b", "digest": "sha256:b"},
	}
}

test_products if {
	task := tekton.task(fixtures.task(
		"x", {
			"IMAGE_URL": "r.example/a:1", "IMAGE_DIGEST": "sha256:a",
			"IMAGES": "r.example/b@sha256:b, r.example/c@sha256:c\nr.example/d@sha256:d",
			"JAR_ARTIFACT_URI": "r.example/e", "JAR_ARTIFACT_DIGEST": "sha256:e\n",
			"HALF_ARTIFACT_URI": "r.example/f",
			"SBOM_ARTIFACT_OUTPUTS": {"uri": "r.example/g", "digest": "sha256:g"},
			"ODD_ARTIFACT_OUTPUTS": {"uri": "r.example/h"},
			"OTHER": {"uri": "r.example/i", "digest": "sha256:i"},
		},
		{},
	))
	{product | some product in tekton.products(task)} == {
		"r.example/a:1@sha256:a",
		"r.example/b@sha256:b",
		"r.example/c@sha256:c",
		"r.example/d@sha256:d",
		"r.example/e@sha256:e",
		"r.example/g@sha256:g",
	}
	tekton.products(tekton.task(fixtures.git_clone)) == []
}

test_git_clone if {
	tekton.is_git_clone(tekton.task(fixtures.git_clone))
	not tekton.is_git_clone(tekton.task(fixtures.buildah))
	not tekton.is_git_clone(tekton.task(fixtures.task("x", {"url": "https://git.example"}, {})))
	not tekton.is_git_clone(tekton.task(fixtures.task("x", {"commit": fixtures.commit}, {})))
}
