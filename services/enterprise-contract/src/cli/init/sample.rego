#
# METADATA
# title: Sample
# description: >-
#   Rules of this package show what a rule looks like. Replace them by your own.
#
package policy.release.sample

import rego.v1

# METADATA
# title: Image is pinned
# description: >-
#   The image is named by its digest, so that what was judged is what is released.
# custom:
#   short_name: image_is_pinned
#   failure_msg: The image reference %q has no digest
#   solution: Name the image as repository@sha256:digest.
#   collections:
#   - minimal
#
deny contains result if {
	not contains(input.image.ref, "@sha256:")
	result := {
		"code": "sample.image_is_pinned",
		"msg": sprintf("The image reference %q has no digest", [input.image.ref]),
	}
}
