//! Pages tell the truth and are found: links resolve, every `cargo xtask …` that they name exists with its options, and
//! each page below docs/ is in the index of its folder.
use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
};

use anyhow::Context as _;
use clap::CommandFactory as _;

use super::kustomize::resolve;

pub(super) fn check(root: &Path, files: &[PathBuf]) -> anyhow::Result<String> {
    let xtask = crate::Command::command();
    let pages: Vec<&PathBuf> =
        files.iter().filter(|path| path.extension().is_some_and(|extension| extension == "md")).collect();
    let mut faults = Vec::new();
    for page in &pages {
        let text =
            std::fs::read_to_string(root.join(page)).with_context(|| format!("read {}", page.display()))?;
        let mut found = command_faults(&text, &xtask);
        found.extend(link_faults(root, page, &text));
        faults.extend(found.into_iter().map(|(line, fault)| format!("{}:{line}: {fault}", page.display())));
    }
    faults.extend(unlisted(root, &pages)?);
    anyhow::ensure!(faults.is_empty(), "{}", faults.join("\n"));
    Ok(format!("{} pages", pages.len()))
}

/// Pages that nobody finds: their folder below docs/ has a README.md, and it does not link to them.
fn unlisted(root: &Path, pages: &[&PathBuf]) -> anyhow::Result<Vec<String>> {
    let mut faults = Vec::new();
    for index in pages.iter().filter(|page| page.starts_with("docs") && page.ends_with("README.md")) {
        let folder = index.parent().unwrap_or(Path::new(""));
        let text = std::fs::read_to_string(root.join(index))?;
        let listed: BTreeSet<PathBuf> =
            links(&text).into_iter().map(|(_, target)| resolve(folder, Path::new(target))).collect();
        faults.extend(
            pages
                .iter()
                .filter(|page| page.parent() == Some(folder) && page != &index && !listed.contains(**page))
                .map(|page| format!("{}: does not link to {}", index.display(), page.display())),
        );
    }
    Ok(faults)
}

/// Line number and fault of each xtask command that does not exist.
fn command_faults(text: &str, xtask: &clap::Command) -> Vec<(usize, String)> {
    let mut faults = Vec::new();
    for (index, line) in text.lines().enumerate() {
        for rest in line.split("cargo xtask ").skip(1) {
            let end = rest.find(['`', '#', '|', '&', ';', '"', '\'']).unwrap_or(rest.len());
            let mut words = rest[..end].split_whitespace();
            let Some(name) = words.next().map(|word| word.trim_end_matches([',', '.', ')'])) else {
                continue;
            };
            // `cargo xtask …` and `cargo xtask <command>` speak of all of them.
            if !name.starts_with(|first: char| first.is_ascii_lowercase()) {
                continue;
            }
            let Some(command) = xtask.find_subcommand(name) else {
                faults.push((index + 1, format!("`cargo xtask {name}` does not exist")));
                continue;
            };
            // The command and its own, as `forge user`: an option may be of either.
            let mut commands = vec![command];
            for word in words {
                let last = commands[commands.len() - 1];
                if let Some(option) = option(word) {
                    let is_known = |command: &&clap::Command| {
                        command.get_arguments().any(|argument| argument.get_long() == Some(option))
                    };
                    if !commands.iter().any(is_known) {
                        let name =
                            commands.iter().map(|command| command.get_name()).collect::<Vec<_>>().join(" ");
                        faults.push((index + 1, format!("`cargo xtask {name}` has no option --{option}")));
                    }
                } else if let Some(command) = last.find_subcommand(word) {
                    commands.push(command);
                } else if commands.len() == 1 && last.is_subcommand_required_set() && is_name(word) {
                    faults.push((index + 1, format!("`cargo xtask {name} {word}` does not exist")));
                }
            }
        }
    }
    faults
}

/// Whether a word can be a command: not `…`, `<command>` or a folder.
fn is_name(word: &str) -> bool {
    word.chars().all(|c| c.is_ascii_lowercase() || c == '-')
}

/// `purge` of `[--purge]`, `--purge=true`, `--purge,`. Nothing for what is no option, or `--` alone.
fn option(word: &str) -> Option<&str> {
    let name = word.trim_start_matches('[').strip_prefix("--")?;
    let end = name.find(|c: char| !c.is_ascii_alphanumeric() && c != '-').unwrap_or(name.len());
    Some(&name[..end]).filter(|name| !name.is_empty())
}

/// Line number and fault of each relative link that leads nowhere.
fn link_faults(root: &Path, page: &Path, text: &str) -> Vec<(usize, String)> {
    let folder = page.parent().unwrap_or(Path::new(""));
    links(text)
        .into_iter()
        .filter(|(_, target)| !target.contains("://") && !target.starts_with("mailto:"))
        .filter_map(|(line, target)| {
            let (path, anchor) =
                target.split_once('#').map_or((target, None), |(path, anchor)| (path, Some(anchor)));
            let path = if path.is_empty() { page.to_owned() } else { resolve(folder, Path::new(path)) };
            let linked = root.join(&path);
            if !linked.exists() {
                return Some((line, format!("link to {target}, but {} does not exist", path.display())));
            }
            let anchor = anchor.filter(|_| path.extension().is_some_and(|extension| extension == "md"))?;
            let headings = std::fs::read_to_string(&linked).map(|text| headings(&text)).unwrap_or_default();
            (!headings.contains(anchor))
                .then(|| (line, format!("link to {target}, but {} has no such heading", path.display())))
        })
        .collect()
}

/// Targets of `[text](target)`, outside code.
fn links(text: &str) -> Vec<(usize, &str)> {
    let mut found = Vec::new();
    for (number, line) in prose(text) {
        // Every second piece between backticks is code.
        for piece in line.split('`').step_by(2) {
            for rest in piece.split("](").skip(1) {
                if let Some((target, _)) = rest.split_once(')') {
                    found.push((number, target));
                }
            }
        }
    }
    found
}

/// Anchors that the headings of a page make.
fn headings(text: &str) -> BTreeSet<String> {
    prose(text)
        .filter(|(_, line)| line.starts_with('#'))
        .map(|(_, line)| {
            line.trim_start_matches('#')
                .trim()
                .to_lowercase()
                .chars()
                .filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'))
                .map(|c| if c == ' ' { '-' } else { c })
                .collect()
        })
        .collect()
}

/// Lines outside fenced code, with their numbers from 1.
fn prose(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let mut in_code = false;
    text.lines().enumerate().filter_map(move |(index, line)| {
        let is_fence = line.trim_start().starts_with("```");
        in_code ^= is_fence;
        (!in_code && !is_fence).then_some((index + 1, line))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn faults_of(text: &str) -> Vec<(usize, String)> {
        command_faults(text, &crate::Command::command())
    }

    #[test]
    fn commands_and_options_must_exist() {
        assert_eq!(
            faults_of("Run `cargo xtask test --unit`, then\n`cargo xtask lint`. All: `cargo xtask …`"),
            []
        );
        assert_eq!(
            faults_of("\n    cargo xtask fly  # away"),
            [(2, "`cargo xtask fly` does not exist".into())]
        );
        assert_eq!(
            faults_of("`cargo xtask test [--unit] --fast=yes`"),
            [(1, "`cargo xtask test` has no option --fast".into())]
        );
        assert_eq!(faults_of("`cargo xtask forge user alice --admin --name x`"), []);
        assert_eq!(
            faults_of("`cargo xtask forge user alice --from x` `cargo xtask forge people`"),
            [
                (1, "`cargo xtask forge user` has no option --from".into()),
                (1, "`cargo xtask forge people` does not exist".into())
            ]
        );
    }

    #[test]
    fn links_must_lead_somewhere() -> anyhow::Result<()> {
        let root = tempfile::tempdir()?;
        std::fs::create_dir(root.path().join("docs"))?;
        std::fs::write(root.path().join("README.md"), "# Two words, one `Heading`!\n")?;
        let faults = |text: &str| link_faults(root.path(), Path::new("docs/page.md"), text);
        assert_eq!(
            faults("[a](../README.md) [b](../README.md#two-words-one-heading) [c](https://x.example/)"),
            []
        );
        assert_eq!(faults("`[a](b)`\n```\n[a](b)\n```\n"), []);
        assert_eq!(faults("\n[a](b.md)"), [(2, "link to b.md, but docs/b.md does not exist".into())]);
        assert_eq!(
            faults("[a](../README.md#three)"),
            [(1, "link to ../README.md#three, but README.md has no such heading".into())]
        );
        Ok(())
    }

    #[test]
    fn pages_of_a_folder_are_in_its_index() -> anyhow::Result<()> {
        let root = tempfile::tempdir()?;
        std::fs::create_dir_all(root.path().join("docs/how-to"))?;
        std::fs::write(root.path().join("docs/how-to/README.md"), "[one](one.md)\n")?;
        let pages = ["docs/how-to/README.md", "docs/how-to/one.md", "docs/how-to/two.md", "docs/x/three.md"];
        let pages: Vec<PathBuf> = pages.map(PathBuf::from).to_vec();
        assert_eq!(
            unlisted(root.path(), &pages.iter().collect::<Vec<_>>())?,
            ["docs/how-to/README.md: does not link to docs/how-to/two.md"]
        );
        Ok(())
    }

    #[tokio::test]
    async fn pages_of_this_repository() -> anyhow::Result<()> {
        let root = crate::paths::repository()?;
        check(&root, &crate::repository::files(&root).await?)?;
        Ok(())
    }
}
