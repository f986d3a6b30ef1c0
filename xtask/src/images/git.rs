//! Git, for the images of programs that fetch with it: two programs of this machine's package, the libraries that they are
//! linked with, and what says whose they are.
//!
//! It is asked to call nobody but the service itself, by plain HTTP (decision 0020): so it needs no certificate
//! authorities, no names of hosts and no ssh.
use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

use anyhow::Context as _;

use super::layer::{self, File, Layer};
use crate::program::Program;

/// The images that have it: they read what lies in repositories.
pub const IMAGES: [&str; 3] = ["ec", "enterprise-contract", "pipelines-resolvers"];

/// Where the service looks for it.
const PROGRAM: &str = "usr/bin/git";
/// Where Debian's packages say under which licence their files are.
const DOCUMENTS: &str = "usr/share/doc";
/// Where scanners of images look for Debian's packages if there is no package manager.
const PACKAGES: &str = "var/lib/dpkg/status.d";

/// A file of the layer.
struct Found {
    /// From the root, without leading slash.
    path: String,
    mode: u32,
    content: Vec<u8>,
}

/// The layer with Git.
pub async fn layer() -> anyhow::Result<Layer> {
    let found = files().await.with_context(|| {
        format!(
            "pack git for images {}: install it (Debian: `apt-get install git`), which images take it from",
            IMAGES.join(", ")
        )
    })?;
    tokio::task::spawn_blocking(move || {
        let files: Vec<_> =
            found.iter().map(|Found { path, mode, content }| File { path, mode: *mode, content }).collect();
        layer::cached("git", &files)
    })
    .await?
}

/// Sorted by path.
async fn files() -> anyhow::Result<Vec<Found>> {
    let core = Program::new("git").arg("--exec-path").run().await?.success()?;
    let core = PathBuf::from(core.trim());
    // Git looks for its helpers in a folder whose name it was built with.
    let programs = [core.join("git"), core.join("git-remote-http")];
    let mut libraries = BTreeSet::new();
    for program in &programs {
        let linked = Program::new("ldd").arg(program).run().await?.success()?;
        libraries.extend(libraries_in(&linked));
    }
    let mut found = vec![program(PROGRAM.to_owned(), &programs[0])?];
    found.push(program(inside(&programs[1])?, &programs[1])?);
    for library in &libraries {
        found.push(program(inside(library)?, library)?);
    }
    let sources: Vec<&Path> = programs.iter().chain(&libraries).map(PathBuf::as_path).collect();
    found.extend(papers(&sources).await?);
    found.sort_by(|one, other| one.path.cmp(&other.path));
    Ok(found)
}

fn program(path: String, source: &Path) -> anyhow::Result<Found> {
    let content = fs::read(source).with_context(|| format!("read {}", source.display()))?;
    Ok(Found { path, mode: 0o755, content })
}

/// The same path in the image.
fn inside(path: &Path) -> anyhow::Result<String> {
    let path = path.strip_prefix("/").with_context(|| format!("{} is not absolute", path.display()))?;
    Ok(path.to_str().context("a path is no text")?.to_owned())
}

/// Files that `ldd` names: `\tlibz.so.1 => /lib/libz.so.1 (0x…)`, and the loader, `\t/lib64/ld-linux.so.2 (0x…)`.
fn libraries_in(text: &str) -> impl Iterator<Item = PathBuf> {
    text.lines().filter_map(|line| {
        let place = line.split_once("=>").map_or(line, |(_, place)| place).trim();
        let path = place.split_once(" (").map_or(place, |(path, _)| path);
        path.starts_with('/').then(|| PathBuf::from(path))
    })
}

/// Licence and version of the packages that have these files. Nothing where there is no `dpkg`.
async fn papers(files: &[&Path]) -> anyhow::Result<Vec<Found>> {
    let mut packages = BTreeSet::new();
    for file in files {
        // Since `/lib` is a link to `/usr/lib`, packages know their files by one name or the other.
        for path in [file.to_path_buf(), Path::new("/usr").join(file.strip_prefix("/").unwrap_or(file))] {
            let Ok(answer) = Program::new("dpkg").arg("--search").arg(&path).run().await else {
                return Ok(Vec::new());
            };
            if answer.status.success() {
                packages.extend(answer.stdout.split(':').next().map(str::to_owned));
                break;
            }
        }
    }
    let mut found = Vec::new();
    for package in packages {
        let status = Program::new("dpkg-query").arg("--status").arg(&package).run().await?.success()?;
        let path = format!("{PACKAGES}/{package}");
        found.push(Found { path, mode: 0o644, content: status.into_bytes() });
        let copyright = Path::new("/").join(DOCUMENTS).join(&package).join("copyright");
        if let Ok(content) = fs::read(&copyright) {
            found.push(Found { path: inside(&copyright)?, mode: 0o644, content });
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use testkit::git_server::GitServer;

    use super::*;

    #[test]
    fn takes_what_is_linked() {
        let text = "\tlinux-vdso.so.1 (0x00007f)\n\tlibz.so.1 => /lib/x86_64-linux-gnu/libz.so.1 (0x00007f)\n\
                    \tlibgone.so => not found\n\t/lib64/ld-linux-x86-64.so.2 (0x00007f)\n";
        let found: Vec<_> = libraries_in(text).collect();
        assert_eq!(
            found,
            ["/lib/x86_64-linux-gnu/libz.so.1", "/lib64/ld-linux-x86-64.so.2"].map(PathBuf::from)
        );
    }

    /// A command whose root is this folder; as root by `chroot`, else in a user namespace, where the machine has them.
    async fn within(root: &Path) -> Option<Program> {
        if nix::unistd::geteuid().is_root() {
            return Some(Program::new("chroot").arg("--userspec=65532:65532").arg(root));
        }
        let probe = Program::new("unshare").args(["--map-root-user", "true"]).run().await;
        probe
            .is_ok_and(|probe| probe.status.success())
            .then(|| Program::new("unshare").args(["--map-root-user", "--root"]).arg(root))
    }

    #[tokio::test]
    async fn fetches_by_http_with_nothing_else_around() {
        let root = tempfile::tempdir().unwrap();
        let layer = layer().await.unwrap();
        tar::Archive::new(flate2::read::GzDecoder::new(&layer.data[..])).unpack(root.path()).unwrap();
        let temporary = root.path().join("tmp");
        fs::create_dir(&temporary).unwrap();
        fs::set_permissions(&temporary, fs::Permissions::from_mode(0o777)).unwrap();
        fs::set_permissions(root.path(), fs::Permissions::from_mode(0o755)).unwrap();
        // What Git uses of what a container has there.
        let devices = root.path().join("dev");
        fs::create_dir(&devices).unwrap();
        for (name, content) in [("null", Vec::new()), ("urandom", rand::random::<[u8; 32]>().to_vec())] {
            fs::write(devices.join(name), content).unwrap();
            fs::set_permissions(devices.join(name), fs::Permissions::from_mode(0o666)).unwrap();
        }
        let server = GitServer::start().await.unwrap();
        server.repository("tasks").unwrap().commit(&[("build.yaml", "kind: Task")]).unwrap();
        let Some(git) = within(root.path()).await else {
            eprintln!("not run: this takes root, or a machine that lets everybody make user namespaces");
            return;
        };
        let clone =
            git.args(["/usr/bin/git", "clone", "--quiet", "--depth=1", &server.url("tasks"), "/tmp/clone"]);
        clone.run().await.unwrap().success().unwrap();
        assert_eq!(fs::read_to_string(temporary.join("clone/build.yaml")).unwrap(), "kind: Task");
    }
}
