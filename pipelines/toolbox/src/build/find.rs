//! Where the Dockerfile of a build is.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail, ensure};
use fleet::outbound::{Request, Url};

use crate::context::{Context, say};

const MAX_DOCKERFILE: u64 = 1024 * 1024;

/// A Dockerfile and what belongs to it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Found {
    pub(crate) text: String,
    /// Content of the `.dockerignore` that is for it alone.
    pub(crate) ignore: Option<String>,
}

/// A folder or file of the checkout, where no link leads out of it. `None` if there is none.
pub(crate) fn inside(source: &Path, path: &Path) -> anyhow::Result<Option<PathBuf>> {
    let Ok(found) = source.join(path).canonicalize() else { return Ok(None) };
    ensure!(
        found.starts_with(source),
        "{} leads out of the source: only what is in the repository can be used",
        path.display()
    );
    Ok(Some(found))
}

/// Looks in the context, in the source, and on the web. `source` is canonical.
pub(crate) async fn find(
    source: &Path,
    folder: &str,
    dockerfile: &str,
    context: &Context,
) -> anyhow::Result<Found> {
    if !is_address(dockerfile) {
        for base in [folder, ""] {
            let path = Path::new(base).join(dockerfile);
            if let Some(found) = inside(source, &path)?.filter(|found| found.is_file()) {
                say(&format!("Dockerfile: {}", found.strip_prefix(source).unwrap_or(&found).display()));
                let mut ignore = found.clone().into_os_string();
                ignore.push(".dockerignore");
                return Ok(Found { text: read(&found)?, ignore: read(Path::new(&ignore)).ok() });
            }
        }
        bail!(
            "cannot find Dockerfile {dockerfile}: it is neither in {folder} nor at the top of the source; \
             set the parameter dockerfile to its path or to an http(s) address"
        );
    }
    let address = Url::parse(dockerfile).with_context(|| format!("{dockerfile} is no address"))?;
    say(&format!("Dockerfile: {}", fleet::redact(dockerfile)));
    let text = download(&address, context).await.with_context(|| format!("download Dockerfile {address}"))?;
    let beside = address.join(".dockerignore")?;
    // Most have none.
    let ignore = download(&beside, context).await.ok();
    Ok(Found { text, ignore })
}

fn is_address(dockerfile: &str) -> bool {
    ["http://", "https://"].iter().any(|scheme| dockerfile.starts_with(scheme))
}

fn read(path: &Path) -> anyhow::Result<String> {
    let size = path.metadata()?.len();
    ensure!(size <= MAX_DOCKERFILE, "{} is larger than {MAX_DOCKERFILE} bytes", path.display());
    std::fs::read_to_string(path).with_context(|| format!("read {}", path.display()))
}

async fn download(address: &Url, context: &Context) -> anyhow::Result<String> {
    let answer =
        context.outbound.fetch(Request::get(address.clone()).limit(MAX_DOCKERFILE)).await?.success()?;
    String::from_utf8(answer.body().to_vec()).context("it is no text")
}
