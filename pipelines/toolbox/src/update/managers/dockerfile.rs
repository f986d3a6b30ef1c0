//! References in Dockerfiles: `FROM`, `COPY --from`, defaults of the arguments that those are made of.

use std::collections::HashMap;
use std::ops::Range;

use parse_dockerfile::{ArgInstruction, Flag, Instruction, UnescapedString};

use super::{Dependency, Manager, reference};

/// Which files are Dockerfiles, where the settings do not say.
pub(super) const FILES: [&str; 2] =
    [r"(^|/|\.)([Dd]ocker|[Cc]ontainer)file$", r"(^|/)([Dd]ocker|[Cc]ontainer)file[^/]*$"];

/// `scratch` is no image.
const NOTHING: &str = "scratch";

pub(super) fn find(path: &str, text: &str, found: &mut Vec<Dependency>) {
    // A file that is broken builds nothing either; its author hears of it there.
    let Ok(dockerfile) = parse_dockerfile::parse(text) else { return };
    let mut defaults: HashMap<&str, Range<usize>> = HashMap::new();
    let mut stages: Vec<&str> = Vec::new();
    for instruction in &dockerfile.instructions {
        match instruction {
            // Those of a stage are not there for FROM.
            Instruction::Arg(arg) if stages.is_empty() => defaults.extend(default_of(text, arg)),
            Instruction::From(from) => {
                if !stages.contains(&&*from.image.value) {
                    image(path, text, &from.image, &defaults, found);
                }
                stages.push(from.as_.as_ref().map_or("", |(_, name)| &name.value));
            }
            Instruction::Copy(copy) => copied(path, text, &copy.options, &stages, found),
            _ => {}
        }
    }
}

/// Name and default of an `ARG`, where both are written plainly.
fn default_of<'a>(text: &'a str, arg: &ArgInstruction<'_>) -> Option<(&'a str, Range<usize>)> {
    let span = arg.arguments.span.clone();
    let (name, value) = text.get(span.clone())?.split_once('=')?;
    let mut start = span.start + name.len() + 1;
    let mut value = value.trim_end();
    if let Some(quote) = value.chars().next().filter(|first| matches!(first, '"' | '\'')) {
        value = value[1..].strip_suffix(quote)?;
        start += 1;
    }
    Some((name.trim(), start..start + value.len()))
}

fn image(
    path: &str,
    text: &str,
    image: &UnescapedString<'_>,
    defaults: &HashMap<&str, Range<usize>>,
    found: &mut Vec<Dependency>,
) {
    let Some(written) = text.get(image.span.clone()) else { return };
    let variable = written.strip_prefix('$').map(|name| name.trim_start_matches('{').trim_end_matches('}'));
    let place = match variable {
        Some(name) => defaults.get(name).cloned(),
        None => Some(image.span.clone()),
    };
    found.extend(place.and_then(|place| at(path, text, place)));
}

/// `COPY --from=image`, which may also name a stage, by number too.
fn copied(path: &str, text: &str, options: &[Flag<'_>], stages: &[&str], found: &mut Vec<Dependency>) {
    let sources = options.iter().filter(|flag| flag.name.value == "from");
    for source in sources.filter_map(|flag| flag.value.as_ref()) {
        let is_stage = stages.contains(&&*source.value) || source.value.parse::<usize>().is_ok();
        if !is_stage {
            found.extend(at(path, text, source.span.clone()));
        }
    }
}

fn at(path: &str, text: &str, place: Range<usize>) -> Option<Dependency> {
    let written = text.get(place.clone())?;
    if written == NOTHING {
        return None;
    }
    reference(Manager::Dockerfile, path, place.start, written)
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    const DIGEST: &str = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

    fn found(text: &str) -> Vec<String> {
        let mut found = Vec::new();
        find("Dockerfile", text, &mut found);
        let shown = |one: Dependency| {
            let tag = one.places.tag.map(|place| &text[place]).unwrap_or_default();
            let digest = one.places.digest.map(|place| &text[place]).unwrap_or_default();
            assert_eq!(
                (one.tag.unwrap_or_default(), one.digest.unwrap_or_default()),
                (tag.into(), digest.into())
            );
            format!("{} {tag} {digest}", one.name)
        };
        found.into_iter().map(shown).collect()
    }

    #[rstest]
    #[case::tag("FROM debian:12\n", &["debian 12 "])]
    #[case::platform("FROM --platform=$BUILDPLATFORM debian:12 AS build\n", &["debian 12 "])]
    #[case::a_stage_is_no_image("FROM a:1 AS build\nFROM build\nCOPY --from=build /a /a\nCOPY --from=0 /a /a\n", &["a 1 "])]
    #[case::copied("FROM a:1\nCOPY --chown=1 --from=reg.example/b:2 /a /a\n", &["a 1 ", "reg.example/b 2 "])]
    #[case::scratch("FROM scratch\n", &[])]
    #[case::argument("ARG BASE=reg.example/b:3\nARG OTHER=x\nFROM ${BASE}\n", &["reg.example/b 3 "])]
    #[case::quoted_argument("ARG BASE=\"reg.example/b:3\"\nFROM $BASE\n", &["reg.example/b 3 "])]
    #[case::argument_of_a_stage("FROM a:1\nARG BASE=reg.example/b:3\nFROM $BASE\n", &["a 1 "])]
    #[case::made_of_variables("FROM reg.example/a:${VERSION}\n", &[])]
    #[case::broken("FRO x\n", &[])]
    #[case::lower_case_and_comments("# FROM x:1\nfrom a:1 as b\n", &["a 1 "])]
    #[case::here_document("FROM a:1\nRUN <<EOF\nFROM b:2\nEOF\n", &["a 1 "])]
    fn finds_images(#[case] text: &str, #[case] expected: &[&str]) {
        assert_eq!(found(text), expected);
    }

    #[test]
    fn finds_digests() {
        let text = format!("FROM reg.example/a:1@{DIGEST}\n");
        assert_eq!(found(&text), [format!("reg.example/a 1 {DIGEST}")]);
    }

    #[rstest]
    #[case("Dockerfile", true)]
    #[case("a/Containerfile", true)]
    #[case("app.Dockerfile", true)]
    #[case("a/Dockerfile.prod", true)]
    #[case("docs/dockerfile/readme.md", false)]
    #[case("myDockerfile", false)]
    fn knows_the_files(#[case] path: &str, #[case] expected: bool) {
        let patterns = FILES.map(str::to_owned);
        let patterns = crate::update::patterns::Patterns::expressions("x", &patterns).unwrap();
        assert_eq!(patterns.matches(path), expected);
    }
}
