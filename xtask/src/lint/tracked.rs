//! Files that speak of one machine, or have grown too long to hold one idea.
use std::{
    env,
    path::{Path, PathBuf},
};

use crate::{paths, repository};

/// Lines of a Rust file, tests aside, from which on it probably holds two things.
const LONG: usize = 400;

/// Where a mirror of a package registry may be named. Official hosts are the same everywhere.
const MIRRORS: [&str; 4] =
    ["GOPROXY", "PIP_INDEX_URL", "NPM_CONFIG_REGISTRY", "CARGO_REGISTRIES_CRATES_IO_INDEX"];
const OFFICIAL: [&str; 5] =
    ["proxy.golang.org", "pypi.org", "registry.npmjs.org", "index.crates.io", "github.com"];

pub(super) fn check(root: &Path, files: &[PathBuf]) -> anyhow::Result<String> {
    let forbidden = forbidden(root)?;
    let mut faults = Vec::new();
    for path in files {
        let Some(text) = repository::text(root, path)? else { continue };
        for (number, what) in find(&text, &forbidden) {
            faults
                .push(format!("{}:{number} names {what}, which exists on this machine only", path.display()));
        }
    }
    anyhow::ensure!(faults.is_empty(), "{}", faults.join("\n"));
    Ok(format!("{} files", files.len()))
}

/// Where images have their SBOM, by a convention: in root's home, which may be that of this machine's user, too.
const IN_IMAGES: &str = "/root/buildinfo/";

/// What only this machine has: its folders and its mirrors of package registries.
fn forbidden(root: &Path) -> anyhow::Result<Vec<String>> {
    let mut folders = vec![root.to_owned(), paths::cache()?];
    folders.extend(env::var_os("HOME").map(PathBuf::from));
    let mut forbidden: Vec<String> = folders
        .iter()
        // "/" and its children are on every machine, but for homes ("/root").
        .filter(|folder| {
            folder.components().count() > 2 || Some(folder.as_os_str()) == env::var_os("HOME").as_deref()
        })
        .filter_map(|folder| folder.to_str())
        .filter(|folder| folder.len() > 1)
        .map(|folder| format!("{}/", folder.trim_end_matches('/')))
        .collect();
    forbidden.extend(
        MIRRORS.iter().filter_map(env::var_os).filter_map(|value| value.into_string().ok()).flat_map(
            |value| {
                hosts(&value)
                    .into_iter()
                    .filter(|host| !OFFICIAL.contains(&host.as_str()))
                    .collect::<Vec<_>>()
            },
        ),
    );
    Ok(forbidden)
}

/// Hosts of the URLs in a list like `https://a.example/x,direct`.
fn hosts(list: &str) -> Vec<String> {
    list.split([',', '|'])
        .filter_map(|url| url.split_once("://"))
        .filter_map(|(_, rest)| rest.split('/').next())
        .map(|authority| authority.rsplit('@').next().unwrap_or(authority))
        .map(|host| host.split(':').next().unwrap_or(host).to_owned())
        .collect()
}

/// Line numbers, from 1, with the forbidden text that each holds.
fn find<'f>(text: &str, forbidden: &'f [String]) -> Vec<(usize, &'f str)> {
    text.lines()
        .enumerate()
        .flat_map(|(index, line)| {
            forbidden
                .iter()
                .filter(move |what| line.replace(IN_IMAGES, "").contains(what.as_str()))
                .map(move |what| (index + 1, what.as_str()))
        })
        .collect()
}

/// One line for each Rust file that wants splitting. For information: the right length is a matter of judgement.
pub(super) fn long_files(root: &Path, files: &[PathBuf]) -> anyhow::Result<Vec<String>> {
    let mut notes = Vec::new();
    for path in files.iter().filter(|path| path.extension().is_some_and(|extension| extension == "rs")) {
        let Some(text) = repository::text(root, path)? else { continue };
        let length = length(&text);
        if length > LONG {
            notes.push(format!(
                "{} has {length} lines without tests: does it hold a second noun?",
                path.display()
            ));
        }
    }
    Ok(notes)
}

/// Lines before the tests at the end of the file.
fn length(text: &str) -> usize {
    text.lines().take_while(|line| !line.starts_with("#[cfg(test)]")).count()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_each_place() {
        let forbidden = ["/srv/ann/".to_owned(), "mirror.example".to_owned()];
        let text = "fine\nsee /srv/ann/notes\nfrom mirror.example, in /srv/ann/x\n";
        assert_eq!(find(text, &forbidden), [(2, "/srv/ann/"), (3, "/srv/ann/"), (3, "mirror.example")]);
    }

    #[test]
    fn hosts_of_a_proxy_list() {
        assert_eq!(
            hosts("https://me:x@a.example:8443/go|http://b.example,direct"),
            ["a.example", "b.example"]
        );
        assert_eq!(hosts("off"), Vec::<String>::new());
    }

    #[test]
    fn tests_at_the_end_do_not_count() {
        assert_eq!(length("a\nb\n#[cfg(test)]\nmod tests {\n}\n"), 2);
    }
}
