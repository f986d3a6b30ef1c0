//! The models that other services read from status: devfiles (schema 2.2.0) of an Application and of a Component.

use std::collections::BTreeMap;

use application_service_api::repository::RepositoryLocation;
use application_service_api::{Application, Component};
use fleet::redact;
use kube::ResourceExt as _;
use serde::Serialize;

const SCHEMA_VERSION: &str = "2.2.0";

/// How large a model may be, in bytes. An object, with all that is in it, must not be larger than 1.5 MiB for etcd
/// (`--max-request-bytes`); a third of that is left for the spec and for what others write.
const LARGEST: usize = 1024 * 1024;

/// Why an Application has no model.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Error {
    #[error(
        "application {application} already has a component with name {name}: Components {first} and {second} both \
         give it as spec.componentName; delete one of them"
    )]
    SameName { application: String, name: String, first: String, second: String },
    #[error(
        "Component {component} has neither a git source nor an image source: set spec.source.git.url or \
         spec.containerImage"
    )]
    NoSource { component: String },
    #[error(
        "status.devfile would be {size} bytes, more than {}: the model names {components} Components; move some to \
         another Application, or give them and the Application shorter names, URLs and descriptions",
        limit.map_or_else(|| "fits into the object beside its spec".to_owned(), |limit| format!("the {limit} that it may be"))
    )]
    TooLarge {
        size: usize,
        /// Absent if it was the API server that refused it.
        limit: Option<usize>,
        components: usize,
    },
    #[error("the model cannot be written: {0}")]
    Write(String),
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Devfile {
    schema_version: &'static str,
    metadata: Metadata,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    projects: Vec<Project>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    components: Vec<DevfileComponent>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    attributes: BTreeMap<String, String>,
}

#[derive(Debug, Serialize)]
struct Metadata {
    name: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    description: Option<String>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    attributes: BTreeMap<String, String>,
}

#[derive(Debug, Serialize)]
struct Project {
    name: String,
    git: GitProject,
}

#[derive(Debug, Serialize)]
struct GitProject {
    remotes: BTreeMap<&'static str, String>,
}

#[derive(Debug, Serialize)]
struct DevfileComponent {
    name: &'static str,
    image: Image,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Image {
    image_name: String,
    dockerfile: Dockerfile,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Dockerfile {
    uri: String,
    build_context: &'static str,
}

/// What a Component is made from. A Git source wins over an image, which is then its latest build.
enum Source<'a> {
    Git { url: &'a str, dockerfile: Option<&'a str> },
    Image(&'a str),
    None,
}

impl<'a> Source<'a> {
    fn of(component: &'a Component) -> Self {
        let source = component.spec.source.as_ref();
        let git = source.and_then(|source| source.git.as_ref());
        let url =
            git.map(|git| git.url.as_str()).or_else(|| source?.url.as_deref()).filter(|url| !url.is_empty());
        let dockerfile = git
            .and_then(|git| git.dockerfile_url.as_deref())
            .or_else(|| source?.dockerfile_uri.as_deref())
            .filter(|path| !path.is_empty());
        match (url, component.spec.container_image.as_deref()) {
            (Some(url), _) => Self::Git { url, dockerfile },
            (None, Some(image)) if !image.is_empty() => Self::Image(image),
            (None, _) => Self::None,
        }
    }
}

/// Whether two states of a Component are the same to the model of its Application.
pub(crate) fn have_one_part(a: &Component, b: &Component) -> bool {
    fn part(component: &Component) -> (&str, Option<&str>, Option<&str>) {
        let (url, image) = match Source::of(component) {
            Source::Git { url, .. } => (Some(url), None),
            Source::Image(image) => (None, Some(image)),
            Source::None => (None, None),
        };
        (&component.spec.component_name, url, image)
    }
    part(a) == part(b)
}

/// What [`of_application`] answers is no model if it is too large for the object: `is_refused` says that the API server
/// found it so.
pub(crate) fn that_fits(model: String, components: usize, is_refused: bool) -> Result<String, Error> {
    let size = model.len();
    let limit = (!is_refused).then_some(LARGEST);
    if limit.is_none_or(|limit| size > limit) {
        return Err(Error::TooLarge { size, limit, components });
    }
    Ok(model)
}

/// The model of an Application: its Git Components as projects, its image Components as attributes. `components` come in
/// any order; the model does not depend on it.
pub(crate) fn of_application<'a>(
    application: &Application,
    components: impl IntoIterator<Item = &'a Component>,
) -> Result<String, Error> {
    let mut by_name: BTreeMap<&str, &Component> = BTreeMap::new();
    for component in components {
        if let Some(other) = by_name.insert(&component.spec.component_name, component) {
            let mut both = [other.name_any(), component.name_any()];
            both.sort();
            let [first, second] = both;
            let name = component.spec.component_name.clone();
            return Err(Error::SameName { application: application.name_any(), name, first, second });
        }
    }
    let mut projects = Vec::new();
    let mut images = BTreeMap::new();
    for (name, component) in by_name {
        match Source::of(component) {
            Source::Git { url, .. } => projects.push(Project {
                name: name.to_owned(),
                git: GitProject { remotes: BTreeMap::from([("origin", redact(url))]) },
            }),
            Source::Image(image) => {
                images.insert(format!("containerImage/{name}"), image.to_owned());
            }
            Source::None => return Err(Error::NoSource { component: component.name_any() }),
        }
    }
    let spec = &application.spec;
    let mut attributes = BTreeMap::new();
    add_repository(&mut attributes, "gitOpsRepository", spec.git_ops_repository.as_ref(), "./");
    add_repository(&mut attributes, "appModelRepository", spec.app_model_repository.as_ref(), "/");
    write(&Devfile {
        schema_version: SCHEMA_VERSION,
        metadata: Metadata {
            name: spec.display_name.clone(),
            description: spec.description.clone().filter(|text| !text.is_empty()),
            attributes,
        },
        projects,
        components: Vec::new(),
        attributes: images,
    })
}

/// Names the repositories that the user gave; in registry mode none is made.
fn add_repository(
    attributes: &mut BTreeMap<String, String>,
    field: &str,
    location: Option<&RepositoryLocation>,
    default_context: &str,
) {
    let Some(location) = location.filter(|location| !location.url.is_empty()) else { return };
    let given = |text: &Option<String>| text.clone().filter(|text| !text.is_empty());
    attributes.insert(format!("{field}.url"), redact(&location.url));
    attributes.insert(
        format!("{field}.context"),
        given(&location.context).unwrap_or_else(|| default_context.to_owned()),
    );
    if let Some(branch) = given(&location.branch) {
        attributes.insert(format!("{field}.branch"), branch);
    }
}

/// The model of a Component, never empty: other services wait for it. With a Dockerfile given, it has the image component
/// that build-service reads `dockerfile.uri` from.
pub(crate) fn of_component(component: &Component) -> Result<String, Error> {
    let mut components = Vec::new();
    match Source::of(component) {
        Source::Git { dockerfile: Some(uri), .. } => components.push(DevfileComponent {
            name: "dockerfile-build",
            image: Image {
                image_name: component.spec.component_name.clone(),
                dockerfile: Dockerfile { uri: uri.to_owned(), build_context: "./" },
            },
        }),
        Source::Git { .. } | Source::Image(_) => {}
        Source::None => return Err(Error::NoSource { component: component.name_any() }),
    }
    write(&Devfile {
        schema_version: SCHEMA_VERSION,
        metadata: Metadata {
            name: component.spec.component_name.clone(),
            description: None,
            attributes: BTreeMap::new(),
        },
        projects: Vec::new(),
        components,
        attributes: BTreeMap::new(),
    })
}

fn write(devfile: &Devfile) -> Result<String, Error> {
    serde_saphyr::to_string(devfile).map_err(|error| Error::Write(error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn application(spec: &Value) -> Application {
        serde_json::from_value(json!({
            "apiVersion": "appstudio.redhat.com/v1alpha1", "kind": "Application",
            "metadata": {"name": "shop", "namespace": "n"}, "spec": spec,
        }))
        .unwrap()
    }

    fn component(name: &str, spec: &Value) -> Component {
        let mut object = json!({
            "apiVersion": "appstudio.redhat.com/v1alpha1", "kind": "Component",
            "metadata": {"name": name, "namespace": "n"},
            "spec": {"componentName": name, "application": "shop"},
        });
        object["spec"].as_object_mut().unwrap().extend(spec.as_object().unwrap().clone());
        serde_json::from_value(object).unwrap()
    }

    fn git(url: &str) -> Value {
        json!({"source": {"git": {"url": url}}})
    }

    fn parse(text: &str) -> Value {
        serde_saphyr::from_str(text).unwrap()
    }

    #[test]
    fn an_application_lists_its_components() {
        let application = application(&json!({
            "displayName": "My Shop", "description": "sells",
            "gitOpsRepository": {"url": "https://git.example/gitops", "branch": "main"},
            "appModelRepository": {"url": ""},
        }));
        let components = [
            component("frontend", &json!({"containerImage": "images.example/frontend:1"})),
            component("backend", &git("https://git.example/backend")),
        ];
        let model = of_application(&application, &components).unwrap();
        assert_eq!(
            parse(&model),
            json!({
                "schemaVersion": "2.2.0",
                "metadata": {
                    "name": "My Shop", "description": "sells",
                    "attributes": {
                        "gitOpsRepository.url": "https://git.example/gitops",
                        "gitOpsRepository.branch": "main",
                        "gitOpsRepository.context": "./",
                    },
                },
                "projects": [{"name": "backend", "git": {"remotes": {"origin": "https://git.example/backend"}}}],
                "attributes": {"containerImage/frontend": "images.example/frontend:1"},
            })
        );
        let reversed = of_application(&application, components.iter().rev()).unwrap();
        assert_eq!(model, reversed, "the order of a list never causes a write");
    }

    #[test]
    fn a_name_given_twice_names_both_components() {
        let mut twin = component("b", &git("https://git.example/b"));
        twin.spec.component_name = "a".into();
        let components = [twin, component("a", &git("https://git.example/a"))];
        let error = of_application(&application(&json!({"displayName": "x"})), &components).unwrap_err();
        let text = error.to_string();
        assert!(text.contains("already has a component with name a") && text.contains("a and b"), "{text}");
    }

    #[test]
    fn a_component_without_a_source_is_named() {
        let components = [component("empty", &json!({}))];
        let error = of_application(&application(&json!({"displayName": "x"})), &components).unwrap_err();
        assert_eq!(error, Error::NoSource { component: "empty".into() });
        assert_eq!(of_component(&components[0]).unwrap_err(), Error::NoSource { component: "empty".into() });
    }

    #[test]
    fn a_component_names_its_dockerfile() {
        let spec =
            json!({"source": {"git": {"url": "https://git.example/x", "dockerfileUrl": "build/Dockerfile"}}});
        let model = parse(&of_component(&component("api", &spec)).unwrap());
        assert_eq!(model["metadata"]["name"], "api");
        assert_eq!(
            model["components"][0]["image"]["dockerfile"],
            json!({"uri": "build/Dockerfile", "buildContext": "./"})
        );
    }

    #[test]
    fn without_a_dockerfile_a_component_is_still_modelled() {
        for spec in [git("https://git.example/x"), json!({"containerImage": "images.example/x:1"})] {
            let model = parse(&of_component(&component("api", &spec)).unwrap());
            assert_eq!(model, json!({"schemaVersion": "2.2.0", "metadata": {"name": "api"}}));
        }
    }

    #[test]
    fn names_that_look_like_other_types_stay_text() {
        let model =
            of_application(&application(&json!({"displayName": "yes", "description": "1e3"})), []).unwrap();
        assert_eq!(parse(&model)["metadata"], json!({"name": "yes", "description": "1e3"}));
    }
}
