//! Which Secret with credentials is for a repository.

use build_service_api::annotations;
use k8s_openapi::api::core::v1::Secret;

/// How well a Secret fits, worst first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Fit {
    /// It is for all repositories of the host.
    Host,
    /// It is for all whose path begins with so many bytes of this one's.
    Below(usize),
    Exact,
}

/// Of Secrets for a repository's host, the one for the repository at `path` (`group/sub/name`): that which names it, else the
/// one that names most of what it lies in, else one that names none. Of equals the first by name. `None` if all are for others.
pub(super) fn best<'a>(secrets: impl IntoIterator<Item = &'a Secret>, path: &str) -> Option<&'a Secret> {
    let fitting = secrets.into_iter().filter_map(|secret| Some((fit(secret, path)?, secret)));
    let best = fitting.min_by(|(one, first), (other, second)| {
        other.cmp(one).then_with(|| first.metadata.name.cmp(&second.metadata.name))
    });
    best.map(|(_, secret)| secret)
}

fn fit(secret: &Secret, path: &str) -> Option<Fit> {
    let named = annotations::SCM_REPOSITORY.of(&secret.metadata.annotations).unwrap_or_default();
    if named.trim().is_empty() {
        return Some(Fit::Host);
    }
    let entries = named.split(',').map(|entry| entry.trim().trim_start_matches('/'));
    let fits = entries.filter_map(|entry| match entry.strip_suffix('*') {
        Some(prefix) => path.starts_with(prefix).then_some(Fit::Below(prefix.len())),
        None => (entry == path).then_some(Fit::Exact),
    });
    fits.max()
}

#[cfg(test)]
mod tests {
    use kube::ResourceExt;
    use proptest::prelude::*;
    use rstest::rstest;

    use super::*;

    fn secret(name: &str, repositories: Option<&str>) -> Secret {
        let mut secret = Secret::default();
        secret.metadata.name = Some(name.to_owned());
        if let Some(repositories) = repositories {
            secret.annotations_mut().insert(annotations::SCM_REPOSITORY.into(), repositories.to_owned());
        }
        secret
    }

    #[rstest]
    #[case::exact(&[("a", None), ("b", Some("acme/*")), ("c", Some("acme/app"))], Some("c"))]
    #[case::exact_among_others(&[("a", Some("acme/*")), ("b", Some("x/y, /acme/app ,z"))], Some("b"))]
    #[case::deeper_wildcard(&[("a", Some("acme/*")), ("b", Some("acme/app*")), ("c", Some("*"))], Some("b"))]
    #[case::wildcard_before_none(&[("a", None), ("b", Some("acme/*"))], Some("b"))]
    #[case::none(&[("b", None), ("a", None)], Some("a"))]
    #[case::empty_is_none(&[("a", Some(" "))], Some("a"))]
    #[case::by_name(&[("b", Some("acme/*")), ("a", Some("/acme/*"))], Some("a"))]
    #[case::of_others(&[("a", Some("acme/application")), ("b", Some("acme/other/*"))], None)]
    #[case::nothing(&[], None)]
    fn chooses(#[case] secrets: &[(&str, Option<&str>)], #[case] expected: Option<&str>) {
        let secrets: Vec<Secret> = secrets.iter().map(|(name, text)| secret(name, *text)).collect();
        let chosen = best(&secrets, "acme/app").map(ResourceExt::name_any);
        assert_eq!(chosen.as_deref(), expected);
    }

    proptest! {
        #[test]
        fn does_not_depend_on_the_order(
            texts in proptest::collection::vec(proptest::option::of("(acme/|\\*|app|,| |/){0,6}"), 0..6)
        ) {
            let mut secrets: Vec<Secret> =
                texts.iter().enumerate().map(|(at, text)| secret(&format!("s{at}"), text.as_deref())).collect();
            let forward = best(&secrets, "acme/app").cloned();
            secrets.reverse();
            prop_assert_eq!(best(&secrets, "acme/app").cloned(), forward);
        }
    }
}
