//! Where a log lies in a store.

use std::fmt;

/// Of a uid or a parent: columns of the database are no longer.
const SEGMENT: usize = 64;
/// Of a whole path that an older server wrote: what S3 allows for a key.
const PATH: usize = 1024;

/// A place in the store, relative: `<parent>/<uid of the Result>/<uid of the Log record>`, or for logs that an older server
/// stored the path that it wrote down. No part of it is `.` or `..`, or begins with a dot.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct LogKey(String);

/// A part of a place that could leave it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{what} {value:?} cannot be part of a log's place: expected 1 to 64 of letters, digits, - and _")]
pub struct BadKey {
    what: &'static str,
    value: String,
}

impl LogKey {
    /// The place of the log that belongs to this Log record.
    pub fn new(parent: &str, result_uid: &str, record_uid: &str) -> Result<Self, BadKey> {
        let folder = folder(parent, result_uid)?;
        Ok(Self(format!("{folder}{}", segment("uid of the Log record", record_uid)?)))
    }

    /// The place that an older server chose for a log of `parent`, as the record's `status.path` says. `None` if it is not
    /// below the parent: then somebody made it up, to get at the logs of others (spec 2.7).
    pub fn written_down(parent: &str, path: &str) -> Option<Self> {
        let is_sound = |part: &str| {
            !part.is_empty() && !part.starts_with('.') && !part.contains(['\\', '\0', '\n', '\r'])
        };
        let mut parts = path.split('/');
        let is_below = path.len() <= PATH
            && segment("parent", parent).is_ok()
            && parts.next() == Some(parent)
            && parts.clone().count() > 0
            && parts.all(is_sound);
        is_below.then(|| Self(path.to_owned()))
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for LogKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What the keys of all logs of a Result begin with: `<parent>/<uid of the Result>/`.
pub(super) fn folder(parent: &str, result_uid: &str) -> Result<String, BadKey> {
    Ok(format!("{}/{}/", segment("parent", parent)?, segment("uid of the Result", result_uid)?))
}

fn segment<'a>(what: &'static str, value: &'a str) -> Result<&'a str, BadKey> {
    let is_sound = (1..=SEGMENT).contains(&value.len())
        && value.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_');
    if is_sound { Ok(value) } else { Err(BadKey { what, value: value.to_owned() }) }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rstest::rstest;

    use super::*;

    #[test]
    fn is_made_of_the_parent_and_uids() {
        assert_eq!(LogKey::new("team-a", "r1", "c1").unwrap().as_str(), "team-a/r1/c1");
        assert_eq!(folder("team-a", "r1").unwrap(), "team-a/r1/");
    }

    #[rstest]
    #[case::empty("")]
    #[case::up("..")]
    #[case::slash("a/b")]
    #[case::dot("a.b")]
    #[case::wildcard("*")]
    #[case::long(&"a".repeat(65))]
    #[case::letter_of_others("ä")]
    fn refuses_parts_that_could_leave_their_place(#[case] part: &str) {
        assert!(LogKey::new(part, "r", "c").is_err());
        assert!(LogKey::new("p", part, "c").is_err());
        assert!(LogKey::new("p", "r", part).is_err());
    }

    #[rstest]
    #[case::older_server("team-a/0c1e/build-log", true)]
    #[case::name_with_a_dot("team-a/0c1e/build.v1-log", true)]
    #[case::another_parent("team-b/0c1e/build-log", false)]
    #[case::parent_that_begins_alike("team-ab/0c1e/build-log", false)]
    #[case::up("team-a/../team-b/0c1e/build-log", false)]
    #[case::absolute("/team-a/0c1e/build-log", false)]
    #[case::the_whole_parent("team-a", false)]
    #[case::the_whole_parent_with_a_slash("team-a/", false)]
    #[case::twice_a_slash("team-a//build-log", false)]
    #[case::here("team-a/./build-log", false)]
    #[case::uploads_under_way("team-a/.uploads/x", false)]
    #[case::other_slash("team-a/..\\team-b", false)]
    #[case::empty("", false)]
    fn follows_a_written_path_only_below_its_parent(#[case] path: &str, #[case] is_followed: bool) {
        assert_eq!(LogKey::written_down("team-a", path).is_some(), is_followed);
    }

    proptest! {
        /// Whatever path a client writes: on a file system it stays below the parent's folder.
        #[test]
        fn stays_below_the_parent(path in "(team-a|\\.\\.|\\.|/|[a-z.]{0,3}|\\\\){0,8}") {
            if let Some(key) = LogKey::written_down("team-a", &path) {
                let place = std::path::Path::new("/logs").join(key.as_str());
                prop_assert!(place.components().all(|part| !matches!(part, std::path::Component::ParentDir)));
                prop_assert!(place.starts_with("/logs/team-a") && place != std::path::Path::new("/logs/team-a"));
            }
        }
    }
}
