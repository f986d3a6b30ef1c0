//! Keys of labels and annotations, and names of finalizers, checked when the crate compiles.

use std::collections::BTreeMap;
use std::fmt;

/// The metadata fields that keys are looked up in.
type Map = Option<BTreeMap<String, String>>;

macro_rules! qualified_name {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(&'static str);

        impl $name {
            /// In a `const`, a key that Kubernetes would refuse does not compile.
            ///
            /// # Panics
            /// When `key` is not a qualified name (`[prefix/]name`).
            pub const fn new(key: &'static str) -> Self {
                assert!(is_qualified_name(key.as_bytes()), "not a qualified name: [dns.subdomain/]name");
                Self(key)
            }

            pub const fn as_str(self) -> &'static str {
                self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.0)
            }
        }

        impl From<$name> for String {
            fn from(key: $name) -> Self {
                key.0.to_owned()
            }
        }
    };
}

qualified_name! {
    /// The key of a label.
    LabelKey
}
qualified_name! {
    /// The key of an annotation.
    AnnotationKey
}
qualified_name! {
    /// The name of a finalizer. Removed only by its owner, and last.
    Finalizer
}

impl LabelKey {
    /// The value of this label, if the object carries it.
    pub fn of(self, labels: &Map) -> Option<&str> {
        labels.as_ref()?.get(self.0).map(String::as_str)
    }
}

impl AnnotationKey {
    /// The value of this annotation, if the object carries it.
    pub fn of(self, annotations: &Map) -> Option<&str> {
        annotations.as_ref()?.get(self.0).map(String::as_str)
    }
}

impl Finalizer {
    /// Whether this finalizer is in the list.
    pub fn is_in(self, finalizers: Option<&Vec<String>>) -> bool {
        finalizers.is_some_and(|list| list.iter().any(|name| name == self.0))
    }
}

/// `[prefix/]name`: the prefix a DNS subdomain of at most 253, the name at most 63 of `[-A-Za-z0-9_.]` that
/// begins and ends with an alphanumeric.
const fn is_qualified_name(key: &[u8]) -> bool {
    let mut slash = None;
    let mut i = 0;
    while i < key.len() {
        if key[i] == b'/' {
            if slash.is_some() {
                return false;
            }
            slash = Some(i);
        }
        i += 1;
    }
    let name_from = match slash {
        Some(at) => {
            if !is_prefix(key, at) {
                return false;
            }
            at + 1
        }
        None => 0,
    };
    is_name(key, name_from)
}

const fn is_prefix(key: &[u8], end: usize) -> bool {
    if end == 0 || end > 253 {
        return false;
    }
    let mut i = 0;
    while i < end {
        let edge = i == 0 || i + 1 == end || key[i - 1] == b'.' || key[i + 1] == b'.';
        let ok = match key[i] {
            b'a'..=b'z' | b'0'..=b'9' => true,
            b'-' | b'.' => !edge,
            _ => false,
        };
        if !ok {
            return false;
        }
        i += 1;
    }
    true
}

const fn is_name(key: &[u8], from: usize) -> bool {
    if from >= key.len() || key.len() - from > 63 {
        return false;
    }
    let mut i = from;
    while i < key.len() {
        let edge = i == from || i + 1 == key.len();
        let ok = key[i].is_ascii_alphanumeric() || (!edge && matches!(key[i], b'-' | b'_' | b'.'));
        if !ok {
            return false;
        }
        i += 1;
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case::plain("app", true)]
    #[case::dotted_name("appstudio.application", true)]
    #[case::prefixed("appstudio.openshift.io/component", true)]
    #[case::mixed_case_name("example.com/finalizeCount", true)]
    #[case::empty("", false)]
    #[case::empty_prefix("/name", false)]
    #[case::empty_name("example.com/", false)]
    #[case::two_slashes("a/b/c", false)]
    #[case::upper_case_prefix("Example.com/a", false)]
    #[case::dash_next_to_dot("a-.b/c", false)]
    #[case::ends_with_dash("a-", false)]
    #[case::space("a b", false)]
    fn checks_qualified_names(#[case] key: &str, #[case] valid: bool) {
        assert_eq!(is_qualified_name(key.as_bytes()), valid);
    }

    #[rstest]
    #[case(63, true)]
    #[case(64, false)]
    fn limits_the_name_to_63(#[case] length: usize, #[case] valid: bool) {
        assert_eq!(is_qualified_name("a".repeat(length).as_bytes()), valid);
    }

    #[test]
    fn looks_up_only_its_own_key() {
        const KEY: LabelKey = LabelKey::new("example.com/a");
        let labels = Some(BTreeMap::from([("example.com/a".to_owned(), "1".to_owned())]));
        assert_eq!(KEY.of(&labels), Some("1"));
        assert_eq!(LabelKey::new("example.com/b").of(&labels), None);
        assert_eq!(KEY.of(&None), None);
    }
}
