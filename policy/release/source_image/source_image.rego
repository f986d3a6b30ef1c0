# METADATA
# title: Source images
# description: >-
#   Beside the image there is one with its sources, for those who must be given them. It is signed by the same key.
package policy.release.source_image

import rego.v1

import data.lib
import data.lib.tekton

# METADATA
# title: The source image is there
# description: >-
#   A task of the build pipeline has the results SOURCE_IMAGE_URL and SOURCE_IMAGE_DIGEST, and the image that they name
#   can be fetched.
# custom:
#   short_name: exists
#   failure_msg: '%s'
#   solution: >-
#     Let the pipeline build a source image: its parameter build-source-image must be "true". Check that the registry
#     serves that image.
#   collections:
#   - redhat
#   effective_on: "2024-05-04T00:00:00Z"
deny contains result if {
	some problem in _existence_problems
	result := lib.result(rego.metadata.chain(), [problem])
}

# METADATA
# title: The source image is signed
# description: The source image is signed as the policy demands of the image itself.
# custom:
#   short_name: signed
#   failure_msg: 'The signature of the source image %q cannot be verified: %s'
#   solution: >-
#     Check that the source image was signed after the build, with the key or the identity that the policy names.
#   collections:
#   - redhat
#   depends_on:
#   - source_image.exists
#   effective_on: "2024-05-04T00:00:00Z"
deny contains result if {
	some source in _source_images
	some problem in _signature_problems(source)
	result := lib.result(rego.metadata.chain(), [source, problem])
}

_source_images contains source if {
	some task in lib.tasks
	source := concat("@", [
		tekton.text_result(task, "SOURCE_IMAGE_URL"),
		tekton.text_result(task, "SOURCE_IMAGE_DIGEST"),
	])
}

_existence_problems contains "No task of the build pipeline has built a source image" if count(_source_images) == 0

_existence_problems contains problem if {
	some source in _source_images
	not ec.oci.image_manifest(source)
	problem := sprintf("The source image %q cannot be fetched", [source])
}

_signature_problems(source) := set() if {
	_verified(source).success == true
	count(_verified(source).errors) == 0
} else := {error | some error in _verified(source).errors} if {
	count(_verified(source).errors) > 0
} else := {"nothing is known about it"}

_verified(source) := ec.sigstore.verify_image(source, data.config.default_sigstore_opts)
