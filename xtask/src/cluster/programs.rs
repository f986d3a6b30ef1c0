//! Programs that are built here, from `tools/`: all of Kubernetes in one binary, `CoreDNS`, the file that is the pods'
//! first image, Gitea, and cosign and an S3 server, which tests ask. Each is built once per version of its sources and kept in the cache folder.
use std::{
    fs,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    process::Stdio,
};

use anyhow::{Context as _, bail};
use testkit::tools::{self, GoProgram, Release};
use tokio::{
    io::{AsyncBufReadExt as _, BufReader},
    process::Command,
};

use crate::{program::Program, ui};

/// Free space that a first build of everything takes: modules, Go's build cache, binaries.
const BUILD_SPACE: u64 = 8 << 30;
/// What Gitea reads besides itself, and its licence, which goes where its files go: paths below its module.
const GITEA_ASSETS: [&str; 4] = ["templates", "options", "public", "LICENSE"];
const GITEA: &str = "gitea";
const GITEA_MODULE: &str = "code.gitea.io/gitea";

/// Paths of the built programs.
#[derive(Clone, Debug)]
pub struct Programs {
    pub kube: PathBuf,
    pub coredns: PathBuf,
    pub pod: PathBuf,
    pub gitea: PathBuf,
    /// Folder of the files that Gitea reads.
    pub gitea_assets: PathBuf,
}

impl Programs {
    /// The programs as far as they were built before.
    pub fn locate() -> anyhow::Result<Self> {
        let binary = |name| tools::go_program(name).map(|program| program.binary);
        let gitea = tools::go_program(GITEA)?;
        Ok(Self {
            kube: tools::kube_binary()?,
            coredns: binary("coredns")?,
            pod: binary("pod")?,
            gitea_assets: gitea.assets(),
            gitea: gitea.binary,
        })
    }
}

/// Builds what is missing, Gitea only if there is to be a forge.
pub async fn build(with_forge: bool) -> anyhow::Result<Programs> {
    // A kube built elsewhere is taken as it is.
    if tools::kube_binary().is_err() {
        build_kubernetes(Release::DEFAULT).await?;
    }
    ensure(&tools::go_program("coredns")?, "CoreDNS").await?;
    ensure(&tools::go_program("pod")?, "pods' first image").await?;
    if with_forge {
        ensure(&tools::go_program(GITEA)?, "Gitea").await?;
    }
    Programs::locate()
}

/// Builds cosign if it is missing: an outside witness for tests, no part of a cluster.
pub async fn build_cosign() -> anyhow::Result<()> {
    ensure(&tools::go_program("cosign")?, "cosign").await
}

/// Builds the S3 server if it is missing: what tests store objects in, no part of a cluster.
pub async fn build_s3() -> anyhow::Result<()> {
    ensure(&tools::go_program("s3")?, "S3 server").await
}

/// Builds this release of Kubernetes if it is missing, whatever `$KONFLUX_KUBE` says.
pub async fn build_kubernetes(release: Release) -> anyhow::Result<PathBuf> {
    let program = tools::kubernetes(release)?;
    ensure(&program, &format!("Kubernetes {release}")).await?;
    Ok(program.binary)
}

async fn ensure(program: &GoProgram, what: &str) -> anyhow::Result<()> {
    if program.binary.is_file() {
        return Ok(());
    }
    let step = ui::step(format!("{what} is built"));
    let folder = program.binary.parent().context("the binary has a folder")?;
    fs::create_dir_all(folder).context("make the cache folder; KONFLUX_CACHE chooses another")?;
    // Another checkout may build the same just now; whoever comes second finds it done.
    let lock = folder.join(format!("{}.lock", program.name));
    let lock = fs::File::create(&lock).with_context(|| format!("create {}", lock.display()))?;
    step.waiting("another build of it on this machine");
    let lock =
        tokio::task::spawn_blocking(move || lock.lock().map(|()| lock)).await?.context("lock the build")?;
    if !program.binary.is_file() {
        check_space(folder)?;
        compile(program, &step).await.with_context(|| {
            format!("build {} of {}", program.name, program.sources.join(&program.modules).display())
        })?;
    }
    drop(lock);
    step.done();
    Ok(())
}

/// Go's folders and ours usually share a file system.
fn check_space(folder: &Path) -> anyhow::Result<()> {
    super::host::check_space(folder, BUILD_SPACE, "a first build")
        .context("KONFLUX_CACHE, GOCACHE and GOMODCACHE can be set to folders on a larger disk")
}

async fn compile(program: &GoProgram, step: &ui::Step) -> anyhow::Result<()> {
    let partial = program.binary.with_extension("partial");
    let mut child = Command::new("go")
        .args(["build", "-v", "-trimpath", "-mod=readonly", "-modfile", &program.modules])
        .args(["-tags", tags(program), "-ldflags", &linker_flags(program.release), "-o"])
        .arg(&partial)
        .arg(".")
        .current_dir(&program.sources)
        // SQLite is written in C.
        .env("CGO_ENABLED", if program.name == GITEA { "1" } else { "0" })
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .context("run go: install Go (https://go.dev/doc/install) and have it in PATH")?;
    let mut lines = BufReader::new(child.stderr.take().context("stderr is piped")?).lines();
    let (mut packages, mut complaints) = (0_u32, Vec::new());
    while let Some(line) = lines.next_line().await? {
        if is_package(&line) {
            packages += 1;
            step.waiting(&format!("{packages} packages, {line}"));
        } else if line.starts_with("go: downloading") {
            step.waiting(&line);
        } else {
            complaints.push(line);
        }
    }
    if !child.wait().await?.success() {
        let text = complaints.join("\n");
        bail!("{}{}", text.trim(), advice(&text));
    }
    if program.name == GITEA {
        step.waiting("its templates are copied");
        copy_assets(program).await?;
    }
    fs::set_permissions(&partial, fs::Permissions::from_mode(0o755))?;
    fs::rename(&partial, &program.binary).with_context(|| format!("move {} in place", partial.display()))
}

/// Takes what Gitea reads out of its module, which Go may remove from its cache at any time.
async fn copy_assets(program: &GoProgram) -> anyhow::Result<()> {
    let listed = Program::new("go")
        .args(["list", "-mod=readonly", "-modfile", &program.modules, "-m", "-f", "{{.Dir}}", GITEA_MODULE])
        .directory(&program.sources)
        .run()
        .await?
        .success()?;
    let target = program.assets();
    // What a build left that was broken off.
    if target.exists() {
        fs::remove_dir_all(&target).with_context(|| format!("remove {}", target.display()))?;
    }
    fs::create_dir_all(&target).with_context(|| format!("make {}", target.display()))?;
    for name in GITEA_ASSETS {
        let source = Path::new(listed.trim()).join(name);
        // Go's copy is read-only, ours should be easy to remove.
        let copied = Program::new("cp").args(["-R", "--no-preserve=mode"]).arg(&source).arg(&target);
        copied.run().await?.success()?;
    }
    // It runs as somebody else than who builds it.
    Program::new("chmod").args(["-R", "a+rX"]).arg(&target).run().await?.success()?;
    Ok(())
}

/// What `go build -v` prints for each package that it compiles.
fn is_package(line: &str) -> bool {
    !line.is_empty() && !line.contains(' ') && !line.ends_with(':') && !line.starts_with('#')
}

/// Build tags: those of Gitea put its database in, that of Kubernetes leaves out what nobody would start.
fn tags(program: &GoProgram) -> &'static str {
    match program.release {
        Some(release) if !release.runs_pods() => "controlplane",
        None if program.name == GITEA => "sqlite sqlite_unlock_notify",
        _ => "",
    }
}

/// Without a version the API server would call itself v0.0.0, and clients would refuse it.
fn linker_flags(release: Option<Release>) -> String {
    let Some(release) = release else { return "-s -w".to_owned() };
    let version = "-X k8s.io/component-base/version.git";
    let (major, minor) = release.minor().split_once('.').unwrap_or_default();
    format!("-s -w {version}Version={release} {version}Major={major} {version}Minor={minor}")
}

/// What to do about the failures that people meet.
fn advice(text: &str) -> &'static str {
    if text.contains("no space left") {
        "\nThe disk is full: free some space, or set KONFLUX_CACHE, GOCACHE and GOMODCACHE to folders on a larger one."
    } else if [
        "dial tcp",
        "i/o timeout",
        "no such host",
        "connection refused",
        "TLS handshake",
        "502 ",
        "503 ",
    ]
    .iter()
    .any(|mark| text.contains(mark))
    {
        "\nThe Go module proxy was not reached: check the network, or set GOPROXY to one that is reachable."
    } else if text.contains("requires go >=") || text.contains("toolchain not available") {
        "\nThis Go is too old: install the version that tools/kube/go.mod names, or a newer one."
    } else if text.contains("C compiler") {
        "\nGitea's database is written in C: install a C compiler (apt-get install build-essential)."
    } else {
        ""
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kube_knows_its_version() {
        let flags = linker_flags(Some(Release::OLDEST));
        assert!(flags.contains(&format!("gitVersion={}", Release::OLDEST.version())), "{flags}");
        assert!(flags.contains("gitMajor=1 "), "{flags}");
        assert!(flags.contains("gitMinor=3"), "{flags}");
        assert_eq!(linker_flags(None), "-s -w");
    }

    #[test]
    fn only_what_the_cluster_runs_holds_a_kubelet() -> anyhow::Result<()> {
        assert_eq!(tags(&tools::kubernetes(Release::DEFAULT)?), "");
        assert_eq!(tags(&tools::kubernetes(Release::OLDEST)?), "controlplane");
        assert_eq!(tags(&tools::go_program("coredns")?), "");
        assert!(tags(&tools::go_program(GITEA)?).contains("sqlite"));
        Ok(())
    }

    #[test]
    fn tells_packages_from_complaints() {
        assert!(is_package("k8s.io/api/core/v1"));
        assert!(!is_package("go: downloading k8s.io/api v0.34.4"));
        assert!(!is_package("# k8s.io/api/core/v1"));
        assert!(!is_package("./main.go:3:1: syntax error"));
    }

    #[test]
    fn advises_on_common_failures() {
        assert!(advice("dial tcp 1.2.3.4:443: i/o timeout").contains("GOPROXY"));
        assert!(advice("write /x: no space left on device").contains("disk is full"));
        assert!(advice("go.mod requires go >= 1.26 (running go 1.19)").contains("too old"));
        assert!(advice("cgo: C compiler \"gcc\" not found").contains("build-essential"));
        assert_eq!(advice("undefined: x"), "");
    }
}
