//! Whom the service serves, and how: the `InternalServicesConfig` of its namespace, or what holds without one.

use std::collections::{BTreeMap, BTreeSet};

use internal_services_api::InternalServicesConfig;
use internal_services_api::internal_services_config::VolumeClaim;

/// The settings of the moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Settings {
    allowed: BTreeMap<String, Requests>,
    /// Finished runs are kept.
    pub(crate) debug: bool,
    /// The workspace that is bound to a volume of its own.
    pub(crate) workspace: String,
    pub(crate) volume_size: String,
    git_urls: Vec<String>,
}

/// What a namespace may ask for.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Requests {
    All,
    Only(BTreeSet<String>),
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            allowed: BTreeMap::new(),
            debug: false,
            workspace: VolumeClaim::NAME.to_owned(),
            volume_size: VolumeClaim::SIZE.to_owned(),
            git_urls: Vec::new(),
        }
    }
}

impl Settings {
    /// Without an object nobody is served.
    pub(crate) fn of(config: Option<&InternalServicesConfig>) -> Self {
        let Some(config) = config else { return Self::default() };
        let spec = &config.spec;
        let volume = spec.volume_claim.clone().unwrap_or_default();
        let default = Self::default();
        let mut allowed = BTreeMap::new();
        for entry in &spec.allow_list {
            allow(&mut allowed, entry);
        }
        Self {
            allowed,
            debug: spec.debug.unwrap_or_default(),
            workspace: volume.name.unwrap_or(default.workspace),
            volume_size: volume.size.unwrap_or(default.volume_size),
            git_urls: spec.allowed_git_resolver_urls.clone(),
        }
    }

    /// The namespaces of the remote cluster that may ask for something.
    pub(crate) fn namespaces(&self) -> impl Iterator<Item = &str> {
        self.allowed.keys().map(String::as_str)
    }

    pub(crate) fn serves(&self, namespace: &str) -> bool {
        self.allowed.contains_key(namespace)
    }

    /// Why a request of this name must not be made there; `None` if it may. One without a name asks for a pipeline from elsewhere, which
    /// no list of names can tell.
    pub(crate) fn refuses(&self, namespace: &str, request: Option<&str>) -> Option<String> {
        match (self.allowed.get(namespace), request) {
            (None, _) => {
                Some(format!("the internal request namespace ({namespace}) is not in the allow list"))
            }
            (Some(Requests::All), _) => None,
            (Some(Requests::Only(names)), Some(request)) if names.contains(request) => None,
            (Some(Requests::Only(names)), request) => {
                let names: Vec<_> = names.iter().map(String::as_str).collect();
                let asked = request.map_or("spec.pipeline".to_owned(), |request| format!("'{request}'"));
                let names = names.join(", ");
                Some(format!(
                    "the internal request namespace ({namespace}) may not ask for {asked}: the allow list has it with {names} only"
                ))
            }
        }
    }

    /// Why pipelines must not come from this Git repository; `None` if they may.
    pub(crate) fn refuses_url(&self, url: &str) -> Option<String> {
        if self.git_urls.is_empty() || self.git_urls.iter().any(|allowed| allowed == url) {
            return None;
        }
        let allowed = self.git_urls.join(", ");
        Some(format!("the git resolver url ({url}) is not in the list of allowed urls ({allowed})"))
    }
}

/// `namespace`, or `namespace:request,request`. Several entries of one namespace add up.
fn allow(allowed: &mut BTreeMap<String, Requests>, entry: &str) {
    let (namespace, names) = match entry.split_once(':') {
        None => (entry.trim(), None),
        Some((namespace, names)) => (namespace.trim(), Some(names)),
    };
    if namespace.is_empty() {
        return;
    }
    let Some(names) = names else {
        allowed.insert(namespace.to_owned(), Requests::All);
        return;
    };
    let names = names.split(',').map(str::trim).filter(|name| !name.is_empty()).map(str::to_owned);
    // A colon with nothing behind it allows nothing, not everything.
    let entry = allowed.entry(namespace.to_owned()).or_insert_with(|| Requests::Only(BTreeSet::new()));
    if let Requests::Only(known) = entry {
        known.extend(names);
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;
    use serde_json::{Value, json};

    use super::*;

    fn settings(spec: &Value) -> Settings {
        let config = json!({"metadata": {"name": "config"}, "spec": spec});
        Settings::of(Some(&serde_json::from_value(config).unwrap()))
    }

    #[rstest]
    #[case::nobody(&[], "a", Some("sign"), Some("(a) is not in the allow list"))]
    #[case::named(&["a"], "a", Some("sign"), None)]
    #[case::another(&["a"], "b", Some("sign"), Some("(b) is not in the allow list"))]
    #[case::part_of_a_name(&["ab"], "a", Some("sign"), Some("not in the allow list"))]
    #[case::pipeline_from_elsewhere(&["a"], "a", None, None)]
    #[case::one_of_its_requests(&["a:sign, scan"], "a", Some("scan"), None)]
    #[case::none_of_its_requests(&["a:sign,scan"], "a", Some("index"), Some("may not ask for 'index': the allow list has it with scan, sign only"))]
    #[case::limited_and_from_elsewhere(&["a:sign"], "a", None, Some("may not ask for spec.pipeline"))]
    #[case::nothing_behind_the_colon(&["a:"], "a", Some("sign"), Some("may not ask for 'sign'"))]
    #[case::entries_add_up(&["a:sign", "a:scan"], "a", Some("scan"), None)]
    #[case::all_wins(&["a", "a:scan"], "a", Some("sign"), None)]
    #[case::blanks(&[" a "], "a", Some("sign"), None)]
    #[case::empty(&["", ":sign"], "", Some("sign"), Some("not in the allow list"))]
    fn allows(
        #[case] list: &[&str],
        #[case] namespace: &str,
        #[case] request: Option<&str>,
        #[case] expected: Option<&str>,
    ) {
        let refusal = settings(&json!({"allowList": list})).refuses(namespace, request);
        match expected {
            None => assert_eq!(refusal, None),
            Some(words) => {
                let refusal = refusal.unwrap();
                assert!(refusal.contains(words), "{refusal}");
            }
        }
    }

    #[rstest]
    #[case::any(&[], "https://git.example/a", true)]
    #[case::equal(&["https://git.example/a"], "https://git.example/a", true)]
    #[case::longer(&["https://git.example/a"], "https://git.example/a/b", false)]
    #[case::none(&["https://git.example/a"], "", false)]
    fn allows_urls(#[case] list: &[&str], #[case] url: &str, #[case] expected: bool) {
        let settings = settings(&json!({"allowedGitResolverURLs": list}));
        assert_eq!(settings.refuses_url(url).is_none(), expected);
    }

    #[rstest]
    #[case::nothing(json!({}), ("workspace", "1Gi", false))]
    #[case::name(json!({"volumeClaim": {"name": "data"}}), ("data", "1Gi", false))]
    #[case::all(json!({"volumeClaim": {"name": "data", "size": "2Gi"}, "debug": true}), ("data", "2Gi", true))]
    fn has_defaults(#[case] spec: Value, #[case] expected: (&str, &str, bool)) {
        let settings = settings(&spec);
        assert_eq!((settings.workspace.as_str(), settings.volume_size.as_str(), settings.debug), expected);
    }

    #[test]
    fn without_an_object_nobody_is_served() {
        assert!(Settings::of(None).refuses("a", Some("sign")).is_some());
        assert_eq!(Settings::of(None), settings(&json!({})));
    }
}
