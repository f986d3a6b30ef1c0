//! docs/reference/tekton-compatibility.md has a row for each case, below the heading of its feature, and none besides.
use std::fmt::Write as _;

use strum::IntoEnumIterator as _;

use super::{
    CASES,
    case::{Case, Feature, read_all},
};
use crate::paths;

const PAGE: &str = "docs/reference/tekton-compatibility.md";

/// The rows of a feature, as they have to stand in the page.
fn rows(cases: &[Case], feature: Feature) -> String {
    let mut rows = format!("<!-- cases: {feature} -->\n");
    for case in cases.iter().filter(|case| case.header.feature == feature) {
        let name = &case.name;
        let ours = case.header.ours.as_ref().map(|why| format!(" Ours: {why}.")).unwrap_or_default();
        let _ = writeln!(rows, "- [{name}](../../{CASES}/{name}.yaml): {}{ours}", case.header.shows);
    }
    rows
}

#[test]
fn page_shows_each_case() {
    let repository = paths::repository().unwrap();
    let page = std::fs::read_to_string(repository.join(PAGE)).unwrap();
    let cases = read_all(&repository.join(CASES)).unwrap();
    for feature in Feature::iter() {
        let rows = rows(&cases, feature);
        assert!(page.contains(&rows), "{PAGE} lacks, or has otherwise:\n{rows}");
    }
    let is_row = |line: &&str| line.starts_with("- [") && line.contains(&format!("](../../{CASES}/"));
    assert_eq!(page.lines().filter(is_row).count(), cases.len(), "{PAGE} names cases that do not exist");
}
