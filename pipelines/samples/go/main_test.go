package main

import "testing"

func TestGreeting(t *testing.T) {
	for path, expected := range map[string]string{"/Ada": "Hello, Ada!\n", "/": "Hello, world!\n"} {
		if found := greeting(path); found != expected {
			t.Errorf("greeting(%q) = %q, expected %q", path, found, expected)
		}
	}
}
