//! The images that steps of pipelines run in, the images that samples build on, and the databases that scans look into.
//!
//! None says which commit it is of: what is in it decides its digest, and so that of every bundle that names it.
use anyhow::Context as _;

use super::{
    build::Steps,
    debian::{self, Selection},
    image::{self, Image, Process, USER},
    layer::{self, File, Layer},
    revision::Revision,
};
use crate::paths;

/// The program of the steps of builds, and the image that most of them run in.
pub const TOOLBOX: &str = "toolbox";
/// The program of the steps of releases, and its image: what has a release team's credentials runs beside nothing else.
pub const RELEASE_TASKS: &str = "release-tasks";
/// The image with ClamAV, which one step runs in.
pub const CLAMAV: &str = "toolbox-clamav";
/// The image with signatures of malware.
pub const CLAMAV_DATABASE: &str = "clamav-database";
/// The image with known vulnerabilities.
pub const VULNERABILITIES: &str = "vulnerability-database";
/// Where the small database that ships lies in the checkout.
pub const VULNERABILITIES_SOURCE: &str = "pipelines/data/vulnerabilities";
const CLAMAV_SOURCE: &str = "pipelines/data/malware";

const ENVIRONMENT: &[&str] = &[
    "PATH=/usr/local/bin:/usr/bin:/usr/sbin",
    // Where each step finds the logins of its account. The usual /tekton/home is shared by all steps, which write it at once.
    "HOME=/tekton/creds",
    "SSL_CERT_FILE=/etc/ssl/certs/ca-certificates.crt",
];

const STEPS: Selection = Selection {
    name: TOOLBOX,
    packages: &[
        "buildah",
        "coreutils",
        "curl",
        "dash",
        "findutils",
        "git",
        "grep",
        "gzip",
        "jq",
        "mawk",
        "mount",
        "openssh-client",
        "sed",
        "shellcheck",
        "tar",
        "util-linux",
    ],
    but: &[
        // Builds have the network of their pod, or none; signatures are made elsewhere.
        "containernetworking-plugins",
        "dirmngr",
        "git-man",
        "gnupg",
        "gnupg-l10n",
        "gnupg-utils",
        "gpg",
        "gpg-agent",
        "gpg-wks-client",
        "gpg-wks-server",
        "gpgconf",
        "gpgsm",
        "gpgv",
        "iptables",
        "libip4tc2",
        "libip6tc2",
        "libksba8",
        "libmnl0",
        "libncursesw6",
        "libnetfilter-conntrack3",
        "libnfnetlink0",
        "libnftnl11",
        "libnpth0",
        "libreadline8",
        "libsqlite3-0",
        "libxtables12",
        "pinentry-curses",
    ],
    without: &[
        "usr/bin/git-shell",
        "usr/bin/scalar",
        "usr/lib/git-core/git-daemon",
        "usr/lib/git-core/git-http-backend",
        "usr/lib/git-core/git-http-fetch",
        "usr/lib/git-core/git-http-push",
        "usr/lib/git-core/git-imap-send",
        "usr/lib/git-core/git-shell",
        "usr/lib/git-core/scalar",
    ],
};

const MALWARE: Selection = Selection {
    name: CLAMAV,
    packages: &["clamav"],
    but: &[
        "clamav-freshclam",
        "cron",
        "cron-daemon-common",
        "libncursesw6",
        "libpam-runtime",
        "libpopt0",
        "libproc2-0",
        "logrotate",
        "procps",
    ],
    without: &["usr/bin/clambc", "usr/bin/clamsubmit", "usr/bin/sigtool"],
};

/// What samples build on: runtimes of languages, with a shell.
const BASES: [Selection; 3] = [
    Selection { name: "base-python", packages: &["python3", "dash", "coreutils"], but: &[], without: &[] },
    Selection { name: "base-node", packages: &["nodejs", "dash", "coreutils"], but: &[], without: &[] },
    Selection {
        name: "base-go",
        packages: &["golang-go", "dash", "coreutils"],
        but: &[],
        // Tests of the standard library, and of the compiler.
        without: &["usr/share/go-1.19/test", "usr/lib/go-1.19/pkg/linux_amd64_race"],
    },
];

/// Names of all images that are made here, without making them.
pub fn names() -> impl Iterator<Item = &'static str> {
    [TOOLBOX, CLAMAV, CLAMAV_DATABASE, RELEASE_TASKS].into_iter().chain(BASES.iter().map(|base| base.name))
}

/// All images of this module, with their names. `base` is the layer with certificate authorities and names of users.
pub async fn pack(programs: &Steps, base: &Layer) -> anyhow::Result<Vec<(&'static str, Image)>> {
    let path = format!("usr/bin/{TOOLBOX}");
    let (architecture, program) = image::program_layer(&programs.toolbox, path.clone(), 0o755).await?;
    let mut images = Vec::new();
    for (name, selection) in [(TOOLBOX, &STEPS), (CLAMAV, &MALWARE)] {
        let layers = vec![
            (DEBIAN, debian::layer(selection).await?),
            // Behind Debian's, whose links `bin` and `lib` have to come first.
            ("certificate authorities, users", base.clone()),
            (TOOLBOX, program.clone()),
        ];
        let process = Process { entrypoint: vec![format!("/{path}")], environment: ENVIRONMENT, user: USER };
        images.push((name, image::assemble(name, architecture, layers, &process, &Revision::default())?));
    }
    images.push((CLAMAV_DATABASE, malware_database(architecture)?));
    images.push((RELEASE_TASKS, release_tasks(programs, base).await?));
    for selection in &BASES {
        let layers =
            vec![(DEBIAN, debian::layer(selection).await?), ("certificate authorities, users", base.clone())];
        let process = Process {
            entrypoint: Vec::new(),
            environment: &["PATH=/usr/local/bin:/usr/bin:/usr/sbin"],
            user: "",
        };
        let image = image::assemble(selection.name, architecture, layers, &process, &Revision::default())?;
        images.push((selection.name, image));
    }
    Ok(images)
}

const DEBIAN: &str = "Debian packages";

/// The program of release steps, without a shell or anything else that text of tenants could be run by.
async fn release_tasks(programs: &Steps, base: &Layer) -> anyhow::Result<Image> {
    let path = format!("usr/bin/{RELEASE_TASKS}");
    let (architecture, program) = image::program_layer(&programs.release_tasks, path.clone(), 0o755).await?;
    let layers = vec![("certificate authorities, users", base.clone()), (RELEASE_TASKS, program)];
    let process = Process { entrypoint: vec![format!("/{path}")], environment: ENVIRONMENT, user: USER };
    image::assemble(RELEASE_TASKS, architecture, layers, &process, &Revision::default())
}

/// The signatures that ship, as an image: what `clamscan --database` takes, directly at its root.
fn malware_database(architecture: &'static str) -> anyhow::Result<Image> {
    let folder = paths::repository()?.join(CLAMAV_SOURCE);
    let mut files = Vec::new();
    let read = || format!("read {}", folder.display());
    for entry in std::fs::read_dir(&folder).with_context(read)? {
        let entry = entry.with_context(read)?;
        let name = entry.file_name().into_string().ok().context("a signature file has a name of text")?;
        if entry.path().extension().is_none_or(|extension| extension != "md") {
            files.push((name, std::fs::read(entry.path()).with_context(read)?));
        }
    }
    files.sort();
    let files: Vec<_> = files.iter().map(|(path, content)| File { path, mode: 0o644, content }).collect();
    let layers = vec![("signatures of malware", layer::cached(CLAMAV_DATABASE, &files)?)];
    let process = Process { entrypoint: Vec::new(), environment: &[], user: USER };
    image::assemble(CLAMAV_DATABASE, architecture, layers, &process, &Revision::default())
}
