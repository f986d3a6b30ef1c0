//! The command of an image without one in the Task, which the engine looked up in the registry for every platform.

use alloc::string::String;
use alloc::vec::Vec;

use crate::json;

/// Variable with a JSON object: `os/architecture[/variant]` to a list of words.
pub(crate) const VARIABLE: &str = "TEKTON_PLATFORM_COMMANDS";

/// Names of this machine's platform, the most exact first.
#[cfg(target_arch = "x86_64")]
pub(crate) const NAMES: [&str; 1] = ["linux/amd64"];
#[cfg(target_arch = "aarch64")]
pub(crate) const NAMES: [&str; 2] = ["linux/arm64/v8", "linux/arm64"];

/// The words for the first of these platforms that is there.
pub(crate) fn command(commands: &str, platforms: &[&str]) -> Option<Vec<String>> {
    let commands = json::object(commands)?;
    let words = platforms
        .iter()
        .find_map(|platform| commands.iter().find(|(key, _)| key == platform).map(|(_, words)| *words));
    json::array(words?)?.into_iter().map(json::string).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    const COMMANDS: &str = r#"{"linux/amd64":["/bin/a","x y"],"linux/arm64":["/bin/b"],"linux/arm/v7":[]}"#;

    #[rstest]
    #[case::exact(&["linux/amd64"], Some(vec!["/bin/a", "x y"]))]
    #[case::without_variant(&["linux/arm64/v8", "linux/arm64"], Some(vec!["/bin/b"]))]
    #[case::with_variant(&["linux/arm/v7", "linux/arm"], Some(vec![]))]
    #[case::missing(&["linux/s390x"], None)]
    fn finds_the_platform(#[case] platforms: &[&str], #[case] expected: Option<Vec<&str>>) {
        let found = command(COMMANDS, platforms);
        assert_eq!(found, expected.map(|words| words.into_iter().map(String::from).collect()));
    }

    #[rstest]
    #[case("")]
    #[case(r#"{"linux/amd64":"a"}"#)]
    #[case(r#"{"linux/amd64":[1]}"#)]
    fn leaves_others_alone(#[case] commands: &str) {
        assert_eq!(command(commands, &["linux/amd64"]), None);
    }
}
