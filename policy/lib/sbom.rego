# Software bills of materials of the image, from wherever they are vouched for: files of the image itself, signed
# attestations, and blobs that a build task names by digest. One that merely lies beside the image in the registry is none.
package lib.sbom

import rego.v1

# Objects with
#   origin    where it is from, as text for messages
#   document  what it says
cyclonedx := [found | some found in _found; found.format == "cyclonedx"]

spdx := [found | some found in _found; found.format == "spdx"]

all := array.concat(cyclonedx, spdx)

# Blobs that a task has named and that cannot be fetched, or that are no JSON object.
unreadable := {url | some url in urls; not _blob(url)}

# What the documents list: objects with `origin`, that of the document; `purl`, as it is written; and its parts
# `type`, `namespace`, `name`, `version`, `subpath` and `qualifiers`. Package URLs that cannot be read are left out.
packages := [package_ |
	some entry in _purls
	parts := ec.purl.parse(entry.purl)
	package_ := object.union(
		{key: parts[key] | some key in ["type", "namespace", "name", "version", "subpath"]},
		{
			"origin": entry.origin,
			"purl": entry.purl,
			"qualifiers": {qualifier.key: qualifier.value | some qualifier in parts.qualifiers},
		},
	)
]

# Components of a CycloneDX document, with those within others.
components(document) := array.concat(outer, [component |
	some holder in outer
	walk(holder.components, [path, component])
	_is_place_of_component(path)
]) if {
	outer := [component | some component in document.components]
}

# Below a list of components: 3, 3.components.0, …
_is_place_of_component(path) if {
	count(path) % 2 == 1
	every position, step in path {
		_is_step(position % 2, step)
	}
}

_is_step(0, step) if is_number(step)

_is_step(1, step) if step == "components"

# Package URLs of an SPDX package.
purls(package_) := {reference.referenceLocator |
	some reference in package_.externalRefs
	reference.referenceType == "purl"
}

_purls := array.concat(
	[{"origin": found.origin, "purl": component.purl} |
		some found in cyclonedx
		some component in components(found.document)
	],
	[{"origin": found.origin, "purl": purl} |
		some found in spdx
		some package_ in found.document.packages
		some purl in purls(package_)
	],
)

_found := array.concat(array.concat(_in_image, _attested), _in_blobs)

_in_image := [found |
	some path, document in input.image.files
	startswith(path, "root/buildinfo/content_manifests/")
	format := _format(document)
	found := {"origin": concat("", ["file ", path, " of the image"]), "format": format, "document": document}
]

_attested := [found |
	some position, statement in data.lib.statements
	format := _attested_format(statement.predicateType)
	found := {
		"origin": sprintf("attestation %d", [position]),
		"format": format,
		"document": _predicate(statement.predicate),
	}
]

_in_blobs := [found |
	some url in urls
	document := _blob(url)
	found := {"origin": concat(" ", ["blob", url]), "format": _blob_format(document), "document": document}
]

# Where the build says that there are SBOMs: of the task that has built this image, and for an index, which holds what several
# tasks have built, of all of them.
urls contains url if {
	some task in data.lib.build_tasks
	some built in data.lib.tekton.images(task)
	built.digest == data.lib.image_digest
	url := data.lib.tekton.text_result(task, "SBOM_BLOB_URL")
}

urls contains url if {
	ec.oci.image_index(input.image.ref)
	some task in data.lib.build_tasks
	url := data.lib.tekton.text_result(task, "SBOM_BLOB_URL")
}

_blob(url) := document if {
	document := json.unmarshal(ec.oci.blob(url))
	is_object(document)
}

_format(document) := "cyclonedx" if {
	document.bomFormat == "CycloneDX"
} else := "spdx" if {
	is_string(document.spdxVersion)
}

# Something else counts as CycloneDX as well, whose rules then say what is wrong with it.
_blob_format(document) := _format(document)

_blob_format(document) := "cyclonedx" if not _format(document)

_attested_format(type) := "cyclonedx" if startswith(type, "https://cyclonedx.org/bom")

_attested_format(type) := "spdx" if startswith(type, "https://spdx.dev/Document")

# Tools write the document as it is or as text, and older ones as a member `Data`.
_predicate(predicate) := _decoded(predicate.Data) if {
	object.keys(predicate) == {"Data"}
} else := _decoded(predicate)

_decoded(value) := decoded if {
	decoded := json.unmarshal(value)
} else := value
