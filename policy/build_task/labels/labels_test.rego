package policy.build_task.labels_test

import rego.v1

import data.lib.fixtures
import data.policy.build_task.labels

labelled(all) := {"kind": "Task", "metadata": {"labels": all}}

without_type := {
	"code": "build_task.labels.build_type_label_set",
	"msg": "The required build label 'build.appstudio.redhat.com/build_type' is missing",
}

test_build_task_has_label_passes if {
	fixtures.none(labels.deny) with input as labelled({"build.appstudio.redhat.com/build_type": "docker"})
}

test_build_task_has_label_fails if {
	expected := {without_type, {
		"code": "build_task.labels.build_task_has_label",
		"msg": "The task definition does not include any labels",
	}}
	every task in [{}, {"metadata": {}}, labelled({}), labelled(null)] {
		fixtures.same(labels.deny, expected) with input as task
	}
}

test_build_type_label_set_passes if {
	fixtures.none(labels.deny) with input as labelled({"a": "b", "build.appstudio.redhat.com/build_type": "java"})
}

test_build_type_label_set_fails if {
	fixtures.same(labels.deny, {without_type}) with input as labelled({"a": "b"})
	fixtures.same(labels.deny, {without_type}) with input as labelled({"build.appstudio.redhat.com/build_type": ""})
}
