//! Whether a webhook comes from who has its secret. Pure: bytes and headers in, a verdict out.
//!
//! | sender | proof | what it covers |
//! |---|---|---|
//! | GitHub | `X-Hub-Signature-256: sha256=<hex>`, HMAC-SHA256 | the raw body |
//! | Gitea, Forgejo | `X-Gitea-Signature: <hex>`, HMAC-SHA256 | the raw body |
//! | GitLab | `X-Gitlab-Token: <secret>` | nothing: whoever has seen one delivery can send others |
//! | Bitbucket Server | `X-Hub-Signature: sha256=<hex>`, HMAC-SHA256 | the raw body |
//! | Bitbucket Cloud | as Bitbucket Server, where the webhook has a secret | the raw body |
//!
//! Several secrets are valid at once, so that one can be rotated without losing a delivery. All comparisons take the
//! same time for a near miss as for a wide one. No header that names the event or the delivery is covered by any of
//! these: they are input, never evidence.

use aws_lc_rs::hmac;
use fleet::Secret;
use http::{HeaderMap, header};

/// Who a delivery claims to be from, by its headers. Decides whose secret it has to be proven with.
#[derive(
    Clone,
    Copy,
    Debug,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    strum::Display,
    strum::EnumIter,
    strum::EnumString,
    strum::IntoStaticStr,
)]
#[strum(serialize_all = "kebab-case")]
pub enum Sender {
    #[strum(serialize = "github")]
    GitHub,
    #[strum(serialize = "gitlab")]
    GitLab,
    /// Forgejo too, which sends Gitea's headers beside its own.
    Gitea,
    BitbucketServer,
    BitbucketCloud,
}

impl Sender {
    /// `None` for a delivery of no forge that we know.
    pub fn of(headers: &HeaderMap) -> Option<Self> {
        let has = |name: &str| headers.contains_key(name);
        // First Gitea, which sends GitHub's headers as well.
        if ["x-gitea-event-type", "x-gitea-event", "x-forgejo-event"].into_iter().any(has) {
            return Some(Self::Gitea);
        }
        if has("x-github-event") {
            return Some(Self::GitHub);
        }
        if has("x-gitlab-event") {
            return Some(Self::GitLab);
        }
        let event = headers.get("x-event-key")?.to_str().ok()?;
        // Only Cloud says `repo:push` and `pullrequest:…`; a ping of Server has no colon at all.
        let is_cloud =
            event.starts_with("pullrequest:") || (event.starts_with("repo:") && event != "repo:refs_changed");
        Some(if is_cloud { Self::BitbucketCloud } else { Self::BitbucketServer })
    }

    /// The header that proves it.
    pub fn header(self) -> &'static str {
        match self {
            Self::GitHub => "x-hub-signature-256",
            Self::GitLab => "x-gitlab-token",
            Self::Gitea => "x-gitea-signature",
            Self::BitbucketServer | Self::BitbucketCloud => "x-hub-signature",
        }
    }
}

/// The headers by which forges name a delivery, in the order in which they are looked at. A redelivery has the same name.
const DELIVERY_IDS: [&str; 7] = [
    "x-konflux-delivery",
    "x-gitea-delivery",
    "x-forgejo-delivery",
    "x-github-delivery",
    "x-gitlab-event-uuid",
    "x-request-uuid",
    "x-request-id",
];

/// Forges send some 40 characters.
const LONGEST_DELIVERY_ID: usize = 128;

/// What the sender calls this delivery: printable ASCII, at most 128 characters. Not covered by any signature.
pub fn delivery_id(headers: &HeaderMap) -> Option<&str> {
    let id = DELIVERY_IDS.iter().find_map(|name| headers.get(*name)?.to_str().ok())?.trim();
    (!id.is_empty() && id.len() <= LONGEST_DELIVERY_ID).then_some(id)
}

/// What the body is, by its content type.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Payload {
    /// `application/json`
    Json,
    /// `application/x-www-form-urlencoded`: the JSON is the field `payload`. The signature covers the raw body.
    Form,
}

impl Payload {
    /// Parameters (`; charset=utf-8`) and case do not matter.
    pub fn of(headers: &HeaderMap) -> Option<Self> {
        let value = headers.get(header::CONTENT_TYPE)?.to_str().ok()?;
        let essence = value.split(';').next().unwrap_or_default().trim();
        if essence.eq_ignore_ascii_case("application/json") {
            Some(Self::Json)
        } else if essence.eq_ignore_ascii_case("application/x-www-form-urlencoded") {
            Some(Self::Form)
        } else {
            None
        }
    }
}

/// Why a delivery is not believed. For the log of the receiver; a caller is told nothing of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error, strum::IntoStaticStr)]
#[strum(serialize_all = "snake_case")]
pub enum Invalid {
    #[error("no secret is configured for deliveries of {0}")]
    NoSecret(Sender),
    #[error("header {0} is missing: does the webhook have a secret?")]
    Missing(&'static str),
    #[error("header {0} is there more than once")]
    Repeated(&'static str),
    #[error("header {0} holds no signature of the expected form")]
    Malformed(&'static str),
    #[error("header {0} fits none of the configured secrets")]
    Mismatch(&'static str),
    /// So common a mistake that it is worth a text of its own.
    #[error(
        "header {0} fits none of the configured secrets, of which one begins or ends with white space: was it stored with a \
         line break?"
    )]
    MismatchAndWhiteSpace(&'static str),
}

/// Checks deliveries of one sender.
#[derive(Clone, Debug)]
pub struct Verifier {
    sender: Sender,
    secrets: Vec<Key>,
    /// Accept GitHub's `X-Hub-Signature` (SHA-1) where the other one is missing.
    allow_sha1: bool,
}

#[derive(Clone)]
struct Key {
    secret: Secret<Vec<u8>>,
    sha256: hmac::Key,
    sha1: hmac::Key,
}

impl std::fmt::Debug for Key {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Key(***)")
    }
}

impl Verifier {
    /// Any of `secrets` is good. Empty ones count as absent: an empty secret would let everybody in.
    pub fn new(sender: Sender, secrets: impl IntoIterator<Item = Secret<Vec<u8>>>) -> Self {
        let key = |secret: Secret<Vec<u8>>| Key {
            sha256: hmac::Key::new(hmac::HMAC_SHA256, secret.expose()),
            sha1: hmac::Key::new(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, secret.expose()),
            secret,
        };
        let secrets = secrets.into_iter().filter(|secret| !secret.expose().is_empty()).map(key).collect();
        Self { sender, secrets, allow_sha1: false }
    }

    /// Restores what the original accepts from GitHub beside SHA-256.
    #[must_use]
    pub fn allow_sha1(mut self, allow: bool) -> Self {
        self.allow_sha1 = allow;
        self
    }

    /// Whether there is nothing to check with, so that every delivery is refused.
    pub fn is_empty(&self) -> bool {
        self.secrets.is_empty()
    }

    /// Whether `body`, as it came in, is proven by `headers`.
    pub fn verify(&self, headers: &HeaderMap, body: &[u8]) -> Result<(), Invalid> {
        if self.secrets.is_empty() {
            return Err(Invalid::NoSecret(self.sender));
        }
        let header = self.sender.header();
        let sha1 = self.allow_sha1 && self.sender == Sender::GitHub && !headers.contains_key(header);
        let header = if sha1 { "x-hub-signature" } else { header };
        let value = only(headers, header)?;
        let is_proven = match self.sender {
            Sender::GitLab => self.any(|key| key.secret == Secret::new(value.as_bytes().to_vec())),
            Sender::Gitea => self.fits(&decode(header, value, "")?, body, |key| &key.sha256),
            Sender::GitHub if sha1 => self.fits(&decode(header, value, "sha1=")?, body, |key| &key.sha1),
            Sender::GitHub | Sender::BitbucketServer | Sender::BitbucketCloud => {
                self.fits(&decode(header, value, "sha256=")?, body, |key| &key.sha256)
            }
        };
        if is_proven {
            Ok(())
        } else if self.secrets.iter().any(Key::has_white_space) {
            Err(Invalid::MismatchAndWhiteSpace(header))
        } else {
            Err(Invalid::Mismatch(header))
        }
    }

    fn fits(&self, signature: &[u8], body: &[u8], key_of: impl Fn(&Key) -> &hmac::Key) -> bool {
        self.any(|key| hmac::verify(key_of(key), body, signature).is_ok())
    }

    fn any(&self, fits: impl Fn(&Key) -> bool) -> bool {
        self.secrets.iter().any(fits)
    }
}

impl Key {
    fn has_white_space(&self) -> bool {
        let secret = self.secret.expose();
        secret.first().is_some_and(u8::is_ascii_whitespace)
            || secret.last().is_some_and(u8::is_ascii_whitespace)
    }
}

/// The one value of a header. Of two, somebody before us may have looked at the other one.
fn only<'a>(headers: &'a HeaderMap, name: &'static str) -> Result<&'a str, Invalid> {
    let mut values = headers.get_all(name).iter();
    match (values.next(), values.next()) {
        (None, _) => Err(Invalid::Missing(name)),
        (Some(_), Some(_)) => Err(Invalid::Repeated(name)),
        (Some(value), None) => value.to_str().map_err(|_| Invalid::Malformed(name)),
    }
}

fn decode(header: &'static str, value: &str, prefix: &str) -> Result<Vec<u8>, Invalid> {
    let hex = value.strip_prefix(prefix).filter(|hex| !hex.is_empty()).ok_or(Invalid::Malformed(header))?;
    data_encoding::HEXLOWER_PERMISSIVE.decode(hex.as_bytes()).map_err(|_| Invalid::Malformed(header))
}

#[cfg(test)]
mod tests {
    use http::{HeaderName, HeaderValue};
    use proptest::prelude::*;
    use rstest::rstest;

    use super::*;

    /// The body of the tests, and signatures of it by `openssl dgst -hmac hunter2`.
    const BODY: &[u8] = b"{\"zen\":\"Keep it logically awesome.\"}";
    const SHA256: &str = "13be941553f49f1d451871850826883619eae2fcddcf66a24ea92348b9897431";
    const SHA1: &str = "7ad3d70792197a59ad44ff719be52a76c83d31c1";

    fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
        let pair = |(name, value): &(&'static str, &str)| {
            (HeaderName::from_static(name), HeaderValue::from_bytes(value.as_bytes()).unwrap())
        };
        let mut map = HeaderMap::new();
        for (name, value) in pairs.iter().map(pair) {
            map.append(name, value);
        }
        map
    }

    fn verifier(sender: Sender, secrets: &[&str]) -> Verifier {
        Verifier::new(sender, secrets.iter().map(|secret| Secret::new(secret.as_bytes().to_vec())))
    }

    #[rstest]
    #[case::github(Sender::GitHub, "x-hub-signature-256", &format!("sha256={SHA256}"))]
    #[case::github_in_capitals(Sender::GitHub, "x-hub-signature-256", &format!("sha256={}", SHA256.to_uppercase()))]
    #[case::gitea(Sender::Gitea, "x-gitea-signature", SHA256)]
    #[case::gitlab(Sender::GitLab, "x-gitlab-token", "hunter2")]
    #[case::bitbucket_server(Sender::BitbucketServer, "x-hub-signature", &format!("sha256={SHA256}"))]
    #[case::bitbucket_cloud(Sender::BitbucketCloud, "x-hub-signature", &format!("sha256={SHA256}"))]
    fn believes(#[case] sender: Sender, #[case] header: &'static str, #[case] value: &str) {
        let headers = headers(&[(header, value)]);
        assert_eq!(verifier(sender, &["hunter2"]).verify(&headers, BODY), Ok(()));
        assert_eq!(verifier(sender, &["next", "hunter2"]).verify(&headers, BODY), Ok(()), "any of several");
        assert_eq!(verifier(sender, &["next"]).verify(&headers, BODY), Err(Invalid::Mismatch(header)));
        assert_eq!(verifier(sender, &[]).verify(&headers, BODY), Err(Invalid::NoSecret(sender)));
        assert_eq!(verifier(sender, &[""]).verify(&headers, BODY), Err(Invalid::NoSecret(sender)));
        assert_eq!(
            verifier(sender, &["hunter2"]).verify(&HeaderMap::new(), BODY),
            Err(Invalid::Missing(header))
        );
        if sender != Sender::GitLab {
            let changed = verifier(sender, &["hunter2"]).verify(&headers, b"{}");
            assert_eq!(changed, Err(Invalid::Mismatch(header)));
        }
    }

    const H256: &str = "x-hub-signature-256";

    #[rstest]
    #[case::no_algorithm(H256, SHA256.to_owned(), Invalid::Malformed(H256))]
    #[case::sha1_in_the_wrong_header(H256, format!("sha1={SHA1}"), Invalid::Malformed(H256))]
    #[case::another_algorithm(H256, "sha512=00".to_owned(), Invalid::Malformed(H256))]
    #[case::empty(H256, "sha256=".to_owned(), Invalid::Malformed(H256))]
    #[case::cut_off(H256, format!("sha256={}", &SHA256[..62]), Invalid::Mismatch(H256))]
    #[case::half_a_byte(H256, format!("sha256={}", &SHA256[..63]), Invalid::Malformed(H256))]
    #[case::no_text(H256, "sha256=\u{e9}".to_owned(), Invalid::Malformed(H256))]
    #[case::only_sha1("x-hub-signature", format!("sha1={SHA1}"), Invalid::Missing(H256))]
    fn refuses_github(#[case] header: &'static str, #[case] value: String, #[case] expected: Invalid) {
        let headers = headers(&[(header, &value)]);
        assert_eq!(verifier(Sender::GitHub, &["hunter2"]).verify(&headers, BODY), Err(expected));
    }

    #[test]
    fn refuses_two_signatures() {
        let headers = headers(&[(H256, &format!("sha256={SHA256}")), (H256, "sha256=00")]);
        assert_eq!(
            verifier(Sender::GitHub, &["hunter2"]).verify(&headers, BODY),
            Err(Invalid::Repeated(H256))
        );
    }

    #[test]
    fn sha1_only_when_asked_for_and_never_before_sha256() {
        let weak = format!("sha1={SHA1}");
        let verifier = verifier(Sender::GitHub, &["hunter2"]).allow_sha1(true);
        assert_eq!(verifier.verify(&headers(&[("x-hub-signature", &weak)]), BODY), Ok(()));
        let both = headers(&[("x-hub-signature", &weak), (H256, "sha256=00")]);
        assert_eq!(verifier.verify(&both, BODY), Err(Invalid::Mismatch(H256)));
    }

    #[test]
    fn tells_of_a_secret_with_a_line_break() {
        let headers = headers(&[(H256, &format!("sha256={SHA256}"))]);
        let error = verifier(Sender::GitHub, &["hunter2\n"]).verify(&headers, BODY).unwrap_err();
        assert_eq!(error, Invalid::MismatchAndWhiteSpace(H256));
        assert!(error.to_string().contains("line break") && !error.to_string().contains("hunter2"));
    }

    #[rstest]
    #[case::github(&[("x-github-event", "push")], Some(Sender::GitHub))]
    #[case::gitea(&[("x-gitea-event", "push"), ("x-gitea-event-type", "push"), ("x-github-event", "push")], Some(Sender::Gitea))]
    #[case::forgejo(&[("x-forgejo-event", "push"), ("x-github-event", "push")], Some(Sender::Gitea))]
    #[case::gitlab(&[("x-gitlab-event", "Push Hook")], Some(Sender::GitLab))]
    #[case::bitbucket_server(&[("x-event-key", "pr:opened")], Some(Sender::BitbucketServer))]
    #[case::bitbucket_server_push(&[("x-event-key", "repo:refs_changed")], Some(Sender::BitbucketServer))]
    #[case::bitbucket_server_ping(&[("x-event-key", "diagnostics:ping")], Some(Sender::BitbucketServer))]
    #[case::bitbucket_cloud(&[("x-event-key", "pullrequest:created")], Some(Sender::BitbucketCloud))]
    #[case::bitbucket_cloud_push(&[("x-event-key", "repo:push")], Some(Sender::BitbucketCloud))]
    #[case::nobody(&[("x-event-key", "\u{e9}")], None)]
    #[case::nothing(&[], None)]
    fn tells_who_sends(#[case] pairs: &[(&'static str, &str)], #[case] expected: Option<Sender>) {
        assert_eq!(Sender::of(&headers(pairs)), expected);
    }

    #[rstest]
    #[case::json("application/json", Some(Payload::Json))]
    #[case::json_with_parameters("Application/JSON ; charset=utf-8", Some(Payload::Json))]
    #[case::form("application/x-www-form-urlencoded", Some(Payload::Form))]
    #[case::text("text/plain", None)]
    #[case::prefix("application/jsonp", None)]
    fn reads_the_content_type(#[case] value: &str, #[case] expected: Option<Payload>) {
        assert_eq!(Payload::of(&headers(&[("content-type", value)])), expected);
    }

    #[rstest]
    #[case::github(&[("x-github-delivery", "72d3162e")], Some("72d3162e"))]
    #[case::gitea_before_github(&[("x-github-delivery", "b"), ("x-gitea-delivery", "a")], Some("a"))]
    #[case::gitlab(&[("x-gitlab-event-uuid", " u ")], Some("u"))]
    #[case::empty(&[("x-github-delivery", "")], None)]
    #[case::none(&[], None)]
    fn names_the_delivery(#[case] pairs: &[(&'static str, &str)], #[case] expected: Option<&str>) {
        assert_eq!(delivery_id(&headers(pairs)), expected);
        let long = "x".repeat(LONGEST_DELIVERY_ID + 1);
        assert_eq!(delivery_id(&headers(&[("x-github-delivery", &long)])), None);
    }

    fn any_sender() -> impl Strategy<Value = Sender> {
        use strum::IntoEnumIterator as _;
        prop::sample::select(Sender::iter().collect::<Vec<_>>())
    }

    proptest! {
        /// Names are what flags and metrics use, so they read back.
        #[test]
        fn sender_reads_back(sender in any_sender()) {
            prop_assert_eq!(sender.to_string().parse::<Sender>(), Ok(sender));
        }

        /// Nothing but the right proof is believed, and nothing panics.
        #[test]
        fn believes_no_noise(sender in any_sender(), value in prop::collection::vec(0x20_u8..=0xff, 0..120), body in prop::collection::vec(any::<u8>(), 0..64)) {
            let Ok(value) = HeaderValue::from_bytes(&value) else { return Ok(()) };
            let mut headers = HeaderMap::new();
            headers.insert(sender.header(), value.clone());
            headers.insert("x-hub-signature", value);
            let verifier = verifier(sender, &["a secret that no noise holds"]).allow_sha1(true);
            prop_assert!(verifier.verify(&headers, &body).is_err());
        }

        /// What we sign ourselves is believed, and no other body by the same signature.
        #[test]
        fn believes_what_is_signed(secret in prop::collection::vec(any::<u8>(), 1..64), body in prop::collection::vec(any::<u8>(), 0..256), flip in any::<prop::sample::Index>()) {
            let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, &secret), &body);
            let hex = data_encoding::HEXLOWER.encode(tag.as_ref());
            let headers = headers(&[(H256, &format!("sha256={hex}"))]);
            let verifier = Verifier::new(Sender::GitHub, [Secret::new(secret)]);
            prop_assert_eq!(verifier.verify(&headers, &body), Ok(()));
            if !body.is_empty() {
                let mut changed = body.clone();
                changed[flip.index(body.len())] ^= 1;
                prop_assert!(verifier.verify(&headers, &changed).is_err());
            }
        }
    }
}
