//! Go: `go.mod`, `go.sum`, and what Go puts into programs.

use std::collections::BTreeSet;

use sbom::Package;

use super::{Unreadable, named};

/// Whether a `go.mod` lists all modules of a build, as it does since Go 1.17.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in super::super) enum Completeness {
    Complete,
    DirectOnly,
}

pub(in super::super) struct GoMod {
    pub(in super::super) packages: Vec<Package>,
    pub(in super::super) completeness: Completeness,
}

/// <https://go.dev/ref/mod#go-mod-file>, of which `require`, `replace` and `go` count here.
pub(in super::super) fn go_mod(text: &str) -> Result<GoMod, Unreadable> {
    let mut block: Option<&str> = None;
    let mut required: BTreeSet<(String, String)> = BTreeSet::new();
    let mut replaced: Vec<Replacement> = Vec::new();
    let mut completeness = Completeness::DirectOnly;
    let mut is_module = false;
    for line in text.lines() {
        let line = line.split("//").next().unwrap_or_default().trim();
        let words: Vec<&str> = line.split_whitespace().map(|word| word.trim_matches(['"', '`'])).collect();
        let (verb, rest) = match (block, &words[..]) {
            (_, []) => continue,
            (Some(_), [")"]) => {
                block = None;
                continue;
            }
            (None, [verb, "("]) => {
                block = Some(verb);
                continue;
            }
            (Some(verb), rest) => (verb, rest),
            (None, [verb, rest @ ..]) => (*verb, rest),
        };
        match (verb, rest) {
            ("module", [_]) => is_module = true,
            ("go", [version]) if lists_all(version) => completeness = Completeness::Complete,
            ("require", [module, version]) => {
                required.insert(((*module).to_owned(), (*version).to_owned()));
            }
            ("replace", rest) => replaced.extend(replacement(rest)),
            _ => {}
        }
    }
    if !is_module {
        return Err(Unreadable::new("it names no module"));
    }
    let modules = required.into_iter().filter_map(|(module, version)| {
        let rule = replaced
            .iter()
            .find(|rule| rule.module == module && rule.version.as_ref().is_none_or(|of| *of == version));
        match rule {
            Some(rule) => rule.by.clone(),
            None => Some((module, version)),
        }
    });
    let packages = named(modules.map(|(module, version)| Package::golang(&module, &version)));
    Ok(GoMod { packages, completeness })
}

/// `module [version] => module version` or `module [version] => folder`.
struct Replacement {
    module: String,
    /// Of all versions, if there is none.
    version: Option<String>,
    /// Absent of a folder, which has no version.
    by: Option<(String, String)>,
}

fn replacement(words: &[&str]) -> Option<Replacement> {
    let at = words.iter().position(|word| *word == "=>")?;
    let (from, by) = (&words[..at], &words[at + 1..]);
    let by = match by {
        [module, version] => Some(((*module).to_owned(), (*version).to_owned())),
        _ => None,
    };
    Some(Replacement {
        module: (*from.first()?).to_owned(),
        version: from.get(1).map(|version| (*version).to_owned()),
        by,
    })
}

fn lists_all(version: &str) -> bool {
    let mut numbers = version.split('.').map(|number| number.parse::<u32>().unwrap_or(0));
    (numbers.next(), numbers.next()) >= (Some(1), Some(17))
}

/// Modules whose content was needed. Lines of those of which only `go.mod` was read end in `/go.mod`.
pub(in super::super) fn go_sum(text: &str) -> Vec<Package> {
    named(text.lines().filter_map(|line| {
        let mut words = line.split_whitespace();
        let (module, version) = (words.next()?, words.next()?);
        (!version.ends_with("/go.mod")).then(|| Package::golang(module, version))
    }))
}

const MAGIC: &[u8] = b"\xff Go buildinf:";
/// The header's size; what is behind it is text since Go 1.18.
const HEADER: usize = 32;
const INLINE: u8 = 2;
/// What surrounds the list of modules.
const FRAME: usize = 16;

/// The content of the section `.go.buildinfo`: <https://pkg.go.dev/debug/buildinfo>. Programs of Go before 1.18 keep it elsewhere
/// and are passed over.
pub(in super::super) fn build_info(section: &[u8]) -> Result<Vec<Package>, Unreadable> {
    if !section.starts_with(MAGIC) || section.len() < HEADER {
        return Err(Unreadable::new("its Go build information is cut short"));
    }
    if section[MAGIC.len() + 1] & INLINE == 0 {
        return Ok(Vec::new());
    }
    let (toolchain, rest) = text(&section[HEADER..])?;
    let (modules, _) = text(rest)?;
    let toolchain = String::from_utf8_lossy(toolchain);
    let release = toolchain.strip_prefix("go").and_then(|release| release.split(' ').next());
    let standard_library = release.filter(|release| super::is_version(release));
    let mut packages = named(standard_library.map(|release| Package::golang("stdlib", release)).into_iter());
    if let Some(modules) = modules.get(FRAME..modules.len().saturating_sub(FRAME)) {
        packages.extend(linked(&String::from_utf8_lossy(modules)));
    }
    Ok(packages)
}

/// A length in the variable form of Go, and so many bytes.
fn text(bytes: &[u8]) -> Result<(&[u8], &[u8]), Unreadable> {
    let cut = || Unreadable::new("its Go build information is cut short");
    let mut length = 0_usize;
    for (at, byte) in bytes.iter().take(5).enumerate() {
        length |= usize::from(byte & 0x7f) << (7 * at);
        if byte & 0x80 == 0 {
            return bytes[at + 1..].split_at_checked(length).ok_or_else(cut);
        }
    }
    Err(cut())
}

/// Lines of `dep module version [hash]`; `=>` says what the one above it was replaced by.
fn linked(text: &str) -> Vec<Package> {
    let mut modules: Vec<(&str, &str)> = Vec::new();
    for line in text.lines() {
        let words: Vec<&str> = line.split('\t').collect();
        match words[..] {
            ["dep", module, version, ..] => modules.push((module, version)),
            ["=>", module, version, ..] => {
                modules.pop();
                modules.push((module, version));
            }
            _ => {}
        }
    }
    let released = modules.into_iter().filter(|(_, version)| version.starts_with('v'));
    named(released.map(|(module, version)| Package::golang(module, version)))
}
