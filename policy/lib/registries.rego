# Lists of prefixes that say from where images may come.
package lib.registries

import rego.v1

# Does one of `prefixes` permit `image`? A prefix without a path names a whole host: "registry.example" does not permit
# "registry.example.attacker.example/app".
is_permitted(image, prefixes) if {
	some prefix in prefixes
	contains(prefix, "/")
	startswith(image, prefix)
}

is_permitted(image, prefixes) if {
	some host in prefixes
	split(image, "/")[0] == host
}
