//! The image of the database that results keeps its archive in: Debian's PostgreSQL, and what starts it on a volume.
//!
//! It does not say which commit it is of: what is in it decides its digest.
use super::{
    debian::{self, Selection},
    image::{self, Image, Process, USER},
    layer::{self, File, Layer},
    revision::Revision,
};

pub const POSTGRES: &str = "postgres";

const START: &str = "usr/bin/postgres-start";
const READY: &str = "usr/bin/postgres-ready";

/// The server, and its programs for dumps and for people.
const PACKAGES: Selection = Selection {
    name: POSTGRES,
    packages: &["postgresql-15", "dash", "coreutils", "tzdata"],
    but: &[
        // Compiles queries while they run, which those of an archive are too small for, and is larger than all else.
        "libllvm14",
        "libz3-4",
        // Of Debian's own scripts, which look after several servers of one machine.
        "debianutils",
        "libjson-perl",
        "libxslt1.1",
        "locales",
        "locales-all",
        "postgresql-client-common",
        "postgresql-common",
        "ssl-cert",
        "tar",
    ],
    without: &[
        "usr/lib/postgresql/15/lib/bitcode",
        "usr/lib/postgresql/15/lib/llvmjit.so",
        "usr/lib/postgresql/15/lib/llvmjit_types.bc",
        "usr/lib/postgresql/15/lib/pgxml.so",
        "usr/share/postgresql/15/man",
    ],
};

/// `base` is the layer with certificate authorities and names of users; `architecture` is that of this machine's packages.
pub async fn pack(architecture: &'static str, base: &Layer) -> anyhow::Result<Image> {
    let start = include_bytes!("postgres/start.sh").as_slice();
    let ready = include_bytes!("postgres/ready.sh").as_slice();
    let scripts = layer::cached(
        POSTGRES,
        &[
            File { path: READY, mode: 0o755, content: ready },
            File { path: START, mode: 0o755, content: start },
        ],
    )?;
    let layers = vec![
        ("Debian packages", debian::layer(&PACKAGES).await?),
        // Behind Debian's, whose links `bin` and `lib` have to come first.
        ("certificate authorities, users", base.clone()),
        (POSTGRES, scripts),
    ];
    let process = Process {
        entrypoint: vec![format!("/{START}")],
        environment: &["PATH=/usr/lib/postgresql/15/bin:/usr/bin:/bin", "HOME=/tmp", "LANG=C.UTF-8"],
        user: USER,
    };
    image::assemble(POSTGRES, architecture, layers, &process, &Revision::default())
}

#[cfg(test)]
mod tests {
    use crate::program::Program;

    use super::*;

    #[tokio::test]
    async fn programs_of_the_image_find_all_that_they_are_linked_with() {
        let root = tempfile::tempdir().unwrap();
        let layer = debian::layer(&PACKAGES).await.unwrap();
        tar::Archive::new(flate2::read::GzDecoder::new(&layer.data[..])).unpack(root.path()).unwrap();
        for kept in ["usr/lib/locale/C.utf8", "usr/share/zoneinfo/UTC", "usr/bin/dash", "usr/bin/rm"] {
            assert!(root.path().join(kept).exists(), "{kept}");
        }
        if !nix::unistd::geteuid().is_root() {
            eprintln!("not run: this takes root");
            return;
        }
        for program in ["postgres", "initdb", "psql", "pg_dump", "pg_restore", "pg_isready"] {
            let path = format!("/usr/lib/postgresql/15/bin/{program}");
            let said =
                Program::new("chroot").arg(root.path()).arg(path).arg("--version").run().await.unwrap();
            assert!(said.success().unwrap().contains("PostgreSQL) 15."), "{program}");
        }
    }
}
