//! Files as the tools of each ecosystem write them, and files that nobody writes.

use std::io::{Cursor, Write as _};

use flate2::Compression;
use flate2::write::ZlibEncoder;
use proptest::prelude::*;
use sbom::Package;
use zip::ZipWriter;
use zip::write::SimpleFileOptions;

use super::*;
use crate::sbom::origins::Origins;

fn purls(packages: &[Package]) -> Vec<String> {
    packages.iter().map(|package| package.purl.to_string()).collect()
}

#[test]
fn cargo_lock() {
    let packages = rust::cargo_lock(
        r#"
version = 4
[[package]]
name = "app"
version = "0.1.0"
dependencies = ["time"]

[[package]]
name = "time"
version = "0.1.44"
source = "registry+https://github.com/rust-lang/crates.io-index"
checksum = "6db9e6914ab8b1ae1c260a4ae7a49b6c5611b40328a735b21862567685e73255"
"#,
    )
    .unwrap();
    assert_eq!(purls(&packages), ["pkg:cargo/time@0.1.44"]);
    assert!(packages[0].sha256.as_ref().unwrap().starts_with("6db9e691"));
    assert!(rust::cargo_lock("[[package]]\nname = 1").is_err());
}

#[test]
fn auditable_programs() {
    let json = br#"{"packages": [
        {"name": "app", "version": "0.1.0", "source": "local", "root": true},
        {"name": "cc", "version": "1.0.0", "source": "crates.io", "kind": "build"},
        {"name": "time", "version": "0.1.44", "source": "crates.io"}]}"#;
    let mut packed = ZlibEncoder::new(Vec::new(), Compression::fast());
    packed.write_all(json).unwrap();
    let packages = rust::auditable(&packed.finish().unwrap()).unwrap();
    assert_eq!(purls(&packages), ["pkg:cargo/time@0.1.44"]);
    assert!(rust::auditable(b"no zlib").is_err());
}

const GO_MOD: &str = r#"module example.com/app // ours

go 1.21

require golang.org/x/text v0.3.5
require (
	github.com/a/b v1.0.0 // indirect
	"github.com/c/d" v1.2.0
	github.com/e/f v1.0.0
)
replace (
	github.com/a/b v1.0.0 => github.com/fork/b v1.0.1
	github.com/c/d => ../d
	github.com/e/f v0.9.0 => github.com/other/f v2.0.0
)
exclude golang.org/x/text v0.3.0
"#;

#[test]
fn go_modules() {
    let module = go::go_mod(GO_MOD).unwrap();
    assert_eq!(
        purls(&module.packages),
        [
            "pkg:golang/github.com/fork/b@v1.0.1",
            "pkg:golang/github.com/e/f@v1.0.0",
            "pkg:golang/golang.org/x/text@v0.3.5"
        ]
    );
    assert_eq!(module.completeness, go::Completeness::Complete);
    let old = go::go_mod("module m\ngo 1.16\n").unwrap();
    assert_eq!(old.completeness, go::Completeness::DirectOnly);
    assert!(go::go_mod("require a v1").is_err());
    let sums = "golang.org/x/text v0.3.5 h1:abc=\ngolang.org/x/text v0.3.5/go.mod h1:def=\ngolang.org/x/tools v0.1.0/go.mod h1:x=\n";
    assert_eq!(purls(&go::go_sum(sums)), ["pkg:golang/golang.org/x/text@v0.3.5"]);
}

/// As the linker writes it.
fn build_info(toolchain: &str, modules: &str) -> Vec<u8> {
    let mut section = b"\xff Go buildinf:\x08\x02".to_vec();
    section.resize(32, 0);
    let modules = format!("{}{modules}{}", "<".repeat(16), ">".repeat(16));
    for text in [toolchain, &modules] {
        let mut length = text.len();
        while length >= 0x80 {
            section.push(u8::try_from(length & 0x7f).unwrap() | 0x80);
            length >>= 7;
        }
        section.push(u8::try_from(length).unwrap());
        section.extend(text.bytes());
    }
    section
}

const MODULES: &str = "path\texample.com/app\nmod\texample.com/app\t(devel)\t\ndep\tgolang.org/x/text\tv0.3.5\th1:abc=\n\
    dep\tgithub.com/a/b\tv1.0.0\n=>\tgithub.com/fork/b\tv1.0.1\th1:x=\nbuild\t-compiler=gc\n";

#[test]
fn go_programs() {
    let packages = go::build_info(&build_info("go1.21.3 X:boringcrypto", MODULES)).unwrap();
    assert_eq!(
        purls(&packages),
        [
            "pkg:golang/stdlib@1.21.3",
            "pkg:golang/golang.org/x/text@v0.3.5",
            "pkg:golang/github.com/fork/b@v1.0.1"
        ]
    );
    assert!(go::build_info(b"\xff Go buildinf:").is_err());
    let mut old = build_info("go1.17", "");
    old[15] = 0;
    assert_eq!(go::build_info(&old).unwrap(), []);
}

#[test]
fn package_locks() {
    let newer = r#"{"lockfileVersion": 3, "packages": {
        "": {"name": "app", "version": "1.0.0"},
        "packages/own": {"version": "1.0.0"},
        "node_modules/own": {"resolved": "packages/own", "link": true},
        "node_modules/minimist": {"version": "1.2.5", "dev": true},
        "node_modules/a/node_modules/@babel/core": {"version": "7.24.0"},
        "node_modules/alias": {"name": "real", "version": "2.0.0"},
        "node_modules/git": {"version": "git+ssh://git@x/y.git#abc"}}}"#;
    assert_eq!(
        purls(&node::package_lock(newer).unwrap()),
        ["pkg:npm/%40babel/core@7.24.0", "pkg:npm/real@2.0.0", "pkg:npm/minimist@1.2.5"]
    );
    let older = r#"{"lockfileVersion": 1, "dependencies": {
        "minimist": {"version": "1.2.5", "dependencies": {"inner": {"version": "0.1.0"}}},
        "alias": {"version": "npm:@babel/core@7.0.0"}, "local": {"version": "file:../local"}}}"#;
    assert_eq!(
        purls(&node::package_lock(older).unwrap()),
        ["pkg:npm/%40babel/core@7.0.0", "pkg:npm/minimist@1.2.5", "pkg:npm/inner@0.1.0"]
    );
}

#[test]
fn yarn_locks() {
    let first = "# yarn lockfile v1\n\n\"@babel/core@^7.0.0\", \"@babel/core@^7.1.0\":\n  version \"7.24.0\"\n  resolved \"https://x\"\n  \
        dependencies:\n    version \"^9.0.0\"\n\nminimist@^1.2.0:\n  version \"1.2.5\"\n\n\"alias@npm:real@^1.0.0\":\n  version \"1.0.1\"\n";
    assert_eq!(
        purls(&node::yarn_lock(first)),
        ["pkg:npm/%40babel/core@7.24.0", "pkg:npm/minimist@1.2.5", "pkg:npm/real@1.0.1"]
    );
    let later = "__metadata:\n  version: 8\n\n\"@babel/core@npm:^7.0.0, @babel/core@npm:^7.1.0\":\n  version: 7.24.0\n  resolution: \"@babel/core@npm:7.24.0\"\n\n\
        \"app@workspace:.\":\n  version: 0.0.0-use.local\n  resolution: \"app@workspace:.\"\n\n\"alias@npm:real@^1.0.0\":\n  version: 1.0.1\n  resolution: \"real@npm:1.0.1\"\n";
    assert_eq!(purls(&node::yarn_lock(later)), ["pkg:npm/%40babel/core@7.24.0", "pkg:npm/real@1.0.1"]);
}

#[test]
fn pnpm_locks() {
    let expected = ["pkg:npm/%40babel/core@7.24.0", "pkg:npm/minimist@1.2.5"];
    for lock in [
        "lockfileVersion: 5.4\npackages:\n  /@babel/core/7.24.0_supports-color@8.1.1: {dev: true}\n  /minimist/1.2.5: {dev: true}\n",
        "lockfileVersion: '6.0'\npackages:\n  /@babel/core@7.24.0(supports-color@8.1.1): {dev: true}\n  /minimist@1.2.5: {dev: true}\n",
        "lockfileVersion: '9.0'\npackages:\n  '@babel/core@7.24.0': {resolution: {integrity: x}}\n  minimist@1.2.5: {}\n  local@file:../x: {}\n",
    ] {
        assert_eq!(purls(&node::pnpm_lock(lock).unwrap()), expected, "{lock}");
    }
}

#[test]
fn installed_node_packages() {
    let packages =
        node::package_json(r#"{"name": "@babel/core", "version": "7.24.0", "license": {"type": "MIT"}}"#)
            .unwrap();
    assert_eq!(purls(&packages), ["pkg:npm/%40babel/core@7.24.0"]);
    assert!(packages[0].licenses.contains("MIT"));
    assert_eq!(node::package_json(r#"{"type": "module"}"#).unwrap(), []);
}

#[test]
fn python_requirements() {
    let text = "# comment\nrequests[socks] == 2.25.1 ; python_version > '3' # why\nFlask==3.0.0 \\\n    --hash=sha256:abc \\\n    --hash=sha256:def\n\
        -r other.txt\n--index-url https://x\nurllib3>=1.26\nnumpy==1.*\ndjango==4.0,!=4.0.1\ntyping===4.1\n./local\n";
    assert_eq!(
        purls(&python::requirements(text)),
        ["pkg:pypi/requests@2.25.1", "pkg:pypi/flask@3.0.0", "pkg:pypi/typing@4.1"]
    );
}

#[test]
fn python_locks() {
    let lock = "[[package]]\nname = \"Requests\"\nversion = \"2.25.1\"\n[[package]]\nname = \"app\"\nversion = \"0.1.0\"\nsource = { editable = \".\" }\n\
        [[package]]\nname = \"dynamic\"\n";
    assert_eq!(purls(&python::lock(lock).unwrap()), ["pkg:pypi/requests@2.25.1"]);
    let pipfile = r#"{"_meta": {}, "default": {"requests": {"version": "==2.25.1"}}, "develop": {"x": {"git": "https://y"}}}"#;
    assert_eq!(purls(&python::pipfile_lock(pipfile).unwrap()), ["pkg:pypi/requests@2.25.1"]);
}

#[test]
fn installed_python_packages() {
    let text = "Metadata-Version: 2.1\nName: Flask_SQLAlchemy\nVersion: 3.1.1\nLicense: BSD-3-Clause\n\nName: of the description\n";
    let packages = python::metadata(text).unwrap();
    assert_eq!(purls(&packages), ["pkg:pypi/flask-sqlalchemy@3.1.1"]);
    assert!(packages[0].licenses.contains("BSD-3-Clause"));
    assert!(python::metadata("Name: x\n\nVersion: 1").is_err());
}

#[test]
fn dpkg_status() {
    let status = "Package: libssl3\nStatus: install ok installed\nArchitecture: amd64\nSource: openssl (3.0.11-1~deb12u1)\nVersion: 3.0.11-1~deb12u2\n\
        Maintainer: Debian OpenSSL Team\nDescription: x\n Package: not a field\n\nPackage: gone\nStatus: deinstall ok config-files\nVersion: 1\n\n\
        Package: tzdata\nVersion: 2024a-0\nArchitecture: all";
    let release = "PRETTY_NAME=\"Debian GNU/Linux 12\"\nID=debian\nVERSION_ID=\"12\"\n";
    let system = debian::OsRelease::parse(release).unwrap();
    let packages: Vec<Package> =
        debian::status(status).into_iter().map(|installed| installed.package(&system).unwrap()).collect();
    assert_eq!(
        purls(&packages),
        [
            "pkg:deb/debian/libssl3@3.0.11-1~deb12u2?arch=amd64&distro=debian-12&upstream=openssl%403.0.11-1~deb12u1",
            "pkg:deb/debian/tzdata@2024a-0?arch=all&distro=debian-12"
        ]
    );
    assert_eq!(packages[0].publisher.as_deref(), Some("Debian OpenSSL Team"));
    assert_eq!(debian::OsRelease::parse("VERSION_ID=1"), None);
}

#[test]
fn poms_and_gradle() {
    let pom = r#"<?xml version="1.0"?><!-- c --><project xmlns="http://maven.apache.org/POM/4.0.0">
        <parent><groupId>org.parent</groupId><version>5</version></parent>
        <groupId>org.app</groupId><artifactId>app</artifactId>
        <properties><text.version>1.${minor}</text.version><minor>9</minor><loop>${loop}</loop></properties>
        <dependencyManagement><dependencies><dependency><groupId>org.m</groupId><artifactId>managed</artifactId>
            <version>2.0</version></dependency></dependencies></dependencyManagement>
        <dependencies>
          <dependency><groupId>org.apache.commons</groupId><artifactId>commons-text</artifactId><version>${text.version}</version>
            <exclusions><exclusion><groupId>org.no</groupId><artifactId>no</artifactId></exclusion></exclusions></dependency>
          <dependency><groupId>org.m</groupId><artifactId>managed</artifactId></dependency>
          <dependency><groupId>${project.groupId}</groupId><artifactId>mine</artifactId><version>${project.version}</version></dependency>
          <dependency><groupId>org.o</groupId><artifactId>open</artifactId><version>${loop}</version></dependency>
        </dependencies>
        <build><plugins><plugin><dependencies><dependency><groupId>org.p</groupId><artifactId>p</artifactId></dependency></dependencies>
        </plugin></plugins></build></project>"#;
    assert_eq!(
        purls(&java::pom(pom).unwrap()),
        [
            "pkg:maven/org.apache.commons/commons-text@1.9",
            "pkg:maven/org.m/managed@2.0",
            "pkg:maven/org.app/mine@5",
            "pkg:maven/org.o/open"
        ]
    );
    assert!(java::pom("<project><a>").is_err());
    assert!(java::pom(&"<a>".repeat(100)).is_err());
    let gradle = "# comment\norg.apache.commons:commons-text:1.9=compileClasspath,runtimeClasspath\nempty=annotationProcessor\n";
    assert_eq!(purls(&java::gradle_lock(gradle)), ["pkg:maven/org.apache.commons/commons-text@1.9"]);
}

fn archive(entries: &[(&str, &[u8])]) -> Vec<u8> {
    let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
    for (name, content) in entries {
        zip.start_file(*name, SimpleFileOptions::default()).unwrap();
        zip.write_all(content).unwrap();
    }
    zip.finish().unwrap().into_inner()
}

const PROPERTIES: (&str, &[u8]) = (
    "META-INF/maven/org.apache.commons/commons-text/pom.properties",
    b"#Created\nartifactId=commons-text\ngroupId = org.apache.commons\nversion=1.9\n",
);

#[test]
fn jars_and_those_within() {
    let inner = archive(&[PROPERTIES, ("META-INF/MANIFEST.MF", b"Implementation-Version: 7\n")]);
    let other =
        archive(&[("META-INF/MANIFEST.MF", b"Bundle-SymbolicName: org.oth\r\n er;singleton:=true\r\n")]);
    let outer = archive(&[("BOOT-INF/lib/commons-text.jar", &inner), ("BOOT-INF/lib/other-2.0.jar", &other)]);
    let packages = java::jar("app/app-1.0.jar", &mut Cursor::new(outer), None).unwrap();
    assert_eq!(
        purls(&packages),
        ["pkg:maven/org.apache.commons/commons-text@1.9", "pkg:maven/org.other/other@2.0"]
    );
    assert_eq!(packages[1].found_in.first().unwrap(), "app/app-1.0.jar!/BOOT-INF/lib/other-2.0.jar");
    let plain = archive(&[("a.class", b"")]);
    assert_eq!(
        purls(&java::jar("x/tool-3.1.jar", &mut Cursor::new(&plain), None).unwrap()),
        ["pkg:maven/tool/tool@3.1"]
    );
    assert_eq!(java::jar("x/tool.jar", &mut Cursor::new(plain), None).unwrap(), []);
    assert!(java::jar("x.jar", &mut Cursor::new(b"no zip"), None).is_err());
}

#[test]
fn classes_of_jars_say_where_they_come_from() {
    let class = crate::sbom::origins::tests::class("org.a:a:1", "central");
    let jar = archive(&[("org/a/A.class", &class), ("org/a/B.class", &class)]);
    let mut origins = Origins::default();
    java::jar("a-1.jar", &mut Cursor::new(jar), Some(&mut origins)).unwrap();
    assert_eq!(origins.counts().into_iter().collect::<Vec<_>>(), [("central", 1)]);
}

#[test]
fn archives_that_unpack_to_too_much_are_refused() {
    let bomb = archive(&[("META-INF/MANIFEST.MF", &vec![b' '; 2 << 20])]);
    let error = java::jar("bomb-1.jar", &mut Cursor::new(bomb), None).unwrap_err();
    assert!(error.0.contains("more than 1048576 bytes"), "{error:?}");
    let mut nested = archive(&[PROPERTIES]);
    for _ in 0..6 {
        nested = archive(&[("inner.jar", &nested)]);
    }
    // Four levels are read: the names of the outer ones say nothing.
    assert_eq!(java::jar("nested.jar", &mut Cursor::new(nested), None).unwrap(), []);
}

#[test]
fn programs_have_sections() {
    let own = std::fs::File::open(std::env::current_exe().unwrap()).unwrap();
    let sections = program::sections(&mut std::io::BufReader::new(own)).unwrap();
    assert!(sections.go.is_none() && sections.rust.is_none());
    let sections = program::sections(&mut Cursor::new(b"\x7fELF\x02\x01\x01".to_vec())).unwrap();
    assert!(sections.go.is_none());
}

/// What lockfiles are made of, in any order.
fn any_text() -> impl Strategy<Value = String> {
    let parts = [
        "\n",
        "\n\n",
        "  ",
        " ",
        "\t",
        "\"",
        "'",
        ":",
        "@",
        "/",
        "==",
        "=",
        "=>",
        "(",
        ")",
        "[[package]]\n",
        "name = ",
        "version",
        "version: ",
        "1.0.0",
        "v1.0.0",
        "packages:\n",
        "node_modules/",
        "{",
        "}",
        "[",
        "]",
        ",",
        "&a ",
        "*a",
        "module m\n",
        "require ",
        "replace ",
        "go 1.17\n",
        "<project>",
        "</project>",
        "<dependencies>",
        "<dependency>",
        "<version>",
        "${",
        "&lt;",
        "<![CDATA[",
        "Package: ",
        "Status: ",
        "Source: a (",
        "dep\t",
        "resolution",
        "é",
        "\u{0}",
        "--hash",
        ";",
        "#",
        "\\\n",
        "npm:",
        "_",
        "groupId=",
    ];
    prop_oneof![
        3 => prop::collection::vec(prop::sample::select(parts.to_vec()), 0..40).prop_map(|parts| parts.concat()),
        1 => ".{0,80}",
    ]
}

/// JSON, which is YAML too.
fn any_document() -> impl Strategy<Value = serde_json::Value> {
    let leaf = prop_oneof![
        Just(serde_json::Value::Null),
        any::<i64>().prop_map(Into::into),
        any_text().prop_map(Into::into)
    ];
    let keys = [
        "packages",
        "dependencies",
        "name",
        "version",
        "package",
        "default",
        "lockfileVersion",
        "license",
        "link",
        "source",
        "node_modules/a",
    ];
    leaf.prop_recursive(4, 32, 6, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..5).prop_map(Into::into),
            prop::collection::btree_map(prop::sample::select(keys.to_vec()), inner, 0..5)
                .prop_map(|fields| fields.into_iter().map(|(key, value)| (key.to_owned(), value)).collect()),
        ]
    })
}

fn read_all(text: &str) {
    let _ = rust::cargo_lock(text);
    let _ = rust::auditable(text.as_bytes());
    let _ = go::go_mod(text);
    let _ = go::go_sum(text);
    let _ = go::build_info(text.as_bytes());
    let _ = node::package_lock(text);
    let _ = node::yarn_lock(text);
    let _ = node::pnpm_lock(text);
    let _ = node::package_json(text);
    let _ = python::requirements(text);
    let _ = python::lock(text);
    let _ = python::pipfile_lock(text);
    let _ = python::metadata(text);
    let _ = java::pom(text);
    let _ = java::gradle_lock(text);
    let system = debian::OsRelease::parse(text).unwrap_or_default();
    for installed in debian::status(text) {
        let _ = installed.package(&system);
    }
}

#[test]
fn text_never_panics() {
    crate::sbom::fuzz::fuzz(&any_text(), |text| {
        read_all(&text);
        Ok(())
    });
}

#[test]
fn documents_never_panics() {
    crate::sbom::fuzz::fuzz(&any_document(), |document| {
        read_all(&document.to_string());
        Ok(())
    });
}

#[test]
fn archives_and_programs_never_panics() {
    let jar = archive(&[PROPERTIES, ("lib/a-1.jar", &archive(&[PROPERTIES]))]);
    let info = build_info("go1.21.3", MODULES);
    let strategy = (
        prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..8),
        any::<prop::sample::Index>(),
    );
    crate::sbom::fuzz::fuzz(&strategy, |(changes, end)| {
        for whole in [&jar, &info] {
            let mut hurt = whole.clone();
            for (at, byte) in &changes {
                let at = at.index(hurt.len());
                hurt[at] = *byte;
            }
            let _ = java::jar("a-1.jar", &mut Cursor::new(&hurt), Some(&mut Origins::default()));
            let _ = program::sections(&mut Cursor::new(&hurt));
            let _ = go::build_info(&hurt);
            hurt.truncate(end.index(hurt.len()));
            let _ = java::jar("a-1.jar", &mut Cursor::new(&hurt), None);
            let _ = go::build_info(&hurt);
        }
        Ok(())
    });
}
