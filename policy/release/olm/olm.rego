# METADATA
# title: Operator bundles
# description: >-
#   An image that holds an operator, known by its label operators.operatorframework.io.bundle.manifests.v1, describes it
#   in a ClusterServiceVersion (CSV) that catalogues of operators can rely on.
package policy.release.olm

import rego.v1

import data.lib
import data.lib.image as images

# METADATA
# title: The version is a semantic one
# description: The bundle has a CSV, whose spec.version is a semantic version.
# custom:
#   short_name: csv_semver_format
#   failure_msg: '%s'
#   solution: Set spec.version of the ClusterServiceVersion to a semantic version, as 1.2.3.
#   collections:
#   - redhat
deny contains result if {
	some problem in _version_problems
	result := lib.result(rego.metadata.chain(), [problem])
}

# METADATA
# title: Images are named by digest
# description: >-
#   Each image that the CSV names, in relatedImages, in containers, in their variables RELATED_IMAGE_* and in annotations,
#   has a digest.
# custom:
#   short_name: unpinned_references
#   failure_msg: The image %q, which %s names at %s, has no digest
#   solution: Replace the tag by the digest of the image, as registry.example/app@sha256:….
#   collections:
#   - redhat
deny contains result if {
	some csv in _csvs
	some named in _images(csv.manifest)
	not _is_pinned(named.reference)
	result := lib.result_with_term(
		rego.metadata.chain(),
		[named.reference, csv.path, named.path],
		named.reference,
	)
}

# METADATA
# title: Features are declared
# description: >-
#   The CSV has each annotation of the rule data required_olm_features_annotations, with the value "true" or "false".
# custom:
#   short_name: feature_annotations_format
#   failure_msg: 'The annotation %q of %s must be "true" or "false"'
#   solution: Add the annotation to the ClusterServiceVersion.
#   collections:
#   - redhat
#   depends_on:
#   - olm.required_olm_features_annotations_provided
deny contains result if {
	some csv in _csvs
	some annotation in lib.rule_data(_key)
	not object.get(csv.manifest, ["metadata", "annotations", annotation], "") in {"true", "false"}
	result := lib.result_with_term(rego.metadata.chain(), [annotation, csv.path], annotation)
}

# METADATA
# title: Subscriptions are declared
# description: >-
#   The annotation operators.openshift.io/valid-subscription of the CSV is a JSON list of at least one string.
# custom:
#   short_name: subscriptions_annotation_format
#   failure_msg: 'The annotation operators.openshift.io/valid-subscription of %s is no JSON list of strings: %s'
#   solution: >-
#     Set the annotation, as ["OpenShift Container Platform"].
#   collections:
#   - redhat
#   effective_on: "2024-04-18T00:00:00Z"
deny contains result if {
	some csv in _csvs
	annotation := "operators.openshift.io/valid-subscription"
	value := object.get(csv.manifest, ["metadata", "annotations", annotation], "")
	not _is_list_of_texts(value)
	result := lib.result(rego.metadata.chain(), [csv.path, _shown(value)])
}

# METADATA
# title: Features to declare are given
# description: The rule data required_olm_features_annotations is a list of at least one annotation.
# custom:
#   short_name: required_olm_features_annotations_provided
#   failure_msg: '%s'
#   solution: >-
#     Give the rule data of the policy a list required_olm_features_annotations, as
#     ["features.operators.openshift.io/disconnected"].
#   collections:
#   - redhat
#   - policy_data
deny contains result if {
	some error in lib.rule_data_errors(_key, lib.some_texts)
	result := lib.result(rego.metadata.chain(), [error])
}

_key := "required_olm_features_annotations"

# The folder of the bundle's manifests, with a slash at its end. Undefined for other images.
_folder := concat("", [trim(label, "/"), "/"]) if {
	label := input.image.config.Labels["operators.operatorframework.io.bundle.manifests.v1"]
}

_csvs := [{"path": path, "manifest": manifest} |
	some path, manifest in input.image.files
	startswith(path, _folder)
	manifest.kind == "ClusterServiceVersion"
	startswith(manifest.apiVersion, "operators.coreos.com/")
]

_version_problems contains problem if {
	count(_csvs) == 0
	problem := sprintf("The bundle has no ClusterServiceVersion in %q", [_folder])
}

_version_problems contains problem if {
	some csv in _csvs
	version := object.get(csv.manifest, ["spec", "version"], "")
	not semver.is_valid(version)
	problem := sprintf("spec.version of %s is no semantic version: %s", [csv.path, _shown(version)])
}

_is_list_of_texts(value) if {
	texts := json.unmarshal(value)
	count(lib.schema_errors(texts, lib.some_texts)) == 0
}

_shown(value) := "nothing" if {
	value == ""
} else := sprintf("%q", [value]) if {
	is_string(value)
} else := json.marshal(value)

_is_pinned(reference) if images.is_digest(images.parse(reference).digest)

# What a CSV names, and where. Elsewhere than in annotations there is nothing but images.
_images(manifest) := union({
	_related(manifest),
	_main_annotation(manifest),
	_annotations(manifest),
	_containers(manifest),
	_variables(manifest),
})

_related(manifest) := {named |
	some position, related in manifest.spec.relatedImages
	named := {"path": sprintf("spec.relatedImages[%d].image", [position]), "reference": related.image}
}

_main_annotation(manifest) := {named |
	reference := manifest.metadata.annotations.containerImage
	named := {"path": "metadata.annotations.containerImage", "reference": reference}
}

_annotations(manifest) := {named |
	some key, value in manifest.metadata.annotations
	key != "containerImage"
	some word in regex.split(`[,;\s]+`, value)
	_is_like_an_image(word)
	named := {"path": sprintf("metadata.annotations[%q]", [key]), "reference": word}
}

_containers(manifest) := {named |
	some holder in _pod_containers(manifest)
	named := {"path": concat("", [holder.path, ".image"]), "reference": holder.container.image}
}

_variables(manifest) := {named |
	some holder in _pod_containers(manifest)
	some variable in holder.container.env
	startswith(variable.name, "RELATED_IMAGE_")
	named := {"path": sprintf("%s.env[%q].value", [holder.path, variable.name]), "reference": variable.value}
}

_pod_containers(manifest) := [holder |
	some position, deployment in manifest.spec.install.spec.deployments
	some list in ["containers", "initContainers"]
	some index, container in deployment.spec.template.spec[list]
	path := sprintf("spec.install.spec.deployments[%d].spec.template.spec.%s[%d]", [position, list, index])
	holder := {"path": path, "container": container}
]

# A host, which has a dot or a port, a path, and a tag or a digest. Addresses of pages have no tag.
_is_like_an_image(word) if regex.match(
	concat("", [
		`^([a-zA-Z0-9-]+(\.[a-zA-Z0-9-]+)+(:[0-9]+)?|localhost(:[0-9]+)?|[a-zA-Z0-9-]+:[0-9]+)`,
		`(/[a-z0-9._-]+)+`,
		`(:[A-Za-z0-9_][A-Za-z0-9_.-]*|@sha256:[0-9a-f]+)+$`,
	]),
	word,
)
