//! Go: `go.sum`. Modules are laid out as Go's own cache of downloads, which is a proxy by files.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io;
use std::path::Path;

use anyhow::{Context as _, bail, ensure};
use data_encoding::BASE64;
use fleet::outbound::Url;
use serde_json::json;
use zip::ZipArchive;

use super::download::index;
use super::{Component, Fetched, SEEN_AT, Workshop, encoded};
use crate::hashing::Hashing;

const MAX_LOCKFILE: u64 = 64 * 1024 * 1024;
/// Go takes no larger modules.
const MAX_FILES: usize = 500_000;
const CACHE: &str = "pkg/mod/cache/download";

/// A line of `go.sum`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Sum {
    module: String,
    version: String,
    /// Of its `go.mod` alone.
    is_mod: bool,
    /// SHA-256, of a list of checksums.
    hash: Vec<u8>,
}

pub(super) async fn fetch(workshop: &Workshop<'_>) -> anyhow::Result<Fetched> {
    workshop.read("go.mod", MAX_LOCKFILE)?;
    let has_sums = workshop.folder.join("go.sum").is_file();
    // Without dependencies there is none.
    let sums = if has_sums {
        parse(&workshop.read("go.sum", MAX_LOCKFILE)?).context("go.sum")?
    } else {
        BTreeSet::new()
    };
    let cache = workshop.deps.join(CACHE);
    if !sums.is_empty() {
        let proxy = workshop.indexes.go_proxy.split([',', '|']).next().unwrap_or_default();
        let proxy = index(proxy, "proxy of Go modules", "set GOPROXY for the step")?;
        for sum in &sums {
            get(workshop, &proxy, sum, &cache)
                .await
                .with_context(|| format!("module {} {}", sum.module, sum.version))?;
        }
    }
    let components = sums.iter().filter(|sum| !sum.is_mod).map(|sum| Component {
        name: sum.module.clone(),
        version: sum.version.clone(),
        purl: format!("pkg:golang/{}@{}", sum.module, encoded(&sum.version)),
    });
    let environment = BTreeMap::from([
        ("GOMODCACHE", format!("{SEEN_AT}/deps/gomod/pkg/mod")),
        ("GOPROXY", format!("file://{SEEN_AT}/deps/gomod/{CACHE}")),
        // What it would ask: the checksums are those of go.sum.
        ("GOSUMDB", "off".to_owned()),
    ]);
    Ok(Fetched { components: components.collect(), environment })
}

async fn get(workshop: &Workshop<'_>, proxy: &Url, sum: &Sum, cache: &Path) -> anyhow::Result<()> {
    let folder = format!("{}/@v", escaped(&sum.module));
    let version = escaped(&sum.version);
    let kind = if sum.is_mod { "mod" } else { "zip" };
    let url = proxy.join(&format!("{folder}/{version}.{kind}"))?;
    let content = workshop.downloads.ask(url, "*/*").await?.context("the proxy does not know it")?;
    let hash = if sum.is_mod {
        let mut list = Hashing::new(io::sink());
        line(&mut list, "go.mod", &mut content.as_slice())?;
        list.finish().1
    } else {
        of_zip(io::Cursor::new(&content))?
    };
    let wanted = format!("sha256:{}", data_encoding::HEXLOWER.encode(&sum.hash));
    ensure!(
        hash.as_str() == wanted,
        "the proxy sent something else for its .{kind}: {hash} instead of {wanted}"
    );
    let folder = cache.join(&folder);
    fs::create_dir_all(&folder)?;
    fs::write(folder.join(format!("{version}.{kind}")), &content)?;
    // Go asks whether the version is there before it asks for anything else.
    fs::write(folder.join(format!("{version}.info")), json!({"Version": sum.version}).to_string())?;
    Ok(())
}

/// The checksum that Go has for a module: of the list of the checksums of its files.
fn of_zip(archive: impl io::Read + io::Seek) -> anyhow::Result<registry::Digest> {
    let mut archive = ZipArchive::new(archive).context("it is no archive")?;
    ensure!(archive.len() <= MAX_FILES, "it has more than {MAX_FILES} files");
    let names: BTreeSet<String> =
        archive.file_names().map(|name| Ok(name?.into_owned())).collect::<anyhow::Result<_>>()?;
    let mut list = Hashing::new(io::sink());
    for name in names.iter().filter(|name| !name.ends_with('/')) {
        ensure!(!name.contains('\n'), "it has a file with a line break in its name");
        line(&mut list, name, &mut archive.by_name(name)?)?;
    }
    Ok(list.finish().1)
}

fn line(list: &mut impl io::Write, name: &str, content: &mut impl io::Read) -> io::Result<()> {
    let mut hashing = Hashing::new(io::sink());
    io::copy(content, &mut hashing)?;
    writeln!(list, "{}  {name}", hashing.finish().1.hex())
}

/// Capital letters as the names of files on all systems can have them.
fn escaped(name: &str) -> String {
    name.chars()
        .flat_map(|c| if c.is_ascii_uppercase() { vec!['!', c.to_ascii_lowercase()] } else { vec![c] })
        .collect()
}

fn parse(text: &str) -> anyhow::Result<BTreeSet<Sum>> {
    let mut sums = BTreeSet::new();
    for line in text.lines().filter(|line| !line.trim().is_empty()) {
        let [module, version, hash] = line.split_whitespace().collect::<Vec<_>>()[..] else {
            bail!("{line:?} is no module, version and checksum");
        };
        let is_fine = |text: &str| {
            let fine = |byte: u8| byte.is_ascii_alphanumeric() || b"._-+~/".contains(&byte);
            text.bytes().all(fine)
                && text.split('/').all(|part| !part.is_empty() && part != "." && part != "..")
        };
        let (version, is_mod) =
            version.strip_suffix("/go.mod").map_or((version, false), |version| (version, true));
        ensure!(
            is_fine(module) && is_fine(version) && !version.contains('/'),
            "{line:?} has no name of a module"
        );
        let hash = hash.strip_prefix("h1:").and_then(|hash| BASE64.decode(hash.as_bytes()).ok());
        let hash =
            hash.filter(|hash| hash.len() == 32).with_context(|| format!("{line:?} has no checksum"))?;
        sums.insert(Sum { module: module.to_owned(), version: version.to_owned(), is_mod, hash });
    }
    Ok(sums)
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use zip::ZipWriter;
    use zip::write::SimpleFileOptions;

    use super::*;

    #[test]
    fn reads_sums() {
        let hash = BASE64.encode(&[0; 32]);
        let sums =
            parse(&format!("git.test/Org/a v1.0.0 h1:{hash}\ngit.test/Org/a v1.0.0/go.mod h1:{hash}\n\n"))
                .unwrap();
        let shown: Vec<_> =
            sums.iter().map(|sum| (sum.module.as_str(), sum.version.as_str(), sum.is_mod)).collect();
        assert_eq!(shown, [("git.test/Org/a", "v1.0.0", false), ("git.test/Org/a", "v1.0.0", true)]);
        for bad in [
            "a v1",
            "a v1 h2:x",
            "../a v1 h1:x",
            &format!("a/../b v1 h1:{hash}"),
            &format!("a v1/x h1:{hash}"),
        ] {
            assert!(parse(bad).is_err(), "{bad}");
        }
        assert_eq!(escaped("git.test/Org/A"), "git.test/!org/!a");
    }

    #[test]
    fn the_checksum_of_a_module_is_that_of_its_files() {
        let archive = |files: &[(&str, &str)]| {
            let mut zip = ZipWriter::new(io::Cursor::new(Vec::new()));
            for (name, content) in files {
                zip.start_file(*name, SimpleFileOptions::default()).unwrap();
                zip.write_all(content.as_bytes()).unwrap();
            }
            of_zip(zip.finish().unwrap()).unwrap()
        };
        let one = archive(&[("m@v1/b", "2"), ("m@v1/a", "1")]);
        assert_eq!(one, archive(&[("m@v1/a", "1"), ("m@v1/b", "2")]));
        assert_ne!(one, archive(&[("m@v1/a", "1"), ("m@v1/b", "3")]));
        let list = format!("{}  m@v1/a\n", registry::Digest::of(b"1").hex());
        assert_eq!(archive(&[("m@v1/a", "1")]), registry::Digest::of(list.as_bytes()));
    }
}
