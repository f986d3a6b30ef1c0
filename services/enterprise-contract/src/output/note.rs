//! What became of each rule, a line each, in the note of `TEST_OUTPUT`: what people see of it on a pull request.
//!
//! ```text
//! violated tasks.required_tasks_found: Task 'clamav-scan' is missing (and 2 more)
//! warning cve.unknown_vulnerabilities: …
//! met slsa_provenance_available.attestation_predicate_type_accepted
//! … and 12 rules more
//! ```

use std::collections::{BTreeMap, BTreeSet};

use super::Section;
use crate::report::Finding;

/// Most bytes of a note. Of a task with seven steps each may say 1755 bytes, and what it says is quoted twice on its way.
const LIMIT: usize = 1000;
/// Most characters of what is said about one rule.
const MESSAGE_LIMIT: usize = 160;
/// Bytes kept for the line that tells of what did not fit.
const REST: usize = "\n… and 1000000 rules more".len();

/// Rules that are violated come first, and what is met last. `None` if there is nothing to say.
pub(super) fn note<'a>(
    remark: Option<&str>,
    sections: impl IntoIterator<Item = Section<'a>>,
) -> Option<String> {
    let (mut violated, mut warned, mut met) = (Found::default(), Found::default(), BTreeSet::new());
    for section in sections {
        section.violations.iter().for_each(|finding| violated.add(finding));
        section.warnings.iter().for_each(|finding| warned.add(finding));
        met.extend(section.successes.iter().map(code));
    }
    met.retain(|code| !violated.0.contains_key(code) && !warned.0.contains_key(code));
    let met = met.into_iter().map(|code| format!("met {}", plain(code)));
    let lines: Vec<String> = remark
        .map(str::to_owned)
        .into_iter()
        .chain(violated.lines("violated"))
        .chain(warned.lines("warning"))
        .chain(met)
        .collect();
    (!lines.is_empty()).then(|| as_many_as_fit(&lines))
}

/// By code: what was said first, and how often.
#[derive(Default)]
struct Found<'a>(BTreeMap<&'a str, (&'a str, usize)>);

impl<'a> Found<'a> {
    fn add(&mut self, finding: &'a Finding) {
        self.0.entry(code(finding)).or_insert((&finding.msg, 0)).1 += 1;
    }

    fn lines(&self, word: &str) -> impl Iterator<Item = String> {
        self.0.iter().map(move |(code, (message, count))| {
            let more = if *count > 1 { format!(" (and {} more)", count - 1) } else { String::new() };
            format!("{word} {}: {}{more}", plain(code), plain(message))
        })
    }
}

/// A rule without a code is told apart from others by nothing but its message.
fn code(finding: &Finding) -> &str {
    finding.code().unwrap_or("a rule without a code")
}

/// On one line, not too long, and without what grows each time that it is quoted.
fn plain(text: &str) -> String {
    let words = text.split(|c: char| c.is_whitespace() || c.is_control()).filter(|word| !word.is_empty());
    let line = words.collect::<Vec<_>>().join(" ").replace('"', "'").replace('\\', "/");
    match line.char_indices().nth(MESSAGE_LIMIT) {
        Some((end, _)) => format!("{}…", &line[..end]),
        None => line,
    }
}

fn as_many_as_fit(lines: &[String]) -> String {
    let mut note = String::new();
    for (at, line) in lines.iter().enumerate() {
        if note.len() + line.len() + REST > LIMIT {
            return format!("{note}\n… and {} rules more", lines.len() - at);
        }
        if at > 0 {
            note.push('\n');
        }
        note.push_str(line);
    }
    note
}
