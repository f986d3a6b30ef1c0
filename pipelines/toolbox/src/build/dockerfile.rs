//! What a Dockerfile stands on, and the Dockerfile that is built in its place: base images by digest, and what every `RUN`
//! does first.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use anyhow::{Context as _, anyhow, bail, ensure};
use parse_dockerfile::{Command, Flag, Instruction, RunInstruction, UnescapedString};
use registry::Reference;

use super::expand::{Variables, arguments, expand};

/// More than anybody writes.
const MAX_STAGES: usize = 100;

/// A Dockerfile, read.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Dockerfile {
    text: String,
    stages: Vec<Stage>,
    /// Where images are named, of all stages.
    images: Vec<Named>,
    /// Where the command of each `RUN` begins that a shell runs, and whether it runs Maven.
    commands: Vec<(usize, bool)>,
}

#[derive(Clone, Debug, PartialEq)]
struct Stage {
    name: Option<String>,
    base: Base,
}

/// What a stage stands on.
#[derive(Clone, Debug, PartialEq)]
enum Base {
    Nothing,
    /// An earlier stage.
    Stage(usize),
    Image(Reference),
}

/// An image that an instruction names.
#[derive(Clone, Debug, PartialEq)]
struct Named {
    stage: usize,
    place: Range<usize>,
    reference: Reference,
}

impl Dockerfile {
    /// Reads it. `given` are the values of arguments that the build was given.
    pub(super) fn parse(text: &str, given: &Variables) -> anyhow::Result<Self> {
        let parsed = parse_dockerfile::parse(text)
            .map_err(|error| anyhow!("the Dockerfile is broken in line {}: {error}", error.line()))?;
        let mut read = Self { text: text.to_owned(), stages: vec![], images: vec![], commands: vec![] };
        let mut variables = platform();
        for instruction in &parsed.instructions {
            match instruction {
                Instruction::Arg(arg) if read.stages.is_empty() => {
                    for (name, default) in arguments(&arg.arguments.value) {
                        let value = given.get(&name).cloned().map(Ok);
                        let value = value.or_else(|| default.map(|default| expand(&default, &variables)));
                        if let Some(value) = value {
                            variables.insert(name, value.map_err(|error| anyhow!("ARG: {error}"))?);
                        }
                    }
                }
                Instruction::From(from) => {
                    let name = from.as_.as_ref().map(|(_, name)| name.value.to_lowercase());
                    let base = read
                        .base(&from.image, &variables)
                        .with_context(|| format!("FROM in line {}", line(text, from.image.span.start)))?;
                    read.stages.push(Stage { name, base });
                    ensure!(
                        read.stages.len() <= MAX_STAGES,
                        "the Dockerfile has more than {MAX_STAGES} stages"
                    );
                }
                Instruction::Copy(copy) => read.copies(&copy.options)?,
                Instruction::Run(run) => read.runs(run)?,
                _ => {}
            }
        }
        Ok(read)
    }

    fn base(&mut self, image: &UnescapedString<'_>, variables: &Variables) -> anyhow::Result<Base> {
        let name = expand(&image.value, variables).map_err(anyhow::Error::msg)?;
        ensure!(!name.is_empty(), "{:?} is empty: give the argument a value or a default", image.value);
        if name == "scratch" {
            return Ok(Base::Nothing);
        }
        if let Some(stage) = self.stage(&name) {
            return Ok(Base::Stage(stage));
        }
        let reference = reference(&name)?;
        // It is part of the stage that begins.
        self.images.push(Named {
            stage: self.stages.len(),
            place: image.span.clone(),
            reference: reference.clone(),
        });
        Ok(Base::Image(reference))
    }

    /// `COPY --from=` a stage, by name or number, or an image.
    fn copies(&mut self, options: &[Flag<'_>]) -> anyhow::Result<()> {
        for from in options.iter().filter(|flag| flag.name.value == "from") {
            if let Some(from) = &from.value {
                self.uses(&from.value, from.span.clone())?;
            }
        }
        Ok(())
    }

    fn runs(&mut self, run: &RunInstruction<'_>) -> anyhow::Result<()> {
        for mount in run.options.iter().filter(|flag| flag.name.value == "mount") {
            let Some(mount) = &mount.value else { continue };
            let Some(written) = self.text.get(mount.span.clone()).map(str::to_owned) else { continue };
            let mut start = mount.span.start;
            for part in written.split(',') {
                if let Some(from) = part.strip_prefix("from=") {
                    let begin = start + part.len() - from.len();
                    self.uses(from, begin..begin + from.len())?;
                }
                start += part.len() + 1;
            }
        }
        // What comes before a here-document would not be part of it.
        if let Command::Shell(command) = &run.arguments
            && run.here_docs.is_empty()
        {
            let is_maven =
                command.value.split(|c: char| !c.is_ascii_alphanumeric()).any(|word| word == "mvn");
            self.commands.push((command.span.start, is_maven));
        }
        Ok(())
    }

    /// Notes the image that is named there, unless it is a stage.
    fn uses(&mut self, name: &str, place: Range<usize>) -> anyhow::Result<()> {
        let name = name.trim_matches(['"', '\'']);
        // The builder does not expand variables here either.
        if name.is_empty() || self.stage(name).is_some() || name.parse::<usize>().is_ok() {
            return Ok(());
        }
        let reference =
            reference(name).with_context(|| format!("--from in line {}", line(&self.text, place.start)))?;
        let stage = self.stages.len().saturating_sub(1);
        self.images.push(Named { stage, place, reference });
        Ok(())
    }

    fn stage(&self, name: &str) -> Option<usize> {
        let name = name.to_lowercase();
        self.stages.iter().rposition(|stage| stage.name.as_ref() == Some(&name))
    }

    /// Index of the stage that becomes the image: the one of this name or number, or the last.
    pub(super) fn target(&self, name: &str) -> anyhow::Result<usize> {
        if name.is_empty() {
            return self.stages.len().checked_sub(1).context("the Dockerfile has no FROM");
        }
        let number = || name.parse().ok().filter(|number| *number < self.stages.len());
        self.stage(name).or_else(number).with_context(|| format!("the Dockerfile has no stage {name:?}"))
    }

    /// The images that are needed to build this stage. Later stages are not built.
    pub(super) fn images(&self, target: usize) -> BTreeSet<String> {
        let used = self.images.iter().filter(|named| named.stage <= target);
        used.map(|named| named.reference.to_string()).collect()
    }

    /// The base images of the stages up to this one in order, one for each `FROM` that names an image.
    pub(super) fn bases(&self, target: usize) -> impl Iterator<Item = (usize, &Reference)> {
        self.stages.iter().enumerate().take(target + 1).filter_map(|(number, stage)| match &stage.base {
            Base::Image(reference) => Some((number, reference)),
            _ => None,
        })
    }

    /// The stage with the image that the target stands on in the end; `None` if that is nothing.
    pub(super) fn final_base(&self, target: usize) -> Option<usize> {
        let mut stage = target;
        loop {
            match self.stages.get(stage)?.base {
                Base::Nothing => return None,
                // Earlier ones only: this ends.
                Base::Stage(earlier) => stage = earlier,
                Base::Image(_) => return Some(stage),
            }
        }
    }

    pub(super) fn runs_maven(&self) -> bool {
        self.commands.iter().any(|(_, is_maven)| *is_maven)
    }

    /// The Dockerfile that is built: images by what `pinned` has for them, and before each command of a shell `first`, and
    /// where it runs Maven `first_maven`.
    pub(super) fn rewritten(
        &self,
        pinned: &BTreeMap<String, Reference>,
        first: &str,
        first_maven: &str,
    ) -> anyhow::Result<String> {
        let mut edits: Vec<(Range<usize>, String)> = Vec::new();
        for named in &self.images {
            // Stages behind the target keep theirs.
            if let Some(reference) = pinned.get(&named.reference.to_string()) {
                edits.push((named.place.clone(), reference.to_string()));
            }
        }
        for (start, is_maven) in &self.commands {
            let maven = if *is_maven { first_maven } else { "" };
            edits.push((*start..*start, format!("{first}{maven}")));
        }
        edits.sort_by_key(|(place, _)| std::cmp::Reverse(place.start));
        let mut text = self.text.clone();
        for (place, replacement) in edits {
            let is_there = text.get(place.clone()).is_some();
            ensure!(is_there, "the Dockerfile cannot be rewritten at byte {}", place.start);
            text.replace_range(place, &replacement);
        }
        Ok(text)
    }
}

fn reference(name: &str) -> anyhow::Result<Reference> {
    let Some((transport, _)) = name.split_once(":/").or_else(|| name.split_once("-archive:")) else {
        return Ok(name.parse()?);
    };
    let name = match transport {
        "docker" => name.trim_start_matches("docker://"),
        _ => bail!("{name} is no image of a registry"),
    };
    Ok(name.parse()?)
}

fn line(text: &str, at: usize) -> usize {
    1 + text.get(..at).unwrap_or(text).matches('\n').count()
}

/// Arguments that are there without being declared.
fn platform() -> Variables {
    let architecture = architecture();
    let mut variables = Variables::new();
    for side in ["TARGET", "BUILD"] {
        variables.insert(format!("{side}PLATFORM"), format!("linux/{architecture}"));
        variables.insert(format!("{side}OS"), "linux".to_owned());
        variables.insert(format!("{side}ARCH"), architecture.to_owned());
        variables.insert(format!("{side}VARIANT"), String::new());
    }
    variables
}

/// Of this machine, as images name it.
pub(super) fn architecture() -> &'static str {
    match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        "powerpc64" => "ppc64le",
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rstest::rstest;

    use super::*;

    fn parse(text: &str) -> Dockerfile {
        Dockerfile::parse(text, &Variables::from([("GIVEN".to_owned(), "given".to_owned())])).unwrap()
    }

    fn bases(text: &str) -> Vec<String> {
        let dockerfile = parse(text);
        let target = dockerfile.target("").unwrap();
        dockerfile.bases(target).map(|(stage, reference)| format!("{stage} {reference}")).collect()
    }

    #[rstest]
    #[case::one("FROM r.example/a:1", &["0 r.example/a:1"])]
    #[case::short("FROM python", &["0 docker.io/library/python:latest"])]
    #[case::scratch_and_duplicates(
        "FROM r.example/a:1 AS one\nFROM scratch\nFROM r.example/b:1\nFROM one AS two\nFROM r.example/a:1\nCOPY --from=two / /",
        &["0 r.example/a:1", "2 r.example/b:1", "4 r.example/a:1"]
    )]
    #[case::stage_in_other_case("FROM r.example/a:1 AS Build\nFROM build", &["0 r.example/a:1"])]
    #[case::argument("ARG BASE=r.example/a\nARG TAG=1\nFROM ${BASE}:$TAG", &["0 r.example/a:1"])]
    #[case::given("ARG GIVEN\nARG GIVEN=default\nFROM r.example/$GIVEN:1", &["0 r.example/given:1"])]
    #[case::argument_of_arguments("ARG A=1\nARG B=r.example/a:${A}\nFROM $B", &["0 r.example/a:1"])]
    #[case::platform("FROM --platform=$BUILDPLATFORM r.example/a:1 AS x", &["0 r.example/a:1"])]
    #[case::transport("FROM docker://r.example/a:1", &["0 r.example/a:1"])]
    #[case::continued("FROM \\\n  # comment\n  r.example/a:1 \\\n  AS x", &["0 r.example/a:1"])]
    #[case::lower_case("# comment\n\nfrom r.example/a:1 as x", &["0 r.example/a:1"])]
    fn finds_base_images(#[case] text: &str, #[case] expected: &[&str]) {
        assert_eq!(bases(text), expected);
    }

    #[rstest]
    #[case::last("FROM a.example/a AS one\nFROM b.example/b", "", Some(1))]
    #[case::through_a_stage("FROM a.example/a AS one\nFROM one AS two\nFROM two", "", Some(0))]
    #[case::scratch("FROM a.example/a AS one\nFROM scratch\nCOPY --from=one / /", "", None)]
    #[case::target("FROM a.example/a AS one\nFROM b.example/b", "one", Some(0))]
    #[case::number("FROM a.example/a AS one\nFROM b.example/b", "0", Some(0))]
    fn knows_what_the_image_stands_on(
        #[case] text: &str,
        #[case] target: &str,
        #[case] expected: Option<usize>,
    ) {
        let dockerfile = parse(text);
        assert_eq!(dockerfile.final_base(dockerfile.target(target).unwrap()), expected);
    }

    #[test]
    fn needs_the_images_of_earlier_stages_and_those_that_are_copied_from() {
        let text = "FROM a.example/a AS one\nCOPY --from=c.example/c:1 /x /x\nCOPY --from=0 /x /x\n\
                    RUN --mount=type=bind,from=d.example/d,target=/d --mount=type=bind,from=one,target=/o true\nFROM b.example/b";
        let dockerfile = parse(text);
        let images = |target| dockerfile.images(target).into_iter().collect::<Vec<_>>();
        let first = ["a.example/a:latest", "c.example/c:1", "d.example/d:latest"];
        assert_eq!(images(0), first);
        assert_eq!(
            images(1),
            ["a.example/a:latest", "b.example/b:latest", "c.example/c:1", "d.example/d:latest"]
        );
    }

    #[test]
    fn is_rewritten_in_place() {
        let text = "ARG BASE=a.example/a\n# FROM x\nFROM --platform=linux/amd64 ${BASE} AS one\n\
                    RUN --mount=type=bind,from=d.example/d:1,target=/d  make \\\n  all\nRUN [\"exec\"]\n\
                    RUN cd x && mvn package\nRUN <<EOF\necho\nEOF\nCOPY --from=d.example/d:1 a b\nFROM one\nFROM e.example/e\n";
        let dockerfile = parse(text);
        let digest = registry::Digest::of(b"");
        let pinned = dockerfile
            .images(1)
            .into_iter()
            .map(|name| (name.clone(), name.parse::<Reference>().unwrap().at(digest.clone())))
            .collect();
        let rewritten = dockerfile.rewritten(&pinned, ". env && ", "mvn() { x; } && ").unwrap();
        let expected = format!(
            "ARG BASE=a.example/a\n# FROM x\nFROM --platform=linux/amd64 a.example/a@{digest} AS one\n\
             RUN --mount=type=bind,from=d.example/d@{digest},target=/d  . env && make \\\n  all\nRUN [\"exec\"]\n\
             RUN . env && mvn() {{ x; }} && cd x && mvn package\nRUN <<EOF\necho\nEOF\n\
             COPY --from=d.example/d@{digest} a b\nFROM one\nFROM e.example/e\n"
        );
        assert_eq!(rewritten, expected);
        assert!(dockerfile.runs_maven());
    }

    #[rstest]
    #[case::broken("FROM a.example/a\nRUNN x", "line 2")]
    #[case::nothing("", "")]
    #[case::empty_base("ARG B\nFROM $B", "FROM in line 2: \"$B\" is empty")]
    #[case::bad_name("FROM A/B:c:d", "FROM in line 1")]
    #[case::transport("FROM oci-archive:x.tar", "no image of a registry")]
    #[case::folder("FROM dir:/etc", "no image of a registry")]
    #[case::copied("FROM scratch\nCOPY --from=X/Y a b", "--from in line 2")]
    fn says_what_is_broken(#[case] text: &str, #[case] expected: &str) {
        let error = format!("{:#}", Dockerfile::parse(text, &Variables::new()).unwrap_err());
        assert!(error.contains(expected), "{error}");
        assert!(parse("FROM scratch").target("none").is_err());
    }

    proptest! {
        #[test]
        fn survives_anything(text in "((FROM|RUN|COPY|ARG|#|--from=|--mount=type=bind,from=|<<EOF|\\\\|\n|\\$\\{?[AB]\\}?|é|\"| |a/b|AS x){0,20}\n?){0,4}") {
            if let Ok(dockerfile) = Dockerfile::parse(&text, &Variables::new()) {
                let pinned = dockerfile.images(99).into_iter().map(|name| { let reference = name.parse().unwrap(); (name, reference) }).collect();
                let _ = dockerfile.rewritten(&pinned, "x && ", "y && ");
            }
        }
    }
}
