//! pip: `requirements.txt` with a version for each package.

use std::collections::BTreeMap;

use anyhow::{Context as _, bail, ensure};
use data_encoding::HEXLOWER;
use fleet::outbound::Url;
use serde::Deserialize;

use super::download::{Checksum, Wanted, index};
use super::{Component, Fetched, SEEN_AT, Workshop, encoded};

const MAX_FILE: u64 = 8 * 1024 * 1024;
/// What an index of Python packages says, by PEP 691.
const SIMPLE: &str = "application/vnd.pypi.simple.v1+json";

/// A line of a requirements file.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Requirement {
    /// Normalized (PEP 503).
    name: String,
    source: Source,
    /// Those of its options `--hash`.
    checksums: Vec<Checksum>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Source {
    Version(String),
    Url(Url),
}

#[derive(Debug, Default, PartialEq, Eq)]
struct Requirements {
    index: Option<String>,
    all: Vec<Requirement>,
}

#[derive(Deserialize)]
struct Project {
    files: Vec<File>,
}

#[derive(Clone, Deserialize)]
struct File {
    filename: String,
    url: String,
    #[serde(default)]
    hashes: BTreeMap<String, String>,
}

pub(super) async fn fetch(workshop: &Workshop<'_>) -> anyhow::Result<Fetched> {
    let options = &workshop.package.options;
    let if_there = |name: &str| workshop.folder.join(name).is_file().then(|| vec![name.to_owned()]);
    let mut files = options.requirements_files.clone().unwrap_or_else(|| vec!["requirements.txt".to_owned()]);
    let build = options.requirements_build_files.clone();
    files.extend(build.or_else(|| if_there("requirements-build.txt")).unwrap_or_default());
    let (mut wanted, mut components) = (Vec::new(), Vec::new());
    for name in files {
        let requirements = parse(&workshop.read(&name, MAX_FILE)?).with_context(|| name.clone())?;
        for requirement in &requirements.all {
            let index_url = requirements.index.as_deref().unwrap_or(&workshop.indexes.pip_index);
            let found = find(workshop, requirement, index_url)
                .await
                .with_context(|| format!("{name}: {}", requirement.name))?;
            wanted.extend(found);
            components.push(requirement.component());
        }
    }
    wanted.sort_by(|one: &Wanted, other| one.name.cmp(&other.name));
    wanted.dedup_by(|one, other| one.name == other.name);
    workshop.downloads.all(wanted, &workshop.deps).await?;
    let environment = BTreeMap::from([
        ("PIP_FIND_LINKS", format!("{SEEN_AT}/deps/pip")),
        ("PIP_NO_INDEX", "true".to_owned()),
    ]);
    Ok(Fetched { components, environment })
}

async fn find(
    workshop: &Workshop<'_>,
    requirement: &Requirement,
    index_url: &str,
) -> anyhow::Result<Vec<Wanted>> {
    let version = match &requirement.source {
        Source::Version(version) => version,
        Source::Url(url) => {
            let checksum = requirement.checksums.first().context("it has no checksum (#sha256=…)")?.clone();
            let name = url.path_segments().and_then(|mut parts| parts.next_back()).unwrap_or_default();
            ensure!(!name.is_empty(), "{url} names no file");
            return Ok(vec![Wanted { url: url.clone(), checksum, name: name.to_owned() }]);
        }
    };
    let how = "set --index-url in the requirements file, or PIP_INDEX_URL for the step";
    let page = index(index_url, "index of Python packages", how)?.join(&format!("{}/", requirement.name))?;
    let answer = workshop.downloads.ask(page.clone(), SIMPLE).await?;
    let answer = answer.context("the index does not know it")?;
    let project: Project =
        serde_json::from_slice(&answer).context("the index does not speak JSON (PEP 691)")?;
    let all: Vec<_> = project
        .files
        .into_iter()
        .filter(|file| is_of(&file.filename, &requirement.name, version))
        .filter(|file| is_source(&file.filename) || workshop.package.options.allow_binary)
        .map(|file| file.wanted(&page))
        .collect::<anyhow::Result<_>>()?;
    let chosen: Vec<_> = all
        .iter()
        .filter(|file| requirement.checksums.is_empty() || requirement.checksums.contains(&file.checksum))
        .cloned()
        .collect();
    if !chosen.is_empty() {
        return Ok(chosen);
    }
    match (all.len(), workshop.package.options.allow_binary) {
        (0, false) => {
            bail!("the index has no source of version {version}; allow_binary takes what is built already")
        }
        (0, true) => bail!("the index has no version {version}"),
        (count, _) => bail!("none of the {count} files of version {version} has a checksum that is listed"),
    }
}

impl File {
    fn wanted(self, page: &Url) -> anyhow::Result<Wanted> {
        let sha256 = self.hashes.get("sha256").context("the index has no SHA-256 for it")?;
        Ok(Wanted {
            url: page.join(&self.url)?,
            checksum: Checksum::parse(&format!("sha256:{sha256}"))?,
            name: self.filename,
        })
    }
}

impl Requirement {
    fn component(&self) -> Component {
        let (version, query) = match &self.source {
            Source::Version(version) => (version.clone(), String::new()),
            Source::Url(url) => {
                let mut query = url::form_urlencoded::Serializer::new(String::new());
                if let Some(Checksum::Sha256(bytes)) = self.checksums.first() {
                    query.append_pair("checksum", &format!("sha256:{}", HEXLOWER.encode(bytes)));
                }
                query.append_pair("download_url", url.as_str());
                (String::new(), format!("?{}", query.finish()))
            }
        };
        let at = if version.is_empty() { String::new() } else { format!("@{}", encoded(&version)) };
        Component { name: self.name.clone(), purl: format!("pkg:pypi/{}{at}{query}", self.name), version }
    }
}

/// Whether a file is this package in this version. Names of files are not normalized.
fn is_of(file: &str, name: &str, version: &str) -> bool {
    let bare = match source_suffix(file) {
        Some(suffix) => file.strip_suffix(suffix).unwrap_or(file).to_owned(),
        // `name-version-tags.whl`
        None => file.splitn(3, '-').take(2).collect::<Vec<_>>().join("-"),
    };
    let Some((found, of)) = bare.rsplit_once('-') else { return false };
    let plain = |version: &str| version.trim_start_matches('v').to_ascii_lowercase().replace(['-', '_'], ".");
    normalized(found) == name && plain(of) == plain(version)
}

fn is_source(file: &str) -> bool {
    source_suffix(file).is_some()
}

fn source_suffix(file: &str) -> Option<&'static str> {
    [".tar.gz", ".zip", ".tar.bz2", ".tgz"].into_iter().find(|suffix| file.ends_with(suffix))
}

fn normalized(name: &str) -> String {
    let mut normalized = String::new();
    for part in name.to_ascii_lowercase().split(['-', '_', '.']).filter(|part| !part.is_empty()) {
        if !normalized.is_empty() {
            normalized.push('-');
        }
        normalized.push_str(part);
    }
    normalized
}

fn parse(text: &str) -> anyhow::Result<Requirements> {
    let mut requirements = Requirements::default();
    let joined = text.replace("\\\r\n", " ").replace("\\\n", " ");
    for line in joined.lines() {
        // A comment begins a line, or follows white space: addresses have `#` as well.
        let line = line.split(" #").next().unwrap_or_default().trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let option = line.strip_prefix("--index-url").or_else(|| line.strip_prefix("-i "));
        if let Some(url) = option {
            requirements.index = Some(url.trim_start_matches('=').trim().to_owned());
        } else if line.starts_with("--") && !line.starts_with("--extra-index-url") {
            // As --no-binary, --require-hashes, which say how to install.
        } else if line.starts_with('-') {
            bail!(
                "{line:?} is not supported: name the file in requirements_files, and packages by their version"
            );
        } else {
            requirements.all.push(requirement(line).with_context(|| format!("{line:?}"))?);
        }
    }
    Ok(requirements)
}

fn requirement(line: &str) -> anyhow::Result<Requirement> {
    let mut parts = line.split(" --hash");
    let what = parts.next().unwrap_or_default();
    let mut checksums = parts
        .map(|part| Checksum::parse(part.trim_start_matches([' ', '=']).trim()))
        .collect::<anyhow::Result<Vec<_>>>()?;
    // What it is needed for does not matter: it may be.
    let what = what.split(';').next().unwrap_or_default().trim();
    let bare = |name: &str| name.split('[').next().unwrap_or_default().trim().to_owned();
    let (name, source) =
        if let Some((name, url)) = what.split_once('@').filter(|(_, url)| url.contains("://")) {
            let mut url = Url::parse(url.trim())?;
            ensure!(["http", "https"].contains(&url.scheme()), "only addresses of the web are fetched");
            if let Some(sha256) = url.fragment().and_then(|fragment| fragment.strip_prefix("sha256=")) {
                checksums.push(Checksum::parse(&format!("sha256:{sha256}"))?);
            }
            url.set_fragment(None);
            (bare(name), Source::Url(url))
        } else {
            let (name, version) = what.split_once("==").context("it has no version (name==version)")?;
            let version = version.trim_start_matches('=').trim();
            ensure!(!version.contains(['*', ',', ' ']), "its version is not a single one");
            (bare(name), Source::Version(version.to_owned()))
        };
    let name = normalized(&name);
    let is_fine = !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
    ensure!(is_fine, "it has no name of a package");
    Ok(Requirement { name, source, checksums })
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[test]
    fn reads_requirements() {
        let hex = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
        let text = format!(
            "# comment\n--index-url https://index.test/simple\n--require-hashes\nFoo_Bar[extra]==1.0 ; python_version > '3' \\\n    --hash=sha256:{hex} \\\n    --hash sha256:{hex}\n\
             plain==2.1  # why\nremote @ https://files.test/r-1.tar.gz#sha256={hex}\n"
        );
        let read = parse(&text).unwrap();
        let checksum = Checksum::parse(&format!("sha256:{hex}")).unwrap();
        assert_eq!(read.index.as_deref(), Some("https://index.test/simple"));
        let names: Vec<_> = read.all.iter().map(|one| (one.name.as_str(), one.checksums.len())).collect();
        assert_eq!(names, [("foo-bar", 2), ("plain", 0), ("remote", 1)]);
        assert_eq!(read.all[0].checksums[0], checksum);
        assert_eq!(read.all[1].source, Source::Version("2.1".to_owned()));
        assert_eq!(read.all[2].source, Source::Url(Url::parse("https://files.test/r-1.tar.gz").unwrap()));
    }

    #[rstest]
    #[case::no_version("foo", "has no version")]
    #[case::range("foo>=1", "has no version")]
    #[case::any("foo==1.*", "not a single one")]
    #[case::other_file("-r other.txt", "requirements_files")]
    #[case::editable("-e .", "not supported")]
    #[case::repository("foo @ git+https://git.test/x", "addresses of the web")]
    #[case::weak("foo==1 --hash=md5:00", "sha256 or sha512")]
    #[case::second_index("--extra-index-url https://x.test", "not supported")]
    fn refuses(#[case] line: &str, #[case] expected: &str) {
        let error = format!("{:#}", parse(line).unwrap_err());
        assert!(error.contains(expected), "{error}");
    }

    #[rstest]
    #[case("Foo_Bar-1.0.tar.gz", true)]
    #[case("foo.bar-1.0.zip", true)]
    #[case("foo_bar-1.0-py3-none-any.whl", true)]
    #[case("foo_bar-1.0.1.tar.gz", false)]
    #[case("foo-bar-baz-1.0.tar.gz", false)]
    #[case("foo_bar-1.0-1-py3-none-any.whl", true)]
    fn knows_files_of_a_version(#[case] file: &str, #[case] expected: bool) {
        assert_eq!(is_of(file, "foo-bar", "1.0"), expected);
    }
}
