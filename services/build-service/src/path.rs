//! Paths in repositories, as the original cleans them.

/// Directory of the build, below the repository's root: `context` and `build_context` one after the other, without `.`, `..`
/// and a leading `/`. `None` if neither says anything.
pub(crate) fn build_context(context: &str, build_context: &str) -> Option<String> {
    let parts: Vec<_> = [context, build_context].into_iter().filter(|part| !part.is_empty()).collect();
    if parts.is_empty() {
        return None;
    }
    let path = clean(&parts.join("/"));
    Some(path.trim_start_matches('/').to_owned())
}

/// The shortest path of the same place: no empty part, no `.`, and `..` only at the beginning.
pub(crate) fn clean(path: &str) -> String {
    let is_rooted = path.starts_with('/');
    let mut parts: Vec<&str> = Vec::new();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." if parts.last().is_some_and(|last| *last != "..") => _ = parts.pop(),
            ".." if is_rooted => {}
            part => parts.push(part),
        }
    }
    let joined = parts.join("/");
    match (is_rooted, joined.is_empty()) {
        (true, _) => format!("/{joined}"),
        (false, true) => ".".to_owned(),
        (false, false) => joined,
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case::neither("", "", None)]
    #[case::root("", ".", Some("."))]
    #[case::only_context("backend", "", Some("backend"))]
    #[case::both("backend", "docker", Some("backend/docker"))]
    #[case::dots("./backend/", "./", Some("backend"))]
    #[case::up("backend", "../other", Some("other"))]
    #[case::rooted("/backend", "x", Some("backend/x"))]
    #[case::out("", "../../etc", Some("../../etc"))]
    #[case::out_of_root("/", "../etc", Some("etc"))]
    fn joins_both(#[case] context: &str, #[case] below: &str, #[case] expected: Option<&str>) {
        assert_eq!(build_context(context, below).as_deref(), expected);
    }
}
