package lib.registries_test

import rego.v1

import data.lib.registries

test_prefixes_with_a_path_permit_what_starts_with_them if {
	registries.is_permitted("registry.example/base/os:9", ["other.example/", "registry.example/base/"])
	not registries.is_permitted("registry.example/other/os:9", ["other.example/", "registry.example/base/"])
}

test_prefixes_without_a_path_permit_a_whole_host if {
	registries.is_permitted("registry.example/base/os:9", ["registry.example"])
	not registries.is_permitted("registry.example.attacker.example/os", ["registry.example"])
	not registries.is_permitted("registry.example:5000/os", ["registry.example"])
}

test_no_prefix_permits_nothing if not registries.is_permitted("registry.example/os", [])
