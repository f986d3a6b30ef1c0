//! Names of repositories and robots, checked before they become part of an address.

use super::Error;

/// Of `<organization>/<repository>`, as registries have it.
const LONGEST_REPOSITORY: usize = 255;
const LONGEST_ROBOT: usize = 254;

/// `path` is a repository in `organization`: components of `[a-z0-9][a-z0-9._-]*`, 255 characters in all. So none of them
/// leads anywhere else in a URL.
pub(crate) fn check_repository(step: &str, organization: &str, path: &str) -> Result<(), Error> {
    let is_component = |component: &str| {
        component.starts_with(|c: char| c.is_ascii_lowercase() || c.is_ascii_digit())
            && component.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || "._-".contains(c))
    };
    if !path.split('/').all(is_component) || !is_component(organization) {
        return Err(Error::refused(
            step,
            &format!(
                "{organization}/{path} is no name of a repository: lower case letters, digits and . _ - only"
            ),
        ));
    }
    let length = organization.len() + 1 + path.len();
    if length > LONGEST_REPOSITORY {
        return Err(Error::refused(
            step,
            &format!(
                "the name {organization}/{path} has {length} characters; registries take {LONGEST_REPOSITORY}"
            ),
        ));
    }
    Ok(())
}

/// The robot's name without its organization. Words of `[a-z0-9]+` with one of `. _ -` between them.
pub(crate) fn short_robot<'a>(step: &str, robot: &'a str) -> Result<&'a str, Error> {
    let short = robot.rsplit_once('+').map_or(robot, |(_, short)| short);
    let is_word =
        |word: &str| !word.is_empty() && word.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit());
    if short.len() > LONGEST_ROBOT || !short.split(['.', '_', '-']).all(is_word) {
        return Err(Error::refused(step, &format!("{robot:?} is no name of a robot account")));
    }
    Ok(short)
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case::plain("team/app/web", true)]
    #[case::marks("team/a.b_c-d--e", true)]
    #[case::parent("team/../other", false)]
    #[case::here("team/./web", false)]
    #[case::empty_component("team//web", false)]
    #[case::absolute("/team", false)]
    #[case::end("team/", false)]
    #[case::nothing("", false)]
    #[case::upper("Team/web", false)]
    #[case::query("team/web?x=1", false)]
    #[case::escape("team/%2e%2e/web", false)]
    fn checks_repositories(#[case] path: &str, #[case] is_valid: bool) {
        assert_eq!(check_repository("test", "org", path).is_ok(), is_valid);
    }

    #[test]
    fn counts_the_organization() {
        let path = "a".repeat(251);
        assert_eq!(check_repository("test", "org", &path), Ok(()));
        let error = check_repository("test", "orgs", &path).unwrap_err().to_string();
        assert!(error.contains("256") && error.contains("255"), "{error}");
    }

    #[rstest]
    #[case::short("web_0123456789", Some("web_0123456789"))]
    #[case::full("org+web_pull", Some("web_pull"))]
    #[case::double_mark("web__pull", None)]
    #[case::mark_at_end("web_", None)]
    #[case::path("a/b", None)]
    #[case::nothing("", None)]
    #[case::organization_only("org+", None)]
    fn shortens_robots(#[case] robot: &str, #[case] expected: Option<&str>) {
        assert_eq!(short_robot("test", robot).ok(), expected);
    }
}
