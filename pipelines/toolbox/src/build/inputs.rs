//! What a build is given: arguments, labels, folders.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail, ensure};
use jiff::Timestamp;
use jiff::tz::TimeZone;

use super::expand::Variables;
use super::find::inside;

const MAX_ARGUMENTS: u64 = 256 * 1024;

/// Arguments of a file of the source, and those of flags, which win.
pub(super) fn build_args(source: &Path, file: &str, flags: &[String]) -> anyhow::Result<Variables> {
    let mut arguments = Variables::new();
    if !file.is_empty() {
        let path = inside(source, Path::new(file))?
            .with_context(|| format!("the source has no file {file}, which BUILD_ARGS_FILE names"))?;
        ensure!(path.metadata()?.len() <= MAX_ARGUMENTS, "{file} is larger than {MAX_ARGUMENTS} bytes");
        let text = fs::read_to_string(&path).with_context(|| format!("read {file}"))?;
        for (number, line) in text.lines().enumerate() {
            let line = line.trim();
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let (name, value) = pair(line).with_context(|| format!("{file}, line {}", number + 1))?;
            arguments.insert(name, value);
        }
    }
    for flag in flags.iter().filter(|flag| !flag.is_empty()) {
        let (name, value) = pair(flag).with_context(|| format!("--build-arg {flag}"))?;
        arguments.insert(name, value);
    }
    Ok(arguments)
}

fn pair(text: &str) -> anyhow::Result<(String, String)> {
    match text.split_once('=') {
        Some((name, value)) if !name.trim().is_empty() => Ok((name.trim().to_owned(), value.to_owned())),
        _ => bail!("expected name=value"),
    }
}

/// Labels of the image, `name=value`.
pub(super) fn labels(commit: &str, expires_after: &str, now: Timestamp, further: &[String]) -> Vec<String> {
    let now = now.to_zoned(TimeZone::UTC).strftime("%Y-%m-%dT%H:%M:%S").to_string();
    let mut labels = vec![
        format!("build-date={now}"),
        format!("architecture={}", std::env::consts::ARCH),
        "vcs-type=git".to_owned(),
    ];
    if !commit.is_empty() {
        labels.push(format!("vcs-ref={commit}"));
    }
    if !expires_after.is_empty() {
        labels.push(format!("quay.expires-after={expires_after}"));
    }
    labels.extend(further.iter().filter(|label| !label.is_empty()).cloned());
    labels
}

/// A folder that the build sees.
pub(super) struct Mount {
    from: PathBuf,
    to: String,
    is_changeable: bool,
}

impl Mount {
    pub(super) fn fixed(from: &Path, to: &str) -> Self {
        Self { from: from.to_owned(), to: to.to_owned(), is_changeable: false }
    }

    /// What the build writes there is gone afterwards, where overlays work. Package managers keep locks beside packages.
    pub(super) fn changeable(from: &Path, to: &str) -> Self {
        Self { from: from.to_owned(), to: to.to_owned(), is_changeable: true }
    }

    pub(super) fn argument(&self, has_overlay: bool) -> [OsString; 2] {
        let options = match (self.is_changeable, has_overlay) {
            (true, true) => "O",
            (true, false) => "rw",
            (false, _) => "ro",
        };
        let mut volume = self.from.clone().into_os_string();
        volume.push(format!(":{}:{options}", self.to));
        ["--volume".into(), volume]
    }
}

/// Gathers settings of RPM repositories: of the source, of an earlier task, of what was prefetched. `None` if there are none.
pub(super) fn rpm_repositories(
    source: &Path,
    folders: [&String; 2],
    cachi2: Option<&Path>,
    work: &Path,
) -> anyhow::Result<Option<PathBuf>> {
    let mut found = Vec::new();
    for folder in folders {
        found.extend(inside(source, Path::new(folder))?.filter(|folder| folder.is_dir()));
    }
    let prefetched =
        cachi2.map(|folder| folder.join("output/deps/rpm").join(std::env::consts::ARCH).join("repos.d"));
    found.extend(prefetched.filter(|folder| folder.is_dir()));
    if found.is_empty() {
        return Ok(None);
    }
    let together = work.join("repos.d");
    fs::create_dir_all(&together)?;
    for folder in found {
        for entry in folder.read_dir()? {
            let entry = entry?;
            // No links: they may lead anywhere.
            if entry.file_type()?.is_file() {
                fs::copy(entry.path(), together.join(entry.file_name()))?;
            }
        }
    }
    Ok(Some(together))
}

/// Settings of Maven that have it get everything from a cache.
pub(super) fn maven_settings(host: &str, work: &Path) -> anyhow::Result<PathBuf> {
    let is_host = |c: char| c.is_ascii_alphanumeric() || ".-:[]".contains(c);
    ensure!(host.chars().all(is_host), "the address of the Maven cache is no host: {host:?}");
    let folder = work.join("maven");
    fs::create_dir_all(&folder)?;
    let settings = format!(
        "<settings><mirrors><mirror><id>cache</id><mirrorOf>*</mirrorOf>\
         <url>http://{host}/v1/cache/default/0/</url></mirror></mirrors></settings>\n"
    );
    fs::write(folder.join("settings.xml"), settings)?;
    Ok(folder)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arguments_of_flags_win_over_those_of_the_file() {
        let folder = tempfile::tempdir().unwrap();
        let source = folder.path().canonicalize().unwrap();
        fs::write(source.join("args"), "# comment\n\nA=1\nB=x=y \n").unwrap();
        let arguments = build_args(&source, "args", &["A=2".to_owned(), String::new()]).unwrap();
        let expected = [("A", "2"), ("B", "x=y")].map(|(name, value)| (name.to_owned(), value.to_owned()));
        assert_eq!(arguments, Variables::from(expected));
        let error = format!("{:#}", build_args(&source, "none", &[]).unwrap_err());
        assert!(error.contains("no file none"), "{error}");
        let error = format!("{:#}", build_args(&source, "../../../../etc/passwd", &[]).unwrap_err());
        assert!(error.contains("leads out of the source"), "{error}");
        fs::write(source.join("args"), "A=1\nrubbish\n").unwrap();
        let error = format!("{:#}", build_args(&source, "args", &[]).unwrap_err());
        assert!(error.contains("args, line 2"), "{error}");
    }

    #[test]
    fn labels_say_when_and_of_what_the_image_was_built() {
        let now = "2024-03-01T12:00:00.5Z".parse().unwrap();
        let further = ["a=b".to_owned(), String::new()];
        let expected = [
            "build-date=2024-03-01T12:00:00".to_owned(),
            format!("architecture={}", std::env::consts::ARCH),
            "vcs-type=git".to_owned(),
            "vcs-ref=abc".to_owned(),
            "quay.expires-after=5d".to_owned(),
            "a=b".to_owned(),
        ];
        assert_eq!(labels("abc", "5d", now, &further), expected);
        assert_eq!(labels("", "", now, &[]), expected[..3]);
    }

    #[test]
    fn settings_of_rpm_repositories_are_gathered() {
        let folder = tempfile::tempdir().unwrap();
        let source = folder.path().join("source");
        let work = folder.path().join("work");
        let folders = [&"repos.d".to_owned(), &"fetched".to_owned()];
        fs::create_dir_all(source.join("repos.d")).unwrap();
        let source = source.canonicalize().unwrap();
        fs::write(source.join("repos.d/a.repo"), "a").unwrap();
        std::os::unix::fs::symlink("/etc/passwd", source.join("repos.d/evil")).unwrap();
        let found = rpm_repositories(&source, folders, None, &work).unwrap().unwrap();
        let names: Vec<_> = found.read_dir().unwrap().map(|entry| entry.unwrap().file_name()).collect();
        assert_eq!(names, ["a.repo"]);
        fs::remove_dir_all(source.join("repos.d")).unwrap();
        assert_eq!(rpm_repositories(&source, folders, None, &work).unwrap(), None);
    }

    #[test]
    fn the_address_of_a_cache_is_a_host() {
        let folder = tempfile::tempdir().unwrap();
        assert!(maven_settings("10.0.0.1:80", folder.path()).is_ok());
        assert!(maven_settings("x</url>", folder.path()).is_err());
    }
}
