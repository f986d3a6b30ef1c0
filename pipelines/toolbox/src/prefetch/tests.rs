use data_encoding::BASE64;
use flate2::Compression;
use flate2::write::GzEncoder;
use registry::Digest;
use sha2::{Digest as _, Sha512};
use zip::ZipWriter;
use zip::write::SimpleFileOptions;

use super::*;
use crate::testing::{Web, World, read};

async fn prefetch(world: &World, input: &str, further: &[&str]) -> anyhow::Result<()> {
    let input = format!("--input={input}");
    let mut flags = vec!["prefetch", &input, "--source=@source", "--output=@cachi2"];
    flags.extend(further);
    world.run(&flags).await
}

fn purls(world: &World) -> Vec<String> {
    let bom: Value = serde_json::from_str(&read(&world.path("cachi2/output/bom.json"))).unwrap();
    let components = bom["components"].as_array().unwrap().iter();
    components.map(|component| component["purl"].as_str().unwrap().to_owned()).collect()
}

#[tokio::test]
async fn nothing_is_done_without_input() {
    let world = World::new();
    prefetch(&world, "", &["--git-basic-auth="]).await.unwrap();
    assert!(!world.path("cachi2").exists());
    let error = format!("{:#}", prefetch(&world, "rpm", &[]).await.unwrap_err());
    assert!(error.contains("not supported"), "{error}");
    world.write("source/x", "");
    let error = format!("{:#}", prefetch(&world, r#"{"type":"npm","path":"../.."}"#, &[]).await.unwrap_err());
    assert!(error.contains("leads out of the source"), "{error}");
}

#[tokio::test]
async fn files_are_fetched_by_their_checksums() {
    let world = World::new();
    let web = Web::start(&[("/dir/file.bin", b"content"), ("/evil", b"other")]).await;
    let lockfile = |path: &str, name: &str| {
        format!(
            "metadata: {{version: \"1.0\"}}\nartifacts:\n- download_url: {}{path}\n  checksum: {}\n{name}",
            web.origin,
            Digest::of(b"content")
        )
    };
    world.write("source/artifacts.lock.yaml", lockfile("/dir/file.bin", ""));
    prefetch(&world, "generic", &[]).await.unwrap();
    assert_eq!(read(&world.path("cachi2/output/deps/generic/file.bin")), "content");
    assert!(purls(&world)[0].starts_with("pkg:generic/file.bin?checksum=sha256%3A"), "{:?}", purls(&world));

    world.write("source/artifacts.lock.yaml", lockfile("/evil", ""));
    let error = format!("{:#}", prefetch(&world, "generic", &[]).await.unwrap_err());
    assert!(error.contains("its checksum is") && error.contains("/evil"), "{error}");
    assert!(!world.path("cachi2/output/deps/generic/evil").exists());
    world.write("source/artifacts.lock.yaml", lockfile("/evil", "  filename: ../../x\n"));
    let error = format!("{:#}", prefetch(&world, "generic", &[]).await.unwrap_err());
    assert!(error.contains("leads out"), "{error}");
}

#[tokio::test]
async fn python_packages_come_as_sources_with_a_listed_checksum() {
    let world = World::new();
    let (source, wheel) = (Digest::of(b"source"), Digest::of(b"wheel"));
    let page = format!(
        r#"{{"files": [
            {{"filename": "Foo_Bar-1.0.tar.gz", "url": "../../files/s", "hashes": {{"sha256": "{}"}}}},
            {{"filename": "foo_bar-1.0-py3-none-any.whl", "url": "{{origin}}/files/w", "hashes": {{"sha256": "{}"}}}},
            {{"filename": "foo_bar-2.0.tar.gz", "url": "../../files/s", "hashes": {{}}}}
        ]}}"#,
        source.hex(),
        wheel.hex()
    );
    let web =
        Web::start(&[("/simple/foo-bar/", page.as_bytes()), ("/files/s", b"source"), ("/files/w", b"wheel")])
            .await;
    let index = format!("--pip-index={}/simple", web.origin);
    world.write("source/requirements.txt", format!("foo_bar==1.0 --hash=sha256:{}\n", source.hex()));
    prefetch(&world, "pip", &[&index]).await.unwrap();
    assert_eq!(read(&world.path("cachi2/output/deps/pip/Foo_Bar-1.0.tar.gz")), "source");
    assert!(!world.path("cachi2/output/deps/pip/foo_bar-1.0-py3-none-any.whl").exists());
    assert_eq!(purls(&world), ["pkg:pypi/foo-bar@1.0"]);
    let expected = "export PIP_FIND_LINKS=/cachi2/output/deps/pip\nexport PIP_NO_INDEX=true\n";
    assert_eq!(read(&world.path("cachi2/cachi2.env")), expected);

    let both = r#"{"type": "pip", "allow_binary": true}"#;
    world.write("source/requirements.txt", "foo-bar==1.0\n");
    prefetch(&world, both, &[&index]).await.unwrap();
    assert_eq!(read(&world.path("cachi2/output/deps/pip/foo_bar-1.0-py3-none-any.whl")), "wheel");

    let refused = async |requirements: &str| {
        world.write("source/requirements.txt", requirements);
        format!("{:#}", prefetch(&world, "pip", &[&index]).await.unwrap_err())
    };
    let error = refused(&format!("foo-bar==1.0 --hash=sha256:{}\n", wheel.hex())).await;
    assert!(error.contains("none of the 1 files of version 1.0 has a checksum that is listed"), "{error}");
    let error = refused("foo-bar==3.0\n").await;
    assert!(error.contains("no source of version 3.0"), "{error}");
    let error = refused("other==1\n").await;
    assert!(error.contains("does not know it"), "{error}");
    let error = format!("{:#}", prefetch(&world, "pip", &["--pip-index="]).await.unwrap_err());
    assert!(error.contains("PIP_INDEX_URL"), "{error}");
}

#[tokio::test]
async fn the_lockfile_of_npm_names_the_files_afterwards() {
    let world = World::new();
    let web = Web::start(&[("/a.tgz", b"a")]).await;
    let integrity = format!("sha512-{}", BASE64.encode(&Sha512::digest(b"a")));
    let lockfile = format!(
        r#"{{"lockfileVersion": 3, "packages": {{
            "": {{"name": "app"}},
            "node_modules/@org/a": {{"version": "1.0.0", "resolved": "{0}/a.tgz", "integrity": "{integrity}"}},
            "node_modules/b/node_modules/@org/a": {{"version": "1.0.0", "resolved": "{0}/a.tgz", "integrity": "{integrity}"}},
            "node_modules/local": {{"resolved": "packages/local", "link": true}}
        }}}}"#,
        web.origin
    );
    world.write("source/package-lock.json", &lockfile);
    prefetch(&world, "npm", &[]).await.unwrap();
    assert_eq!(read(&world.path("cachi2/output/deps/npm/@org/a/a-1.0.0.tgz")), "a");
    assert_eq!(purls(&world), ["pkg:npm/%40org/a@1.0.0"]);
    let changed: Value = serde_json::from_str(&read(&world.path("source/package-lock.json"))).unwrap();
    let resolved = "file:///cachi2/output/deps/npm/@org/a/a-1.0.0.tgz";
    assert_eq!(changed["packages"]["node_modules/b/node_modules/@org/a"]["resolved"], resolved);
    assert_eq!(changed["packages"]["node_modules/local"]["resolved"], "packages/local");

    for (from, to, expected) in [
        (integrity.as_str(), "sha1-x", "neither a SHA-256 nor"),
        (web.origin.as_str(), "git+ssh://git.test", "only packages of a registry"),
        ("node_modules/@org/a", "node_modules/../../evil", "no name of a package"),
    ] {
        world.write("source/package-lock.json", lockfile.replace(from, to));
        let error = format!("{:#}", prefetch(&world, "npm", &[]).await.unwrap_err());
        assert!(error.contains(expected), "{error}");
    }
}

#[tokio::test]
async fn crates_become_vendored_sources() {
    let world = World::new();
    let mut builder = tar::Builder::new(GzEncoder::new(Vec::new(), Compression::fast()));
    let mut header = tar::Header::new_gnu();
    header.set_size(3);
    header.set_mode(0o644);
    builder.append_data(&mut header, "one-1.0.0/Cargo.toml", &b"[p]"[..]).unwrap();
    let packed = builder.into_inner().unwrap().finish().unwrap();
    let web = Web::start(&[
        ("/index/config.json", br#"{"dl": "{origin}/crates"}"#),
        ("/crates/one/1.0.0/download", &packed),
    ])
    .await;
    let lockfile = format!(
        "version = 4\n\n[[package]]\nname = \"one\"\nversion = \"1.0.0\"\nsource = \"sparse+{}/index/\"\nchecksum = \"{}\"\n",
        web.origin,
        Digest::of(&packed).hex()
    );
    world.write("source/Cargo.lock", lockfile);
    prefetch(&world, "cargo", &[]).await.unwrap();
    assert_eq!(read(&world.path("cachi2/output/deps/cargo/one-1.0.0/Cargo.toml")), "[p]");
    assert!(world.path("cachi2/output/deps/cargo/one-1.0.0/.cargo-checksum.json").exists());
    assert!(read(&world.path("source/.cargo/config.toml")).contains("/cachi2/output/deps/cargo"));
    assert_eq!(purls(&world), ["pkg:cargo/one@1.0.0"]);
    let rest: Vec<_> = fs::read_dir(world.path("cachi2/output/deps/cargo")).unwrap().collect();
    assert_eq!(rest.len(), 1, "no archives are left");
}

#[tokio::test]
async fn go_modules_are_laid_out_as_a_proxy() {
    let world = World::new();
    let mut zip = ZipWriter::new(std::io::Cursor::new(Vec::new()));
    zip.start_file("git.test/Org/a@v1.0.0/go.mod", SimpleFileOptions::default()).unwrap();
    std::io::Write::write_all(&mut zip, b"module").unwrap();
    let zip = zip.finish().unwrap().into_inner();
    let hash = |name: &str| {
        let list = format!("{}  {name}\n", Digest::of(b"module").hex());
        format!("h1:{}", BASE64.encode(&sha2::Sha256::digest(list)))
    };
    let web = Web::start(&[
        ("/git.test/!org/a/@v/v1.0.0.mod", b"module"),
        ("/git.test/!org/a/@v/v1.0.0.zip", &zip),
    ])
    .await;
    let sums = format!(
        "git.test/Org/a v1.0.0 {}\ngit.test/Org/a v1.0.0/go.mod {}\n",
        hash("git.test/Org/a@v1.0.0/go.mod"),
        hash("go.mod")
    );
    world.write("source/go.mod", "module app");
    world.write("source/go.sum", &sums);
    let proxy = format!("--go-proxy={},direct", web.origin);
    prefetch(&world, "gomod", &[&proxy]).await.unwrap();
    let cache = world.path("cachi2/output/deps/gomod/pkg/mod/cache/download/git.test/!org/a/@v");
    assert_eq!(read(&cache.join("v1.0.0.mod")), "module");
    assert_eq!(fs::read(cache.join("v1.0.0.zip")).unwrap(), zip);
    assert_eq!(read(&cache.join("v1.0.0.info")), r#"{"Version":"v1.0.0"}"#);
    assert_eq!(purls(&world), ["pkg:golang/git.test/Org/a@v1.0.0"]);

    world.write("source/go.sum", sums.replace(&hash("go.mod"), &hash("other")));
    let error = format!("{:#}", prefetch(&world, "gomod", &[&proxy]).await.unwrap_err());
    assert!(error.contains("the proxy sent something else for its .mod"), "{error}");
}
