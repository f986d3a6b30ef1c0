//! `tkn-bundle`: definitions of Tekton as an image that its bundles resolver reads.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail, ensure};
use flate2::Compression;
use flate2::write::GzEncoder;
use registry::{Blob, Digest, Reference};
use serde_json::{Value, json};

use crate::build::inside;
use crate::context::{Context, say};
use crate::image::{GZIP_LAYER, NewImage, descriptor};
use crate::results;

/// What the resolver reads, at most.
const MAX_OBJECTS: usize = 20;
const MAX_FILE: u64 = 1024 * 1024;
const MAX_DEPTH: usize = 32;

/// Makes a bundle of the definitions in a repository.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[arg(long)]
    image: String,
    /// Files and folders of the source, separated by commas or white space; `!` before one takes it out.
    #[arg(long, default_value = ".")]
    context: String,
    /// The checkout.
    #[arg(long, value_name = "DIR")]
    source: PathBuf,
    /// Image that all steps get. Empty: they keep theirs.
    #[arg(long, default_value = "")]
    steps_image: String,
    #[arg(long, value_name = "PATH")]
    result_image_digest: PathBuf,
    #[arg(long, value_name = "PATH")]
    result_image_url: PathBuf,
}

pub async fn run(args: Args, context: &Context) -> anyhow::Result<()> {
    let to: Reference = args.image.parse().context("--image")?;
    let source = args.source.canonicalize().with_context(|| format!("open {}", args.source.display()))?;
    let mut objects = Vec::new();
    for file in files(&source, &args.context)? {
        objects.extend(read(&source, &file)?);
    }
    ensure!(!objects.is_empty(), "{} has no YAML file with a definition", args.context);
    ensure!(
        objects.len() <= MAX_OBJECTS,
        "there are {} definitions; a bundle has at most {MAX_OBJECTS}",
        objects.len()
    );
    let mut image = NewImage::default();
    for mut object in objects {
        if !args.steps_image.is_empty() {
            set_images(&mut object, &args.steps_image);
        }
        let Object { kind, name, layer, content } = Object::new(&object)?;
        context.registry.push_blob(&to, &layer, &context.keychain).await?;
        let mut entry = descriptor(GZIP_LAYER, layer.digest(), layer.size());
        entry["annotations"] = json!({
            "dev.tekton.image.name": name, "dev.tekton.image.kind": kind.to_lowercase(),
            "dev.tekton.image.apiVersion": object["apiVersion"],
        });
        image.layer(entry, &content);
        say(&format!("Added {kind} {name}"));
    }
    let digest = image.push(&to, context).await?;
    say(&format!("Pushed {to} as {digest}"));
    results::write(&args.result_image_url, &args.image)?;
    results::write(&args.result_image_digest, digest.as_str())
}

/// The YAML files that a context names, in order of their paths, each once.
fn files(source: &Path, context: &str) -> anyhow::Result<BTreeSet<PathBuf>> {
    let (mut taken, mut left_out) = (BTreeSet::new(), BTreeSet::new());
    for entry in context.split([',', ' ', '\n']).map(str::trim).filter(|entry| !entry.is_empty()) {
        let (path, set) = match entry.strip_prefix('!') {
            Some(path) => (path, &mut left_out),
            None => (entry, &mut taken),
        };
        let found = inside(source, Path::new(path))?.with_context(|| format!("the source has no {path}"))?;
        collect(&found, set, MAX_DEPTH)?;
    }
    Ok(taken.difference(&left_out).cloned().collect())
}

fn collect(path: &Path, into: &mut BTreeSet<PathBuf>, depth: usize) -> anyhow::Result<()> {
    ensure!(depth > 0, "{}: more than {MAX_DEPTH} folders within each other", path.display());
    if path.is_file() {
        into.insert(path.to_owned());
        return Ok(());
    }
    for entry in path.read_dir().with_context(|| format!("read {}", path.display()))? {
        let entry = entry?;
        let (kind, path) = (entry.file_type()?, entry.path());
        let is_yaml = path.extension().is_some_and(|extension| extension == "yaml" || extension == "yml");
        if kind.is_dir() && entry.file_name() != ".git" {
            collect(&path, into, depth - 1)?;
        } else if kind.is_file() && is_yaml {
            into.insert(path);
        }
    }
    Ok(())
}

/// The definitions in a file.
fn read(source: &Path, file: &Path) -> anyhow::Result<Vec<Value>> {
    let shown = file.strip_prefix(source).unwrap_or(file).display();
    ensure!(file.metadata()?.len() <= MAX_FILE, "{shown} is larger than {MAX_FILE} bytes");
    let text = std::fs::read_to_string(file).with_context(|| format!("read {shown}"))?;
    let options = serde_saphyr::options! { strict_booleans: true };
    let documents: Vec<Value> =
        serde_saphyr::from_multiple_with_options(&text, options).with_context(|| format!("read {shown}"))?;
    Ok(documents.into_iter().filter(|document| !document.is_null()).collect())
}

/// A definition as a layer.
struct Object {
    kind: String,
    name: String,
    layer: Blob,
    /// Digest of what is in the layer, unpacked.
    content: Digest,
}

impl Object {
    fn new(object: &Value) -> anyhow::Result<Self> {
        let text = |value: &Value| value.as_str().map(str::to_owned);
        let (Some(kind), Some(name)) = (text(&object["kind"]), text(&object["metadata"]["name"])) else {
            bail!("a definition has no kind or no name");
        };
        ensure!(!name.contains('/') && name.len() < 100, "{name:?} is no name of a definition");
        let file = serde_json::to_vec(object)?;
        let mut header = tar::Header::new_ustar();
        header.set_mode(0o644);
        header.set_size(file.len() as u64);
        let mut builder = tar::Builder::new(Vec::new());
        builder.append_data(&mut header, &name, file.as_slice())?;
        let packed = builder.into_inner()?;
        // Without a time in it: the same definitions are the same bundle.
        let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
        std::io::Write::write_all(&mut encoder, &packed)?;
        Ok(Self { kind, name, layer: Blob::bytes(encoder.finish()?), content: Digest::of(&packed) })
    }
}

/// Sets the image of all steps of a task, also of those within a pipeline.
fn set_images(value: &mut Value, image: &str) {
    if let Some(steps) = value.get_mut("steps").and_then(Value::as_array_mut) {
        for step in steps.iter_mut().filter(|step| step.get("image").is_some()) {
            step["image"] = image.into();
        }
    }
    match value {
        Value::Object(fields) => fields.values_mut().for_each(|value| set_images(value, image)),
        Value::Array(values) => values.iter_mut().for_each(|value| set_images(value, image)),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;
    use crate::testing::World;

    #[rstest]
    #[case::all(".", &["a.yaml", "dir/b.yml", "dir/sub/c.yaml"])]
    #[case::folder("dir", &["dir/b.yml", "dir/sub/c.yaml"])]
    #[case::several("a.yaml, dir/sub", &["a.yaml", "dir/sub/c.yaml"])]
    #[case::without(". !dir/sub", &["a.yaml", "dir/b.yml"])]
    #[case::a_file_of_any_name("dir/notes.txt", &["dir/notes.txt"])]
    fn finds_files(#[case] context: &str, #[case] expected: &[&str]) {
        let folder = tempfile::tempdir().unwrap();
        let source = folder.path().canonicalize().unwrap();
        for path in ["a.yaml", "dir/b.yml", "dir/sub/c.yaml", "dir/notes.txt", ".git/config.yaml"] {
            std::fs::create_dir_all(source.join(path).parent().unwrap()).unwrap();
            std::fs::write(source.join(path), "").unwrap();
        }
        std::os::unix::fs::symlink("/etc", source.join("evil")).unwrap();
        let found = files(&source, context).unwrap();
        let found: Vec<_> =
            found.iter().map(|path| path.strip_prefix(&source).unwrap().to_str().unwrap()).collect();
        assert_eq!(found, expected);
        assert!(files(&source, "../x").is_err() && files(&source, "evil").is_err());
    }

    #[test]
    fn steps_get_another_image_wherever_they_are() {
        let mut pipeline =
            json!({"spec": {"tasks": [{"taskSpec": {"steps": [{"image": "a"}, {"ref": {"name": "x"}}]}}]}});
        set_images(&mut pipeline, "b");
        assert_eq!(
            pipeline,
            json!({"spec": {"tasks": [{"taskSpec": {"steps": [{"image": "b"}, {"ref": {"name": "x"}}]}}]}})
        );
    }

    #[test]
    fn a_layer_has_one_file_named_as_the_definition() {
        let object = Object::new(&json!({"kind": "Task", "metadata": {"name": "build"}})).unwrap();
        assert_eq!((object.kind.as_str(), object.name.as_str()), ("Task", "build"));
        assert!(Object::new(&json!({"kind": "Task", "metadata": {"name": "../x"}})).is_err());
        assert!(Object::new(&json!({"kind": "Task"})).is_err());
    }

    #[tokio::test]
    async fn a_bundle_has_a_layer_for_each_definition() {
        let world = World::new();
        let task =
            "apiVersion: tekton.dev/v1\nkind: Task\nmetadata: {name: build}\nspec: {steps: [{image: old}]}\n";
        let pipeline = "---\napiVersion: tekton.dev/v1beta1\nkind: Pipeline\nmetadata: {name: all}\n---\n";
        world.write("source/defs/all.yaml", format!("{task}{pipeline}"));
        let flags = [
            "tkn-bundle",
            "--image=^bundle:v1",
            "--source=@source",
            "--context=defs",
            "--steps-image=new",
            "--result-image-digest=@results/IMAGE_DIGEST",
            "--result-image-url=@results/IMAGE_URL",
        ];
        world.run(&flags).await.unwrap();
        let manifest = world.manifest("bundle", &world.result("IMAGE_DIGEST"));
        let annotations: Vec<_> =
            manifest["layers"].as_array().unwrap().iter().map(|layer| layer["annotations"].clone()).collect();
        let annotation = |kind: &str, name: &str, version: &str| json!({"dev.tekton.image.kind": kind, "dev.tekton.image.name": name, "dev.tekton.image.apiVersion": version});
        let expected = [
            annotation("task", "build", "tekton.dev/v1"),
            annotation("pipeline", "all", "tekton.dev/v1beta1"),
        ];
        assert_eq!(annotations, expected);
        let layer = world.blob("bundle", &manifest["layers"][0]["digest"]);
        let mut archive = tar::Archive::new(flate2::read::GzDecoder::new(&layer[..]));
        let entry = archive.entries().unwrap().next().unwrap().unwrap();
        let object: Value = serde_json::from_reader(entry).unwrap();
        assert_eq!(object["spec"]["steps"][0]["image"], "new");

        let first = world.result("IMAGE_DIGEST");
        world.run(&flags).await.unwrap();
        assert_eq!(world.result("IMAGE_DIGEST"), first, "the same definitions are the same bundle");
        world.write("source/defs/many.yaml", task.repeat(20).replace("apiVersion", "---\napiVersion"));
        let error = world.refused(&flags).await;
        assert!(error.contains("there are 22 definitions; a bundle has at most 20"), "{error}");
    }
}
