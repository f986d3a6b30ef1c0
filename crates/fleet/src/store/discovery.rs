//! Which kinds the API server serves, as its discovery documents say: every account may read them.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use http::Request;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{APIGroup, APIResourceList};
use kube::{Client, Resource};
use tokio::sync::Mutex;

/// How long an answer serves every store that asks about the same group.
const FRESH: Duration = Duration::from_secs(2);

/// Plural names of the kinds of one group, by version. Empty when there is no such group.
type Versions = BTreeMap<String, BTreeSet<String>>;

/// What groups have, and since when that is known.
type Answers = HashMap<String, (Instant, Arc<Versions>)>;

/// Asks for discovery documents, once for all that ask at the same time. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Discovery {
    client: Client,
    groups: Arc<Mutex<Answers>>,
}

/// Why a kind is not served. `Display` completes "<plural>.<group>: …".
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Lack {
    Group,
    Kind,
    /// Its definition is older or newer than this program.
    Version {
        wanted: String,
        served: Vec<String>,
    },
}

impl fmt::Display for Lack {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Group => {
                f.write_str("the API server has no such group; is the CustomResourceDefinition installed?")
            }
            Self::Kind => f.write_str(
                "the API server has the group without this kind; is the CustomResourceDefinition installed?",
            ),
            Self::Version { wanted, served } => write!(
                f,
                "served as {}, but {wanted} is needed; update the CustomResourceDefinition or this service",
                served.join(", ")
            ),
        }
    }
}

impl Discovery {
    pub(crate) fn new(client: Client) -> Self {
        Self { client, groups: Arc::default() }
    }

    /// What is missing for `K` to be served; `None` if it is.
    pub(crate) async fn lack<K: Resource<DynamicType = ()>>(&self) -> Result<Option<Lack>, kube::Error> {
        let versions = self.versions(&K::group(&())).await?;
        Ok(lack(&versions, &K::version(&()), &K::plural(&())))
    }

    async fn versions(&self, group: &str) -> Result<Arc<Versions>, kube::Error> {
        // Held while asking, so that one request answers all.
        let mut groups = self.groups.lock().await;
        if let Some((at, versions)) = groups.get(group)
            && at.elapsed() < FRESH
        {
            return Ok(Arc::clone(versions));
        }
        let versions = Arc::new(self.ask(group).await?);
        groups.insert(group.to_owned(), (Instant::now(), Arc::clone(&versions)));
        Ok(versions)
    }

    async fn ask(&self, group: &str) -> Result<Versions, kube::Error> {
        let mut versions = Versions::new();
        let root = if group.is_empty() { "/api".to_owned() } else { format!("/apis/{group}") };
        let names = if group.is_empty() {
            vec!["v1".to_owned()]
        } else {
            let found: Option<APIGroup> = self.get(&root).await?;
            found.map_or_else(Vec::new, |group| group.versions.into_iter().map(|v| v.version).collect())
        };
        for name in names {
            // One that went in between has no kinds.
            let list: Option<APIResourceList> = self.get(&format!("{root}/{name}")).await?;
            let kinds = list.map(|list| list.resources.into_iter().map(|resource| resource.name).collect());
            versions.insert(name, kinds.unwrap_or_default());
        }
        Ok(versions)
    }

    async fn get<T: serde::de::DeserializeOwned>(&self, path: &str) -> Result<Option<T>, kube::Error> {
        let request = Request::get(path).body(Vec::new()).map_err(kube::Error::HttpError)?;
        match self.client.request(request).await {
            Ok(answer) => Ok(Some(answer)),
            Err(kube::Error::Api(status)) if status.code == 404 => Ok(None),
            Err(error) => Err(error),
        }
    }
}

fn lack(versions: &Versions, wanted: &str, plural: &str) -> Option<Lack> {
    if versions.get(wanted).is_some_and(|kinds| kinds.contains(plural)) {
        return None;
    }
    let served: Vec<String> =
        versions.iter().filter(|(_, kinds)| kinds.contains(plural)).map(|(name, _)| name.clone()).collect();
    Some(if !served.is_empty() {
        Lack::Version { wanted: wanted.to_owned(), served }
    } else if versions.is_empty() {
        Lack::Group
    } else {
        Lack::Kind
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    fn versions(served: &[(&str, &[&str])]) -> Versions {
        let set = |kinds: &[&str]| kinds.iter().map(|kind| (*kind).to_owned()).collect();
        served.iter().map(|(version, kinds)| ((*version).to_owned(), set(kinds))).collect()
    }

    #[rstest]
    #[case::served(&[("v1", &["runs", "runs/status"] as &[_])], None)]
    #[case::no_group(&[], Some(Lack::Group))]
    #[case::another_kind_only(&[("v1", &["tasks"] as &[_])], Some(Lack::Kind))]
    #[case::an_older_definition(
        &[("v1beta1", &["runs"] as &[_])],
        Some(Lack::Version { wanted: "v1".into(), served: vec!["v1beta1".into()] })
    )]
    #[case::version_without_this_kind(
        &[("v1", &["tasks"] as &[_]), ("v1alpha1", &["runs"])],
        Some(Lack::Version { wanted: "v1".into(), served: vec!["v1alpha1".into()] })
    )]
    fn says_what_is_missing(#[case] served: &[(&str, &[&str])], #[case] expected: Option<Lack>) {
        assert_eq!(lack(&versions(served), "v1", "runs"), expected);
    }

    #[test]
    fn names_both_versions() {
        let lack = Lack::Version { wanted: "v1".into(), served: vec!["v1beta1".into()] };
        assert!(lack.to_string().starts_with("served as v1beta1, but v1 is needed"), "{lack}");
    }
}
