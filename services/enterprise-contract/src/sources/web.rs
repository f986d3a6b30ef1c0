//! Archives and single files by https.

use fleet::outbound::{Client, Request, Url};
use fleet::{Class, Classed as _};
use registry::Digest;

use super::archive::{self, Space};
use super::error::Error;
use super::{TIMEOUT, is_wanted};

const ZIP: &[u8] = b"PK\x03\x04";
const GZIP: &[u8] = &[0x1f, 0x8b];

/// The URL with its checksum, and the files.
pub(super) async fn fetch(
    text: &str,
    url: &Url,
    folder: &str,
    checksum: Option<&str>,
    limit: u64,
    outbound: &Client,
) -> Result<(String, Vec<(String, Vec<u8>)>), Error> {
    let request = Request::get(url.clone()).limit(limit).timeout(TIMEOUT);
    let answer = match outbound.fetch(request).await {
        Ok(answer) => answer.success(),
        Err(error) => Err(error),
    };
    let answer =
        answer.map_err(|error| Error::unreachable(text, error.to_string(), error.class() == Class::Retry))?;
    let content = answer.body();
    let digest = Digest::of(content);
    if checksum.is_some_and(|checksum| checksum != digest.as_str()) {
        return Err(Error::unreachable(
            text,
            format!("its checksum is {digest}, which is not the one asked for"),
            false,
        ));
    }
    let files =
        files(url.path(), content, folder, limit).map_err(|why| Error::unreachable(text, why, false))?;
    let (base, _) = text.split_once("checksum=").unwrap_or((text, ""));
    let base = base.trim_end_matches(['?', '&']);
    let separator = if base.contains('?') { '&' } else { '?' };
    Ok((format!("{base}{separator}checksum={digest}"), files))
}

fn files(path: &str, content: &[u8], folder: &str, limit: u64) -> Result<Vec<(String, Vec<u8>)>, String> {
    let mut space = Space::new(limit);
    let is_tar = [".tar", ".tgz", ".tar.gz"].iter().any(|end| path.ends_with(end));
    if content.starts_with(ZIP) {
        return archive::zip(content, folder, &mut space);
    }
    if is_tar || content.starts_with(GZIP) {
        return archive::tar(content, folder, &mut space);
    }
    // A file by its name; anything else, such as a page for people, has nothing that is wanted.
    let name = path.rsplit('/').next().unwrap_or_default();
    Ok(if is_wanted(name) { vec![(name.to_owned(), content.to_vec())] } else { Vec::new() })
}
