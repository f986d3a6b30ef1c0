//! `sast-unicode-check`: characters that have a source read otherwise than it runs ("Trojan Source", CVE-2021-42574).

use std::fs::File;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use anyhow::Context as _;

use super::{files, shown};
use crate::context::{Context, say};
use crate::test_output::{self, Outcome, TestOutput};

/// Larger files are no sources.
const MAX_FILE: u64 = 16 * 1024 * 1024;
/// Findings that the log shows.
const SHOWN: usize = 200;

/// Looks for characters in sources that people cannot see.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[arg(long, value_name = "DIR")]
    source: PathBuf,
    #[arg(long, value_name = "PATH")]
    result_test_output: PathBuf,
}

pub async fn run(args: Args, context: &Context) -> anyhow::Result<()> {
    let now = context.clock.now();
    let check = async {
        let findings = check(&args.source)?;
        for finding in findings.iter().take(SHOWN) {
            say(finding);
        }
        let output = TestOutput::counted(u64::from(findings.is_empty()), findings.len() as u64, 0, now);
        let note = match output.result {
            Outcome::Success => "No invisible control characters found.".to_owned(),
            _ => format!("{} lines have control characters that people cannot see.", findings.len()),
        };
        Ok(output.note(note))
    };
    test_output::report(&args.result_test_output, "sast-unicode-check", now, check).await
}

fn check(source: &Path) -> anyhow::Result<Vec<String>> {
    let mut findings = Vec::new();
    for file in files(source)? {
        let mut bytes = Vec::new();
        File::open(&file)
            .and_then(|open| open.take(MAX_FILE + 1).read_to_end(&mut bytes))
            .with_context(|| format!("read {}", shown(source, &file)))?;
        let Ok(text) = std::str::from_utf8(&bytes) else { continue };
        if bytes.len() as u64 > MAX_FILE || text.contains('\0') {
            continue;
        }
        // The mark of byte order that some editors write.
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        for (number, line) in text.lines().enumerate() {
            let hidden: Vec<_> =
                line.chars().filter(|c| is_hidden(*c)).map(|c| format!("U+{:04X}", u32::from(c))).collect();
            if !hidden.is_empty() {
                findings.push(format!("{}:{}: {}", shown(source, &file), number + 1, hidden.join(" ")));
            }
        }
    }
    Ok(findings)
}

/// Changes the direction of what follows, or has no width. Joiners are left out: some scripts cannot be written without.
fn is_hidden(c: char) -> bool {
    matches!(
        c,
        '\u{061c}' | '\u{200b}' | '\u{200e}' | '\u{200f}' | '\u{2060}' | '\u{feff}'
            | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{e0001}' | '\u{e0020}'..='\u{e007f}'
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_what_cannot_be_seen() {
        let folder = tempfile::tempdir().unwrap();
        let write = |name: &str, content: &[u8]| std::fs::write(folder.path().join(name), content).unwrap();
        write("a.c", "fine\nif (admin\u{202e} \u{2066}// end) {\n".as_bytes());
        write("bom.c", "\u{feff}fine ಕ್\u{200d}ಷ ümlaut 👩\u{200d}💻\n".as_bytes());
        write("binary", b"\0\xe2\x80\xae");
        write("latin", b"\xff\xfe");
        assert_eq!(check(folder.path()).unwrap(), ["a.c:2: U+202E U+2066"]);
    }
}
