//! Who may do what in a tenant: a `RoleBinding` for each person or group, so that each can be given and taken alone.
use std::{fmt, str::FromStr};

use anyhow::{Context as _, bail};
use data_encoding::BASE32_NOPAD;
use k8s_openapi::api::rbac::v1::RoleBinding;
use kube::{Api, Client, ResourceExt as _, api::ListParams};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use super::Kind;

/// What everybody, or everybody with an account, belongs to.
const EVERYBODY: [&str; 4] =
    ["system:anonymous", "system:authenticated", "system:serviceaccounts", "system:unauthenticated"];
/// The one of them that may see what is public.
const AUTHENTICATED: &str = "system:authenticated";
/// Longest part of a binding's name that is taken from whom it names.
const LONGEST: usize = 100;

/// A role in a tenant: a `ClusterRole` of deploy/kustomize/components/tenant-roles. Each may what those after it may.
#[derive(Clone, Copy, Debug, PartialEq, Eq, strum::Display, strum::EnumIter, strum::IntoStaticStr)]
#[strum(serialize_all = "lowercase")]
pub enum Role {
    Admin,
    Maintainer,
    Contributor,
    Viewer,
}

impl Role {
    pub fn cluster_role(self) -> String {
        format!("appstudio-{self}-user-actions")
    }

    fn of_cluster_role(name: &str) -> Option<Self> {
        <Self as strum::IntoEnumIterator>::iter().find(|role| role.cluster_role() == name)
    }
}

/// A user or group, by the name that the cluster's authentication gives it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Who {
    User(String),
    Group(String),
}

impl Who {
    pub fn user(&self) -> Option<&str> {
        match self {
            Self::User(name) => Some(name),
            Self::Group(_) => None,
        }
    }

    fn name(&self) -> &str {
        match self {
            Self::User(name) | Self::Group(name) => name,
        }
    }

    /// `user` or `group`.
    fn noun(&self) -> &'static str {
        match self {
            Self::User(_) => "user",
            Self::Group(_) => "group",
        }
    }
}

/// A user's name, or `group:` and a group's.
impl FromStr for Who {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (who, name): (fn(String) -> Self, &str) = match text.strip_prefix("group:") {
            Some(name) => (Self::Group, name),
            None => (Self::User, text),
        };
        if name.is_empty() || name.chars().any(|c| c.is_whitespace() || c.is_control()) {
            return Err("use the name of a user, or `group:` and that of a group, without blanks".into());
        }
        Ok(who(name.to_owned()))
    }
}

/// As the command line has it.
impl fmt::Display for Who {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::User(name) => f.write_str(name),
            Self::Group(name) => write!(f, "group:{name}"),
        }
    }
}

/// Somebody in a role.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member {
    pub role: Role,
    pub who: Who,
}

impl Member {
    /// The binding, without a namespace.
    pub fn binding(&self) -> Value {
        let kind = match self.who {
            Who::User(_) => "User",
            Who::Group(_) => "Group",
        };
        json!({
            "apiVersion": "rbac.authorization.k8s.io/v1",
            "kind": "RoleBinding",
            "metadata": {
                "name": self.binding_name(),
                "labels": {"app.kubernetes.io/part-of": "konflux-rs"},
            },
            "roleRef": {
                "apiGroup": "rbac.authorization.k8s.io",
                "kind": "ClusterRole",
                "name": self.role.cluster_role(),
            },
            "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": kind, "name": self.who.name()}],
        })
    }

    /// `appstudio-<role>-<name>-actions-user`. A name that cannot stand there is replaced by one alike and a hash.
    fn binding_name(&self) -> String {
        let name = self.who.name();
        let is_plain = |c: char| c.is_ascii_alphanumeric() || "@._:-".contains(c);
        let part = if name.len() <= LONGEST && name.chars().all(is_plain) {
            name.to_owned()
        } else {
            let hash = BASE32_NOPAD.encode(&Sha256::digest(name)).to_ascii_lowercase();
            let alike: String =
                name.chars().take(LONGEST).map(|c| if is_plain(c) { c } else { '-' }).collect();
            format!("{alike}-{}", &hash[..10])
        };
        format!("appstudio-{}-{part}-actions-{}", self.role, self.who.noun())
    }
}

/// That nobody is named twice, and that nobody gets in by belonging to everybody.
pub fn check(members: &[Member], kind: Kind) -> anyhow::Result<()> {
    for (index, member) in members.iter().enumerate() {
        if let Some(other) = members[..index].iter().find(|other| other.who == member.who) {
            bail!(
                "{} is named as {} and as {}: name them once, each role includes those below it",
                member.who,
                other.role,
                member.role
            );
        }
        let is_public = member.role == Role::Viewer
            && member.who == Who::Group(AUTHENTICATED.to_owned())
            && kind == Kind::Development;
        if EVERYBODY.contains(&member.who.name()) && !is_public {
            bail!(
                "{} would be {} of this tenant, and that is everybody: name people or groups. Only a tenant that is not \
                 --managed can be shown to all, by --viewer group:{AUTHENTICATED}",
                member.who,
                member.role
            );
        }
    }
    Ok(())
}

/// Who has which role in a namespace, by whatever binding: role, whom, name of the binding.
pub async fn bindings(client: &Client, namespace: &str) -> anyhow::Result<Vec<(Role, String, String)>> {
    let api: Api<RoleBinding> = Api::namespaced(client.clone(), namespace);
    let all = api.list(&ListParams::default()).await;
    let mut found = Vec::new();
    for binding in all.with_context(|| format!("list the RoleBindings of {namespace}"))? {
        let Some(role) = Role::of_cluster_role(&binding.role_ref.name) else { continue };
        for subject in binding.subjects.iter().flatten() {
            let who = match (subject.kind.as_str(), subject.namespace.as_deref()) {
                ("User", _) => subject.name.clone(),
                ("Group", _) => format!("group:{}", subject.name),
                (_, namespace) => {
                    format!("system:serviceaccount:{}:{}", namespace.unwrap_or_default(), subject.name)
                }
            };
            found.push((role, who, binding.name_any()));
        }
    }
    found.sort_by_key(|(role, who, _)| (*role as u8, who.clone()));
    Ok(found)
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    fn member(role: Role, who: &str) -> Member {
        Member { role, who: who.parse().unwrap() }
    }

    #[rstest]
    #[case::user("alice", "appstudio-admin-alice-actions-user")]
    #[case::mail("a@example.com", "appstudio-admin-a@example.com-actions-user")]
    #[case::account("system:serviceaccount:a:b", "appstudio-admin-system:serviceaccount:a:b-actions-user")]
    #[case::group("group:release", "appstudio-admin-release-actions-group")]
    fn binding_is_named_after_role_and_person(#[case] who: &str, #[case] name: &str) {
        assert_eq!(member(Role::Admin, who).binding()["metadata"]["name"], name);
    }

    #[test]
    fn names_that_a_path_cannot_hold_stay_apart() {
        let name = |who: &str| member(Role::Viewer, who).binding_name();
        let (slash, percent) = (name("https://issuer/#alice"), name("https:%%issuer%#alice"));
        assert!(slash.starts_with("appstudio-viewer-https:--issuer--alice-"), "{slash}");
        assert!(!slash.contains('/') && !percent.contains('%'));
        assert_ne!(slash, percent);
        let (one, other) = (name(&"x".repeat(300)), name(&"x".repeat(301)));
        assert!(one.len() < 253 && one != other, "{one}");
    }

    #[rstest]
    #[case::empty("")]
    #[case::empty_group("group:")]
    #[case::blank("alice bob")]
    #[case::line_end("alice\n")]
    fn refuses_what_names_nobody(#[case] text: &str) {
        assert!(text.parse::<Who>().unwrap_err().contains("group:"));
    }

    #[rstest]
    #[case::two_people(Kind::Development, &[(Role::Admin, "alice"), (Role::Viewer, "bob")], None)]
    #[case::user_and_group_alike(Kind::Development, &[(Role::Admin, "a"), (Role::Viewer, "group:a")], None)]
    #[case::twice(Kind::Development, &[(Role::Admin, "a"), (Role::Viewer, "a")], Some("admin and as viewer"))]
    #[case::shown_to_all(Kind::Development, &[(Role::Viewer, "group:system:authenticated")], None)]
    #[case::open_to_all(Kind::Development, &[(Role::Contributor, "group:system:authenticated")], Some("everybody"))]
    #[case::shown_to_strangers(Kind::Development, &[(Role::Viewer, "group:system:unauthenticated")], Some("everybody"))]
    #[case::managed_shown_to_all(Kind::Managed, &[(Role::Viewer, "group:system:authenticated")], Some("everybody"))]
    fn checks_members(#[case] kind: Kind, #[case] members: &[(Role, &str)], #[case] refusal: Option<&str>) {
        let members: Vec<Member> = members.iter().map(|(role, who)| member(*role, who)).collect();
        match (check(&members, kind), refusal) {
            (Ok(()), None) => {}
            (Err(error), Some(part)) => assert!(error.to_string().contains(part), "{error}"),
            (outcome, _) => panic!("{outcome:?}"),
        }
    }
}
