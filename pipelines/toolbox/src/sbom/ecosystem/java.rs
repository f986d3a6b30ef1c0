//! Java: `pom.xml`, Gradle's lockfile, and archives.

use std::collections::BTreeMap;
use std::io::{Cursor, Read, Seek};

use quick_xml::events::Event;
use sbom::Package;
use zip::ZipArchive;

use super::super::origins::{self, Origins};
use super::{Unreadable, named};

/// Archives within archives within an archive.
const MAX_DEPTH: usize = 3;
const MAX_ENTRIES: usize = 200_000;
/// Of an archive within another, which is held in memory.
const MAX_INNER: u64 = 64 << 20;
const MAX_PROPERTIES: u64 = 1 << 20;
const MAX_CLASS: u64 = 4 << 20;
/// Of all that is unpacked of one archive and those within it.
const MAX_UNPACKED: u64 = 1 << 30;
/// Elements of a POM within each other.
const MAX_XML_DEPTH: usize = 64;
/// Properties that refer to properties.
const MAX_INDIRECTIONS: usize = 8;

/// `group:artifact:version=configuration,…`.
pub(in super::super) fn gradle_lock(text: &str) -> Vec<Package> {
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    named(lines.filter_map(|line| {
        let (coordinates, _) = line.split_once('=')?;
        let parts: Vec<&str> = coordinates.split(':').collect();
        let [group, artifact, version] = parts[..] else { return None };
        Some(Package::maven(group, artifact, Some(version)))
    }))
}

/// A dependency, as far as the POM itself says.
#[derive(Debug, Default)]
struct Dependency {
    group: String,
    artifact: String,
    version: Option<String>,
}

#[derive(Debug, Default)]
struct Pom {
    /// Also `project.version` and `project.groupId`.
    properties: BTreeMap<String, String>,
    dependencies: Vec<Dependency>,
    managed: Vec<Dependency>,
}

/// What a POM declares, with the versions that it says itself: a parent's are not known here, and are left open.
pub(in super::super) fn pom(text: &str) -> Result<Vec<Package>, Unreadable> {
    let pom = Pom::parse(text)?;
    let managed: BTreeMap<(&str, &str), &str> = pom
        .managed
        .iter()
        .filter_map(|managed| Some(((&*managed.group, &*managed.artifact), managed.version.as_deref()?)))
        .collect();
    let declared = pom.dependencies.iter().filter_map(|dependency| {
        let by_hand = dependency.version.as_deref();
        let version = by_hand.or_else(|| managed.get(&(&*dependency.group, &*dependency.artifact)).copied());
        let version = version.and_then(|version| pom.resolve(version));
        let (group, artifact) = (pom.resolve(&dependency.group)?, pom.resolve(&dependency.artifact)?);
        Some(Package::maven(&group, &artifact, version.as_deref()))
    });
    Ok(named(declared))
}

impl Pom {
    fn parse(text: &str) -> Result<Self, Unreadable> {
        let mut reader = quick_xml::Reader::from_str(text);
        let mut pom = Self::default();
        let mut path: Vec<String> = Vec::new();
        let mut content = String::new();
        loop {
            match reader.read_event().map_err(Unreadable::new)? {
                Event::Start(element) => {
                    path.push(element.local_name().as_ref().to_owned());
                    if path.len() > MAX_XML_DEPTH {
                        return Err(Unreadable::new("its elements are nested too deeply"));
                    }
                    content.clear();
                    pom.begin(&path);
                }
                Event::Text(text) => content.push_str(&text),
                Event::End(_) => {
                    pom.end(&path, content.trim());
                    content.clear();
                    path.pop();
                }
                Event::Eof if path.is_empty() => return Ok(pom),
                Event::Eof => return Err(Unreadable::new("it ends within an element")),
                _ => {}
            }
        }
    }

    fn begin(&mut self, path: &[String]) {
        match list(path) {
            Some(("dependencies", [])) => self.dependencies.push(Dependency::default()),
            Some(("managed", [])) => self.managed.push(Dependency::default()),
            _ => {}
        }
    }

    fn end(&mut self, path: &[String], text: &str) {
        if let Some((kind, [field])) = list(path) {
            let list = if kind == "managed" { &mut self.managed } else { &mut self.dependencies };
            let Some(dependency) = list.last_mut() else { return };
            match &**field {
                "groupId" => text.clone_into(&mut dependency.group),
                "artifactId" => text.clone_into(&mut dependency.artifact),
                "version" => dependency.version = Some(text.to_owned()),
                _ => {}
            }
            return;
        }
        let path: Vec<&str> = path.iter().map(String::as_str).collect();
        let (property, is_own) = match path[..] {
            ["project", "properties", name] => (name.to_owned(), true),
            ["project", name @ ("version" | "groupId")] => (format!("project.{name}"), true),
            // What the project says itself comes before what its parent gives it.
            ["project", "parent", name @ ("version" | "groupId")] => (format!("project.{name}"), false),
            _ => return,
        };
        if is_own {
            self.properties.insert(property, text.to_owned());
        } else {
            self.properties.entry(property).or_insert_with(|| text.to_owned());
        }
    }

    /// A text whose `${…}` are all known; else `None`.
    fn resolve(&self, text: &str) -> Option<String> {
        let mut text = text.to_owned();
        for _ in 0..MAX_INDIRECTIONS {
            let Some(start) = text.find("${") else { return Some(text) };
            let end = start + text[start..].find('}')?;
            let value = self.properties.get(&text[start + 2..end])?;
            text = format!("{}{value}{}", &text[..start], &text[end + 1..]);
            if text.len() > 1024 {
                return None;
            }
        }
        None
    }
}

/// Which list of dependencies an element is in, and the elements below an entry of it.
fn list(path: &[String]) -> Option<(&'static str, &[String])> {
    let at = |depth: usize| path.get(depth).map(String::as_str);
    match (at(0), at(1), at(2), at(3)) {
        (Some("project"), Some("dependencies"), Some("dependency"), _) => Some(("dependencies", &path[3..])),
        (Some("project"), Some("dependencyManagement"), Some("dependencies"), Some("dependency")) => {
            Some(("managed", &path[4..]))
        }
        _ => None,
    }
}

/// What an archive says that it is made of, and the archives within it. With `origins`, also the marks in its classes.
pub(in super::super) fn jar(
    path: &str,
    file: &mut (impl Read + Seek),
    origins: Option<&mut Origins>,
) -> Result<Vec<Package>, Unreadable> {
    let mut reading = Reading { origins, packages: Vec::new(), left: MAX_UNPACKED };
    reading.archive(path, file, 0)?;
    Ok(reading.packages)
}

struct Reading<'a> {
    origins: Option<&'a mut Origins>,
    packages: Vec<Package>,
    /// Bytes that may still be unpacked.
    left: u64,
}

impl Reading<'_> {
    fn archive(&mut self, path: &str, file: &mut (impl Read + Seek), depth: usize) -> Result<(), Unreadable> {
        let mut archive = ZipArchive::new(file).map_err(Unreadable::new)?;
        if archive.len() > MAX_ENTRIES {
            return Err(Unreadable::new(format!("it has more than {MAX_ENTRIES} entries")));
        }
        let before = self.packages.len();
        let mut manifest = None;
        for index in 0..archive.len() {
            // What has no readable name is none of what is looked for.
            let Some(Ok(name)) = archive.name_for_index(index) else { continue };
            let name = name.into_owned();
            let extension = name.rsplit_once('.').map_or("", |(_, extension)| extension);
            match extension {
                _ if name == "META-INF/MANIFEST.MF" => {
                    manifest = Some(self.unpack(&mut archive, index, MAX_PROPERTIES)?);
                }
                "properties" if name.starts_with("META-INF/maven/") && name.ends_with("/pom.properties") => {
                    let properties = self.unpack(&mut archive, index, MAX_PROPERTIES)?;
                    self.found(path, coordinates(&String::from_utf8_lossy(&properties)));
                }
                "jar" | "war" if depth < MAX_DEPTH => {
                    let inner = self.unpack(&mut archive, index, MAX_INNER)?;
                    self.archive(&format!("{path}!/{name}"), &mut Cursor::new(inner), depth + 1)?;
                }
                "class" if self.origins.is_some() => {
                    let class = self.unpack(&mut archive, index, MAX_CLASS)?;
                    if let (Some(origins), Some(origin)) = (self.origins.as_mut(), origins::of_class(&class))
                    {
                        origins.add(origin);
                    }
                }
                _ => {}
            }
        }
        if self.packages.len() == before {
            let manifest = manifest.unwrap_or_default();
            self.found(path, by_manifest(path, &String::from_utf8_lossy(&manifest)));
        }
        Ok(())
    }

    fn unpack<R: Read + Seek>(
        &mut self,
        archive: &mut ZipArchive<R>,
        index: usize,
        limit: u64,
    ) -> Result<Vec<u8>, Unreadable> {
        let entry = archive.by_index(index).map_err(Unreadable::new)?;
        let limit = limit.min(self.left);
        let mut content = Vec::new();
        // Not what the entry says of its size: that is the archive's word.
        entry.take(limit + 1).read_to_end(&mut content).map_err(Unreadable::new)?;
        if content.len() as u64 > limit {
            return Err(Unreadable::new(format!("an entry of it has more than {limit} bytes")));
        }
        self.left -= content.len() as u64;
        Ok(content)
    }

    fn found(&mut self, path: &str, package: Option<Package>) {
        self.packages.extend(package.map(|package| package.found_in(path)));
    }
}

/// `pom.properties`, which Maven puts into what it packs.
fn coordinates(properties: &str) -> Option<Package> {
    let value = |key: &str| {
        let line =
            properties.lines().find_map(|line| line.trim().strip_prefix(key)?.trim_start().strip_prefix('='));
        line.map(str::trim)
    };
    Package::maven(value("groupId")?, value("artifactId")?, Some(value("version")?)).ok()
}

/// Of an archive that Maven did not make, by its name and manifest.
fn by_manifest(path: &str, manifest: &str) -> Option<Package> {
    // Long lines are broken, and go on behind a blank.
    let manifest = manifest.replace("\r\n", "\n").replace("\n ", "");
    let value = |key: &str| {
        let line = manifest.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(':'));
        // Parameters are behind a semicolon.
        line.and_then(|value| value.split(';').next()).map(str::trim).filter(|value| !value.is_empty())
    };
    let file = path.rsplit('/').next()?;
    let stem = file.rsplit_once('.').map_or(file, |(stem, _)| stem);
    let by_name =
        stem.match_indices('-').find(|(at, _)| stem[at + 1..].starts_with(|c: char| c.is_ascii_digit()));
    let (artifact, version) = match by_name {
        Some((at, _)) => (&stem[..at], Some(&stem[at + 1..])),
        None => (stem, value("Implementation-Version").or_else(|| value("Bundle-Version"))),
    };
    let group =
        value("Implementation-Vendor-Id").or_else(|| value("Bundle-SymbolicName")).unwrap_or(artifact);
    Package::maven(group, artifact, Some(version?)).ok()
}
