# METADATA
# title: SBOM in SPDX
# description: >-
#   What is in the image is listed in the format SPDX. Documents count that are in the image, that are attested, or that a
#   build task names by digest. These rules are in no collection: a policy that wants them includes the package.
package policy.release.sbom_spdx

import rego.v1

import data.lib
import data.lib.image as images
import data.lib.sbom as sboms
import data.lib.spdx_schema

# METADATA
# title: There is an SPDX document
# description: At least one document in the format SPDX lists what is in the image.
# custom:
#   short_name: found
#   failure_msg: There is no SBOM in the format SPDX
#   solution: >-
#     Build with a pipeline that writes an SBOM in the format SPDX, with the parameter SBOM_TYPE "spdx" where the build
#     task has it.
deny contains result if {
	count(sboms.spdx) == 0
	result := lib.result(rego.metadata.chain(), [])
}

# METADATA
# title: The document holds to its schema
# description: Each document in the format SPDX has the form that SPDX 2.3 demands.
# custom:
#   short_name: valid
#   failure_msg: 'The SPDX SBOM from %s is not valid: %s'
#   solution: Update the tool that writes the SBOM.
deny contains result if {
	some found in sboms.spdx
	some error in lib.schema_errors(found.document, spdx_schema.v2_3)
	result := lib.result(rego.metadata.chain(), [found.origin, error])
}

# METADATA
# title: The document lists packages
# description: Each document in the format SPDX has at least one package.
# custom:
#   short_name: contains_packages
#   failure_msg: The SPDX SBOM from %s lists no packages
#   solution: Check that the tool that writes the SBOM looks at the image and at its sources.
deny contains result if {
	some found in sboms.spdx
	_is_empty(found.document, "packages")
	result := lib.result(rego.metadata.chain(), [found.origin])
}

# METADATA
# title: The document lists files
# description: Each document in the format SPDX has at least one file.
# custom:
#   short_name: contains_files
#   failure_msg: The SPDX SBOM from %s lists no files
#   solution: Let the tool that writes the SBOM list files as well.
deny contains result if {
	some found in sboms.spdx
	_is_empty(found.document, "files")
	result := lib.result(rego.metadata.chain(), [found.origin])
}

# METADATA
# title: The document is about this image
# description: >-
#   The name of each document in the format SPDX has the digest of the image, or a package that it describes has it as
#   checksum or in its package URL.
# custom:
#   short_name: matches_image
#   failure_msg: The SPDX SBOM from %s is about %s, and not about the image with digest %s
#   solution: Let the tool that writes the SBOM look at the image that was built, by its digest.
deny contains result if {
	some found in sboms.spdx
	about := _digests(found.document)
	not lib.image_digest in about
	result := lib.result(rego.metadata.chain(), [found.origin, _listed(about), lib.image_digest])
}

_is_empty(document, key) if count([entry | some entry in document[key]]) == 0

_digests(document) := union({
	{digest | digest := images.parse(document.name).digest; digest != ""},
	{digest |
		some package_ in _described(document)
		some checksum in package_.checksums
		checksum.algorithm == "SHA256"
		digest := concat(":", ["sha256", checksum.checksumValue])
	},
	{digest |
		some package_ in _described(document)
		some purl in sboms.purls(package_)
		parts := ec.purl.parse(purl)
		parts.type == "oci"
		digest := parts.version
	},
})

_described(document) := [package_ |
	described := {id | some id in document.documentDescribes} | {relationship.relatedSpdxElement |
		some relationship in document.relationships
		relationship.spdxElementId == "SPDXRef-DOCUMENT"
		relationship.relationshipType == "DESCRIBES"
	}
	some package_ in document.packages
	package_.SPDXID in described
]

_listed(digests) := concat(", ", sort(digests)) if {
	count(digests) > 0
} else := "no image by digest"
