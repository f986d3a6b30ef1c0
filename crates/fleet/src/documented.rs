//! Checks that docs/explanation/kit.md knows every metric of the kit. Its table says labels and their values too, which no
//! registry tells before something has been counted.

use std::fs;
use std::path::{Path, PathBuf};

const PREFIXES: [&str; 4] = ["controller_runtime_", "workqueue_", "rest_client_", "fleet_"];

/// Source files below `folder`.
fn sources(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let (folders, files): (Vec<_>, Vec<_>) = entries.partition(|path| path.is_dir());
    let here = files.into_iter().filter(|path| path.extension().is_some_and(|extension| extension == "rs"));
    here.chain(folders.iter().flat_map(|folder| sources(folder))).collect()
}

/// String literals that are names of metrics.
fn metrics(source: &str) -> impl Iterator<Item = &str> {
    let is_name = |text: &&str| {
        PREFIXES.iter().any(|prefix| text.len() > prefix.len() && text.starts_with(prefix))
            && text.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_')
    };
    source.split('"').filter(is_name)
}

/// A row may shorten its second name to what differs: `workqueue_depth`, `_adds_total`.
fn is_in(table: &str, name: &str) -> bool {
    let endings = name.match_indices('_').map(|(at, _)| &name[at..]);
    table.contains(&format!("`{name}`")) || endings.into_iter().any(|end| table.contains(&format!("`{end}`")))
}

#[test]
fn the_page_of_the_kit_lists_every_metric() {
    let crate_folder = Path::new(env!("CARGO_MANIFEST_DIR"));
    let page = fs::read_to_string(crate_folder.join("../../docs/explanation/kit.md")).unwrap();
    let mut found = 0;
    for path in sources(&crate_folder.join("src")) {
        let source = fs::read_to_string(&path).unwrap();
        for name in metrics(&source) {
            found += 1;
            assert!(is_in(&page, name), "{name} of {} is not in docs/explanation/kit.md", path.display());
        }
    }
    assert!(found > 15, "only {found} names found");
}
