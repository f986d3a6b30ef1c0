# METADATA
# title: SBOM
# description: >-
#   Rules on lists of what is in the image, in whichever format they are. A list that merely lies beside the image in the
#   registry can be written by whoever may push there; one counts if it is in the image, attested, or named by digest by
#   the task that has built the image.
package policy.release.sbom

import rego.v1

import data.lib
import data.lib.image as images
import data.lib.sbom as sboms

# METADATA
# title: There is an SBOM that can be read
# description: There is at least one SBOM, and each SBOM that the build names can be fetched and is JSON.
# custom:
#   short_name: found
#   failure_msg: '%s'
#   solution: >-
#     Build with a pipeline that writes an SBOM and gives its place in the result SBOM_BLOB_URL. Check that the registry
#     serves it.
#   collections:
#   - minimal
#   - redhat
deny contains result if {
	some problem in _problems
	result := lib.result(rego.metadata.chain(), [problem])
}

# METADATA
# title: The SBOM beside the image is vouched for
# description: >-
#   Tools find the SBOM of an image at the tag sha256-<digest>.sbom of its repository. What is there is what the build
#   names in SBOM_BLOB_URL, or what is attested or in the image: nobody has replaced it.
# custom:
#   short_name: tag_vouched_for
#   failure_msg: 'The SBOM %s at the tag %s of the image''s repository is vouched for by no attestation'
#   solution: >-
#     Somebody has pushed to that tag after the build, or the build does not give the result SBOM_BLOB_URL. Remove the
#     tag if you do not know who, and look into who may push to the repository.
#   collections:
#   - minimal
#   - slsa3
#   - redhat
deny contains result if {
	some layer in _tagged.layers
	blob := sprintf("%s@%s", [_repository, layer.digest])
	not _is_named_by_the_build(layer.digest)
	not _is_known_content(blob)
	result := lib.result(rego.metadata.chain(), [layer.digest, _tag])
}

_problems contains "There is no SBOM in the image, in an attestation or in a result SBOM_BLOB_URL" if {
	count(sboms.all) == 0
	count(sboms.unreadable) == 0
}

_problems contains sprintf("The SBOM %q, which the build names, cannot be read", [url]) if {
	some url in sboms.unreadable
}

_repository := images.parse(input.image.ref).repository

_tag := sprintf("%s.sbom", [replace(lib.image_digest, ":", "-")])

# The manifest at the tag. Undefined if there is none.
_tagged := ec.oci.image_manifest(sprintf("%s@%s", [_repository, descriptor.digest])) if {
	descriptor := ec.oci.descriptor(sprintf("%s:%s", [_repository, _tag]))
}

_is_named_by_the_build(digest) if {
	some url in sboms.urls
	images.parse(url).digest == digest
}

_is_known_content(blob) if {
	document := json.unmarshal(ec.oci.blob(blob))
	some found in sboms.all
	found.document == document
}
