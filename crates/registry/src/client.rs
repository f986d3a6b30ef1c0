//! Asks registries.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use fleet::Secret;
use fleet::outbound::{self, Credential, Request, Response, Url};
use futures::{StreamExt as _, TryStreamExt as _};
use http::{HeaderValue, Method, StatusCode, header};
use parking_lot::Mutex;
use serde::Deserialize;
use url::form_urlencoded::Serializer;

use crate::challenge::Challenge;
use crate::error::Error;
use crate::image::{self, Document, Image, Platform, Program};
use crate::keychain::Keychain;
use crate::login::Login;
use crate::reference::{Digest, Reference};

/// The specification has registries take manifests of this size, and clients no larger ones.
const MANIFEST_LIMIT: u64 = 4 * 1024 * 1024;
const CONFIG_LIMIT: u64 = 4 * 1024 * 1024;
const TOKEN_LIMIT: u64 = 64 * 1024;

const MANIFESTS: &str = "application/vnd.oci.image.index.v1+json, application/vnd.oci.image.manifest.v1+json, \
     application/vnd.docker.distribution.manifest.list.v2+json, \
     application/vnd.docker.distribution.manifest.v2+json";

/// Logins that are tried for one image.
const MAX_LOGINS: usize = 4;
/// Images of an index that are looked at together: what a host is given at once.
const TOGETHER: usize = 4;
/// Tokens that are remembered.
const MAX_TOKENS: usize = 1024;
/// What the token specification says of a token that does not say how long it is good.
const TOKEN_LIFE: Duration = Duration::from_mins(1);
/// However long the token service says.
const MAX_TOKEN_LIFE: Duration = Duration::from_hours(1);
/// A token is not used in the last moments of its life.
const TOKEN_MARGIN: Duration = Duration::from_secs(10);

/// Asks registries. Cheap to clone; clones share tokens.
#[derive(Clone, Debug)]
pub struct Client {
    outbound: outbound::Client,
    tokens: Arc<Mutex<HashMap<TokenKey, Token>>>,
}

/// A token is good for one repository and whoever it was given to.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct TokenKey {
    host: String,
    repository: String,
    login: Option<[u8; 32]>,
}

#[derive(Clone, Debug)]
struct Token {
    /// The whole header, as the registry wants it.
    credential: Credential,
    until: Instant,
}

/// A manifest as the registry holds it, its digest checked.
#[derive(Clone, Debug)]
pub struct Manifest {
    /// Where it is, by its digest.
    pub reference: Reference,
    pub digest: Digest,
    pub media_type: String,
    pub bytes: Vec<u8>,
}

impl Client {
    pub fn new(outbound: outbound::Client) -> Self {
        Self { outbound, tokens: Arc::default() }
    }

    /// The manifest that a tag or digest names, as it is at this moment.
    pub async fn manifest(&self, reference: &Reference, keychain: &Keychain) -> Result<Manifest, Error> {
        let path = format!("manifests/{}", reference.version());
        let answer = self.get(reference, &path, MANIFEST_LIMIT, keychain).await?;
        let bytes = answer.body().to_vec();
        let digest = Digest::of(&bytes);
        if reference.digest().is_some_and(|asked| *asked != digest) {
            return Err(Error::invalid(reference, format!("the registry sent another manifest, {digest}")));
        }
        let media_type = answer.headers().get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
        Ok(Manifest {
            reference: reference.at(digest.clone()),
            digest,
            media_type: media_type.unwrap_or_default().to_owned(),
            bytes,
        })
    }

    /// A blob of the reference's repository, of at most `limit` bytes.
    pub async fn blob(
        &self,
        reference: &Reference,
        digest: &Digest,
        limit: u64,
        keychain: &Keychain,
    ) -> Result<Vec<u8>, Error> {
        let answer = self.get(reference, &format!("blobs/{digest}"), limit, keychain).await?;
        let bytes = answer.body().to_vec();
        if Digest::of(&bytes) != *digest {
            return Err(Error::invalid(
                reference,
                format!("the registry sent something else for blob {digest}"),
            ));
        }
        Ok(bytes)
    }

    /// What an image runs by itself, on the platforms that are wanted.
    pub async fn image(
        &self,
        manifest: &Manifest,
        is_wanted: impl Fn(&Platform) -> bool,
        keychain: &Keychain,
    ) -> Result<Image, Error> {
        let platforms = match manifest.document()? {
            Document::Image(image) => {
                let found = self.program(manifest, &image.config.digest, keychain).await?;
                [found].into()
            }
            Document::Index(manifests) => {
                let looked_up = image::images(manifests, is_wanted).map(async |(platform, digest)| {
                    let child = self.manifest(&manifest.reference.at(digest), keychain).await?;
                    let Document::Image(image) = child.document()? else {
                        return Err(Error::invalid(
                            &child.reference,
                            "an index within an index is not supported",
                        ));
                    };
                    let (_, program) = self.program(&child, &image.config.digest, keychain).await?;
                    Ok((platform, program))
                });
                futures::stream::iter(looked_up).buffer_unordered(TOGETHER).try_collect().await?
            }
        };
        Ok(Image { platforms })
    }

    async fn program(
        &self,
        manifest: &Manifest,
        config: &Digest,
        keychain: &Keychain,
    ) -> Result<(Platform, Program), Error> {
        let config = self.blob(&manifest.reference, config, CONFIG_LIMIT, keychain).await?;
        image::program(&config).map_err(|reason| Error::invalid(&manifest.reference, reason))
    }

    /// Gets something of a repository, by each of the logins for it until one may.
    async fn get(
        &self,
        reference: &Reference,
        path: &str,
        limit: u64,
        keychain: &Keychain,
    ) -> Result<Response, Error> {
        let url = format!("https://{}/v2/{}/{path}", reference.host(), reference.repository());
        let url = Url::parse(&url).map_err(|error| Error::invalid(reference, error.to_string()))?;
        let mut logins: Vec<_> = keychain.logins(reference).take(MAX_LOGINS).map(Some).collect();
        let count = logins.len();
        if logins.is_empty() {
            logins.push(None);
        }
        for login in logins {
            let asking = Asking { client: self, reference, url: &url, limit, login };
            if let Some(answer) = asking.ask().await? {
                return Ok(answer);
            }
        }
        Err(Error::Unauthorized { what: reference.to_string(), logins: count })
    }
}

/// One thing, asked for by one login.
struct Asking<'a> {
    client: &'a Client,
    reference: &'a Reference,
    url: &'a Url,
    limit: u64,
    login: Option<&'a Login>,
}

impl Asking<'_> {
    /// `None` if this login may not have it.
    async fn ask(&self) -> Result<Option<Response>, Error> {
        let remembered = self.remembered()?;
        let answer = self.send(remembered.as_ref()).await?;
        if answer.status() != StatusCode::UNAUTHORIZED {
            return self.judge(answer);
        }
        self.client.tokens.lock().remove(&self.key());
        let challenges = answer.headers().get_all(header::WWW_AUTHENTICATE);
        let challenge = challenges.iter().filter_map(|value| value.to_str().ok()).find_map(Challenge::parse);
        let credential = match (challenge, self.login) {
            // It was all that there is to show.
            (_, Some(Login::Token(_))) => None,
            (Some(Challenge::Bearer { realm, service }), _) => self.token(&realm, service.as_deref()).await?,
            (Some(Challenge::Basic), Some(Login::Password { user, password })) => {
                Some(self.credential(Credential::basic(self.url, user, password))?)
            }
            _ => None,
        };
        let Some(credential) = credential else { return Ok(None) };
        let answer = self.send(Some(&credential)).await?;
        self.judge(answer)
    }

    fn judge(&self, answer: Response) -> Result<Option<Response>, Error> {
        match answer.status() {
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => Ok(None),
            _ => answer.success().map(Some).map_err(|error| Error::of(&self.reference.to_string(), error)),
        }
    }

    async fn send(&self, credential: Option<&Credential>) -> Result<Response, Error> {
        let request = Request::get(self.url.clone())
            .header(header::ACCEPT, HeaderValue::from_static(MANIFESTS))
            .header(header::ACCEPT, HeaderValue::from_static("application/octet-stream"))
            .limit(self.limit);
        let request = match credential {
            Some(credential) => request.credential(credential),
            None => request,
        };
        self.client
            .outbound
            .fetch(request)
            .await
            .map_err(|error| Error::of(&self.reference.to_string(), error))
    }

    /// What was of use before, or what needs no asking.
    fn remembered(&self) -> Result<Option<Credential>, Error> {
        if let Some(Login::Token(token)) = self.login {
            return self.credential(Credential::bearer(self.url, token)).map(Some);
        }
        let tokens = self.client.tokens.lock();
        let token = tokens.get(&self.key()).filter(|token| Instant::now() < token.until);
        Ok(token.map(|token| token.credential.clone()))
    }

    /// Asks the registry's token service; `None` if this login gets none.
    async fn token(&self, realm: &str, service: Option<&str>) -> Result<Option<Credential>, Error> {
        let what = || format!("{}: token", self.reference);
        let mut url = Url::parse(realm)
            .map_err(|_| Error::invalid(self.reference, "the registry names no valid token service"))?;
        let scope = format!("repository:{}:pull", self.reference.repository());
        let mut query: Vec<(&str, &str)> = service.map(|service| ("service", service)).into_iter().collect();
        query.push(("scope", &scope));
        let request = match self.login {
            Some(Login::Identity(token)) => {
                query.extend([
                    ("grant_type", "refresh_token"),
                    ("client_id", "konflux"),
                    ("refresh_token", token.expose()),
                ]);
                let form = Serializer::new(String::new()).extend_pairs(query).finish();
                let kind = HeaderValue::from_static("application/x-www-form-urlencoded");
                Request::new(Method::POST, url).body(kind, form).repeatable()
            }
            login => {
                url.query_pairs_mut().extend_pairs(query);
                match login {
                    Some(Login::Password { user, password }) => {
                        let credential = self.credential(Credential::basic(&url, user, password))?;
                        Request::get(url).credential(&credential)
                    }
                    _ => Request::get(url),
                }
            }
        };
        let fetched = self.client.outbound.fetch(request.limit(TOKEN_LIMIT)).await;
        let answer = fetched.map_err(|error| Error::of(&what(), error))?;
        if matches!(answer.status().as_u16(), 400 | 401 | 403) {
            return Ok(None);
        }
        let answer = answer.success().and_then(|answer| answer.json::<TokenAnswer>());
        let answer = answer.map_err(|error| Error::of(&what(), error))?;
        let Some(token) = answer.token.or(answer.access_token).map(Secret::new) else {
            return Err(Error::invalid(&what(), "the token service sent none"));
        };
        let credential = self.credential(Credential::bearer(self.url, &token))?;
        let life = answer.expires_in.map_or(TOKEN_LIFE, Duration::from_secs).min(MAX_TOKEN_LIFE);
        self.remember(Token {
            credential: credential.clone(),
            until: Instant::now() + life.saturating_sub(TOKEN_MARGIN),
        });
        Ok(Some(credential))
    }

    fn remember(&self, token: Token) {
        let mut tokens = self.client.tokens.lock();
        if tokens.len() >= MAX_TOKENS {
            let now = Instant::now();
            tokens.retain(|_, token| now < token.until);
        }
        if tokens.len() < MAX_TOKENS {
            tokens.insert(self.key(), token);
        }
    }

    fn key(&self) -> TokenKey {
        TokenKey {
            host: self.reference.host().to_owned(),
            repository: self.reference.repository().to_owned(),
            login: self.login.map(Login::id),
        }
    }

    fn credential(&self, made: Result<Credential, outbound::Error>) -> Result<Credential, Error> {
        made.map_err(|error| Error::of(&self.reference.to_string(), error))
    }
}

#[derive(Deserialize)]
struct TokenAnswer {
    token: Option<String>,
    access_token: Option<String>,
    /// Seconds.
    expires_in: Option<u64>,
}
