//! Who calls, and whether they may (results.md, section 5).
//!
//! ```text
//! authorization: Bearer ─▶ TokenReview ─▶ caller ─(Impersonate-*)─▶ other identity ─▶ SubjectAccessReview in the parent
//!        401                                            403                                       403
//! ```
//! A refusal names verb, resource and namespace, and is the same whether the object exists or not: the question is about
//! the namespace, before the database is asked.

use std::sync::Arc;

use fleet::access::{Access, Attributes, Error, Identity, Impersonation};
use fleet::{Scope, Secret};
use http::{HeaderMap, header};
use tonic::Status;

/// API group of the roles.
const GROUP: &str = "results.tekton.dev";

/// Role names what there is to read, create, and so on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, strum::IntoStaticStr)]
#[strum(serialize_all = "lowercase")]
pub(crate) enum Resource {
    Results,
    Records,
    Logs,
}

/// What is done with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, strum::IntoStaticStr)]
#[strum(serialize_all = "lowercase")]
pub(crate) enum Verb {
    Create,
    Update,
    Get,
    List,
    Delete,
}

/// Tokens of one request that are looked at: each may cost a review.
const TOKENS: usize = 4;

/// Lets callers in. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Auth {
    /// `None`: everybody may do everything.
    access: Option<Access>,
    impersonation: bool,
}

/// Somebody who was let in.
#[derive(Clone, Debug)]
pub(crate) enum Caller {
    /// Nobody was asked.
    Anybody,
    Known(Arc<Identity>),
}

impl Auth {
    /// Without `access` nothing is checked. `impersonation`: whether callers with the right to it may act as others.
    pub(crate) fn new(access: Option<Access>, impersonation: bool) -> Self {
        Self { access, impersonation }
    }

    /// Who calls, by the request's headers (or gRPC metadata, which is the same).
    pub(crate) async fn caller(&self, headers: &HeaderMap) -> Result<Caller, Status> {
        let Some(access) = &self.access else { return Ok(Caller::Anybody) };
        let wanted = Impersonation::of(headers).map_err(refused)?;
        if wanted.is_some() && !self.impersonation {
            // Passing over it would act with the caller's own, often wider, rights.
            return Err(refused(Error::Impersonation));
        }
        let caller = first_valid(access, headers).await.map_err(refused)?;
        let caller = match wanted {
            Some(wanted) => access.act_as(&caller, &wanted).await.map_err(refused)?,
            None => caller,
        };
        Ok(Caller::Known(caller))
    }

    /// Whether the caller may do this in the namespace, `-` for all of them.
    pub(crate) async fn allow(
        &self,
        caller: &Caller,
        verb: Verb,
        resource: Resource,
        namespace: &str,
    ) -> Result<(), Status> {
        let (Some(access), Caller::Known(caller)) = (&self.access, caller) else { return Ok(()) };
        let scope = if namespace == "-" { Scope::All } else { Scope::Namespace(namespace.to_owned()) };
        let (verb, resource): (&str, &str) = (verb.into(), resource.into());
        let asked = Attributes::new(verb, GROUP, resource, scope);
        access.authorize(caller, &asked).await.map_err(|error| match error {
            Error::Forbidden => Status::permission_denied(forbidden(&caller.user, verb, resource, namespace)),
            other => refused(other),
        })
    }
}

fn forbidden(user: &str, verb: &str, resource: &str, namespace: &str) -> String {
    let place = if namespace == "-" {
        "in all namespaces; name one namespace instead of `-`, or ask a cluster administrator".to_owned()
    } else {
        format!("in namespace `{namespace}`; check its name, or ask one of its administrators for a role")
    };
    format!("user `{user}` may not {verb} {resource}.{GROUP} {place}")
}

/// The owner of the first token that is valid. A proxy adds its own beside the user's.
async fn first_valid(access: &Access, headers: &HeaderMap) -> Result<Arc<Identity>, Error> {
    let mut last = Error::Unauthenticated;
    for token in tokens(headers) {
        match access.authenticate(&token).await {
            Ok(caller) => return Ok(caller),
            // That the API server is away says more than that another token is no good.
            Err(error @ Error::Unavailable { .. }) => last = error,
            Err(_) => {}
        }
    }
    Err(last)
}

fn tokens(headers: &HeaderMap) -> impl Iterator<Item = Secret<String>> {
    headers.get_all(header::AUTHORIZATION).iter().take(TOKENS).filter_map(|value| {
        let (scheme, token) = value.to_str().ok()?.split_once(' ')?;
        scheme.eq_ignore_ascii_case("bearer").then(|| Secret::new(token.trim().to_owned()))
    })
}

fn refused(error: Error) -> Status {
    let text = error.to_string();
    match error {
        Error::Unauthenticated => Status::unauthenticated(format!(
            "{text}: send `authorization: Bearer` with a token of the cluster that has not expired"
        )),
        Error::Claims => Status::unauthenticated(text),
        Error::Forbidden | Error::Impersonation | Error::NotAs => Status::permission_denied(text),
        Error::Unavailable { .. } => Status::unavailable(text),
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;
    use rstest::rstest;
    use tonic::Code;

    use super::*;

    #[rstest]
    #[case::one(&["Bearer abc"], &["abc"])]
    #[case::other_case(&["bearer abc"], &["abc"])]
    #[case::several(&["Basic x", "Bearer abc", "Bearer abd"], &["abc", "abd"])]
    #[case::no_scheme(&["abc"], &[])]
    #[case::not_text(&["Bearer \u{e4}"], &[])]
    #[case::none(&[], &[])]
    #[case::too_many(&["Bearer a", "Bearer b", "Bearer c", "Bearer d", "Bearer e"], &["a", "b", "c", "d"])]
    fn finds_tokens(#[case] values: &[&str], #[case] expected: &[&str]) {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(header::AUTHORIZATION, HeaderValue::from_bytes(value.as_bytes()).unwrap());
        }
        let found: Vec<String> = tokens(&headers).map(|token| token.expose().clone()).collect();
        assert_eq!(found, expected);
    }

    #[rstest]
    #[case::no_token(Error::Unauthenticated, Code::Unauthenticated)]
    #[case::claims(Error::Claims, Code::Unauthenticated)]
    #[case::switched_off(Error::Impersonation, Code::PermissionDenied)]
    #[case::not_as(Error::NotAs, Code::PermissionDenied)]
    #[case::not_now(Error::Unavailable { retry_after: std::time::Duration::ZERO }, Code::Unavailable)]
    fn has_a_code_for(#[case] error: Error, #[case] expected: Code) {
        assert_eq!(refused(error).code(), expected);
    }

    #[tokio::test]
    async fn lets_everybody_in_without_checks() {
        let auth = Auth::new(None, true);
        let caller = auth.caller(&HeaderMap::new()).await.unwrap();
        auth.allow(&caller, Verb::Delete, Resource::Results, "-").await.unwrap();
    }

    #[test]
    fn a_refusal_names_verb_resource_and_namespace() {
        let text = forbidden("jane", "list", "records", "shop");
        for part in ["jane", "list", "records", "`shop`"] {
            assert!(text.contains(part), "{text}");
        }
        assert!(forbidden("jane", "list", "records", "-").contains("all namespaces"));
    }
}
