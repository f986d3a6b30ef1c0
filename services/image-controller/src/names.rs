//! Names at the registry, derived from objects; and what of a name that others could have written is believed.
//!
//! All repositories of a namespace lie below `<namespace>/`: a tenant can never address another one's. Robots are named after
//! their repository and the uid of their object, so that a crash finds the same one again.

use image_controller_api::names::{PULL_SECRET_SUFFIX, PUSH_SECRET_SUFFIX};
use sha2::{Digest as _, Sha256};

/// How much of a name goes into the names of robots and Secrets.
const CUT: usize = 220;
/// Length of what makes the name of a robot unique.
const SUFFIX: usize = 10;
/// What the name of the robot that can only pull ends with.
const PULL: &str = "_pull";

/// A repository below its namespace, without the registry's organization: `team/shop/web`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct RepositoryName(String);

impl RepositoryName {
    /// The repository that is asked for by `name`, with or without `<namespace>/` in front. `None` if it would not lie
    /// below the namespace, or is no name of a repository.
    pub(crate) fn wanted(namespace: &str, name: &str) -> Option<Self> {
        Self::parse(namespace, name).or_else(|| Self::parse(namespace, &format!("{namespace}/{name}")))
    }

    /// A full name, if it lies below the namespace.
    pub(crate) fn parse(namespace: &str, full: &str) -> Option<Self> {
        let path = full.strip_prefix(namespace)?.strip_prefix('/')?;
        path.split('/').all(is_component).then(|| Self(full.to_owned()))
    }

    /// The repository that `url` (`<host>/<organization>/<repository>`) names, if it lies below the namespace.
    pub(crate) fn in_url(namespace: &str, url: &str) -> Option<Self> {
        Self::parse(namespace, url.splitn(3, '/').nth(2)?)
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }

    /// Name of the robot that may push to it for the object with this uid.
    pub(crate) fn push_robot(&self, uid: &str) -> String {
        let hash = data_encoding::HEXLOWER.encode(&Sha256::digest(uid));
        format!("{}_{}", self.stem(), &hash[..SUFFIX])
    }

    /// Name of the one that may only pull.
    pub(crate) fn pull_robot(&self, uid: &str) -> String {
        self.push_robot(uid) + PULL
    }

    /// Whether a robot of this name can have been made for this repository, by us or the original: what a status says is
    /// not believed otherwise, for it could name a robot of another tenant.
    pub(crate) fn has_robot(&self, name: &str) -> bool {
        let name = name.strip_suffix(PULL).unwrap_or(name);
        let suffix = name.strip_prefix(&self.stem()).and_then(|rest| rest.strip_prefix('_'));
        suffix.is_some_and(|suffix| {
            suffix.len() == SUFFIX && suffix.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
        })
    }

    fn stem(&self) -> String {
        robot_words(&self.0[..self.0.len().min(CUT)])
    }
}

impl std::fmt::Display for RepositoryName {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

/// Name of the robot that pulls all repositories of a namespace, in the cluster with this uid.
pub(crate) fn namespace_robot(namespace: &str, cluster: &str) -> String {
    robot_words(&format!("{namespace}_{cluster}"))
}

/// Name of the robot to push with that the original made for a Component by annotation.
pub(crate) fn legacy_robot(namespace: &str, application: &str, component: &str) -> String {
    format!("{namespace}{application}{component}")
}

/// Lower-case letters and digits with one `_` between words, a letter first: what every registry takes.
fn robot_words(text: &str) -> String {
    let words = text.split(|c: char| !c.is_ascii_alphanumeric()).filter(|word| !word.is_empty());
    let mut name = words.collect::<Vec<_>>().join("_").to_ascii_lowercase();
    if !name.starts_with(|c: char| c.is_ascii_alphabetic()) {
        name.insert(0, 'r');
    }
    name
}

fn is_component(component: &str) -> bool {
    let is_alphanumeric = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    component.starts_with(is_alphanumeric)
        && component.chars().all(|c| is_alphanumeric(c) || "._-".contains(c))
}

/// Name of the Secret to push with, of the ImageRepository of this name.
pub(crate) fn push_secret(image_repository: &str) -> String {
    secret(image_repository, PUSH_SECRET_SUFFIX)
}

/// Name of the Secret to pull with.
pub(crate) fn pull_secret(image_repository: &str) -> String {
    secret(image_repository, PULL_SECRET_SUFFIX)
}

fn secret(name: &str, suffix: &str) -> String {
    fleet::names::fit(CUT, name, "") + suffix
}

/// The repository of an image: without digest and tag.
pub(crate) fn repository_of(image: &str) -> &str {
    let image = image.split_once('@').map_or(image, |(repository, _)| repository);
    match image.rsplit_once(':') {
        // A colon before a slash is that of a port.
        Some((repository, tag)) if !tag.contains('/') => repository,
        _ => image,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rstest::rstest;

    use super::*;

    fn name(full: &str) -> RepositoryName {
        RepositoryName::parse(full.split('/').next().unwrap(), full).unwrap()
    }

    #[rstest]
    #[case::short("web", Some("team/web"))]
    #[case::path("shop/web", Some("team/shop/web"))]
    #[case::with_namespace("team/web", Some("team/web"))]
    #[case::another_namespace("other/web", Some("team/other/web"))]
    #[case::namespace_alone("team", Some("team/team"))]
    #[case::out_of_it("../other/web", None)]
    #[case::nothing("", None)]
    #[case::upper_case("Web", None)]
    fn stays_below_the_namespace(#[case] wanted: &str, #[case] expected: Option<&str>) {
        assert_eq!(RepositoryName::wanted("team", wanted).as_ref().map(RepositoryName::as_str), expected);
    }

    #[rstest]
    #[case::ours("images.example:5000/org/team/shop/web", Some("team/shop/web"))]
    #[case::of_another_tenant("images.example/org/teamster/web", None)]
    #[case::too_short("images.example/team/web", None)]
    #[case::nothing("", None)]
    fn believes_urls_of_the_namespace_only(#[case] url: &str, #[case] expected: Option<&str>) {
        assert_eq!(RepositoryName::in_url("team", url).as_ref().map(RepositoryName::as_str), expected);
    }

    #[rstest]
    #[case::plain("team/shop/web", "team_shop_web_")]
    #[case::marks("my-team/a.b--c_d/e", "my_team_a_b_c_d_e_")]
    #[case::leading_digit("7team/web", "r7team_web_")]
    fn robots_are_named_after_repositories(#[case] repository: &str, #[case] expected: &str) {
        let robot = name(repository).push_robot("uid");
        assert_eq!(robot.strip_prefix(expected).map(str::len), Some(SUFFIX), "{robot}");
        assert_eq!(name(repository).pull_robot("uid"), format!("{robot}_pull"));
        assert!(name(repository).has_robot(&robot) && name(repository).has_robot(&format!("{robot}_pull")));
    }

    #[test]
    fn a_robot_is_of_one_object() {
        assert_ne!(name("team/web").push_robot("a"), name("team/web").push_robot("b"));
        assert_eq!(name("team/web").push_robot("a"), name("team/web").push_robot("a"));
    }

    #[rstest]
    #[case::of_another_repository("team_api_0123456789")]
    #[case::of_a_longer_name("team_web_admin_0123456789")]
    #[case::no_suffix("team_web")]
    #[case::other_suffix("team_web_012345678z")]
    #[case::of_all("robot_konflux_api_healthcheck")]
    fn foreign_robots_are_not_believed(#[case] robot: &str) {
        assert!(!name("team/web").has_robot(robot));
    }

    #[test]
    fn secrets_have_the_name_of_their_object() {
        assert_eq!(push_secret("web"), "web-image-push");
        assert_eq!(pull_secret("web"), "web-image-pull");
    }

    #[rstest]
    #[case("images.example/a/b", "images.example/a/b")]
    #[case("images.example:5000/a/b", "images.example:5000/a/b")]
    #[case("images.example:5000/a/b:v1", "images.example:5000/a/b")]
    #[case("images.example/a/b:v1@sha256:00", "images.example/a/b")]
    fn cuts_tag_and_digest(#[case] image: &str, #[case] expected: &str) {
        assert_eq!(repository_of(image), expected);
    }

    #[test]
    fn namespace_robots_begin_with_a_letter() {
        assert_eq!(namespace_robot("1-team", "0a-1b"), "r1_team_0a_1b");
    }

    proptest! {
        #[test]
        fn robots_can_be_made(namespace in "[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?", path in "[a-z0-9][.a-z0-9_-]{0,300}(/[a-z0-9][.a-z0-9_-]{0,20})?") {
            let repository = RepositoryName::wanted(&namespace, &path).unwrap();
            let robot = repository.pull_robot("d4c3");
            prop_assert!(robot.len() <= 254, "{}", robot.len());
            prop_assert!(robot.starts_with(|c: char| c.is_ascii_lowercase()), "{robot}");
            prop_assert!(robot.bytes().all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'_')), "{robot}");
            prop_assert!(!robot.contains("__"), "{robot}");
            prop_assert!(repository.has_robot(&robot));
        }

        #[test]
        fn secrets_have_names_that_fit(name in "[a-z0-9]([-.a-z0-9]{0,251}[a-z0-9])?") {
            prop_assume!(!name.ends_with('x'));
            prop_assert!(pull_secret(&name).len() <= 253);
            prop_assert_ne!(push_secret(&name), push_secret(&format!("{}x", &name[..name.len() - 1])));
        }
    }
}
