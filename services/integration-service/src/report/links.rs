//! Where people see runs and logs (spec, section 4.9).

use super::options::Options;

/// Shown where no console is set up: the original's words.
const NO_CONSOLE: &str = "https://CONSOLE_URL_NOT_AVAILABLE";
const NO_LOGS: &str = "https://CONSOLE_URL_TASKLOG_NOT_AVAILABLE";

/// The console of this installation.
#[derive(Clone, Debug)]
pub(crate) struct Links {
    run: String,
    log: String,
}

impl Links {
    pub(crate) fn new(options: &Options) -> Self {
        Self { run: options.console_url.clone(), log: options.console_url_tasklog.clone() }
    }

    /// Of a run.
    pub(crate) fn run(&self, namespace: &str, run: &str) -> String {
        filled(&self.run, namespace, run, None).unwrap_or_else(|| NO_CONSOLE.to_owned())
    }

    /// Of the log of a task, by its name in the pipeline.
    pub(crate) fn log(&self, namespace: &str, run: &str, task: &str) -> String {
        filled(&self.log, namespace, run, Some(task)).unwrap_or_else(|| NO_LOGS.to_owned())
    }
}

/// A template with its placeholders filled, in the spelling of this service or of Pipelines-as-Code. `None` if there is no template, or it
/// asks for what nobody knows here.
fn filled(template: &str, namespace: &str, run: &str, task: Option<&str>) -> Option<String> {
    let mut filled = String::with_capacity(template.len());
    let mut rest = template.trim();
    if rest.is_empty() {
        return None;
    }
    while let Some((before, after)) = rest.split_once("{{") {
        let (key, after) = after.split_once("}}")?;
        let value = match key.trim() {
            ".Namespace" | "namespace" => namespace,
            ".PipelineRunName" | "pr" => run,
            ".TaskName" | "task" => task?,
            _ => return None,
        };
        filled.push_str(before);
        filled.extend(value.bytes().map(encoded));
        rest = after;
    }
    filled.push_str(rest);
    Some(filled)
}

/// A byte of a value: it cannot lead to another place than the template says (RFC 3986, section 2.3).
fn encoded(byte: u8) -> String {
    if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
        char::from(byte).to_string()
    } else {
        format!("%{byte:02X}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case::go("https://c/{{ .Namespace }}/{{.PipelineRunName}}/{{ .TaskName }}", "https://c/team/r-1/lint")]
    #[case::short("https://c/{{ namespace }}/{{pr}}#{{ task }}", "https://c/team/r-1#lint")]
    #[case::nothing_to_fill("https://c/", "https://c/")]
    #[case::none("", NO_LOGS)]
    #[case::not_closed("https://c/{{ pr", NO_LOGS)]
    #[case::unknown("https://c/{{ workspace }}", NO_LOGS)]
    fn logs(#[case] template: &str, #[case] expected: &str) {
        let links = Links { run: String::new(), log: template.to_owned() };
        assert_eq!(links.log("team", "r-1", "lint"), expected);
        assert_eq!(links.run("team", "r-1"), NO_CONSOLE);
    }

    #[test]
    fn a_run_has_no_task() {
        let links = Links { run: "https://c/{{ pr }}?{{ task }}".to_owned(), log: String::new() };
        assert_eq!(links.run("team", "r-1"), NO_CONSOLE);
    }

    #[test]
    fn a_name_leads_nowhere_else() {
        let links = Links { run: "https://c/{{ namespace }}/{{ pr }}".to_owned(), log: String::new() };
        assert_eq!(links.run("../x", "r?y"), "https://c/..%2Fx/r%3Fy");
    }
}
