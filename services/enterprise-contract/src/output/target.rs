//! Where results go.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::path::PathBuf;
use std::str::FromStr;

use super::Style;

#[derive(Clone, Copy, Debug, PartialEq, Eq, strum::EnumString, strum::IntoStaticStr, strum::VariantNames)]
#[strum(serialize_all = "kebab-case")]
pub enum Format {
    Json,
    Yaml,
    /// `TEST_OUTPUT` of a Tekton task.
    #[strum(to_string = "appstudio", serialize = "hacbs")]
    Appstudio,
    Junit,
    Summary,
    SummaryMarkdown,
    Text,
    /// What the rules saw as `data`.
    Data,
    /// The verified statements.
    Attestation,
    /// What the rules saw as `input`.
    PolicyInput,
    /// The report as a statement to be signed.
    Vsa,
}

/// `format[=path][?show-successes=true]`. An empty path is standard output.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    pub format: Format,
    pub path: Option<PathBuf>,
    /// In place of what holds for all.
    pub show_successes: Option<bool>,
}

/// Which results nobody got, and why: a line for each.
#[derive(Debug, thiserror::Error)]
#[error("{}", .0.join("\n"))]
pub struct Unwritten(Vec<String>);

impl FromStr for Target {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (place, options) = text.split_once('?').unwrap_or((text, ""));
        let (format, path) = place.split_once('=').unwrap_or((place, ""));
        let known = <Format as strum::VariantNames>::VARIANTS.join(", ");
        let format = format
            .parse()
            .map_err(|_| format!("--output {text:?}: the format {format:?} is unknown; known are {known}"))?;
        let options: BTreeMap<_, _> = url::form_urlencoded::parse(options.as_bytes()).into_owned().collect();
        let mut show_successes = None;
        for (key, value) in options {
            if key != "show-successes" {
                return Err(format!(
                    "--output {text:?}: the option {key:?} is unknown; known is show-successes"
                ));
            }
            let value =
                value.parse().map_err(|_| format!("--output {text:?}: show-successes is true or false"))?;
            show_successes = Some(value);
        }
        Ok(Self { format, path: (!path.is_empty()).then(|| PathBuf::from(path)), show_successes })
    }
}

/// Writes results to all targets that are none's fault; the others are what the error is about.
pub fn write<E: std::fmt::Display>(
    targets: &[String],
    style: Style,
    render: impl Fn(Format, Style) -> Result<String, E>,
) -> Result<(), Unwritten> {
    let one = |target: &String| {
        let Target { format, path, show_successes } = target.parse()?;
        let style = Style {
            show_successes: show_successes.unwrap_or(style.show_successes),
            color: style.color && path.is_none(),
        };
        let text = render(format, style).map_err(|error| format!("--output {target:?}: {error}"))?;
        match &path {
            None => std::io::stdout().lock().write_all(text.as_bytes()),
            Some(path) => std::fs::write(path, text),
        }
        .map_err(|error| format!("--output {target:?}: {error}"))
    };
    let default = ["json".to_owned()];
    let targets = if targets.is_empty() { &default } else { targets };
    let unwritten: Vec<String> = targets.iter().filter_map(|target| one(target).err()).collect();
    if unwritten.is_empty() { Ok(()) } else { Err(Unwritten(unwritten)) }
}
