//! Names that strangers write, before Git sees them.

/// Whether it is the full name of a commit, so that it always means the same.
pub fn is_commit(revision: &str) -> bool {
    revision.len() == 40 && revision.bytes().all(|byte| byte.is_ascii_hexdigit())
}

/// Whether it can be a branch, a tag, or the full name of a commit, and is nothing that Git would take for an option, a
/// mapping of names or an expression (git-check-ref-format, gitrevisions).
pub fn is_revision(revision: &str) -> bool {
    !(revision.is_empty()
        || revision.len() > 250
        || revision.starts_with(['-', '+', '/', '.'])
        || revision.ends_with(['/', '.'])
        || revision.contains("..")
        || revision.contains("//")
        || revision.contains("@{")
        || revision.contains([' ', '~', '^', ':', '?', '*', '[', '\\'])
        || revision.contains(char::is_control))
}

/// Whether it can be the path of a file or folder within a repository.
pub fn is_path(path: &str) -> bool {
    let is_part = |part: &str| !part.is_empty() && part != "." && part != "..";
    !path.starts_with('-')
        && !path.contains('\\')
        && !path.contains(char::is_control)
        && path.split('/').all(is_part)
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case::none("", false)]
    #[case::option("-upload-pack=x", false)]
    #[case::mapping("main:other", false)]
    #[case::force("+main", false)]
    #[case::parent("main..other", false)]
    #[case::expression("main^", false)]
    #[case::reflog("main@{1}", false)]
    #[case::pattern("refs/*", false)]
    #[case::space("a b", false)]
    #[case::second_line("main\nother", false)]
    #[case::branch("feature/x-1_2.3#4", true)]
    #[case::full_name("refs/pull/1/head", true)]
    fn checks_revisions(#[case] revision: &str, #[case] expected: bool) {
        assert_eq!(is_revision(revision), expected);
    }

    #[rstest]
    #[case::file("tasks/build.yaml", true)]
    #[case::parent("../build.yaml", false)]
    #[case::parent_within("tasks/../../build.yaml", false)]
    #[case::option("--help", false)]
    #[case::empty_part("tasks//build.yaml", false)]
    #[case::folder("tasks/", false)]
    fn checks_paths(#[case] path: &str, #[case] expected: bool) {
        assert_eq!(is_path(path), expected);
    }
}
