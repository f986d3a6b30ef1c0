//! Choice by the ConfigMap `build-pipeline-config`, where there is no selector at all (section 2.4).

use build_service_api::names::{PIPELINE_CONFIG, PIPELINE_CONFIG_KEY};
use build_service_api::request::PipelineChoice;
use build_service_api::{ErrorId, PipelineConfig, annotations};

use super::Selected;
use crate::failure::Failure;

/// The pipeline that a Component chooses.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Choice {
    pub(crate) selected: Selected,
    /// For the Component's annotation, where it has none.
    pub(crate) annotation: Option<String>,
}

/// Reads `text`, the ConfigMap's only key, by what stands in the Component's annotation.
pub(crate) fn choose(text: &str, annotation: Option<&str>) -> Result<Choice, Failure> {
    let invalid = |why: String| {
        Failure::permanent(
            ErrorId::PipelineConfigInvalid,
            format!("ConfigMap {PIPELINE_CONFIG}, key {PIPELINE_CONFIG_KEY}: {why}"),
        )
    };
    let config: PipelineConfig = serde_saphyr::from_str(text).map_err(|error| {
        let error = error.to_string();
        invalid(error.lines().next().unwrap_or_default().to_owned())
    })?;
    if config.pipelines.is_empty() {
        return Err(invalid("it has no pipelines".to_owned()));
    }
    let (choice, is_new) = if let Some(text) = annotation {
        (read(text)?, false)
    } else {
        let name = config.default_pipeline_name.clone();
        (PipelineChoice { name, bundle: PipelineChoice::LATEST.to_owned() }, true)
    };
    if choice.name.is_empty() {
        let why = format!(
            "Component has no annotation {} and ConfigMap {PIPELINE_CONFIG} no default-pipeline-name",
            annotations::PIPELINE
        );
        return Err(Failure::permanent(ErrorId::PipelineAnnotationMissing, why));
    }
    let configured = config.pipelines.iter().find(|pipeline| pipeline.name == choice.name);
    let bundle = match (choice.bundle.as_str(), configured) {
        (PipelineChoice::LATEST, Some(configured)) if configured.bundle.is_empty() => {
            return Err(invalid(format!("pipeline {} has no bundle", choice.name)));
        }
        (PipelineChoice::LATEST, Some(configured)) => configured.bundle.clone(),
        (PipelineChoice::LATEST, None) => {
            let names: Vec<_> = config.pipelines.iter().map(|pipeline| pipeline.name.as_str()).collect();
            let why = format!("pipeline {:?} is none of {}", choice.name, names.join(", "));
            return Err(Failure::permanent(ErrorId::PipelineNotInConfig, why));
        }
        (bundle, _) => bundle.to_owned(),
    };
    let copied = configured.map(|configured| configured.additional_params.clone()).unwrap_or_default();
    let annotation = is_new.then(|| serde_json::to_string(&choice).unwrap_or_default());
    let selected = Selected { name: choice.name, bundle, params: Vec::new(), copied };
    Ok(Choice { selected, annotation })
}

fn read(text: &str) -> Result<PipelineChoice, Failure> {
    let choice: PipelineChoice = serde_json::from_str(text).map_err(|error| {
        let why = format!("annotation {}: {error}", annotations::PIPELINE);
        Failure::permanent(ErrorId::PipelineAnnotationUnreadable, why)
    })?;
    if choice.name.is_empty() || choice.bundle.is_empty() {
        let why = format!(
            "annotation {}: expected {{\"name\":\"…\",\"bundle\":\"latest\"}}",
            annotations::PIPELINE
        );
        return Err(Failure::permanent(ErrorId::WrongPipelineAnnotation, why));
    }
    Ok(choice)
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    const CONFIG: &str = "default-pipeline-name: docker\npipelines:\n- name: docker\n  bundle: images.example/docker:1\n  \
         additional-params: [hermetic]\n- name: fbc\n  bundle: images.example/fbc:1\n- name: none\n";

    #[rstest]
    #[case::default(None, "docker", "images.example/docker:1", &["hermetic"])]
    #[case::latest(Some(r#"{"name":"fbc","bundle":"latest"}"#), "fbc", "images.example/fbc:1", &[])]
    #[case::own_bundle(Some(r#"{"name":"docker","bundle":"i:2"}"#), "docker", "i:2", &["hermetic"])]
    #[case::own_pipeline(Some(r#"{"name":"mine","bundle":"i:2"}"#), "mine", "i:2", &[])]
    fn chooses(
        #[case] annotation: Option<&str>,
        #[case] name: &str,
        #[case] bundle: &str,
        #[case] copied: &[&str],
    ) {
        let choice = choose(CONFIG, annotation).unwrap();
        assert_eq!((choice.selected.name.as_str(), choice.selected.bundle.as_str()), (name, bundle));
        assert_eq!(choice.selected.copied, copied);
        let written = annotation.is_none().then(|| r#"{"name":"docker","bundle":"latest"}"#.to_owned());
        assert_eq!(choice.annotation, written);
    }

    #[rstest]
    #[case::not_json(CONFIG, Some("docker"), 204)]
    #[case::no_bundle(CONFIG, Some(r#"{"name":"docker"}"#), 304)]
    #[case::unknown(CONFIG, Some(r#"{"name":"x","bundle":"latest"}"#), 307)]
    #[case::not_yaml("pipelines: {", None, 306)]
    #[case::no_pipelines("default-pipeline-name: a", None, 306)]
    #[case::entry_without_bundle(CONFIG, Some(r#"{"name":"none","bundle":"latest"}"#), 306)]
    #[case::no_default("pipelines: [{name: a, bundle: b}]", None, 308)]
    fn says_what_is_wrong(#[case] config: &str, #[case] annotation: Option<&str>, #[case] number: i32) {
        match choose(config, annotation).unwrap_err() {
            Failure::Permanent { id, .. } => assert_eq!(id.number(), number),
            transient @ Failure::Transient { .. } => panic!("{transient}"),
        }
    }
}
