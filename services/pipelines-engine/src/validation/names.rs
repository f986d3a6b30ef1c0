//! What names may look like.

use kube::core::ObjectMeta;

use super::errors::Errors;

/// Longest name of an object, for it becomes the value of labels.
const LONGEST: usize = 63;

/// `metadata` of every kind. A name that the API server makes up is there by the time this is asked.
pub(super) fn metadata(metadata: &ObjectMeta) -> Errors {
    let name = metadata.name.as_deref().unwrap_or_default();
    // On create the API server makes up the name before it asks, but not for a dry run of older versions.
    if name.is_empty() && metadata.generate_name.is_some() {
        return Errors::none();
    }
    let error = if name.len() > LONGEST {
        Errors::message("Invalid resource name: length must be no more than 63 characters", &["name"])
    } else if !is_dns_subdomain(name) {
        Errors::message(format!("invalid resource name {name:?}: must be a valid DNS label"), &["name"])
    } else {
        return Errors::none();
    };
    error.via_field("metadata")
}

/// RFC 1123, as Kubernetes checks it.
pub(super) fn is_dns_label(name: &str) -> bool {
    let is_inner = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    (1..=63).contains(&name.len())
        && name.bytes().all(is_inner)
        && !name.starts_with('-')
        && !name.ends_with('-')
}

fn is_dns_subdomain(name: &str) -> bool {
    (1..=253).contains(&name.len()) && name.split('.').all(is_dns_label)
}

/// `[prefix/]name`, as Kubernetes' keys are.
pub(super) fn is_qualified(name: &str) -> bool {
    let (prefix, name) = match name.split_once('/') {
        Some((prefix, name)) => (Some(prefix), name),
        None => (None, name),
    };
    let is_edge = |byte: Option<u8>| byte.is_some_and(|byte| byte.is_ascii_alphanumeric());
    prefix.is_none_or(is_dns_subdomain)
        && (1..=63).contains(&name.len())
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte))
        && is_edge(name.bytes().next())
        && is_edge(name.bytes().last())
}

/// Of a string or array parameter; of an object parameter and its keys without dots.
pub(super) fn is_param(name: &str, with_dots: bool) -> bool {
    let mut bytes = name.bytes();
    bytes.next().is_some_and(|first| first.is_ascii_alphabetic() || first == b'_')
        && bytes
            .all(|byte| byte.is_ascii_alphanumeric() || b"_-".contains(&byte) || (with_dots && byte == b'.'))
}

/// Of a result.
pub(super) fn is_result(name: &str) -> bool {
    let is_edge = |byte: Option<u8>| byte.is_some_and(|byte| byte.is_ascii_alphanumeric());
    is_edge(name.bytes().next())
        && is_edge(name.bytes().last())
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte))
}

/// What is said of a result's name that is none.
pub(super) const RESULT_DETAILS: &str = "Name must consist of alphanumeric characters, '-', '_', '.', and must start \
                                         and end with an alphanumeric character (as 'MyName', 'my.name' or 'my-name')";

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case("build-1", true)]
    #[case("Build", false)]
    #[case("-a", false)]
    #[case("a-", false)]
    #[case("a.b", false)]
    #[case("", false)]
    fn labels(#[case] name: &str, #[case] expected: bool) {
        assert_eq!(is_dns_label(name), expected);
    }

    #[rstest]
    #[case("a", true, true)]
    #[case("_A-1", true, true)]
    #[case("a.b", true, false)]
    #[case("1a", false, false)]
    #[case("a b", false, false)]
    fn params(#[case] name: &str, #[case] dotted: bool, #[case] plain: bool) {
        assert_eq!((is_param(name, true), is_param(name, false)), (dotted, plain));
    }

    #[rstest]
    #[case("IMAGE_DIGEST", true)]
    #[case("a.b-c", true)]
    #[case("_a", false)]
    #[case("a-", false)]
    #[case("", false)]
    fn results(#[case] name: &str, #[case] expected: bool) {
        assert_eq!(is_result(name), expected);
    }

    #[rstest]
    #[case("task", true)]
    #[case("Example.com/Task", false)]
    #[case("example.com/Task_1", true)]
    #[case("a/b/c", false)]
    #[case("&", false)]
    fn qualified_names(#[case] name: &str, #[case] expected: bool) {
        assert_eq!(is_qualified(name), expected);
    }

    #[test]
    fn names_of_objects() {
        let of = |name: &str| {
            metadata(&ObjectMeta { name: Some(name.to_owned()), ..ObjectMeta::default() }).to_string()
        };
        assert_eq!(of("a.b-c"), "");
        assert_eq!(
            of(&"a".repeat(64)),
            "Invalid resource name: length must be no more than 63 characters: metadata.name"
        );
        assert_eq!(of("A"), "invalid resource name \"A\": must be a valid DNS label: metadata.name");
        let generated = ObjectMeta { generate_name: Some("a-".to_owned()), ..ObjectMeta::default() };
        assert!(metadata(&generated).is_empty());
    }
}
