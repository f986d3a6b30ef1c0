//! The name of a workspace.
use std::{fmt, str::FromStr};

/// What follows the name of a workspace in that of its namespace.
const SUFFIX: &str = "-tenant";
/// Endings of namespaces that are derived from workspaces: `x-tenant` would be a workspace or a namespace.
const TAKEN: [&str; 2] = [SUFFIX, "-env"];
/// Of a namespace: a DNS label.
const LONGEST: usize = 63;

/// A workspace: a DNS label that leaves room for `-tenant` behind it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Workspace(String);

impl Workspace {
    pub fn namespace(&self) -> String {
        format!("{self}{SUFFIX}")
    }
}

impl FromStr for Workspace {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        let is_inner = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
        if name.is_empty() || !name.chars().all(is_inner) || name.starts_with('-') || name.ends_with('-') {
            return Err("use lower case letters, digits and '-', with a letter or digit at both ends".into());
        }
        let longest = LONGEST - SUFFIX.len();
        if name.len() > longest {
            return Err(format!("use {longest} characters at most: the namespace is called NAME{SUFFIX}"));
        }
        if let Some(workspace) = TAKEN.iter().find_map(|ending| name.strip_suffix(ending)) {
            return Err(format!(
                "NAME is the workspace's, not the namespace's: say {workspace:?} for namespace \
                 \"{workspace}{SUFFIX}\""
            ));
        }
        Ok(Self(name.to_owned()))
    }
}

impl fmt::Display for Workspace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case::usual("acme")]
    #[case::digits_at_both_ends("3d-4")]
    #[case::longest("a234567890123456789012345678901234567890123456789012345a")]
    fn names_a_namespace(#[case] name: &str) {
        let namespace = name.parse::<Workspace>().unwrap().namespace();
        assert_eq!(namespace, format!("{name}-tenant"));
        assert!(namespace.len() <= 63);
    }

    #[rstest]
    #[case::empty("", "lower case")]
    #[case::upper_case("Acme", "lower case")]
    #[case::dot("a.b", "lower case")]
    #[case::dash_first("-a", "both ends")]
    #[case::dash_last("a-", "both ends")]
    #[case::too_long("a2345678901234567890123456789012345678901234567890123456a", "56 characters")]
    #[case::namespace("acme-tenant", "say \"acme\"")]
    #[case::environment("acme-env", "say \"acme\"")]
    fn refuses_with_the_rule(#[case] name: &str, #[case] rule: &str) {
        let refusal = name.parse::<Workspace>().unwrap_err();
        assert!(refusal.contains(rule), "{refusal}");
    }
}
