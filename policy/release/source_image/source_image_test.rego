package policy.release.source_image_test

import rego.v1

import data.lib.fixtures
import data.policy.release.source_image

_ref := sprintf("registry.example/team/app:sha256-1.src@%s", [fixtures.other_digest])

_input := fixtures.input_of([
	fixtures.buildah,
	fixtures.task("source-build", {
		"SOURCE_IMAGE_URL": "registry.example/team/app:sha256-1.src\n",
		"SOURCE_IMAGE_DIGEST": fixtures.other_digest,
	}, {}),
])

_options := {"public_key": "key"}

_manifest(_) := {"schemaVersion": 2}

_good(ref, options) := {"success": true, "errors": [], "signatures": []} if {
	ref == _ref
	options == _options
}

_bad(_, _) := {"success": false, "errors": ["no signatures found"], "signatures": []}

_silent(_, _) := {"success": false, "errors": [], "signatures": []}

# It contradicts itself: then the image is not signed.
_odd(_, _) := {"success": true, "errors": ["no signatures found"], "signatures": []}

test_signed_passes if {
	fixtures.none(source_image.deny) with input as _input
		with data.config.default_sigstore_opts as _options
		with ec.oci.image_manifest as _manifest
		with ec.sigstore.verify_image as _good
}

test_exists_passes if {
	results := source_image.deny with input as _input with ec.oci.image_manifest as _manifest
	not "source_image.exists" in fixtures.codes(results)
}

test_exists_fails_without_results if {
	expected := {{
		"code": "source_image.exists",
		"msg": "No task of the build pipeline has built a source image",
	}}
	fixtures.same(source_image.deny, expected) with input as fixtures.input_of([fixtures.buildah])
}

test_exists_fails_if_it_cannot_be_fetched if {
	expected := {{
		"code": "source_image.exists",
		"msg": sprintf("The source image %q cannot be fetched", [_ref]),
	}}
	fixtures.same(source_image.deny, expected) with input as _input
		with data.config.default_sigstore_opts as _options
		with ec.sigstore.verify_image as _good
}

_unsigned(problem) := {{
	"code": "source_image.signed",
	"msg": sprintf("The signature of the source image %q cannot be verified: %s", [_ref, problem]),
}}

test_signed_fails_for_errors if {
	fixtures.same(source_image.deny, _unsigned("no signatures found")) with input as _input
		with data.config.default_sigstore_opts as _options
		with ec.oci.image_manifest as _manifest
		with ec.sigstore.verify_image as _bad
	fixtures.same(source_image.deny, _unsigned("no signatures found")) with input as _input
		with data.config.default_sigstore_opts as _options
		with ec.oci.image_manifest as _manifest
		with ec.sigstore.verify_image as _odd
}

test_signed_fails_without_an_answer if {
	fixtures.same(source_image.deny, _unsigned("nothing is known about it")) with input as _input
		with data.config.default_sigstore_opts as _options
		with ec.oci.image_manifest as _manifest
	fixtures.same(source_image.deny, _unsigned("nothing is known about it")) with input as _input
		with data.config.default_sigstore_opts as _options
		with ec.oci.image_manifest as _manifest
		with ec.sigstore.verify_image as _silent
}

test_signed_fails_without_options if {
	fixtures.same(source_image.deny, _unsigned("nothing is known about it")) with input as _input
		with ec.oci.image_manifest as _manifest
		with ec.sigstore.verify_image as _good
}
