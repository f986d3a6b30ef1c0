# METADATA
# title: Red Hat manifests
# description: Images of Red Hat hold a file that lists their content, and those of the images that they are built on.
package policy.release.redhat_manifests

import rego.v1

import data.lib

# METADATA
# title: Each manifest of content is in the image
# description: >-
#   For the image, and for its parent, if Red Hat is the vendor: the image holds the file
#   root/buildinfo/content_manifests/<component>-<version>-<release>.json, named by its labels.
# custom:
#   short_name: redhat_manifests_missing
#   failure_msg: The image has no file %q
#   solution: >-
#     Build in a way that writes the manifest of content, and do not remove what the parent image has in
#     root/buildinfo/content_manifests.
#   collections:
#   - redhat
deny contains result if {
	some file in _expected
	not file in object.keys(object.get(input.image, "files", {}))
	result := lib.result_with_term(rego.metadata.chain(), [file], file)
}

_expected contains file if {
	some holder in [input.image, object.get(input.image, "parent", {})]
	labels := holder.config.Labels
	labels.vendor == "Red Hat, Inc."
	file := sprintf("root/buildinfo/content_manifests/%s-%s-%s.json", [
		labels["com.redhat.component"],
		labels.version,
		labels.release,
	])
}
