package lib.image_test

import rego.v1

import data.lib.fixtures
import data.lib.image as images

test_parse_takes_apart if {
	images.parse("registry.example:5000/team/app:1.2@sha256:abc") == {
		"repository": "registry.example:5000/team/app",
		"tag": "1.2",
		"digest": "sha256:abc",
	}
	images.parse("registry.example:5000/app") == {"repository": "registry.example:5000/app", "tag": "", "digest": ""}
	images.parse(" app:latest\n") == {"repository": "app", "tag": "latest", "digest": ""}
}

test_parse_refuses_what_is_no_reference if {
	not images.parse("")
	not images.parse("a@b@c")
	not images.parse("registry.example/:tag")
	not images.parse("registry.example/app:a:b")
	not images.parse(7)
}

test_format_puts_together_again if {
	every reference in ["r.example/app", "r.example/app:1", "r.example/app@sha256:abc", "r.example/app:1@sha256:abc"] {
		images.format(images.parse(reference)) == reference
	}
}

test_same_compares_digests_before_tags if {
	images.same("r.example/app:1@sha256:abc", "r.example/app:2@sha256:abc")
	images.same("r.example/app:1", "r.example/app:1")
	not images.same("r.example/app:1", "r.example/app:2")
	not images.same("r.example/app@sha256:abc", "r.example/app@sha256:abd")
	not images.same("r.example/app@sha256:abc", "r.example/other@sha256:abc")
	not images.same("r.example/app:1@sha256:abc", "r.example/app:1")
}

test_is_digest if {
	images.is_digest(fixtures.digest)
	not images.is_digest("sha256:1234")
	not images.is_digest(upper(fixtures.task_digest))
}
