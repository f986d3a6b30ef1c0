//! The notes of a release, in Markdown.

use forge::markdown::{code, escape};
use serde_json::Value;

use crate::push_snapshot::Results;

/// Images that are listed. Forges take about a hundred thousand characters.
const MAX_IMAGES: usize = 200;
/// Names of one image that are listed.
const MAX_URLS: usize = 10;

/// What people wrote, who released what, and the images. What tenants wrote stays text.
pub(super) fn notes(own: Option<&str>, release: &Value, pushed: &Results) -> String {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let mut lines: Vec<String> = own.map(|own| own.trim_end().to_owned()).into_iter().collect();
    let (metadata, spec) = (&release["metadata"], &release["spec"]);
    let namespace = text(&metadata["namespace"]);
    let author = text(&release["status"]["attribution"]["author"]);
    let by = if author.is_empty() { String::new() } else { format!(" by {}", escape(&author)) };
    lines.push(format!(
        "Snapshot {}, released{by} as {}.",
        code(&format!("{namespace}/{}", text(&spec["snapshot"]))),
        code(&format!("{namespace}/{}", text(&metadata["name"])))
    ));
    let mut table = vec!["| Component | Digest | Image |".to_owned(), "| --- | --- | --- |".to_owned()];
    for image in pushed.images.iter().take(MAX_IMAGES) {
        let urls: Vec<_> = image.urls.iter().take(MAX_URLS).map(|url| code(&url.replace('|', ""))).collect();
        table.push(format!("| {} | {} | {} |", escape(&image.name), code(&image.shasum), urls.join("<br>")));
    }
    lines.push(table.join("\n"));
    if let Some(more) = pushed.images.len().checked_sub(MAX_IMAGES).filter(|more| *more > 0) {
        lines.push(format!("And {more} more."));
    }
    lines.join("\n\n")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::push_snapshot::Pushed;

    fn image(name: &str) -> Pushed {
        Pushed {
            name: name.to_owned(),
            shasum: format!("sha256:{}", "a".repeat(64)),
            urls: vec!["quay.io/prod/app:v1".to_owned()],
            ..Pushed::default()
        }
    }

    fn release() -> Value {
        json!({
            "metadata": {"namespace": "tenant", "name": "r1"}, "spec": {"snapshot": "s1"},
            "status": {"attribution": {"author": "jane"}},
        })
    }

    #[test]
    fn say_who_released_what() {
        let notes = notes(Some("Fixes a lot.\n"), &release(), &Results { images: vec![image("app")] });
        let digest = "a".repeat(64);
        let expected = format!(
            "Fixes a lot.\n\nSnapshot `tenant/s1`, released by jane as `tenant/r1`.\n\n| Component | Digest | Image |\n| --- | --- | --- |\n\
             | app | `sha256:{digest}` | `quay.io/prod/app:v1` |"
        );
        assert_eq!(notes, expected);
    }

    #[test]
    fn what_tenants_write_is_no_markup_and_has_an_end() {
        let mut images = vec![image("@everyone <img src=x> | [a](b)")];
        images.extend(std::iter::repeat_n(image("app"), 300));
        let notes = notes(None, &release(), &Results { images });
        assert!(!notes.contains("<img") && !notes.contains("[a](b)"), "{notes}");
        assert!(notes.ends_with("And 101 more."), "{}", notes.len());
    }
}
