//! Callers who act as somebody else, by the headers of `kubectl --as` and of proxies.
//!
//! ```text
//! Impersonate-User, -Uid, -Group…, -Extra-<key>… ─▶ one right `impersonate` for each of them ─▶ the other identity
//! ```
//! The rules are those of the API server, so that a Role which lets a proxy impersonate there does so here.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::Arc;

use axum::http::{HeaderMap, HeaderName, HeaderValue};
use percent_encoding::percent_decode_str;
use sha2::{Digest as _, Sha256};

use super::http::IMPERSONATION;
use super::{Access, Attributes, Error, Identity, Key};
use crate::Scope;

const USER: &str = "impersonate-user";
const UID: &str = "impersonate-uid";
const GROUP: &str = "impersonate-group";
const EXTRA: &str = "impersonate-extra-";

const ANONYMOUS: &str = "system:anonymous";
const AUTHENTICATED: &str = "system:authenticated";
const UNAUTHENTICATED: &str = "system:unauthenticated";
const ACCOUNT: &str = "system:serviceaccount:";
const ACCOUNTS: &str = "system:serviceaccounts";

/// API group of the resources `uids` and `userextras`.
const GROUP_OF_CLAIMS: &str = "authentication.k8s.io";

/// Each is a question to the API server.
const MOST: usize = 64;

/// Whom a request wants to be taken for. Nothing of it is granted yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Impersonation {
    user: String,
    uid: Option<String>,
    groups: Vec<String>,
    extra: BTreeMap<String, Vec<String>>,
}

impl Impersonation {
    /// What the headers `Impersonate-*` say; `None` without any. [`Error::Claims`] if they make no identity: one of them
    /// without a user, two users, an unknown header, too many, or text that is no UTF-8.
    pub fn of(headers: &HeaderMap) -> Result<Option<Self>, Error> {
        let claims: Vec<(&HeaderName, &HeaderValue)> =
            headers.iter().filter(|(name, _)| name.as_str().starts_with(IMPERSONATION)).collect();
        if claims.is_empty() {
            return Ok(None);
        }
        if claims.len() > MOST {
            return Err(Error::Claims);
        }
        let (mut user, mut uid, mut groups) = (None, None, Vec::new());
        let mut extra: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for (name, value) in claims {
            let value = std::str::from_utf8(value.as_bytes()).map_err(|_| Error::Claims)?.to_owned();
            match name.as_str() {
                USER => once(&mut user, value)?,
                UID => once(&mut uid, value)?,
                GROUP => groups.push(value),
                other => {
                    let key = other.strip_prefix(EXTRA).ok_or(Error::Claims)?;
                    extra.entry(decoded(key)).or_default().push(value);
                }
            }
        }
        let user = user.filter(|user| !user.is_empty()).ok_or(Error::Claims)?;
        Ok(Some(Self { user, uid: uid.filter(|uid| !uid.is_empty()), groups, extra }))
    }

    /// What the caller must be allowed, all of it.
    fn rights(&self) -> Vec<Attributes> {
        let ask = |group: &str, resource: &str, scope| Attributes::new("impersonate", group, resource, scope);
        let user = match service_account(&self.user) {
            Some((namespace, name)) => {
                ask("", "serviceaccounts", Scope::Namespace(namespace.to_owned())).named(name)
            }
            None => ask("", "users", Scope::All).named(&self.user),
        };
        let groups = self.groups.iter().map(|group| ask("", "groups", Scope::All).named(group));
        let uid = self.uid.iter().map(|uid| ask(GROUP_OF_CLAIMS, "uids", Scope::All).named(uid));
        let extra = self.extra.iter().flat_map(|(key, values)| {
            values.iter().map(move |value| {
                ask(GROUP_OF_CLAIMS, "userextras", Scope::All).subresource(key).named(value)
            })
        });
        std::iter::once(user).chain(groups).chain(uid).chain(extra).collect()
    }

    /// With the groups that belong to such a user, as the API server adds them.
    fn groups(&self) -> Vec<String> {
        let mut groups = self.groups.clone();
        if let Some((namespace, _)) = service_account(&self.user).filter(|_| groups.is_empty()) {
            groups.extend([ACCOUNTS.to_owned(), format!("{ACCOUNTS}:{namespace}")]);
        }
        let has = |name: &str| groups.iter().any(|group| group == name);
        if self.user == ANONYMOUS {
            if !has(UNAUTHENTICATED) {
                groups.push(UNAUTHENTICATED.to_owned());
            }
        } else if !has(AUTHENTICATED) && !has(UNAUTHENTICATED) {
            groups.push(AUTHENTICATED.to_owned());
        }
        groups
    }

    /// What answers about this identity are remembered under: never those about the caller itself, nor about the same
    /// name in other groups.
    fn key(&self, caller: &Key) -> Key {
        let mut hash = Sha256::new();
        let mut add = |text: &str| {
            // With lengths, or ("ab", "c") would be ("a", "bc").
            hash.update((text.len() as u64).to_be_bytes());
            hash.update(text);
        };
        add("impersonation");
        add(&self.user);
        add(if self.uid.is_some() { "uid" } else { "" });
        add(self.uid.as_deref().unwrap_or_default());
        add(&self.groups.len().to_string());
        for group in &self.groups {
            add(group);
        }
        for (key, values) in &self.extra {
            add(key);
            add(&values.len().to_string());
            for value in values {
                add(value);
            }
        }
        hash.update(caller);
        hash.finalize().into()
    }
}

impl Access {
    /// The identity that a caller wants to be taken for, if it may be: it needs the right `impersonate` to the user (or
    /// service account), to each group, to the UID and to each extra value. Else [`Error::NotAs`].
    pub async fn act_as(&self, caller: &Identity, wanted: &Impersonation) -> Result<Arc<Identity>, Error> {
        for right in wanted.rights() {
            self.authorize(caller, &right).await.map_err(|error| match error {
                Error::Forbidden => Error::NotAs,
                other => other,
            })?;
        }
        Ok(Arc::new(Identity {
            user: wanted.user.clone(),
            uid: wanted.uid.clone(),
            groups: wanted.groups(),
            extra: wanted.extra.clone(),
            token: wanted.key(&caller.token),
        }))
    }
}

fn once(slot: &mut Option<String>, value: String) -> Result<(), Error> {
    // With two, a proxy may have looked at the other one.
    if slot.is_some() {
        return Err(Error::Claims);
    }
    *slot = Some(value);
    Ok(())
}

/// Keys are percent-encoded, as a header's name has fewer characters. What is no text then stays as it came.
fn decoded(key: &str) -> String {
    percent_decode_str(key).decode_utf8().map_or_else(|_| key.to_owned(), Cow::into_owned).to_lowercase()
}

/// Namespace and name of `system:serviceaccount:<namespace>:<name>`.
fn service_account(user: &str) -> Option<(&str, &str)> {
    let (namespace, name) = user.strip_prefix(ACCOUNT)?.split_once(':')?;
    (!namespace.is_empty() && !name.is_empty() && !name.contains(':')).then_some((namespace, name))
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        pairs
            .iter()
            .map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value)))
            .collect()
    }

    fn wanted(pairs: &[(&'static str, &'static str)]) -> Impersonation {
        Impersonation::of(&headers(pairs)).unwrap().unwrap()
    }

    #[test]
    fn nobody_else_is_meant_without_headers() {
        assert_eq!(Impersonation::of(&headers(&[("authorization", "Bearer abc")])), Ok(None));
    }

    #[rstest]
    #[case::group_alone(&[("impersonate-group", "devs")])]
    #[case::uid_alone(&[("impersonate-uid", "42")])]
    #[case::extra_alone(&[("impersonate-extra-scope", "read")])]
    #[case::empty_user(&[("impersonate-user", ""), ("impersonate-group", "devs")])]
    #[case::two_users(&[("impersonate-user", "jane"), ("impersonate-user", "root")])]
    #[case::unknown(&[("impersonate-user", "jane"), ("impersonate-colour", "red")])]
    fn refuses(#[case] pairs: &[(&'static str, &'static str)]) {
        assert_eq!(Impersonation::of(&headers(pairs)), Err(Error::Claims));
    }

    #[test]
    fn refuses_more_than_can_be_asked() {
        let many: Vec<_> = std::iter::repeat_n(("impersonate-group", "g"), MOST)
            .chain([("impersonate-user", "jane")])
            .collect();
        assert_eq!(Impersonation::of(&headers(&many)), Err(Error::Claims));
    }

    #[test]
    fn asks_for_everything_that_is_claimed() {
        let wanted = wanted(&[
            ("impersonate-user", "jane"),
            ("impersonate-group", "devs"),
            ("impersonate-group", "ops"),
            ("impersonate-uid", "42"),
            ("impersonate-extra-acme.test%2fscope", "read"),
            ("impersonate-extra-acme.test%2fscope", "write"),
        ]);
        let ask = |group, resource| Attributes::new("impersonate", group, resource, Scope::All);
        let scope = || ask(GROUP_OF_CLAIMS, "userextras").subresource("acme.test/scope");
        let expected = [
            ask("", "users").named("jane"),
            ask("", "groups").named("devs"),
            ask("", "groups").named("ops"),
            ask(GROUP_OF_CLAIMS, "uids").named("42"),
            scope().named("read"),
            scope().named("write"),
        ];
        assert_eq!(wanted.rights(), expected);
    }

    #[rstest]
    #[case::account("system:serviceaccount:shop:robot", Some(("shop", "robot")))]
    #[case::no_name("system:serviceaccount:shop:", None)]
    #[case::no_namespace("system:serviceaccount::robot", None)]
    #[case::too_long("system:serviceaccount:shop:robot:x", None)]
    #[case::user("jane", None)]
    fn knows_service_accounts(#[case] user: &str, #[case] expected: Option<(&str, &str)>) {
        assert_eq!(service_account(user), expected);
    }

    #[test]
    fn a_service_account_is_asked_for_in_its_namespace() {
        let wanted = wanted(&[("impersonate-user", "system:serviceaccount:shop:robot")]);
        let scope = Scope::Namespace("shop".to_owned());
        let expected = Attributes::new("impersonate", "", "serviceaccounts", scope).named("robot");
        assert_eq!(wanted.rights(), [expected]);
    }

    #[rstest]
    #[case::user(&[("impersonate-user", "jane")], &["system:authenticated"])]
    #[case::user_in_group(&[("impersonate-user", "jane"), ("impersonate-group", "devs")], &["devs", "system:authenticated"])]
    #[case::said_already(&[("impersonate-user", "jane"), ("impersonate-group", "system:authenticated")], &["system:authenticated"])]
    #[case::unauthenticated(&[("impersonate-user", "jane"), ("impersonate-group", "system:unauthenticated")], &["system:unauthenticated"])]
    #[case::anonymous(&[("impersonate-user", "system:anonymous")], &["system:unauthenticated"])]
    #[case::account(
        &[("impersonate-user", "system:serviceaccount:shop:robot")],
        &["system:serviceaccounts", "system:serviceaccounts:shop", "system:authenticated"],
    )]
    #[case::account_with_groups(
        &[("impersonate-user", "system:serviceaccount:shop:robot"), ("impersonate-group", "devs")],
        &["devs", "system:authenticated"],
    )]
    fn adds_the_groups_that_belong_to_it(
        #[case] pairs: &[(&'static str, &'static str)],
        #[case] expected: &[&str],
    ) {
        assert_eq!(wanted(pairs).groups(), expected);
    }

    #[test]
    fn answers_are_remembered_for_exactly_this_identity() {
        let different: [&[(&'static str, &'static str)]; 6] = [
            &[("impersonate-user", "jane")],
            &[("impersonate-user", "jane"), ("impersonate-uid", "1")],
            &[("impersonate-user", "jane"), ("impersonate-group", "1")],
            &[("impersonate-user", "jane"), ("impersonate-group", "a"), ("impersonate-group", "b")],
            &[("impersonate-user", "jane"), ("impersonate-extra-a", "b")],
            &[("impersonate-user", "jane"), ("impersonate-extra-a", "b"), ("impersonate-extra-a", "c")],
        ];
        let mut keys: Vec<Key> = different.iter().map(|pairs| wanted(pairs).key(&[0; 32])).collect();
        keys.push(wanted(different[0]).key(&[1; 32]));
        keys.push([0; 32]);
        let count = keys.len();
        keys.sort_unstable();
        keys.dedup();
        assert_eq!(keys.len(), count);
    }
}
