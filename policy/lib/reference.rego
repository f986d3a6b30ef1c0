# How a run found its task.
#
# A reference is an object with
#   form    `bundle`, `git`, `inlined` or `cluster`
#   name    of the task, empty if the reference does not say it
#   key     under which records of trusted tasks are kept: `oci://repository[:tag]`, `git+url.git//path` or `<UNKNOWN>`
#   pinned  the digest or commit that was asked for, `<INLINED>` if there was nothing to ask for, empty if it was not pinned
#   bundle  for bundles: the image as the run named it
#   path    for git: the folders and the file, without its extension
package lib.tekton

import rego.v1

unknown := "<UNKNOWN>"

inlined := "<INLINED>"

_reference(raw) := reference(_raw_reference(raw))

_raw_reference(raw) := raw.ref if {
	is_object(raw.ref)
} else := raw.spec.taskRef if {
	is_object(raw.spec.taskRef)
} else := raw.taskRef if {
	is_object(raw.taskRef)
} else := {}

# `ref` is a Tekton `taskRef`. Whatever is no task counts as something from the cluster, of which nothing is known.
reference(ref) := _bundle(ref.bundle, object.get(ref, "name", "")) if {
	ref.bundle
	_is_task(object.get(ref, "kind", "task"))
} else := _bundle(object.get(params, "bundle", ""), object.get(params, "name", "")) if {
	ref.resolver == "bundles"
	params := _by_name(object.get(ref, "params", []))
	_is_task(object.get(params, "kind", "task"))
} else := {
	"form": "git",
	"name": object.get(ref, "name", ""),
	"path": _steps_of(object.get(params, "pathInRepo", "")),
	"key": _git_key(params),
	"pinned": _commit(object.get(params, "revision", "")),
} if {
	ref.resolver == "git"
	_is_task(object.get(ref, "kind", "task"))
	params := _by_name(object.get(ref, "params", []))
} else := {"form": "inlined", "name": "", "key": unknown, "pinned": inlined} if {
	ref == {}
} else := {
	"form": "cluster",
	"name": object.get(_by_name(object.get(ref, "params", [])), "name", object.get(ref, "name", "")),
	"key": unknown,
	"pinned": "",
}

_is_task(kind) if lower(kind) == "task"

_bundle(image, name) := {
	"form": "bundle",
	"name": name,
	"key": _bundle_key(image),
	"pinned": _digest(image),
	"bundle": image,
}

_bundle_key(bundle) := sprintf("oci://%s", [data.lib.image.format(object.union(parsed, {"digest": ""}))]) if {
	parsed := data.lib.image.parse(bundle)
} else := unknown

_digest(bundle) := digest if {
	digest := data.lib.image.parse(bundle).digest
	data.lib.image.is_digest(digest)
} else := ""

# Folders and file, without its extension.
_steps_of(path) := [trim_suffix(trim_suffix(step, ".yml"), ".yaml") | some step in split(path, "/"); step != ""]

_git_key(params) := sprintf("git+%s.git//%s", [url, path]) if {
	url := trim_suffix(trim_prefix(params.url, "git+"), ".git")
	path := params.pathInRepo
} else := unknown

_commit(revision) := revision if {
	regex.match(`^[0-9a-f]{40}$`, revision)
} else := ""
