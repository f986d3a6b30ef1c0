//! CEL rules that several kinds share. The API server checks them whether or not a service runs.
//!
//! An object that was stored before a rule existed must stay editable, down to the removal of its finalizer:
//! - a rule on a field is skipped while that field does not change (ratcheting);
//! - a rule on the whole object cannot be skipped so, for metadata always changes: it compares with the old
//!   object, which `optionalOldSelf` makes absent on create.
//!
//! The API server refuses rules that could be slow. It estimates from the declared `maxLength` and
//! `maxItems`, which it forgets behind `.?field.orValue(…)`: rules say `has(…) ? … : …` instead.

use kube::core::{Message, Rule};

/// What a name may be so that a Service can be called so too.
const DNS_1035_LABEL: &str = "^[a-z]([-a-z0-9]*[a-z0-9])?$";

/// At the root of `kind`: the name of a new object is a DNS-1035 label.
pub(crate) fn dns_1035_name(kind: &str) -> Rule {
    name(
        kind,
        DNS_1035_LABEL,
        "metadata.name must be a DNS-1035 label: 1 to 63 lower case letters, digits or dashes, first a letter, last no dash",
    )
}

/// At the root of `kind`: the name of a new object is a DNS-1123 label.
pub(crate) fn dns_1123_name(kind: &str) -> Rule {
    name(
        kind,
        "^[a-z0-9]([-a-z0-9]*[a-z0-9])?$",
        "metadata.name must be a DNS-1123 label: 1 to 63 lower case letters, digits or dashes, no dash at either end",
    )
}

fn name(kind: &str, pattern: &str, rule: &str) -> Rule {
    Rule::new(format!(
        "oldSelf.hasValue() || (self.metadata.name.size() <= 63 && self.metadata.name.matches('{pattern}'))"
    ))
    .message(Message::Expression(format!("'invalid {kind} name: ' + self.metadata.name + ': {rule}'")))
    .optional_old_self(true)
}

/// On a required string: it never changes.
pub(crate) fn immutable(what: &str) -> Rule {
    Rule::new("self == oldSelf")
        .message(Message::Expression(format!("'{what} cannot be updated to ' + self")))
}

/// On the struct with the optional repository `field`: it never changes, and none is the same as an empty
/// one, which Go clients send.
pub(crate) fn immutable_repository(field: &str, what: &str) -> Rule {
    let parts = |of: &str| {
        let path = format!("{of}.{field}");
        let part = |name: &str| format!("(has({path}) && has({path}.{name}) ? {path}.{name} : '')");
        ["url", "branch", "context"].map(part)
    };
    let [url, branch, context] = parts("self");
    let [old_url, old_branch, old_context] = parts("oldSelf");
    Rule::new(format!("{url} == {old_url} && {branch} == {old_branch} && {context} == {old_context}"))
        .field_path(format!(".{field}"))
        .message(Message::Expression(format!(
            "'{what} cannot be updated to ' + ({url} == '' ? 'none' : {}) \
             + ({branch} == '' ? '' : ', branch ' + {branch}) + ({context} == '' ? '' : ', context ' + {context})",
            shown_url(&url)
        )))
}

/// `url` for a message that may end in a log: a URL with a password is not shown.
pub(crate) fn shown_url(url: &str) -> String {
    format!("({url}.matches('{USERINFO}') ? 'a URL with <TOKEN>' : {url})")
}

/// On a URL: empty, or absolute and https. Forges are reached by https only: a token travels with each
/// request.
pub(crate) fn https_url() -> Rule {
    Rule::new(
        "self == '' || (isURL(self) && url(self).getScheme() == 'https' && url(self).getHostname() != '' \
         && !self.matches('[[:space:]]'))",
    )
    .message("must be an absolute URL with the https scheme, such as https://git.example.com/team/app")
}

/// On a path or URL: if it has a scheme, it is https.
pub(crate) fn path_or_https_url() -> Rule {
    Rule::new(
        "!self.contains('://') || (isURL(self) && url(self).getScheme() == 'https' \
         && url(self).getHostname() != '')",
    )
    .message("must be a path in the repository or an absolute URL with the https scheme")
}

/// A user, token or password in front of the host of a URL.
const USERINFO: &str = "^[^/?#]*://[^/?#]*@";

/// On a URL: secrets stay in Secrets.
pub(crate) fn no_userinfo() -> Rule {
    Rule::new(format!("!self.matches('{USERINFO}')")).message(
        "must not carry a user, token or password: put the token into a Secret and name it in spec.secret",
    )
}

/// On a path, also one inside a URL: it stays below where it starts.
pub(crate) fn no_parent_segments() -> Rule {
    Rule::new("!self.matches('(^|/)[.][.](/|$)')")
        .message("must not contain '..' segments: it has to stay inside the repository")
}

/// On a value that becomes an argument of git, which would take it as an option.
pub(crate) fn no_leading_dash() -> Rule {
    Rule::new("!self.startsWith('-')").message("must not begin with '-'")
}
