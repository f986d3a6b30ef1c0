//! What a Component's model (`status.devfile`) says about how it is built.

use build_service_api::ErrorId;
use serde::Deserialize;

use crate::failure::Failure;

/// What the choice and the parameters of a pipeline depend on.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Model {
    /// Empty if it is not said.
    pub(crate) language: String,
    /// Empty if it is not said.
    pub(crate) project_type: String,
    pub(crate) dockerfile: Option<Dockerfile>,
}

/// The first image component with a Dockerfile.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Dockerfile {
    /// A path or a URL, never empty.
    pub(crate) uri: String,
    /// A directory. Empty if it is not said.
    pub(crate) build_context: String,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Devfile {
    metadata: Metadata,
    components: Vec<Part>,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Metadata {
    language: Option<String>,
    project_type: Option<String>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Part {
    image: Option<Image>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Image {
    dockerfile: Option<ImageDockerfile>,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct ImageDockerfile {
    uri: Option<String>,
    build_context: Option<String>,
}

/// Reads a devfile. Empty text says nothing.
pub(crate) fn parse(text: &str) -> Result<Model, Failure> {
    if text.trim().is_empty() {
        return Ok(Model::default());
    }
    let devfile: Devfile = serde_saphyr::from_str(text).map_err(|error| {
        // The rest is an excerpt of the text.
        let error = error.to_string();
        let first = error.lines().next().unwrap_or_default();
        Failure::permanent(ErrorId::InvalidDevfile, format!("status.devfile: {first}"))
    })?;
    let dockerfiles = devfile.components.into_iter().filter_map(|part| part.image?.dockerfile);
    let mut named = dockerfiles.filter_map(|dockerfile| {
        let uri = dockerfile.uri.filter(|uri| !uri.is_empty())?;
        Some(Dockerfile { uri, build_context: dockerfile.build_context.unwrap_or_default() })
    });
    Ok(Model {
        language: devfile.metadata.language.unwrap_or_default(),
        project_type: devfile.metadata.project_type.unwrap_or_default(),
        dockerfile: named.next(),
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn finds_the_first_dockerfile_that_is_named() {
        let model = parse(
            "metadata: {name: a, language: Python, projectType: flask}\ncomponents:\n- name: no\n  container: {image: x}\n\
             - name: none\n  image: {imageName: x, dockerfile: {uri: ''}}\n\
             - name: a\n  image: {dockerfile: {uri: docker/Dockerfile, buildContext: src}}\n\
             - name: b\n  image: {dockerfile: {uri: other}}\n",
        )
        .unwrap();
        let dockerfile = Dockerfile { uri: "docker/Dockerfile".into(), build_context: "src".into() };
        assert_eq!(
            model,
            Model { language: "Python".into(), project_type: "flask".into(), dockerfile: Some(dockerfile) }
        );
    }

    #[test]
    fn nothing_says_nothing() {
        for text in ["", " \n", "schemaVersion: 2.2.0", "metadata: {}\ncomponents: []"] {
            assert_eq!(parse(text).unwrap(), Model::default(), "{text}");
        }
    }

    #[test]
    fn garbage_is_told() {
        for text in ["{", "components: 1", "- a", "metadata: [1]", "a: &a [*a]"] {
            let failure = parse(text).unwrap_err();
            assert!(
                matches!(&failure, Failure::Permanent { id: ErrorId::InvalidDevfile, .. }),
                "{text}: {failure}"
            );
        }
    }

    proptest! {
        #[test]
        fn never_panics(text in "\\PC{0,200}") {
            let _ = parse(&text);
        }
    }
}
