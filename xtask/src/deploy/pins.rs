//! Puts images by digest in place of the short names in our manifests.
use anyhow::{bail, ensure};
use serde_json::Value;

use super::Object;
use crate::images::{REPOSITORY, record::Images};

/// Where the pod template is in each kind of workload.
pub const POD_SPECS: [(&str, &str); 6] = [
    ("Deployment", "/spec/template/spec"),
    ("StatefulSet", "/spec/template/spec"),
    ("DaemonSet", "/spec/template/spec"),
    ("Job", "/spec/template/spec"),
    ("CronJob", "/spec/jobTemplate/spec/template/spec"),
    ("Pod", "/spec"),
];

/// The digest that the example overlays hold.
const PLACEHOLDER: &str = "@sha256:0000000000000000000000000000000000000000000000000000000000000000";

/// Objects that name bundles: all their texts are looked through.
const NAMES_BUNDLES: [(&str, &str); 3] = [
    ("ConfigMap", "build-pipeline-config"),
    ("ConfigMap", "ec-defaults"),
    ("BuildPipelineSelector", "build-pipeline-selector"),
];
/// Of which all do.
const POLICY: &str = "EnterpriseContractPolicy";
/// Before the name of a bundle, where it might be of another kind.
const BUNDLE: &str = "oci::";

/// Replaces `konflux/<service>` by its digest. An image that the overlay has given a registry stays as it is.
pub fn pin(objects: &mut [Object], images: Option<&Images>) -> anyhow::Result<()> {
    for object in objects {
        if object.kind() == POLICY || NAMES_BUNDLES.contains(&(object.kind(), object.name())) {
            let shown = object.to_string();
            pin_words(&shown, &mut object.content, images)?;
        }
        let Some((_, pointer)) = POD_SPECS.iter().find(|(kind, _)| *kind == object.kind()) else { continue };
        let shown = object.to_string();
        let Some(pod) = object.content.pointer_mut(pointer) else { continue };
        for field in ["initContainers", "containers"] {
            for container in pod.get_mut(field).and_then(Value::as_array_mut).into_iter().flatten() {
                let mut places: Vec<&mut Value> = Vec::new();
                if let Some(fields) = container.as_object_mut() {
                    for (name, field) in fields {
                        match name.as_str() {
                            "image" => places.push(field),
                            // Images that a service has others run.
                            "env" => places.extend(
                                field
                                    .as_array_mut()
                                    .into_iter()
                                    .flatten()
                                    .filter_map(|variable| variable.get_mut("value")),
                            ),
                            _ => {}
                        }
                    }
                }
                for image in places {
                    if let Some(pinned) = pinned(&shown, image.as_str().unwrap_or_default(), images)? {
                        *image = pinned.into();
                    }
                }
            }
        }
    }
    Ok(())
}

/// Replaces each word of each text, `bundle: konflux/pipeline-x` within a document too.
fn pin_words(shown: &str, value: &mut Value, images: Option<&Images>) -> anyhow::Result<()> {
    match value {
        Value::String(text) => {
            let mut pinned_text = String::with_capacity(text.len());
            for word in text.split_inclusive([' ', '\n']) {
                let (scheme, rest) = word.strip_prefix(BUNDLE).map_or(("", word), |rest| (BUNDLE, rest));
                let name = rest.trim_end();
                match pinned(shown, name, images)? {
                    Some(full) => pinned_text.extend([scheme, &full, &rest[name.len()..]]),
                    None => pinned_text.push_str(word),
                }
            }
            *text = pinned_text;
        }
        Value::Array(items) => items.iter_mut().try_for_each(|item| pin_words(shown, item, images))?,
        Value::Object(fields) => fields.values_mut().try_for_each(|field| pin_words(shown, field, images))?,
        _ => {}
    }
    Ok(())
}

/// What to put in place of this image, if anything.
fn pinned(object: &str, image: &str, images: Option<&Images>) -> anyhow::Result<Option<String>> {
    ensure!(
        !image.ends_with(PLACEHOLDER),
        "{object}: image {image} is the example's placeholder: put the digest of a release, or of your own \
         `cargo xtask images --registry …`, into the overlay's `images:`"
    );
    let Some(name) = image.strip_prefix(REPOSITORY).and_then(|rest| rest.strip_prefix('/')) else {
        return Ok(None);
    };
    let service = name.split(['@', ':']).next().unwrap_or(name);
    let Some(images) = images else {
        bail!(
            "{object}: no digest is known for image {image}: run `cargo xtask images` first, or set it in the overlay's `images:`"
        );
    };
    match images.images.get(service) {
        Some(found) => Ok(Some(found.reference.clone())),
        None => bail!(
            "{object}: `cargo xtask images` made no image {image} (it made {}): is the name right, and is there a package \
             services/… with a binary of this name?",
            images.images.keys().map(String::as_str).collect::<Vec<_>>().join(", ")
        ),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::images::record::Image;

    fn deployment(image: &str) -> Object {
        let env = json!([{"name": "OTHER_IMAGE", "value": image}, {"name": "X", "value": "konfluxes"}]);
        let containers = json!([{"name": "c", "image": image, "env": env}]);
        Object::parse(json!({
            "apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "d"},
            "spec": {"template": {"spec": {"containers": containers, "initContainers": containers}}},
        }))
        .unwrap()
    }

    fn images() -> Images {
        let image = |name: &str| Image {
            reference: format!("r.test/konflux/{name}@sha256:1"),
            tag: "t".into(),
            architecture: "amd64".into(),
        };
        Images { registry: "r.test".into(), images: [("a".to_owned(), image("a"))].into() }
    }

    fn pinned_to(image: &str, images: Option<&Images>) -> anyhow::Result<String> {
        let mut objects = [deployment(image)];
        pin(&mut objects, images)?;
        let pod = &objects[0].content["spec"]["template"]["spec"];
        assert_eq!(pod["containers"], pod["initContainers"]);
        let container = &pod["containers"][0];
        assert_eq!(container["env"][0]["value"], container["image"], "also where it is handed on");
        assert_eq!(container["env"][1]["value"], "konfluxes");
        Ok(pod["containers"][0]["image"].as_str().unwrap().to_owned())
    }

    #[test]
    fn short_names_become_digests_and_others_stay() {
        let images = images();
        assert_eq!(pinned_to("konflux/a", Some(&images)).unwrap(), "r.test/konflux/a@sha256:1");
        assert_eq!(pinned_to("konflux/a:main", Some(&images)).unwrap(), "r.test/konflux/a@sha256:1");
        assert_eq!(pinned_to("q.test/konflux/a:1", None).unwrap(), "q.test/konflux/a:1");
    }

    #[test]
    fn bundles_become_digests_within_a_document_too() {
        let of = |name: &str| {
            let config = "default: a\npipelines:\n- name: a\n  bundle: konflux/a\n";
            let content = json!({
                "apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": {"config.yaml": config},
            });
            let mut objects = [Object::parse(content).unwrap()];
            pin(&mut objects, Some(&images())).unwrap();
            objects[0].content["data"]["config.yaml"].as_str().unwrap().to_owned()
        };
        let expected = "default: a\npipelines:\n- name: a\n  bundle: r.test/konflux/a@sha256:1\n";
        assert_eq!(of("build-pipeline-config"), expected);
        assert!(of("other").contains("konflux/a\n"), "what others write in their own settings stays");
    }

    #[test]
    fn sources_of_policies_become_digests_behind_their_scheme() {
        let mut objects = [Object::parse(json!({
            "apiVersion": "appstudio.redhat.com/v1alpha1", "kind": "EnterpriseContractPolicy", "metadata": {"name": "any"},
            "spec": {"sources": [{"policy": ["oci::konflux/a", "oci::other.test/konflux/a"]}]},
        }))
        .unwrap()];
        pin(&mut objects, Some(&images())).unwrap();
        let expected = json!(["oci::r.test/konflux/a@sha256:1", "oci::other.test/konflux/a"]);
        assert_eq!(objects[0].content["spec"]["sources"][0]["policy"], expected);
    }

    #[test]
    fn unknown_images_stop_before_anything_is_applied() {
        let refusal = |image, images: Option<&Images>| pinned_to(image, images).unwrap_err().to_string();
        assert!(refusal("konflux/a", None).contains("cargo xtask images"));
        let text = refusal("konflux/b", Some(&images()));
        assert!(
            text.contains("Deployment d") && text.contains("konflux/b") && text.contains("it made a"),
            "{text}"
        );
        assert!(refusal(&format!("q.test/a{PLACEHOLDER}"), None).contains("placeholder"));
    }
}
