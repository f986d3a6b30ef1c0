//! What a Git server advertises: its names and their objects, by HTTP in protocol version 0 or 1 (gitprotocol-http, gitprotocol-pack).
//! Read piece by piece, as it comes; nothing is kept but what was asked for.

/// Digits of the length before each line.
const LENGTH: usize = 4;
/// The longest line, its length included.
const LONGEST: usize = 65520;
/// First line of an answer.
const SERVICE: &[u8] = b"# service=git-upload-pack";
/// Marks the object that an annotated tag is of.
const PEELED: &str = "^{}";

/// Looks for one name among those of a server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Advertised {
    names: Vec<Name>,
    state: State,
    /// Of a line that has not come whole.
    rest: Vec<u8>,
}

/// A name that would be it.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Name {
    full: String,
    object: Option<String>,
    /// The commit, where `object` is an annotated tag.
    peeled: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// Nothing has come.
    Start,
    /// The service was named.
    Opened,
    Names,
    End,
}

/// What the name is of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Found {
    Commit(String),
    Nothing,
    /// A branch and a tag, of different commits.
    Several,
}

enum Line<'a> {
    /// Ends a part.
    Flush,
    Text(&'a [u8]),
}

impl Advertised {
    /// `revision` is `HEAD`, a full name (`refs/…`), or the name of a branch or tag.
    pub(super) fn of(revision: &str) -> Self {
        let full = if revision == "HEAD" || revision.starts_with("refs/") {
            vec![revision.to_owned()]
        } else {
            vec![format!("refs/heads/{revision}"), format!("refs/tags/{revision}")]
        };
        let names = full.into_iter().map(|full| Name { full, object: None, peeled: None }).collect();
        Self { names, state: State::Start, rest: Vec::new() }
    }

    /// Reads on. The error says what is wrong with the answer.
    pub(super) fn read(&mut self, piece: &[u8]) -> Result<(), String> {
        let mut bytes = std::mem::take(&mut self.rest);
        bytes.extend_from_slice(piece);
        let mut left = bytes.as_slice();
        while let Some((line, tail)) = next(left)? {
            self.line(&line)?;
            left = tail;
        }
        self.rest = left.to_vec();
        Ok(())
    }

    /// What there is, once all was read.
    pub(super) fn found(self) -> Result<Found, String> {
        if self.state != State::End {
            return Err("its answer ends early".to_owned());
        }
        let mut commits = self.names.into_iter().filter_map(|name| name.peeled.or(name.object));
        Ok(match (commits.next(), commits.next()) {
            (Some(one), Some(other)) if one != other => Found::Several,
            (Some(commit), _) => Found::Commit(commit),
            (None, _) => Found::Nothing,
        })
    }

    fn line(&mut self, line: &Line<'_>) -> Result<(), String> {
        self.state = match (self.state, line) {
            (State::Start, Line::Text(text)) if text.trim_ascii_end() == SERVICE => State::Opened,
            (State::Start, _) => return Err("it does not begin as one".to_owned()),
            (State::Opened, Line::Flush) => State::Names,
            (State::Opened, Line::Text(_)) => return Err("it goes on otherwise than one".to_owned()),
            (State::Names, Line::Flush) => State::End,
            (State::Names, Line::Text(text)) => {
                self.name(text)?;
                State::Names
            }
            (State::End, _) => return Err("something follows the end".to_owned()),
        };
        Ok(())
    }

    fn name(&mut self, text: &[u8]) -> Result<(), String> {
        // What the server can do stands behind the first name.
        let text = text.split(|byte| *byte == 0).next().unwrap_or_default().trim_ascii_end();
        // A name need not be UTF-8; one that is not was not asked for.
        let Ok(text) = str::from_utf8(text) else { return Ok(()) };
        if text == "version 1" || text.starts_with("shallow ") {
            return Ok(());
        }
        if let Some(message) = text.strip_prefix("ERR ") {
            return Err(format!("it says {:?}", fleet::redact(message)));
        }
        let (object, name) = text.split_once(' ').ok_or("it has a line that names nothing")?;
        if !is_object(object) {
            return Err("it has a line that names no object".to_owned());
        }
        for wanted in &mut self.names {
            if name == wanted.full {
                wanted.object = Some(object.to_owned());
            } else if name.strip_suffix(PEELED) == Some(&wanted.full) {
                wanted.peeled = Some(object.to_owned());
            }
        }
        Ok(())
    }
}

/// The next line and what follows, or `None` if it has not come whole.
fn next(bytes: &[u8]) -> Result<Option<(Line<'_>, &[u8])>, String> {
    let Some((length, _)) = bytes.split_at_checked(LENGTH) else { return Ok(None) };
    let digits = str::from_utf8(length).ok().filter(|text| text.bytes().all(|byte| byte.is_ascii_hexdigit()));
    let length = digits.and_then(|digits| usize::from_str_radix(digits, 16).ok());
    match length {
        Some(0) => Ok(Some((Line::Flush, &bytes[LENGTH..]))),
        Some(length) if (LENGTH..=LONGEST).contains(&length) => {
            Ok(bytes.split_at_checked(length).map(|(line, rest)| (Line::Text(&line[LENGTH..]), rest)))
        }
        _ => Err("it has a line without a length".to_owned()),
    }
}

/// Name of an object: SHA-1 or SHA-256, in hexadecimal digits.
fn is_object(text: &str) -> bool {
    matches!(text.len(), 40 | 64) && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rstest::rstest;

    use super::*;

    const A: &str = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";
    const B: &str = "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb";
    const C: &str = "cccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccc";

    fn line(text: &str) -> String {
        format!("{:04x}{text}\n", text.len() + LENGTH + 1)
    }

    /// An answer with these names.
    fn answer(names: &[(&str, &str)]) -> String {
        let lines = names.iter().enumerate().map(|(at, (object, name))| {
            let abilities = if at == 0 { "\0multi_ack symref=HEAD:refs/heads/main agent=git/2" } else { "" };
            line(&format!("{object} {name}{abilities}"))
        });
        format!("{}0000{}0000", line("# service=git-upload-pack"), lines.collect::<String>())
    }

    fn found(revision: &str, answer: &[u8]) -> Result<Found, String> {
        let mut advertised = Advertised::of(revision);
        advertised.read(answer)?;
        advertised.found()
    }

    #[rstest]
    #[case::branch("main", &[(A, "HEAD"), (A, "refs/heads/main"), (B, "refs/heads/main2")], Found::Commit(A.into()))]
    #[case::first_name("HEAD", &[(A, "HEAD"), (B, "refs/heads/x")], Found::Commit(A.into()))]
    #[case::branch_with_a_slash("a/b", &[(A, "refs/heads/b"), (B, "refs/heads/a/b")], Found::Commit(B.into()))]
    #[case::tag("v1", &[(A, "refs/tags/v1")], Found::Commit(A.into()))]
    #[case::annotated_tag("v1", &[(A, "refs/tags/v1"), (B, "refs/tags/v1^{}")], Found::Commit(B.into()))]
    #[case::full_name("refs/tags/v1", &[(A, "refs/heads/v1"), (B, "refs/tags/v1")], Found::Commit(B.into()))]
    #[case::branch_and_tag("v1", &[(A, "refs/heads/v1"), (B, "refs/tags/v1")], Found::Several)]
    #[case::branch_and_tag_of_one_commit(
        "v1", &[(A, "refs/heads/v1"), (B, "refs/tags/v1"), (A, "refs/tags/v1^{}")], Found::Commit(A.into())
    )]
    #[case::sha256("main", &[(C, "refs/heads/main")], Found::Commit(C.into()))]
    #[case::other_kinds_of_names("7", &[(A, "refs/pull/7/head"), (A, "refs/heads/x7"), (A, "7")], Found::Nothing)]
    #[case::part_of_a_name("b", &[(A, "refs/heads/a/b")], Found::Nothing)]
    #[case::beginning_of_a_commit("aaaaaaa", &[(A, "refs/heads/main")], Found::Nothing)]
    #[case::empty_repository("main", &[("0000000000000000000000000000000000000000", "capabilities^{}")], Found::Nothing)]
    fn finds(#[case] revision: &str, #[case] names: &[(&str, &str)], #[case] expected: Found) {
        assert_eq!(found(revision, answer(names).as_bytes()), Ok(expected));
    }

    #[test]
    fn passes_over_what_is_no_name() {
        let lines = ["version 1".to_owned(), format!("shallow {B}"), format!("{A} refs/heads/main")];
        let lines: String = lines.iter().map(|text| line(text)).collect();
        let mut answer = format!("{}0000{lines}", line("# service=git-upload-pack")).into_bytes();
        answer.extend_from_slice(b"0031bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb \xff\xfe\xfd\n0000");
        assert_eq!(found("main", &answer), Ok(Found::Commit(A.into())));
    }

    #[rstest]
    #[case::web_page("<!DOCTYPE html>", "without a length")]
    #[case::other_service("001f# service=git-receive-pack\n0000", "does not begin")]
    #[case::second_version("001e# service=git-upload-pack\n0000000eversion 2\n0000", "names no object")]
    #[case::no_flush("001e# service=git-upload-pack\n001e# service=git-upload-pack\n", "goes on otherwise")]
    #[case::nothing("", "ends early")]
    #[case::half("001e# service=git-upload-pack\n0000", "ends early")]
    #[case::half_a_line("001e# service=git-upload-pack\n00000040aaaa", "ends early")]
    #[case::length_of_one("0001", "without a length")]
    #[case::length_of_three("0003", "without a length")]
    #[case::too_long("fff1", "without a length")]
    #[case::sign("+010", "without a length")]
    #[case::short_object("001e# service=git-upload-pack\n00000012abc refs/a\n0000", "names no object")]
    #[case::refusal("001e# service=git-upload-pack\n0000000dERR nope\n0000", "it says \"nope\"")]
    #[case::more("001e# service=git-upload-pack\n000000000000", "follows the end")]
    fn refuses(#[case] answer: &str, #[case] expected: &str) {
        let error = found("main", answer.as_bytes()).unwrap_err();
        assert!(error.contains(expected), "{error}");
    }

    fn any_answer() -> impl Strategy<Value = Vec<u8>> {
        let text = "(aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa |ERR |shallow |version 1|)(refs/(heads|tags)/main)?(\\^\\{\\})?\\x00?.{0,8}";
        let part = prop_oneof![
            text.prop_map(|text| line(&text).into_bytes()),
            Just(b"0000".to_vec()),
            proptest::collection::vec(any::<u8>(), 0..12),
            "[0-9a-f]{4}".prop_map(String::into_bytes),
        ];
        (any::<bool>(), proptest::collection::vec(part, 0..12)).prop_map(|(begins, parts)| {
            let head =
                if begins { format!("{}0000", line("# service=git-upload-pack")) } else { String::new() };
            [head.into_bytes(), parts.concat()].concat()
        })
    }

    /// Whatever a server says, and in whatever pieces it comes.
    #[test]
    fn never_panics_and_reads_the_same_in_any_pieces() {
        testkit::fuzz(file!(), &(any_answer(), 1_usize..64), |(answer, size)| {
            let whole = found("main", &answer);
            let mut advertised = Advertised::of("main");
            let in_pieces = answer
                .chunks(size)
                .try_for_each(|piece| advertised.read(piece))
                .and_then(|()| advertised.found());
            prop_assert_eq!(&in_pieces, &whole);
            if let Ok(Found::Commit(commit)) = whole {
                prop_assert!(is_object(&commit));
            }
            Ok(())
        });
    }
}
