//! What a request asks for, read from its method and path.

use http::{Method, Uri};

use crate::ledger::{Call, Target};

/// The request as it will stand in the ledger, with no code yet. `user` says who asks.
pub(super) fn call(method: &Method, uri: &Uri, user: &str) -> Call {
    let target = target(uri.path());
    let has_name = target.as_ref().is_some_and(|target| target.name.is_some());
    let verb = match *method {
        Method::GET | Method::HEAD if is_set(uri, "watch") => "watch",
        Method::GET | Method::HEAD if target.is_some() && !has_name => "list",
        Method::GET | Method::HEAD => "get",
        Method::POST => "create",
        Method::PUT => "update",
        Method::PATCH => "patch",
        Method::DELETE if has_name => "delete",
        Method::DELETE => "deletecollection",
        _ => "",
    };
    Call {
        at: fleet::Clock::system().now(),
        user: user.to_owned(),
        user_agent: String::new(),
        verb: verb.to_owned(),
        target,
        uri: uri.to_string(),
        code: 0,
    }
}

/// Whether a parameter of the query is given and not false.
pub(super) fn is_set(uri: &Uri, parameter: &str) -> bool {
    let pairs = uri.query().unwrap_or_default().split('&');
    pairs
        .filter_map(|pair| pair.split_once('='))
        .any(|(name, value)| name == parameter && !matches!(value, "" | "0" | "false"))
}

/// Path of the collection that a call was about: `/apis/<group>/<version>/namespaces/<namespace>/<resource>`.
pub(crate) fn collection(call: &Call) -> Option<String> {
    let target = call.target.as_ref()?;
    let path = call.uri.split('?').next()?;
    let depth = if target.group.is_empty() { 2 } else { 3 };
    let root: Vec<&str> = path.split('/').skip(1).take(depth).collect();
    let namespace = target.namespace.as_ref().map(|namespace| format!("/namespaces/{namespace}"));
    Some(format!("/{}{}/{}", root.join("/"), namespace.unwrap_or_default(), target.resource))
}

fn target(path: &str) -> Option<Target> {
    let segments: Vec<&str> = path.split('/').filter(|segment| !segment.is_empty()).collect();
    let (group, rest) = match segments.as_slice() {
        ["api", _, rest @ ..] => ("", rest),
        ["apis", group, _, rest @ ..] => (*group, rest),
        _ => return None,
    };
    let (namespace, rest) = match rest {
        // Of the namespace itself.
        ["namespaces", _, "status" | "finalize"] => (None, rest),
        ["namespaces", namespace, rest @ ..] if !rest.is_empty() => (Some(*namespace), rest),
        _ => (None, rest),
    };
    let owned = |segment: Option<&&str>| segment.map(|segment| (*segment).to_owned());
    Some(Target {
        group: group.to_owned(),
        resource: owned(rest.first())?,
        subresource: owned(rest.get(2)),
        namespace: namespace.map(str::to_owned),
        name: owned(rest.get(1)),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case::list("GET", "/api/v1/namespaces/n/secrets?limit=5", "list secrets n/*")]
    #[case::watch("GET", "/apis/g.example/v1/things?watch=true", "watch things.g.example *")]
    #[case::get("GET", "/api/v1/namespaces/n/secrets/s", "get secrets n/s")]
    #[case::status(
        "PATCH",
        "/apis/g.example/v1/namespaces/n/things/a/status",
        "patch things/status.g.example n/a"
    )]
    #[case::create("POST", "/api/v1/namespaces/n/secrets", "create secrets n/*")]
    #[case::namespace("GET", "/api/v1/namespaces/n", "get namespaces n")]
    #[case::finalize("PUT", "/api/v1/namespaces/n/finalize", "update namespaces/finalize n")]
    #[case::delete("DELETE", "/api/v1/nodes/n", "delete nodes n")]
    #[case::delete_all("DELETE", "/api/v1/nodes", "deletecollection nodes *")]
    #[case::no_resource("GET", "/version", "get /version")]
    fn reads_requests(#[case] method: Method, #[case] uri: Uri, #[case] expected: &str) {
        assert_eq!(call(&method, &uri, "me").to_string(), format!("0 {expected} by me"));
    }

    #[rstest]
    #[case("/api/v1/namespaces/n/secrets/s", "/api/v1/namespaces/n/secrets")]
    #[case("/apis/g/v1/namespaces/n/things/a/status?x=y", "/apis/g/v1/namespaces/n/things")]
    #[case("/apis/g/v1/things?watch=1", "/apis/g/v1/things")]
    fn finds_the_collection(#[case] uri: Uri, #[case] expected: &str) {
        assert_eq!(collection(&call(&Method::GET, &uri, "me")).as_deref(), Some(expected));
    }
}
