use std::path::Path;

use rstest::rstest;

use super::*;

const GOOD: &str = r#"
syntax = "proto3";
package a.v1;

// A service.
service Things {
  // A call.
  rpc GetThing(Thing) returns (stream Thing);
}

// A message.
message Thing {
  // How it is.
  enum State {
    // Not known.
    UNKNOWN = 0;
    // Done.
    DONE = 1;
  }
  // Its name.
  string name = 1;
  // More about it.
  map<string, Thing> parts = 2;
  // How it was.
  repeated State states = 3;
}
"#;

fn compiled(text: &str) -> FileDescriptorSet {
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir_all(folder.path().join("a/v1")).unwrap();
    std::fs::write(folder.path().join("a/v1/things.proto"), text).unwrap();
    compile(folder.path(), &[Path::new("a/v1/things.proto")]).unwrap()
}

fn surface(text: &str) -> Surface {
    surfaces(&compiled(text)).remove("a.v1").unwrap()
}

#[test]
fn a_surface_says_what_clients_rely_on() {
    let lines: Vec<(String, String)> = surface(GOOD).into_iter().collect();
    let expected = [
        ("Thing.1", "string name"),
        ("Thing.2", "map<string, a.v1.Thing> parts"),
        ("Thing.3", "repeated a.v1.Thing.State states"),
        ("Thing.State.0", "UNKNOWN"),
        ("Thing.State.1", "DONE"),
        ("Things.GetThing", "(a.v1.Thing) returns (stream a.v1.Thing)"),
    ];
    let expected: Vec<(String, String)> =
        expected.iter().map(|(key, line)| ((*key).to_owned(), (*line).to_owned())).collect();
    assert_eq!(lines, expected);
}

#[rstest]
#[case::nothing("", "", None)]
#[case::renamed("string name", "string title", Some("Thing.1 was `string name` and is `string title`"))]
#[case::other_type("string name", "bytes name", Some("Thing.1 was `string name` and is `bytes name`"))]
#[case::other_number("name = 1", "name = 4", Some("Thing.1, `string name`, is gone"))]
#[case::value_renamed("DONE = 1", "OVER = 1", Some("Thing.State.1 was `DONE` and is `OVER`"))]
#[case::no_stream("(stream Thing)", "(Thing)", Some("Things.GetThing was"))]
#[case::new_field(
    "// Its name.",
    "// New.\n string more = 9;\n // Its name.",
    Some("lacks what is new: \"Thing.9\": \"string more\"")
)]
fn a_changed_surface_is_a_fault(#[case] from: &str, #[case] to: &str, #[case] expected: Option<&str>) {
    let found = breaks(Path::new("a.v1.lock.json"), &surface(GOOD), &surface(&GOOD.replace(from, to)));
    match expected {
        None => assert_eq!(found, [""; 0]),
        Some(fault) => assert!(found[0].contains(fault), "{found:?}"),
    }
}

#[rstest]
#[case::good("package a.v1;", "package a.v1;", None)]
#[case::other_package(
    "package a.v1;",
    "package b.v1;",
    Some("package `b.v1` does not live in folder `a/v1`")
)]
#[case::message_name(
    "message Thing {",
    "message thing_x {}\n// A message.\nmessage Thing {",
    Some("thing_x is not written in CamelCase")
)]
#[case::field_name("string name", "string firstName", Some("Thing.firstName is not written in snake_case"))]
#[case::value_name("DONE", "Done", Some("State.Done is not written in UPPER_CASE"))]
#[case::field_without_comment("// Its name.", "", Some("Thing.name has no comment"))]
#[case::value_without_comment("// Done.", "", Some("State.DONE has no comment"))]
#[case::call_without_comment("// A call.", "", Some("GetThing has no comment"))]
#[case::service_without_comment("// A service.", "", Some("Things has no comment"))]
fn a_file_that_looks_otherwise_is_a_fault(
    #[case] from: &str,
    #[case] to: &str,
    #[case] expected: Option<&str>,
) {
    let found = style::faults(&compiled(&GOOD.replacen(from, to, 1)));
    match expected {
        None => assert_eq!(found, [""; 0]),
        Some(fault) => assert!(found.iter().any(|found| found.contains(fault)), "{found:?}"),
    }
}

#[test]
fn a_file_that_does_not_compile_is_named() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("bad.proto"), "message {").unwrap();
    let error = compile(folder.path(), &[Path::new("bad.proto")]).unwrap_err();
    assert!(error.to_string().contains("proto/bad.proto"), "{error}");
}

/// The files of this repository, which the lint itself checks from `cargo xtask`.
#[test]
fn our_own_files_are_as_they_were_locked() {
    let root = crate::paths::repository().unwrap();
    let mut files = Vec::new();
    let mut folders = vec![root.join(FOLDER)];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else {
                files.push(path.strip_prefix(&root).unwrap().to_owned());
            }
        }
    }
    check(&root, &files).unwrap();
}
