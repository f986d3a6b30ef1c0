//! Versions and features stand once, in the workspace's table.
//!
//! A feature that one crate asks for and another does not compiles a whole tree twice, so a crate's manifest says
//! `name.workspace = true` (or `{ workspace = true, optional = true }`) and nothing else. `cargo metadata` no longer
//! shows whether a version came from the table: the text of the manifest does.

/// One line for each dependency that is not taken from the workspace, and for lints that are not.
pub(super) fn faults(manifest: &str) -> Vec<String> {
    let mut faults = Vec::new();
    let mut section = "";
    let mut has_lints = false;
    for line in manifest.lines().map(str::trim) {
        if let Some(name) = line.strip_prefix('[') {
            section = name.trim_end_matches(']');
            if is_dependency_of_its_own(section) {
                faults.push(format!("[{section}]: write it as a line `name.workspace = true`"));
            }
        } else if line.is_empty() || line.starts_with('#') {
        } else if section == "lints" {
            has_lints |= squeeze(line) == "workspace=true";
        } else if is_dependency_table(section) && !is_from_workspace(line) {
            faults.push(format!(
                "`{line}`: versions and features stand in [workspace.dependencies] of the root Cargo.toml"
            ));
        }
    }
    if !has_lints {
        faults.push("[lints] workspace = true is missing: house rules hold in every crate".into());
    }
    faults
}

/// `dependencies`, `dev-dependencies`, `target.'cfg(unix)'.dependencies`.
fn is_dependency_table(section: &str) -> bool {
    section.rsplit('.').next().is_some_and(|last| last.ends_with("dependencies"))
}

/// `dependencies.serde`.
fn is_dependency_of_its_own(section: &str) -> bool {
    section.rsplit_once('.').is_some_and(|(table, _)| is_dependency_table(table))
}

fn is_from_workspace(line: &str) -> bool {
    let line = squeeze(line);
    let Some((name, value)) = line.split_once('=') else { return false };
    match name.strip_suffix(".workspace") {
        Some(_) => value == "true",
        None => matches!(value, "{workspace=true}" | "{workspace=true,optional=true}"),
    }
}

fn squeeze(line: &str) -> String {
    line.chars().filter(|c| !c.is_whitespace()).collect()
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case::from_the_table("serde.workspace = true", true)]
    #[case::optional("serde = { workspace = true, optional = true }", true)]
    #[case::version("serde = \"1\"", false)]
    #[case::features("serde = { workspace = true, features = [\"rc\"] }", false)]
    #[case::path("fleet = { path = \"../fleet\" }", false)]
    fn dependency(#[case] line: &str, #[case] is_fine: bool) {
        for table in ["dependencies", "dev-dependencies", "target.'cfg(unix)'.dependencies"] {
            let manifest =
                format!("[package]\nname = \"x\"\n\n[lints]\nworkspace = true\n\n[{table}]\n# why\n{line}\n");
            assert_eq!(faults(&manifest).is_empty(), is_fine, "{manifest}");
        }
    }

    #[test]
    fn lints_are_the_house_rules() {
        assert_eq!(faults("[package]\nname = \"x\"\n").len(), 1);
    }

    #[test]
    fn table_of_its_own() {
        let manifest = "[lints]\nworkspace = true\n[dependencies.serde]\nworkspace = true\n";
        assert_eq!(faults(manifest), ["[dependencies.serde]: write it as a line `name.workspace = true`"]);
    }
}
