//! What a policy has against which image: the report of the task `verify-enterprise-contract`. Pure.

use serde::Deserialize;

/// The step of that task that prints the report as JSON.
pub(super) const STEP: &str = "report-json";

/// Most bytes that are said: there may be many images and rules.
const LIMIT: usize = 20_000;

/// Most characters of what is said about one rule.
const MESSAGE_LIMIT: usize = 300;

#[derive(Deserialize)]
struct Report {
    #[serde(default)]
    components: Vec<Component>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Component {
    #[serde(default)]
    name: String,
    #[serde(default)]
    container_image: String,
    #[serde(default)]
    violations: Vec<Violation>,
}

#[derive(Deserialize)]
struct Violation {
    #[serde(default)]
    msg: String,
    #[serde(default)]
    metadata: Metadata,
}

#[derive(Default, Deserialize)]
struct Metadata {
    #[serde(default)]
    code: String,
}

/// A line for each violation: `<image> (<component>): violated <rule>: <message>`. `None` if the text is no such report, or tells of
/// none.
pub(super) fn violations(report: &str) -> Option<String> {
    // Before and after it, the log may have lines of others.
    let json = report.get(report.find('{')?..=report.rfind('}')?)?;
    let report: Report = serde_json::from_str(json).ok()?;
    let lines: Vec<String> = report.components.iter().flat_map(lines).collect();
    let mut text = String::new();
    for (at, line) in lines.iter().enumerate() {
        if text.len() + line.len() > LIMIT {
            return Some(format!("{text}\n… and {} violations more", lines.len() - at));
        }
        text.push('\n');
        text.push_str(line);
    }
    (!text.is_empty()).then_some(text)
}

fn lines(component: &Component) -> impl Iterator<Item = String> {
    component.violations.iter().map(|violation| {
        let code = &violation.metadata.code;
        let code = if code.is_empty() { "a rule without a code" } else { code };
        let (image, name) = (plain(&component.container_image), plain(&component.name));
        format!("{image} ({name}): violated {}: {}", plain(code), plain(&violation.msg))
    })
}

/// On one line and not too long.
fn plain(text: &str) -> String {
    let words = text.split(|c: char| c.is_whitespace() || c.is_control()).filter(|word| !word.is_empty());
    let line = words.collect::<Vec<_>>().join(" ");
    match line.char_indices().nth(MESSAGE_LIMIT) {
        Some((end, _)) => format!("{}…", &line[..end]),
        None => line,
    }
}
