//! From an image's layout to what a scan says of it, by the program as tasks call it and a registry over TLS.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking, in its helpers too")]

use std::io::Write as _;
use std::path::{Path, PathBuf};

use flate2::Compression;
use flate2::write::GzEncoder;
use registry::Digest;
use serde_json::{Value, json};
use tempfile::TempDir;
use testkit::pki::Authority;
use testkit::registry::PlayedRegistry;
use tokio::process::Command;

const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
const INDEX: &str = "application/vnd.oci.image.index.v1+json";
const SBOM: &str = "root/buildinfo/content_manifests/sbom-cyclonedx.json";

struct World {
    registry: PlayedRegistry,
    folder: TempDir,
}

impl World {
    /// Within a runtime.
    fn new() -> Self {
        let authority = Authority::new("toolbox-test").unwrap();
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("ca.pem"), authority.cert_pem()).unwrap();
        std::fs::create_dir(folder.path().join("results")).unwrap();
        Self { registry: PlayedRegistry::start(&authority).unwrap(), folder }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// A file of a folder that is made for it.
    fn file(&self, name: &str, content: &str) {
        let path = self.path(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, content).unwrap();
    }

    /// The image's name in the registry.
    fn image(&self, name: &str) -> String {
        format!("{}/{name}", self.registry.address())
    }

    /// Runs the program as a step of a new task; what it says on success.
    async fn toolbox(&self, args: &[&str]) -> String {
        std::fs::remove_dir_all(self.path("results")).unwrap();
        std::fs::create_dir(self.path("results")).unwrap();
        let ran = Command::new(env!("CARGO_BIN_EXE_toolbox"))
            .args(args)
            .current_dir(self.folder.path())
            .env_clear()
            .env("TOOLBOX_CA_BUNDLE", self.path("ca.pem"))
            .output()
            .await
            .unwrap();
        let said = String::from_utf8_lossy(&ran.stdout).into_owned();
        assert!(ran.status.success(), "{args:?}: {said}{}", String::from_utf8_lossy(&ran.stderr));
        said
    }

    /// Of the last run.
    fn result(&self, name: &str) -> String {
        std::fs::read_to_string(self.path("results").join(name)).unwrap_or_default()
    }

    fn json_result(&self, name: &str) -> Value {
        serde_json::from_str(&self.result(name)).unwrap()
    }

    fn json(&self, name: &str) -> Value {
        serde_json::from_slice(&std::fs::read(self.path(name)).unwrap()).unwrap()
    }

    /// Pushes an image with these layers, the lowest first, and returns its digest.
    fn push(&self, tag: &str, layers: &[Vec<u8>]) -> String {
        let descriptor = |kind: &str, content: &[u8]| json!({"mediaType": kind, "digest": self.registry.push_blob("org/app", content), "size": content.len()});
        let layers: Vec<Value> = layers
            .iter()
            .map(|layer| descriptor("application/vnd.oci.image.layer.v1.tar+gzip", layer))
            .collect();
        let config = descriptor("application/vnd.oci.image.config.v1+json", b"{}");
        let manifest = json!({"schemaVersion": 2, "mediaType": MANIFEST, "config": config, "layers": layers});
        self.registry.push_manifest("org/app", tag, MANIFEST, manifest.to_string().as_bytes())
    }

    /// Runs the check of a scan and returns its TEST_OUTPUT.
    async fn scan(&self, digest: &str, database: &str) -> Value {
        let (image, database) = (self.image("org/app:v1"), self.image(database));
        self.toolbox(&[
            "scan",
            "image",
            &format!("--image-url={image}"),
            &format!("--image-digest={digest}"),
            &format!("--database={database}"),
            "--result-test-output=results/TEST_OUTPUT",
            "--result-scan-output=results/SCAN_OUTPUT",
            "--result-images-processed=results/IMAGES_PROCESSED",
        ])
        .await;
        self.json_result("TEST_OUTPUT")
    }

    async fn check(&self, digest: &str) -> Value {
        let image = self.image("org/app:v1");
        self.toolbox(&[
            "sbom",
            "check",
            &format!("--image-url={image}"),
            &format!("--image-digest={digest}"),
            "--result-test-output=results/TEST_OUTPUT",
            "--result-images-processed=results/IMAGES_PROCESSED",
        ])
        .await;
        self.json_result("TEST_OUTPUT")
    }

    /// An image of one layer in the folder `image`, as `build` leaves it.
    fn write_layout(&self, layer: &[u8]) {
        let manifest =
            json!({"schemaVersion": 2, "config": {}, "layers": [{"digest": Digest::of(layer).as_str()}]});
        let manifest = manifest.to_string();
        let digest = Digest::of(manifest.as_bytes());
        let index = json!({"schemaVersion": 2, "manifests": [{"digest": digest.as_str()}]});
        self.file("image/index.json", &index.to_string());
        self.file(&format!("image/blobs/sha256/{}", digest.hex()), &manifest);
        std::fs::write(self.path("image/blobs/sha256").join(Digest::of(layer).hex()), layer).unwrap();
    }

    async fn load_the_sample(&self) {
        let sample = Path::new(env!("CARGO_MANIFEST_DIR")).join("../data/vulnerabilities");
        let to = self.image("konflux/vulnerability-database:latest");
        let from = format!("--from={}", sample.display());
        let said = self.toolbox(&["scan", "database", &from, &format!("--push={to}")]).await;
        assert!(said.contains("as of 2024-07-15"), "{said}");
    }
}

fn layer(entries: &[(&str, &str)]) -> Vec<u8> {
    let mut builder = tar::Builder::new(GzEncoder::new(Vec::new(), Compression::fast()));
    for (path, content) in entries {
        let mut header = tar::Header::new_gnu();
        header.set_size(content.len() as u64);
        header.set_mode(0o644);
        builder.append_data(&mut header, path, content.as_bytes()).unwrap();
    }
    builder.into_inner().unwrap().finish().unwrap()
}

const OS_RELEASE: (&str, &str) = ("etc/os-release", "ID=debian\nVERSION_ID=\"12\"\n");
const STATUS: (&str, &str) = (
    "var/lib/dpkg/status",
    "Package: libc6\nStatus: install ok installed\nArchitecture: amd64\nSource: glibc\nVersion: 2.36-9+deb12u1\n\n\
     Package: bash\nStatus: install ok installed\nArchitecture: amd64\nVersion: 5.2.15-2\n",
);

#[tokio::test]
async fn a_planted_lockfile_entry_is_listed_attached_and_found() {
    let world = World::new();
    let packages = r#"{"lockfileVersion": 3, "packages": {"node_modules/minimist": {"version": "1.2.5"}}}"#;
    world.file("source/package-lock.json", packages);
    world.file("source/go.mod", "module example.com/app\ngo 1.22\nrequire golang.org/x/text v0.3.5\n");
    world.file(
        "cachi2/bom.json",
        r#"{"bomFormat": "CycloneDX", "specVersion": "1.4", "components": [
        {"type": "library", "name": "requests", "version": "2.25.1", "purl": "pkg:pypi/requests@2.25.1"}]}"#,
    );
    let hex = "a".repeat(64);
    let bases = json!([
        {"stage": 0, "name": "registry.example/golang:1.22", "digest": format!("sha256:{hex}"), "is_final": false},
        {"stage": 1, "name": "registry.example/debian:12", "digest": format!("sha256:{hex}"), "is_final": true}]);
    world.file("bases.json", &bases.to_string());
    let lower = layer(&[OS_RELEASE, STATUS, ("app/node_modules/lodash/package.json", "{}")]);
    world.write_layout(&lower);

    let url = world.image("org/app:v1");
    let image = format!("--image={url}");
    let said = world
        .toolbox(&[
            "sbom",
            "generate",
            "--source=source",
            "--layout=image",
            "--merge=cachi2/bom.json",
            "--merge=missing.json",
            "--base-images=bases.json",
            &image,
            "--cyclonedx=sbom.json",
            "--spdx=spdx.json",
            "--purls=purls.json",
            "--result-java-community-dependencies=results/JAVA",
        ])
        .await;
    assert!(said.contains("5 packages, 2 base images"), "{said}");
    assert_eq!(world.result("JAVA"), "");
    let purls: Vec<String> = world.json("purls.json")["image_contents"]["dependencies"]
        .as_array()
        .unwrap()
        .iter()
        .map(|dependency| dependency["purl"].as_str().unwrap().to_owned())
        .collect();
    assert_eq!(
        purls,
        [
            "pkg:deb/debian/bash@5.2.15-2?arch=amd64&distro=debian-12",
            "pkg:golang/golang.org/x/text@v0.3.5",
            "pkg:deb/debian/libc6@2.36-9%2Bdeb12u1?arch=amd64&distro=debian-12&upstream=glibc",
            "pkg:npm/minimist@1.2.5",
            "pkg:pypi/requests@2.25.1",
        ]
    );
    let sbom = world.json("sbom.json");
    assert_eq!(sbom["metadata"]["component"]["name"], json!(url));
    assert_eq!(sbom["components"][0]["evidence"]["occurrences"][0]["location"], "/var/lib/dpkg/status");
    assert_eq!(sbom["formulation"][0]["components"].as_array().unwrap().len(), 2);
    assert_eq!(world.json("spdx.json")["packages"].as_array().unwrap().len(), 1 + 5 + 2);

    // As `push` does: with the list in it.
    let digest = world
        .push("v1", &[lower, layer(&[(SBOM, &std::fs::read_to_string(world.path("sbom.json")).unwrap())])]);
    let output = world.check(&digest).await;
    assert_eq!((&output["result"], &output["successes"]), (&json!("SUCCESS"), &json!(1)));
    assert_eq!(
        world.json_result("IMAGES_PROCESSED"),
        json!({"image": {"pullspec": url, "digests": [digest]}})
    );

    // Installed packages alone are known without the list.
    world.load_the_sample().await;
    let output = world.scan(&digest, "konflux/vulnerability-database:latest").await;
    assert_eq!(output["result"], "SUCCESS", "{output}");
    let scanned = world.json_result("SCAN_OUTPUT");
    assert_eq!(
        scanned["vulnerabilities"],
        json!({"critical": 0, "high": 1, "medium": 0, "low": 0, "unknown": 0})
    );

    check_attached(&world, &digest).await;

    let output = world.scan(&digest, "konflux/vulnerability-database:latest").await;
    assert_eq!(output["result"], "SUCCESS");
    assert_eq!(output["note"], "5 vulnerabilities found, by a database as of 2024-07-15.");
    // minimist; two of golang.org/x/text and one of glibc; requests, which two advisories are about.
    assert_eq!(
        world.json_result("SCAN_OUTPUT")["vulnerabilities"],
        json!({"critical": 1, "high": 3, "medium": 1, "low": 0, "unknown": 0})
    );
}

/// Attaches the list twice: the second time changes nothing.
async fn check_attached(world: &World, digest: &str) {
    let (image_url, image_digest) =
        (format!("--image-url={}", world.image("org/app:v1")), format!("--image-digest={digest}"));
    for _again in 0..2 {
        world
            .toolbox(&[
                "sbom",
                "attach",
                &image_url,
                &image_digest,
                "--sbom=sbom.json",
                "--result-sbom-blob-url=results/URL",
            ])
            .await;
    }
    let (repository, blob) =
        world.result("URL").split_once('@').map(|(a, b)| (a.to_owned(), b.to_owned())).unwrap();
    assert_eq!(repository, world.image("org/app"));
    assert_eq!(
        world.registry.blob("org/app", &blob).unwrap(),
        std::fs::read(world.path("sbom.json")).unwrap()
    );
    let attached = world.registry.manifest("org/app", &format!("{}.sbom", digest.replace(':', "-"))).unwrap();
    let attached: Value = serde_json::from_slice(&attached).unwrap();
    assert_eq!(attached["layers"][0]["mediaType"], "application/vnd.cyclonedx+json");
    assert_eq!(attached["layers"].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn platforms_are_checked_each_and_added_up() {
    let world = World::new();
    world.load_the_sample().await;
    let valid = r#"{"bomFormat": "CycloneDX", "specVersion": "1.5", "components": []}"#;
    let one = world.push("", &[layer(&[OS_RELEASE, STATUS]), layer(&[(SBOM, valid)])]);
    let other =
        world.push("", &[layer(&[OS_RELEASE, STATUS, (SBOM, valid)]), layer(&[("root/.wh.buildinfo", "")])]);
    let platform = |digest: &str, architecture: &str| json!({"mediaType": MANIFEST, "digest": digest, "size": 1, "platform": {"os": "linux", "architecture": architecture}});
    let index = json!({"schemaVersion": 2, "mediaType": INDEX,
        "manifests": [platform(&one, "amd64"), platform(&other, "arm64"), platform(&one, "unknown")]});
    let digest = world.registry.push_manifest("org/app", "v1", INDEX, index.to_string().as_bytes());
    // The second's list was taken away by a layer above it.
    let output = world.check(&digest).await;
    assert_eq!(
        (&output["result"], &output["successes"], &output["failures"]),
        (&json!("FAILURE"), &json!(1), &json!(1))
    );
    let processed = json!({"image": {"pullspec": world.image("org/app:v1"), "digests": [one, other]}});
    assert_eq!(world.json_result("IMAGES_PROCESSED"), processed);

    let output = world.scan(&digest, "konflux/vulnerability-database:latest").await;
    assert_eq!((&output["result"], &output["successes"]), (&json!("SUCCESS"), &json!(2)));
    assert_eq!(world.json_result("SCAN_OUTPUT")["vulnerabilities"]["high"], 2);
    assert_eq!(world.json_result("IMAGES_PROCESSED"), processed);
}

#[tokio::test]
async fn without_a_database_nothing_is_said_to_be_clean() {
    let world = World::new();
    let digest = world.push("v1", &[layer(&[OS_RELEASE, STATUS])]);
    for database in ["konflux/vulnerability-database:latest", "org/app:v1"] {
        let output = world.scan(&digest, database).await;
        assert_eq!(output["result"], "ERROR", "{output}");
        assert_eq!(world.result("SCAN_OUTPUT"), "");
    }
    assert!(
        world.json_result("TEST_OUTPUT")["note"].as_str().unwrap().contains("is no vulnerability database")
    );

    // One that knows nothing of what the image has.
    world.file("advisories/a.json", r#"{"id": "A", "modified": "2024-01-01T00:00:00Z", "affected": [{"package":
        {"ecosystem": "npm", "name": "a"}, "ranges": [{"type": "SEMVER", "events": [{"introduced": "0"}]}]}]}"#);
    let push = format!("--push={}", world.image("konflux/small:1"));
    world.toolbox(&["scan", "database", "--from=advisories", &push, "--result-digest=results/DIGEST"]).await;
    let output = world.scan(&digest, &format!("konflux/small@{}", world.result("DIGEST"))).await;
    assert_eq!((&output["result"], &output["warnings"]), (&json!("WARNING"), &json!(1)));
    assert!(output["note"].as_str().unwrap().contains("Debian:12 (2)"), "{output}");

    // A layer that is not what its digest says.
    world.load_the_sample().await;
    let manifest = world.registry.manifest("konflux/vulnerability-database", "latest").unwrap();
    let manifest: Value = serde_json::from_slice(&manifest).unwrap();
    for layer in manifest["layers"].as_array().unwrap() {
        let mut empty = GzEncoder::new(Vec::new(), Compression::fast());
        empty.write_all(b"").unwrap();
        let digest = layer["digest"].as_str().unwrap();
        world.registry.corrupt_blob("konflux/vulnerability-database", digest, &empty.finish().unwrap());
    }
    let output = world.scan(&digest, "konflux/vulnerability-database:latest").await;
    assert_eq!(output["result"], "ERROR", "{output}");
}

#[tokio::test]
async fn an_image_with_a_broken_list_fails_the_check_and_not_the_task() {
    let world = World::new();
    let broken = layer(&[(
        SBOM,
        r#"{"bomFormat": "CycloneDX", "specVersion": "1.5", "components": [{"name": "a"}]}"#,
    )]);
    let digest = world.push("v1", &[broken]);
    let output = world.check(&digest).await;
    assert_eq!((&output["result"], &output["failures"]), (&json!("FAILURE"), &json!(1)));
    // Not there at all: an error of the check.
    let gone = format!("sha256:{}", "0".repeat(64));
    assert_eq!(world.check(&gone).await["result"], "ERROR");
}
