# What an SPDX document in JSON has to look like: https://spdx.github.io/spdx-spec/v2.3/.
#
# What readers rely on, not the whole schema: the document, who made it, its packages, files and their relationships.
package lib.spdx_schema

import rego.v1

v2_3 := {
	"$schema": "http://json-schema.org/draft-07/schema#",
	"type": "object",
	"required": ["SPDXID", "spdxVersion", "name", "dataLicense", "documentNamespace", "creationInfo"],
	"properties": {
		"SPDXID": {"const": "SPDXRef-DOCUMENT"},
		"spdxVersion": {"type": "string", "pattern": "^SPDX-2\\.[23]$"},
		"name": {"type": "string", "minLength": 1},
		"dataLicense": {"type": "string", "minLength": 1},
		"documentNamespace": {"type": "string", "pattern": "^[A-Za-z][-+.A-Za-z0-9]*:[^#]+$"},
		"comment": {"type": "string"},
		"creationInfo": {
			"type": "object",
			"required": ["created", "creators"],
			"properties": {
				"created": {"type": "string", "pattern": "^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}Z$"},
				"creators": {
					"type": "array",
					"minItems": 1,
					"items": {"type": "string", "pattern": "^(Tool|Person|Organization): ?.+$"},
				},
				"licenseListVersion": {"type": "string"},
			},
		},
		"documentDescribes": {"type": "array", "items": {"$ref": "#/definitions/identifier"}},
		"packages": {"type": "array", "items": {"$ref": "#/definitions/package"}},
		"files": {"type": "array", "items": {"$ref": "#/definitions/file"}},
		"relationships": {"type": "array", "items": {"$ref": "#/definitions/relationship"}},
		"annotations": {"$ref": "#/definitions/annotations"},
	},
	"definitions": {
		"identifier": {"type": "string", "pattern": "^(DocumentRef-[-.A-Za-z0-9]+:)?SPDXRef-[-.A-Za-z0-9]+$"},
		"package": {
			"type": "object",
			"required": ["SPDXID", "name", "downloadLocation"],
			"properties": {
				"SPDXID": {"$ref": "#/definitions/identifier"},
				"name": {"type": "string"},
				"versionInfo": {"type": "string"},
				"downloadLocation": {"type": "string", "minLength": 1},
				"filesAnalyzed": {"type": "boolean"},
				"supplier": {"type": "string"},
				"licenseConcluded": {"type": "string"},
				"licenseDeclared": {"type": "string"},
				"copyrightText": {"type": "string"},
				"checksums": {"$ref": "#/definitions/checksums"},
				"externalRefs": {"type": "array", "items": {
					"type": "object",
					"required": ["referenceCategory", "referenceType", "referenceLocator"],
					"properties": {
						# The specification writes them with hyphens, its own schema once had underscores.
						"referenceCategory": {"enum": [
							"OTHER",
							"PACKAGE-MANAGER",
							"PACKAGE_MANAGER",
							"PERSISTENT-ID",
							"PERSISTENT_ID",
							"SECURITY",
						]},
						"referenceType": {"type": "string", "minLength": 1},
						"referenceLocator": {"type": "string", "minLength": 1},
					},
				}},
				"annotations": {"$ref": "#/definitions/annotations"},
			},
		},
		"file": {
			"type": "object",
			"required": ["SPDXID", "fileName", "checksums"],
			"properties": {
				"SPDXID": {"$ref": "#/definitions/identifier"},
				"fileName": {"type": "string", "minLength": 1},
				"checksums": {"$ref": "#/definitions/checksums"},
			},
		},
		"checksums": {"type": "array", "items": {
			"type": "object",
			"required": ["algorithm", "checksumValue"],
			"properties": {
				"algorithm": {"enum": _algorithms},
				"checksumValue": {"type": "string", "pattern": "^[0-9a-fA-F]+$"},
			},
		}},
		"relationship": {
			"type": "object",
			"required": ["spdxElementId", "relationshipType", "relatedSpdxElement"],
			"properties": {
				"spdxElementId": {"$ref": "#/definitions/identifier"},
				"relationshipType": {"type": "string", "pattern": "^[A-Z_]+$"},
				"relatedSpdxElement": {"anyOf": [
					{"$ref": "#/definitions/identifier"},
					{"enum": ["NONE", "NOASSERTION"]},
				]},
			},
		},
		"annotations": {"type": "array", "items": {
			"type": "object",
			"required": ["annotationDate", "annotationType", "annotator", "comment"],
			"properties": {
				"annotationDate": {"type": "string"},
				"annotationType": {"enum": ["OTHER", "REVIEW"]},
				"annotator": {"type": "string"},
				"comment": {"type": "string"},
			},
		}},
	},
}

_algorithms := [
	"ADLER32",
	"BLAKE2b-256",
	"BLAKE2b-384",
	"BLAKE2b-512",
	"BLAKE3",
	"MD2",
	"MD4",
	"MD5",
	"MD6",
	"SHA1",
	"SHA224",
	"SHA256",
	"SHA384",
	"SHA512",
	"SHA3-256",
	"SHA3-384",
	"SHA3-512",
]
