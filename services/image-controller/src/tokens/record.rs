//! What there is: repositories and robots, each a Secret in image-controller's namespace.
//!
//! ```yaml
//! kind: Secret
//! metadata:
//!   name: registry-robot-<hash of the name>
//!   labels: {image-controller.appstudio.redhat.com/registry-record: robot}
//! data: {name: org+team_web_0123, token: …, tenant: team}
//! ---
//! kind: Secret
//! metadata:
//!   name: registry-repository-<hash of the name>
//!   labels: {image-controller.appstudio.redhat.com/registry-record: repository}
//! data: {name: org/team/app/web, visibility: private, grants: '{"org+team_web_0123":{"role":"write","uid":"…"}}'}
//! ```

use std::collections::BTreeMap;

use fleet::{Secret, names};
use fleet_api::LabelKey;
use image_controller_api::Visibility;
use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1 as core;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::ResourceExt as _;
use serde::{Deserialize, Serialize};

use crate::registry::Role;

/// Label of all records; its value is what a record is of.
pub(crate) const RECORD: LabelKey = LabelKey::new("image-controller.appstudio.redhat.com/registry-record");

/// Kinds of Secrets cannot be changed, so that nothing else becomes a record.
const TYPE: &str = "image-controller.appstudio.redhat.com/registry-record";

const NAME: &str = "name";
const DESCRIPTION: &str = "description";
const VISIBILITY: &str = "visibility";
const GRANTS: &str = "grants";
const TOKEN: &str = "token";
const TENANT: &str = "tenant";

/// What is kept of one thing in the registry.
pub(crate) trait Record: Clone + PartialEq + Sized {
    /// Value of the label [`RECORD`].
    const KIND: &'static str;

    /// In full, with the organization.
    fn name(&self) -> &str;

    /// Without name.
    fn fields(&self) -> BTreeMap<&'static str, String>;

    /// From the fields, if they make sense.
    fn from_fields(name: String, field: &dyn Fn(&str) -> Option<String>) -> Option<Self>;

    /// Name of the Secret: the same for the same thing, and never that of another.
    fn object_name(name: &str) -> String {
        format!("registry-{}-{}", Self::KIND, names::hash(26, &[name]))
    }

    /// The Secret to create.
    fn write(&self, description: &str) -> core::Secret {
        let mut fields = self.fields();
        fields.insert(NAME, self.name().to_owned());
        if !description.is_empty() {
            fields.insert(DESCRIPTION, description.to_owned());
        }
        let data = fields.into_iter().map(|(key, value)| (key.to_owned(), ByteString(value.into_bytes())));
        core::Secret {
            metadata: ObjectMeta {
                name: Some(Self::object_name(self.name())),
                labels: Some([(RECORD.to_string(), Self::KIND.to_owned())].into()),
                ..ObjectMeta::default()
            },
            type_: Some(TYPE.to_owned()),
            data: Some(data.collect()),
            ..core::Secret::default()
        }
    }

    /// `None` for what is no such record, or one of another name than its object's.
    fn read(secret: &core::Secret) -> Option<Self> {
        let field = |key: &str| -> Option<String> {
            let value = secret.data.as_ref()?.get(key)?;
            String::from_utf8(value.0.clone()).ok()
        };
        let name = field(NAME)?;
        let is_record = secret.type_.as_deref() == Some(TYPE)
            && secret.labels().get(RECORD.as_str()).map(String::as_str) == Some(Self::KIND)
            && secret.name_any() == Self::object_name(&name);
        is_record.then(|| Self::from_fields(name, &field)).flatten()
    }
}

/// A repository, and who may do what with it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Repository {
    /// `organization/team/app/web`.
    pub(crate) name: String,
    pub(crate) visibility: Visibility,
    /// By the full name of the robot.
    pub(crate) grants: BTreeMap<String, Grant>,
}

/// What one robot may do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Grant {
    pub(crate) role: Role,
    /// Of the robot's Secret: one that is made anew under the same name has none of the rights of the one before.
    pub(crate) account_uid: String,
}

/// A robot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Account {
    /// `organization+robot`.
    pub(crate) name: String,
    pub(crate) token: Secret<String>,
    /// Namespace of the repositories that it has rights on; none yet if absent.
    pub(crate) tenant: Option<String>,
}

/// As [`Grant`] is stored.
#[derive(Serialize, Deserialize)]
struct StoredGrant {
    role: String,
    uid: String,
}

impl Record for Repository {
    const KIND: &'static str = "repository";

    fn name(&self) -> &str {
        &self.name
    }

    fn fields(&self) -> BTreeMap<&'static str, String> {
        let stored = |grant: &Grant| {
            let role: &str = grant.role.into();
            StoredGrant { role: role.to_owned(), uid: grant.account_uid.clone() }
        };
        let grants: BTreeMap<_, _> =
            self.grants.iter().map(|(robot, grant)| (robot, stored(grant))).collect();
        let visibility = match self.visibility {
            Visibility::Public => "public",
            Visibility::Private => "private",
        };
        // Strings only: it cannot fail.
        let grants = serde_json::to_string(&grants).unwrap_or_default();
        [(VISIBILITY, visibility.to_owned()), (GRANTS, grants)].into()
    }

    fn from_fields(name: String, field: &dyn Fn(&str) -> Option<String>) -> Option<Self> {
        let visibility = match field(VISIBILITY)?.as_str() {
            "public" => Visibility::Public,
            _ => Visibility::Private,
        };
        let grants: BTreeMap<String, StoredGrant> = serde_json::from_str(&field(GRANTS)?).ok()?;
        let read = |grant: StoredGrant| {
            let role = match grant.role.as_str() {
                "write" => Role::Write,
                "read" => Role::Read,
                _ => return None,
            };
            Some(Grant { role, account_uid: grant.uid })
        };
        let grants = grants.into_iter().filter_map(|(robot, grant)| Some((robot, read(grant)?))).collect();
        Some(Self { name, visibility, grants })
    }
}

impl Record for Account {
    const KIND: &'static str = "robot";

    fn name(&self) -> &str {
        &self.name
    }

    fn fields(&self) -> BTreeMap<&'static str, String> {
        let tenant = self.tenant.iter().map(|tenant| (TENANT, tenant.clone()));
        [(TOKEN, self.token.expose().clone())].into_iter().chain(tenant).collect()
    }

    fn from_fields(name: String, field: &dyn Fn(&str) -> Option<String>) -> Option<Self> {
        let token = field(TOKEN).filter(|token| !token.is_empty())?;
        Some(Self { name, token: Secret::new(token), tenant: field(TENANT) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn repository() -> Repository {
        let grant = Grant { role: Role::Write, account_uid: "u1".to_owned() };
        Repository {
            name: "org/team/web".to_owned(),
            visibility: Visibility::Private,
            grants: [("org+team_web".to_owned(), grant)].into(),
        }
    }

    #[test]
    fn reads_what_it_writes() {
        let account = Account {
            name: "org+a".to_owned(),
            token: Secret::new("t".to_owned()),
            tenant: Some("team".to_owned()),
        };
        assert_eq!(Account::read(&account.write("for tests")), Some(account.clone()));
        let account = Account { tenant: None, ..account };
        assert_eq!(Account::read(&account.write("")), Some(account));
        assert_eq!(Repository::read(&repository().write("for tests")), Some(repository()));
    }

    #[test]
    fn takes_nothing_else_for_a_record() {
        let secret = repository().write("");
        assert_eq!(Account::read(&secret), None);
        let renamed = core::Secret {
            metadata: ObjectMeta {
                name: Some("registry-repository-other".to_owned()),
                ..secret.metadata.clone()
            },
            ..secret.clone()
        };
        assert_eq!(Repository::read(&renamed), None, "a record of another name");
        assert_eq!(Repository::read(&core::Secret { type_: None, ..secret.clone() }), None, "another type");
        let unlabelled =
            core::Secret { metadata: ObjectMeta { labels: None, ..secret.metadata.clone() }, ..secret };
        assert_eq!(Repository::read(&unlabelled), None, "no label");
    }

    #[test]
    fn names_of_objects_differ() {
        assert_ne!(Account::object_name("org+a"), Account::object_name("org+b"));
        assert_ne!(Account::object_name("org+a"), Repository::object_name("org+a"));
        assert!(Repository::object_name(&"a".repeat(255)).len() <= 63);
    }

    #[test]
    fn an_empty_token_is_none() {
        let account = Account { name: "org+a".to_owned(), token: Secret::new(String::new()), tenant: None };
        assert_eq!(Account::read(&account.write("")), None);
    }
}
