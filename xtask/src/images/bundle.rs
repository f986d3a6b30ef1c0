//! Tekton bundles: images whose layers are Tasks and Pipelines, one each.
use serde_json::{Value, json};

use super::{
    image::{self, Image, MANIFEST_TYPE},
    layer::{self, File, Layer},
};

/// The most objects that clusters take from one bundle.
const LIMIT: usize = 20;

/// A Tekton object in a bundle.
pub struct Bundled {
    /// `v1` or `v1beta1`.
    pub version: &'static str,
    /// In lower case.
    pub kind: String,
    pub name: String,
    pub yaml: String,
}

/// The image with these objects. The same objects give the same digest.
pub fn bundle(objects: &[Bundled]) -> anyhow::Result<Image> {
    anyhow::ensure!(objects.len() <= LIMIT, "{} objects: a bundle holds {LIMIT}", objects.len());
    let layers = objects.iter().map(|object| {
        let file = File { path: &object.name, mode: 0o644, content: object.yaml.as_bytes() };
        let annotations = json!({
            "dev.tekton.image.apiVersion": object.version,
            "dev.tekton.image.kind": object.kind,
            "dev.tekton.image.name": object.name,
        });
        Ok((layer::once(&[file])?, annotations))
    });
    assemble("", &json!({}), layers.collect::<anyhow::Result<_>>()?)
}

/// An image of layers with their annotations.
pub fn assemble(
    architecture: &'static str,
    process: &Value,
    layers: Vec<(Layer, Value)>,
) -> anyhow::Result<Image> {
    let ids: Vec<_> = layers.iter().map(|(layer, _)| &layer.diff_id).collect();
    let config = serde_json::to_vec(&json!({
        "architecture": architecture,
        "os": if architecture.is_empty() { "" } else { "linux" },
        "config": process,
        "rootfs": {"type": "layers", "diff_ids": ids},
    }))?;
    let described = layers.iter().map(|(layer, annotations)| {
        let mut descriptor = image::layer_descriptor(layer);
        descriptor["annotations"] = annotations.clone();
        descriptor
    });
    let manifest = serde_json::to_vec(&json!({
        "schemaVersion": 2,
        "mediaType": MANIFEST_TYPE,
        "config": image::config_descriptor(&config),
        "layers": described.collect::<Vec<_>>(),
    }))?;
    let digest = layer::digest(&manifest);
    let layers = layers.into_iter().map(|(layer, _)| layer).collect();
    Ok(Image { architecture, content: digest.clone(), digest, layers, config, manifest })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn task(name: &str) -> Bundled {
        Bundled { version: "v1", kind: "task".into(), name: name.into(), yaml: "kind: Task\n".into() }
    }

    #[test]
    fn says_what_its_layers_are() {
        let image = bundle(&[task("greet")]).unwrap();
        let manifest: Value = serde_json::from_slice(&image.manifest).unwrap();
        let layer = &manifest["layers"][0];
        assert_eq!(layer["digest"], image.layers[0].digest);
        assert_eq!(layer["annotations"]["dev.tekton.image.apiVersion"], "v1");
        assert_eq!(layer["annotations"]["dev.tekton.image.kind"], "task");
        assert_eq!(layer["annotations"]["dev.tekton.image.name"], "greet");
        assert_eq!(image.digest, layer::digest(&image.manifest));
    }

    #[test]
    fn has_one_file_in_each_layer_and_no_more_objects_than_clusters_take() {
        let image = bundle(&[task("one"), task("two")]).unwrap();
        assert_eq!(image.layers.len(), 2);
        let mut archive = tar::Archive::new(flate2::read::GzDecoder::new(&image.layers[1].data[..]));
        let names: Vec<_> = archive
            .entries()
            .unwrap()
            .map(|entry| entry.unwrap().path().unwrap().display().to_string())
            .collect();
        assert_eq!(names, ["two"]);
        let many: Vec<_> = (0..21).map(|number| task(&format!("task-{number}"))).collect();
        assert!(bundle(&many).is_err());
    }
}
