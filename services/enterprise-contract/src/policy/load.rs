//! Finds a policy by what `--policy` says (specification, section 4.1).

use std::path::Path;

use enterprise_contract_api::EnterpriseContractPolicySpec;
use serde_json::{Value, json};

use super::{Cluster, Error, check};
use crate::sources::Sources;
use crate::yaml;

/// Where a policy is within what a URL leads to, in the order in which it is looked for.
const PLACES: [&str; 6] =
    [".ec/policy.json", ".ec/policy.yaml", ".ec/policy.yml", "policy.json", "policy.yaml", "policy.yml"];

/// What a policy is named by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Named<'a> {
    Empty,
    File(&'a str),
    Url(&'a str),
    Text(&'a str),
    /// `[namespace/]name`.
    Object(&'a str),
}

impl<'a> Named<'a> {
    fn by(text: &'a str) -> Self {
        let text = text.trim();
        let is_one_line = !text.contains(['\n', '{']);
        let is_url =
            ["git::", "git@", "https://", "http://", "github.com/", "gitlab.com/", "oci::", "file::"]
                .iter()
                .any(|begin| text.starts_with(begin));
        if text.is_empty() {
            Self::Empty
        } else if is_one_line && is_url {
            Self::Url(text)
        } else if is_one_line && has_extension(text) && !text.contains(": ") {
            Self::File(text)
        } else if text.contains([':', '{', '\n']) {
            Self::Text(text)
        } else {
            Self::Object(text)
        }
    }
}

fn has_extension(path: &str) -> bool {
    let extension = Path::new(path).extension().and_then(|extension| extension.to_str());
    extension
        .is_some_and(|found| ["json", "yaml", "yml"].iter().any(|known| known.eq_ignore_ascii_case(found)))
}

/// The policy that `text` is, or names.
pub async fn load(
    text: &str,
    sources: &Sources,
    cluster: &Cluster,
) -> Result<EnterpriseContractPolicySpec, Error> {
    match Named::by(text) {
        Named::Empty => Ok(EnterpriseContractPolicySpec::default()),
        Named::File(path) => {
            let unreadable = |error: std::io::Error| Error::Unreadable {
                what: path.to_owned(),
                reason: error.to_string(),
            };
            document(path, &tokio::fs::read(path).await.map_err(unreadable)?)
        }
        Named::Url(url) => {
            let wrong = |source| Error::Fetch { what: url.to_owned(), source };
            let fetched = Box::pin(sources.fetch(url)).await.map_err(wrong)?;
            let at = |place: &str| fetched.files.iter().find(|(path, _)| path == place);
            // The URL of a file leads to nothing else, whatever its name.
            let only = || fetched.files.first().filter(|_| fetched.files.len() == 1 && has_extension(url));
            let found = PLACES.iter().find_map(|place| at(place)).or_else(only);
            let (path, content) = found.ok_or_else(|| Error::NoFile { what: url.to_owned() })?;
            document(&format!("{url}#{path}"), content)
        }
        Named::Text(text) => document("given as text", text.as_bytes()),
        Named::Object(name) => check(name, &cluster.policy(name).await?),
    }
}

/// A spec, or the whole object, in JSON or YAML.
fn document(what: &str, content: &[u8]) -> Result<EnterpriseContractPolicySpec, Error> {
    let parsed = yaml::parse(content);
    let document = parsed.map_err(|reason| Error::Unreadable { what: what.to_owned(), reason })?;
    match document {
        Value::Null => Err(Error::Empty { what: what.to_owned() }),
        Value::Object(mut object) if object.contains_key("apiVersion") => {
            // Without a spec this is an object that permits everything: rather a mistake than a wish.
            let spec = object.remove("spec").ok_or_else(|| Error::Empty { what: what.to_owned() })?;
            check(what, &spec)
        }
        other => check(what, &json!(other)),
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case("", Named::Empty)]
    #[case("  \n", Named::Empty)]
    #[case("policy.yaml", Named::File("policy.yaml"))]
    #[case("/some/where/policy.JSON", Named::File("/some/where/policy.JSON"))]
    #[case(
        "git::https://git.example/o/r.git//dir?ref=v1",
        Named::Url("git::https://git.example/o/r.git//dir?ref=v1")
    )]
    #[case("github.com/o/r//dir", Named::Url("github.com/o/r//dir"))]
    #[case("https://host.example/policy.yaml", Named::Url("https://host.example/policy.yaml"))]
    #[case(r#"{"sources": []}"#, Named::Text(r#"{"sources": []}"#))]
    #[case("{}", Named::Text("{}"))]
    #[case("name: x.yaml", Named::Text("name: x.yaml"))]
    #[case("sources:\n- policy: [a.yaml", Named::Text("sources:\n- policy: [a.yaml"))]
    #[case("enterprise-contract-service/default", Named::Object("enterprise-contract-service/default"))]
    #[case("default", Named::Object("default"))]
    fn tells_what_a_policy_is_named_by(#[case] text: &str, #[case] expected: Named<'_>) {
        assert_eq!(Named::by(text), expected);
    }

    #[rstest]
    #[case::spec("name: mine")]
    #[case::object(
        "apiVersion: appstudio.redhat.com/v1alpha1\nkind: EnterpriseContractPolicy\nspec:\n  name: mine"
    )]
    #[case::json(r#"{"name": "mine"}"#)]
    fn reads_specs_and_objects(#[case] text: &str) {
        assert_eq!(document("test", text.as_bytes()).unwrap().name.as_deref(), Some("mine"));
    }

    #[rstest]
    #[case::empty("", "it is empty")]
    #[case::only_comments("# nothing\n", "it is empty")]
    #[case::object_without_spec("apiVersion: appstudio.redhat.com/v1alpha1", "it is empty")]
    #[case::no_yaml("a: [", "")]
    #[case::unknown("nme: mine", "nme")]
    fn refuses(#[case] text: &str, #[case] expected: &str) {
        let error = document("test", text.as_bytes()).unwrap_err().to_string();
        assert!(error.starts_with("policy test: ") && error.contains(expected), "{error}");
    }
}
