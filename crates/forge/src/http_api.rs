//! What the REST APIs of all forges have in common.

use fleet::outbound::{self, Credential, Request, Response, Url};
use http::{HeaderValue, header};

use crate::contents::Commit;
use crate::error::Error;

/// Bytes of an answer about a commit.
const COMMIT_LIMIT: u64 = 1024 * 1024;

/// One forge's API, as one credential sees it.
#[derive(Clone, Debug)]
pub(crate) struct Api {
    outbound: outbound::Client,
    /// Ends in a slash.
    base: Url,
    credential: Option<Credential>,
    accept: &'static str,
}

impl Api {
    /// `base` is the API's own address.
    pub(crate) fn new(
        outbound: &outbound::Client,
        mut base: Url,
        accept: &'static str,
        credential: impl FnOnce(&Url) -> Option<Result<Credential, outbound::Error>>,
    ) -> Result<Self, Error> {
        if !base.path().ends_with('/') {
            base.set_path(&format!("{}/", base.path()));
        }
        let credential = credential(&base).transpose().map_err(|error| Error::of(base.as_str(), error))?;
        Ok(Self { outbound: outbound.clone(), base, credential, accept })
    }

    /// Gets what lies at these segments of the path, each of them escaped.
    pub(crate) async fn get(
        &self,
        what: &str,
        segments: &[&str],
        query: &[(&str, &str)],
        accept: Option<&'static str>,
        limit: u64,
    ) -> Result<Response, Error> {
        let mut url = self.base.clone();
        url.path_segments_mut()
            .map_err(|()| Error::Invalid {
                what: what.to_owned(),
                reason: "the server is no address".to_owned(),
            })?
            .pop_if_empty()
            .extend(segments);
        if !query.is_empty() {
            url.query_pairs_mut().extend_pairs(query);
        }
        let mut request = Request::get(url)
            .header(header::ACCEPT, HeaderValue::from_static(accept.unwrap_or(self.accept)))
            .limit(limit);
        if let Some(credential) = &self.credential {
            request = request.credential(credential);
        }
        let answer = self.outbound.fetch(request).await;
        answer.and_then(Response::success).map_err(|error| Error::of(what, error))
    }

    /// Gets what tells of a commit, and the commit's name out of it.
    pub(crate) async fn commit(
        &self,
        what: &str,
        segments: &[&str],
        accept: Option<&'static str>,
        name: impl FnOnce(&Response) -> Result<String, outbound::Error>,
    ) -> Result<Commit, Error> {
        let answer = self.get(what, segments, &[], accept, COMMIT_LIMIT).await?;
        let name = name(&answer).map_err(|error| Error::of(what, error))?;
        name.trim().parse().map_err(|_| Error::Invalid {
            what: what.to_owned(),
            reason: "the forge names a commit that cannot be one".to_owned(),
        })
    }
}

/// `server` with another path.
pub(crate) fn below(server: &Url, path: &str) -> Url {
    let mut url = server.clone();
    url.set_query(None);
    url.set_fragment(None);
    url.set_path(&format!("{}/{path}", url.path().trim_end_matches('/')));
    url
}
