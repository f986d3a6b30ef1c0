//! Which files say something of packages.

/// What is looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// A source tree: lockfiles say what a build takes.
    Source,
    /// An image: what is installed in it.
    Image,
}

/// What a file is, by its path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    CargoLock,
    GoMod,
    GoSum,
    /// Also `npm-shrinkwrap.json`.
    PackageLock,
    YarnLock,
    PnpmLock,
    Requirements,
    /// `poetry.lock` and `uv.lock`.
    PythonLock,
    PipfileLock,
    /// `METADATA` and `PKG-INFO` of an installed Python package.
    PythonMetadata,
    Pom,
    GradleLock,
    Jar,
    /// `package.json` of an installed Node package.
    NodePackage,
    OsRelease,
    DpkgStatus,
    /// Programs may say what they were linked from.
    Program,
}

const MIB: u64 = 1 << 20;

/// Folders of Debian's packages: what is in them is listed as those, with the versions that Debian patches.
const OWNED_BY_DPKG: [&str; 3] =
    ["usr/lib/python3/dist-packages/", "usr/share/java/", "usr/share/maven-repo/"];

impl Kind {
    /// `path` is relative, `/` between its parts.
    pub(super) fn of(path: &str, scope: Scope, is_executable: bool) -> Option<Self> {
        let (folder, name) = path.rsplit_once('/').unwrap_or(("", path));
        if scope == Scope::Image && OWNED_BY_DPKG.iter().any(|owned| path.starts_with(owned)) {
            return None;
        }
        let everywhere = match name {
            "METADATA" if folder.ends_with(".dist-info") => Some(Self::PythonMetadata),
            "PKG-INFO" if folder.ends_with(".egg-info") => Some(Self::PythonMetadata),
            _ if has_extension(name, &["jar", "war", "ear"]) => Some(Self::Jar),
            _ => None,
        };
        everywhere.or_else(|| match scope {
            Scope::Source => lockfile(name),
            Scope::Image => installed(path, folder, name, is_executable),
        })
    }

    /// Bytes that are read of a file of this kind. What is larger is none, or nobody's honest one.
    pub(super) fn limit(self) -> u64 {
        match self {
            Self::OsRelease => MIB / 16,
            Self::NodePackage => MIB,
            Self::GoMod | Self::PythonMetadata | Self::Pom => 4 * MIB,
            Self::Jar | Self::Program => 512 * MIB,
            Self::CargoLock
            | Self::GoSum
            | Self::PackageLock
            | Self::YarnLock
            | Self::PnpmLock
            | Self::Requirements
            | Self::PythonLock
            | Self::PipfileLock
            | Self::GradleLock
            | Self::DpkgStatus => 32 * MIB,
        }
    }
}

fn lockfile(name: &str) -> Option<Kind> {
    match name {
        "Cargo.lock" => Some(Kind::CargoLock),
        "go.mod" => Some(Kind::GoMod),
        "go.sum" => Some(Kind::GoSum),
        "package-lock.json" | "npm-shrinkwrap.json" => Some(Kind::PackageLock),
        "yarn.lock" => Some(Kind::YarnLock),
        "pnpm-lock.yaml" => Some(Kind::PnpmLock),
        "poetry.lock" | "uv.lock" => Some(Kind::PythonLock),
        "Pipfile.lock" => Some(Kind::PipfileLock),
        "pom.xml" => Some(Kind::Pom),
        "gradle.lockfile" | "buildscript-gradle.lockfile" => Some(Kind::GradleLock),
        _ if name.contains("requirements") && has_extension(name, &["txt"]) => Some(Kind::Requirements),
        _ => None,
    }
}

fn installed(path: &str, folder: &str, name: &str, is_executable: bool) -> Option<Kind> {
    match path {
        "etc/os-release" | "usr/lib/os-release" => return Some(Kind::OsRelease),
        "var/lib/dpkg/status" => return Some(Kind::DpkgStatus),
        _ => {}
    }
    // Of images without a shell. Their checksums have names of their own.
    if folder == "var/lib/dpkg/status.d" && !has_extension(name, &["md5sums"]) {
        return Some(Kind::DpkgStatus);
    }
    if name == "package.json" && is_node_package(folder) {
        return Some(Kind::NodePackage);
    }
    let is_library = has_extension(name, &["so"]) || name.contains(".so.");
    (is_executable && !is_library).then_some(Kind::Program)
}

/// Whether the folder is `…/node_modules/name` or `…/node_modules/@scope/name`: deeper ones are examples and tests of packages.
fn is_node_package(folder: &str) -> bool {
    let mut parts = folder.rsplit('/');
    let (_name, parent, above) = (parts.next(), parts.next(), parts.next());
    match parent {
        Some("node_modules") => true,
        Some(scope) if scope.starts_with('@') => above == Some("node_modules"),
        _ => false,
    }
}

fn has_extension(name: &str, wanted: &[&str]) -> bool {
    name.rsplit_once('.').is_some_and(|(stem, extension)| {
        !stem.is_empty() && wanted.iter().any(|wanted| extension.eq_ignore_ascii_case(wanted))
    })
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case("app/Cargo.lock", Some(Kind::CargoLock))]
    #[case("requirements-dev.txt", Some(Kind::Requirements))]
    #[case("vendor/lib.JAR", Some(Kind::Jar))]
    #[case("venv/lib/x-1.dist-info/METADATA", Some(Kind::PythonMetadata))]
    #[case("docs/METADATA", None)]
    #[case(".jar", None)]
    #[case("var/lib/dpkg/status", None)]
    fn in_sources(#[case] path: &str, #[case] kind: Option<Kind>) {
        assert_eq!(Kind::of(path, Scope::Source, true), kind);
    }

    #[rstest]
    #[case("var/lib/dpkg/status", Some(Kind::DpkgStatus))]
    #[case("var/lib/dpkg/status.d/tzdata", Some(Kind::DpkgStatus))]
    #[case("var/lib/dpkg/status.d/tzdata.md5sums", None)]
    #[case("app/node_modules/lodash/package.json", Some(Kind::NodePackage))]
    #[case("app/node_modules/@babel/core/package.json", Some(Kind::NodePackage))]
    #[case("app/node_modules/lodash/test/fixture/package.json", None)]
    #[case("app/package.json", None)]
    #[case("app/Cargo.lock", None)]
    #[case("usr/local/lib/python3.12/site-packages/x-1.dist-info/METADATA", Some(Kind::PythonMetadata))]
    #[case("usr/lib/python3/dist-packages/x-1.dist-info/METADATA", None)]
    fn in_images(#[case] path: &str, #[case] kind: Option<Kind>) {
        assert_eq!(Kind::of(path, Scope::Image, false), kind);
    }

    #[test]
    fn programs_are_executable_and_no_libraries() {
        assert_eq!(Kind::of("usr/bin/app", Scope::Image, true), Some(Kind::Program));
        assert_eq!(Kind::of("usr/bin/app", Scope::Image, false), None);
        assert_eq!(Kind::of("usr/lib/libssl.so.3", Scope::Image, true), None);
    }
}
