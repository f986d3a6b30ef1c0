//! What the REST APIs of all forges have in common.

use fleet::outbound::{self, Credential, Request, Response, Url};
use http::{HeaderValue, Method, StatusCode, header};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::contents::Commit;
use crate::error::Error;

/// Bytes of an answer about a commit.
const COMMIT_LIMIT: u64 = 1024 * 1024;

/// Bytes of an answer in JSON.
pub(crate) const JSON_LIMIT: u64 = 8 * 1024 * 1024;

/// Entries on a page: the most that all forges give.
const PAGE: &str = "100";

/// Pages of one list. What has more is taken for endless.
pub(crate) const MAX_PAGES: usize = 100;

/// What a token may do, as GitHub says in each answer to one of the classic kind.
const TOKEN_SCOPES: &str = "x-oauth-scopes";

/// When a token ends, as GitHub says in each answer to it.
const TOKEN_EXPIRATION: &str = "github-authentication-token-expiration";

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
        let mut request = Request::get(self.url(what, segments, query)?).limit(limit);
        if let Some(accept) = accept {
            request = request.header(header::ACCEPT, HeaderValue::from_static(accept));
        }
        let answer = self.send(what, request).await?;
        match answer.status() {
            // GitHub says so of a revision that is none, and of a repository without any commit.
            StatusCode::UNPROCESSABLE_ENTITY | StatusCode::CONFLICT => {
                Err(Error::NotFound { what: what.to_owned() })
            }
            _ => succeeded(what, answer),
        }
    }

    fn url(&self, what: &str, segments: &[&str], query: &[(&str, &str)]) -> Result<Url, Error> {
        // Left out of an address by whoever reads it, which then is that of another thing: of the list of all members, say,
        // in place of one member.
        if segments.iter().any(|segment| matches!(*segment, "" | "." | "..")) {
            return Err(Error::invalid(what, "a part of its name is empty, \".\" or \"..\""));
        }
        let mut url = self.base.clone();
        url.path_segments_mut()
            .map_err(|()| Error::invalid(what, "the server is no address"))?
            .pop_if_empty()
            .extend(segments);
        if !query.is_empty() {
            url.query_pairs_mut().extend_pairs(query);
        }
        Ok(url)
    }

    /// With our credential, and whatever comes of it.
    async fn send(&self, what: &str, mut request: Request) -> Result<Response, Error> {
        if !request.has_header(&header::ACCEPT) {
            request = request.header(header::ACCEPT, HeaderValue::from_static(self.accept));
        }
        if let Some(credential) = &self.credential {
            request = request.credential(credential);
        }
        self.outbound.fetch(request).await.map_err(|error| Error::of(what, error))
    }

    /// Gets something in JSON.
    pub(crate) async fn read<T: DeserializeOwned>(
        &self,
        what: &str,
        segments: &[&str],
        query: &[(&str, &str)],
    ) -> Result<T, Error> {
        decode(what, &self.get(what, segments, query, None, JSON_LIMIT).await?)
    }

    /// Gets the next page of a list by the address that the forge gave, which has to be one of the same API.
    pub(crate) async fn read_next<T: DeserializeOwned>(&self, what: &str, next: &str) -> Result<T, Error> {
        let is_ours =
            |url: &Url| url.origin() == self.base.origin() && url.path().starts_with(self.base.path());
        let Some(url) = Url::parse(next).ok().filter(is_ours) else {
            return Err(Error::invalid(what, "the address of its next page is none of the same API"));
        };
        decode(what, &succeeded(what, self.send(what, Request::get(url).limit(JSON_LIMIT)).await?)?)
    }

    /// Gets a list, page by page, until it ends or has `most` entries.
    pub(crate) async fn list<T: DeserializeOwned>(
        &self,
        what: &str,
        segments: &[&str],
        query: &[(&str, &str)],
        most: usize,
    ) -> Result<Vec<T>, Error> {
        self.list_within(what, segments, query, most, |entries| entries).await
    }

    /// As [`list`](Self::list), of a list that is part of something else.
    pub(crate) async fn list_within<T: DeserializeOwned, U>(
        &self,
        what: &str,
        segments: &[&str],
        query: &[(&str, &str)],
        most: usize,
        entries_of: fn(T) -> Vec<U>,
    ) -> Result<Vec<U>, Error> {
        let mut entries = Vec::new();
        for page in 1..=MAX_PAGES {
            let page = page.to_string();
            let mut query = query.to_vec();
            query.extend([("per_page", PAGE), ("limit", PAGE), ("page", page.as_str())]);
            let answer = self.get(what, segments, &query, None, JSON_LIMIT).await?;
            entries.extend(entries_of(decode(what, &answer)?));
            if entries.len() >= most || !has_next_page(&answer) {
                entries.truncate(most);
                return Ok(entries);
            }
        }
        Err(endless(what))
    }

    /// What is answered about somebody's rights: by the server that was asked, and by no other that it sends us to.
    pub(crate) async fn ask(&self, what: &str, segments: &[&str]) -> Result<Response, Error> {
        let request = Request::get(self.url(what, segments, &[])?).limit(COMMIT_LIMIT).redirects(0);
        self.send(what, request).await
    }

    /// Whether there is such: yes by 204, no by 404. Nothing else is a yes, for that would be a page of a proxy's, or a list.
    pub(crate) async fn is_so(&self, what: &str, segments: &[&str]) -> Result<bool, Error> {
        yes_or_no(what, self.ask(what, segments).await?)
    }

    /// As [`is_so`](Self::is_so) where a yes is somebody's record. `None` if there is no such.
    pub(crate) async fn find<T: DeserializeOwned>(
        &self,
        what: &str,
        segments: &[&str],
    ) -> Result<Option<T>, Error> {
        let answer = self.ask(what, segments).await?;
        if answer.status() == StatusCode::NOT_FOUND {
            return Ok(None);
        }
        decode(what, &succeeded(what, answer)?).map(Some)
    }

    /// Whether there is a file or suchlike, which is not read.
    pub(crate) async fn has(
        &self,
        what: &str,
        segments: &[&str],
        query: &[(&str, &str)],
    ) -> Result<bool, Error> {
        let request = Request::new(Method::HEAD, self.url(what, segments, query)?);
        let answer = self.send(what, request).await?;
        if answer.status() == StatusCode::NOT_FOUND {
            return Ok(false);
        }
        succeeded(what, answer).map(|_| true)
    }

    /// Deletes something. Whether it was there.
    pub(crate) async fn delete(&self, what: &str, segments: &[&str]) -> Result<bool, Error> {
        let request = Request::new(Method::DELETE, self.url(what, segments, &[])?).redirects(0);
        match self.written(what, request).await {
            Ok(_) => Ok(true),
            Err(Error::NotFound { .. }) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Sends JSON that does no harm if it comes twice, and reads what is answered.
    pub(crate) async fn write<T: DeserializeOwned>(
        &self,
        method: Method,
        what: &str,
        segments: &[&str],
        body: &impl Serialize,
    ) -> Result<T, Error> {
        let request = self.writing(method, what, segments, body)?.repeatable();
        decode(what, &self.written(what, request).await?)
    }

    /// As [`write`](Self::write), of what would be there twice if it came twice.
    pub(crate) async fn create<T: DeserializeOwned>(
        &self,
        what: &str,
        segments: &[&str],
        body: &impl Serialize,
    ) -> Result<T, Error> {
        let request = self.writing(Method::POST, what, segments, body)?;
        decode(what, &self.written(what, request).await?)
    }

    /// As [`write`](Self::write), with nothing to be read.
    pub(crate) async fn tell(
        &self,
        method: Method,
        what: &str,
        segments: &[&str],
        body: &impl Serialize,
    ) -> Result<(), Error> {
        let request = self.writing(method, what, segments, body)?.repeatable();
        self.written(what, request).await.map(drop)
    }

    fn writing(
        &self,
        method: Method,
        what: &str,
        segments: &[&str],
        body: &impl Serialize,
    ) -> Result<Request, Error> {
        // A redirect would make a read of it, which succeeds with nothing written.
        let request = Request::new(method, self.url(what, segments, &[])?).limit(JSON_LIMIT).redirects(0);
        request.json(body).map_err(|error| Error::of(what, error))
    }

    async fn written(&self, what: &str, request: Request) -> Result<Response, Error> {
        let answer = self.send(what, request).await?;
        if answer.status().is_redirection() {
            let reason = "the forge has it elsewhere now: was the repository renamed or moved?";
            return Err(Error::invalid(what, reason));
        }
        succeeded(what, answer)
    }

    /// Gets what tells of a commit, and the commit's name out of it.
    pub(crate) async fn commit(
        &self,
        what: &str,
        segments: &[&str],
        accept: Option<&'static str>,
        name: impl FnOnce(&Response) -> Result<String, Error>,
    ) -> Result<Commit, Error> {
        let answer = self.get(what, segments, &[], accept, COMMIT_LIMIT).await?;
        commit_named(what, &name(&answer)?)
    }
}

/// The commit of which a forge gives the name.
pub(crate) fn commit_named(what: &str, name: &str) -> Result<Commit, Error> {
    name.trim().parse().map_err(|error| {
        Error::invalid(what, format!("the forge names a commit that cannot be one: {error}"))
    })
}

/// See [`Api::is_so`].
pub(crate) fn yes_or_no(what: &str, answer: Response) -> Result<bool, Error> {
    match answer.status() {
        StatusCode::NO_CONTENT => Ok(true),
        StatusCode::NOT_FOUND => Ok(false),
        status => {
            succeeded(what, answer)?;
            let reason = format!("expected HTTP 204 for yes or 404 for no, got {}", status.as_u16());
            Err(Error::invalid(what, reason))
        }
    }
}

/// An answer of 2xx.
fn succeeded(what: &str, answer: Response) -> Result<Response, Error> {
    let text = |name: &str| answer.headers().get(name)?.to_str().ok().map(str::to_owned);
    let (ends, scopes) = (text(TOKEN_EXPIRATION), text(TOKEN_SCOPES));
    answer.success().map_err(|error| match (Error::of(what, error), ends, scopes) {
        (Error::Unauthorized { what, reason }, Some(ends), _) => {
            Error::Unauthorized { what, reason: format!("{reason} (it ends or ended at {ends})") }
        }
        // What a token may not do is shown as if it were not there.
        (Error::NotFound { what }, _, Some(scopes)) => {
            Error::NotFound { what: format!("{what} (scopes of our token: {scopes})") }
        }
        (error, ..) => error,
    })
}

/// The content as JSON. What is none is often a page for people: of a proxy, or to sign in.
pub(crate) fn decode<T: DeserializeOwned>(what: &str, answer: &Response) -> Result<T, Error> {
    answer.json().map_err(|error| {
        let kind = answer.headers().get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok());
        let kind = kind.map_or("content of no type", |kind| first_characters(kind, 80));
        Error::invalid(what, format!("{error}: JSON of the forge's API was expected, {kind} was got"))
    })
}

pub(crate) fn endless(what: &str) -> Error {
    Error::invalid(what, format!("more than {MAX_PAGES} pages"))
}

/// By the header `Link` (RFC 8288), which GitHub, GitLab and Gitea have.
fn has_next_page(answer: &Response) -> bool {
    let links = answer.headers().get_all(header::LINK);
    links.iter().filter_map(|link| link.to_str().ok()).any(|link| link.contains("rel=\"next\""))
}

/// What fits where a forge takes so many characters.
pub(crate) fn first_characters(text: &str, characters: usize) -> &str {
    text.char_indices().nth(characters).map_or(text, |(end, _)| &text[..end])
}

/// What fits where a forge takes so many bytes.
pub(crate) fn first_bytes(text: &str, bytes: usize) -> &str {
    &text[..text.floor_char_boundary(bytes)]
}

/// `server` with another path.
pub(crate) fn below(server: &Url, path: &str) -> Url {
    let mut url = server.clone();
    url.set_query(None);
    url.set_fragment(None);
    url.set_path(&format!("{}/{path}", url.path().trim_end_matches('/')));
    url
}

/// The server that people see, also where the address of its API was given (`https://git.test/api/v4`).
pub(crate) fn without_api(server: &Url, api: &str) -> Url {
    let mut url = server.clone();
    let path = url.path().trim_end_matches('/');
    if let Some(web) = path.strip_suffix(api.trim_end_matches('/')).map(str::to_owned) {
        url.set_path(&web);
    }
    url
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case::web("https://git.test", "https://git.test/api/v4/")]
    #[case::api("https://git.test/api/v4", "https://git.test/api/v4/")]
    #[case::api_with_slash("https://git.test/api/v4/", "https://git.test/api/v4/")]
    #[case::below_a_path("https://git.test/gitlab/", "https://git.test/gitlab/api/v4/")]
    #[case::api_below_a_path("https://git.test/gitlab/api/v4", "https://git.test/gitlab/api/v4/")]
    fn servers_may_be_given_by_their_api(#[case] given: &str, #[case] api: &str) {
        let web = without_api(&Url::parse(given).unwrap(), "/api/v4");
        assert_eq!(below(&web, "api/v4/").as_str(), api);
    }

    #[test]
    fn texts_are_cut_between_characters() {
        assert_eq!(first_bytes("aéé", 4), "aé");
        assert_eq!(first_bytes("aé", 10), "aé");
        assert_eq!(first_characters("aéé", 2), "aé");
    }
}
