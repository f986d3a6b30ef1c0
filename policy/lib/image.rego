# References of container images.
package lib.image

import rego.v1

# Takes `reference` apart into repository, tag and digest, the latter two empty if absent. Undefined if it has no repository.
parse(reference) := {"repository": repository, "tag": tag, "digest": digest} if {
	is_string(reference)
	halves := split(trim_space(reference), "@")
	count(halves) <= 2
	digest := concat("", array.slice(halves, 1, 2))
	segments := split(halves[0], "/")
	last := split(segments[count(segments) - 1], ":")
	count(last) <= 2
	tag := concat("", array.slice(last, 1, 2))
	name := array.concat(array.slice(segments, 0, count(segments) - 1), [last[0]])
	repository := concat("/", name)
	last[0] != ""
}

# `image` as parse() returns it, as text.
format(image) := concat("", [image.repository, _prefixed(":", image.tag), _prefixed("@", image.digest)])

_prefixed(_, text) := "" if text == ""

_prefixed(prefix, text) := concat("", [prefix, text]) if text != ""

# Do both references mean one image? With a digest the tag does not matter.
same(left, right) if {
	one := parse(left)
	other := parse(right)
	one.repository == other.repository
	one.digest == other.digest
	_same_tag(one, other)
}

_same_tag(one, _) if one.digest != ""

_same_tag(one, other) if one.tag == other.tag

# Does `digest` look like one that registries use?
is_digest(digest) if regex.match(`^sha256:[0-9a-f]{64}$`, digest)

is_digest(digest) if regex.match(`^sha512:[0-9a-f]{128}$`, digest)
