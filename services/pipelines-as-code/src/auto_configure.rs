//! A repository that is made at GitHub gets a namespace and a Repository, where the administrator wants that (spec section 4.1,
//! point 3).

use forge::signature::Sender;
use http::{HeaderMap, StatusCode};
use k8s_openapi::api::core::v1::Namespace;
use kube::api::PostParams;
use kube::{Api, Client, ResourceExt as _};
use pipelines_as_code_api::Repository;
use serde_json::{Value, json};

use crate::answer::Answer;
use crate::settings::{self, Settings};

/// On namespaces that we made. In others nothing is put: a namespace of somebody else could have the same name.
const MADE_BY: (&str, &str) = ("app.kubernetes.io/managed-by", "pipelinesascode.tekton.dev");

/// A repository that was made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Created {
    owner: String,
    name: String,
    url: String,
}

pub(crate) struct AutoConfigure {
    client: Client,
    settings: settings::Current,
}

impl AutoConfigure {
    pub(crate) fn new(client: Client, settings: settings::Current) -> Self {
        Self { client, settings }
    }

    /// The repository that a delivery tells of, if such are wanted. Nothing is proven yet.
    pub(crate) fn wanted(&self, sender: Sender, headers: &HeaderMap, body: &Value) -> Option<Created> {
        let is_wanted = self.settings.get().auto_configure && sender == Sender::GitHub;
        if !is_wanted || headers.get("x-github-event")? != "repository" || body["action"] != "created" {
            return None;
        }
        let text = |value: &Value| value.as_str().map(str::to_owned);
        let repository = &body["repository"];
        Some(Created {
            owner: text(&repository["owner"]["login"])?,
            name: text(&repository["name"])?,
            url: text(&repository["html_url"])?,
        })
    }

    pub(crate) async fn configure(&self, created: Created, settings: &Settings) -> Answer {
        let Some((namespace, repository)) = objects(&created, settings) else {
            let reason = format!("no namespace can be called after {}/{}", created.owner, created.name);
            return failed(&reason);
        };
        match self.make(&namespace, &repository).await {
            Ok(()) => Answer::new(StatusCode::CREATED, "configured", "configured"),
            Err(error) => failed(&error.to_string()),
        }
    }

    async fn make(&self, namespace: &Namespace, repository: &Repository) -> Result<(), Failed> {
        let namespaces: Api<Namespace> = Api::all(self.client.clone());
        let name = namespace.name_any();
        match namespaces.create(&PostParams::default(), namespace).await {
            Err(kube::Error::Api(status)) if status.is_already_exists() => {
                let found = namespaces.get(&name).await?;
                if found.labels().get(MADE_BY.0).map(String::as_str) != Some(MADE_BY.1) {
                    return Err(Failed::Taken(name));
                }
            }
            made => drop(made?),
        }
        let repositories: Api<Repository> = Api::namespaced(self.client.clone(), &name);
        match repositories.create(&PostParams::default(), repository).await {
            // A repeated delivery.
            Err(kube::Error::Api(status)) if status.is_already_exists() => Ok(()),
            made => made.map(drop).map_err(Failed::from),
        }
    }
}

#[derive(Debug, thiserror::Error)]
enum Failed {
    #[error("namespace {0} is there and was not made by pipelines-as-code")]
    Taken(String),
    #[error(transparent)]
    Api(#[from] kube::Error),
}

fn failed(reason: &str) -> Answer {
    tracing::error!(reason, "A new repository is not configured");
    Answer::skipped("skipped", "failed to configure")
}

/// `None` if there is no valid name.
fn objects(created: &Created, settings: &Settings) -> Option<(Namespace, Repository)> {
    let filled = settings
        .auto_configure_namespace
        .replace("{{repo_owner}}", &created.owner)
        .replace("{{ repo_owner }}", &created.owner)
        .replace("{{repo_name}}", &created.name)
        .replace("{{ repo_name }}", &created.name);
    let namespace = label(&filled)?;
    let metadata = json!({"name": namespace, "labels": {MADE_BY.0: MADE_BY.1}});
    let repository = json!({
        "metadata": {"name": label(&created.name)?, "namespace": namespace},
        "spec": {"url": created.url},
    });
    let namespace = serde_json::from_value(json!({"metadata": metadata})).ok()?;
    Some((namespace, serde_json::from_value(repository).ok()?))
}

/// As near to the text as the name of an object can be (RFC 1123, a label).
fn label(text: &str) -> Option<String> {
    let fits = |c: char| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '-' };
    let label: String = text.chars().map(fits).collect();
    let label = label.trim_matches('-');
    (!label.is_empty()).then(|| fleet::names::fit(63, label, ""))
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case("{{repo_name}}-pipelines", Some("my-app-pipelines"))]
    #[case("{{ repo_owner }}-{{repo_name}}", Some("some-org-my-app"))]
    #[case("{{", None)]
    fn names_a_namespace(#[case] template: &str, #[case] expected: Option<&str>) {
        let created = Created {
            owner: "Some_Org".to_owned(),
            name: "My.App".to_owned(),
            url: "https://github.com/Some_Org/My.App".to_owned(),
        };
        let settings = Settings { auto_configure_namespace: template.to_owned(), ..Settings::default() };
        let objects = objects(&created, &settings);
        let named = objects.as_ref().map(|(namespace, _)| namespace.name_any());
        assert_eq!(named.as_deref(), expected);
        if let Some((_, repository)) = objects {
            assert_eq!((&*repository.name_any(), repository.namespace()), ("my-app", named));
            assert_eq!(repository.spec.spec.url.as_deref(), Some("https://github.com/Some_Org/My.App"));
        }
    }
}
