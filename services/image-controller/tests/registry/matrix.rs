//! Who reaches what: robots their own repository and no other, strangers what is public, and nobody by a token that is not good.

use std::path::Path;

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair};
use data_encoding::{BASE64, BASE64URL_NOPAD};
use image_controller::registry::{Backend, Robot, Role};
use image_controller_api::Visibility;
use reqwest::StatusCode;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivatePkcs8KeyDer};
use serde_json::{Value, json};
use testkit::pki::Authority;
use testkit::{DEADLINE, eventually};

use crate::client::Login;
use crate::tokens::{ORGANIZATION, Tenants};

/// A repository with an account for each role.
struct Repository {
    name: String,
    push: Robot,
    pull: Robot,
}

impl Repository {
    async fn provision(backend: &dyn Backend, path: &str, visibility: Visibility) -> anyhow::Result<Self> {
        backend.create(path, visibility, "of a test").await?;
        let short = path.replace('/', "_");
        let push = backend.robot(&short, "pushes").await?;
        backend.grant(path, &short, Role::Write).await?;
        let pull = backend.robot(&format!("{short}_pull"), "pulls").await?;
        backend.grant(path, &format!("{short}_pull"), Role::Read).await?;
        Ok(Self { name: format!("{ORGANIZATION}/{path}"), push, pull })
    }
}

#[expect(clippy::unnecessary_wraps, reason = "what everything here takes")]
fn login(robot: &Robot) -> Login<'_> {
    Some((&robot.name, robot.token.expose()))
}

const YES: bool = true;
const NO: bool = false;

/// Who: what they may do, pull and push, with each of three repositories.
type Rights<'a> = (&'a str, Login<'a>, [(bool, bool); 3]);

/// Waits for the endpoint to have seen what was just written, then the first image is there.
async fn first_push(tenants: &Tenants, repository: &Repository) -> anyhow::Result<()> {
    eventually(DEADLINE, "the first push", async || {
        let status = tenants.docker.push(&repository.name, "v1", "hello", login(&repository.push)).await?;
        anyhow::ensure!(status == StatusCode::CREATED, "{status}");
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_robot_reaches_its_own_repository_and_no_other() -> anyhow::Result<()> {
    let tenants = Tenants::start().await?;
    let (docker, backend) = (&tenants.docker, tenants.backend.as_ref());
    let private = Repository::provision(backend, "one/app/web", Visibility::Private).await?;
    let other = Repository::provision(backend, "two/app/web", Visibility::Private).await?;
    let public = Repository::provision(backend, "two/app/api", Visibility::Public).await?;
    for repository in [&private, &other, &public] {
        first_push(&tenants, repository).await?;
    }
    // Who; may pull and push: its own, another namespace's, another namespace's public one.
    let matrix: [Rights<'_>; 4] = [
        ("its push robot", login(&private.push), [(YES, YES), (NO, NO), (YES, NO)]),
        ("its pull robot", login(&private.pull), [(YES, NO), (NO, NO), (YES, NO)]),
        ("a robot of the other", login(&other.push), [(NO, NO), (YES, YES), (YES, NO)]),
        ("nobody", None, [(NO, NO), (NO, NO), (YES, NO)]),
    ];
    for (who, login, expected) in matrix {
        for (repository, (may_pull, may_push)) in [&private, &other, &public].into_iter().zip(expected) {
            let pulled = docker.pull(&repository.name, "v1", login).await?;
            assert_eq!(pulled.is_success(), may_pull, "{who} pulls {}: {pulled}", repository.name);
            let pushed = docker.push(&repository.name, "v2", who, login).await?;
            assert_eq!(pushed.is_success(), may_push, "{who} pushes {}: {pushed}", repository.name);
            for refused in [(pulled, may_pull), (pushed, may_push)].into_iter().filter(|(_, may)| !may) {
                assert_eq!(refused.0, StatusCode::UNAUTHORIZED, "{who} at {}", repository.name);
            }
            // Nobody deletes: that is image-controller's.
            let token = docker.token(&repository.name, "pull,push,delete,*", login).await?;
            let deleted = docker.delete_with(&repository.name, "v1", &token).await?;
            assert!(!deleted.is_success(), "{who} deletes from {}: {deleted}", repository.name);
        }
    }
    Ok(())
}

#[tokio::test]
async fn wrong_passwords_are_refused_alike() -> anyhow::Result<()> {
    let tenants = Tenants::start().await?;
    let repository = Repository::provision(tenants.backend.as_ref(), "one/web", Visibility::Public).await?;
    first_push(&tenants, &repository).await?;
    let scope = format!("repository:{}:pull", repository.name);
    let robot = repository.push.name.as_str();
    let mut answers = Vec::new();
    for login in [(robot, "wrong"), (robot, ""), ("org+nobody", "wrong"), ("org+nobody", ""), ("", "")] {
        let answer = tenants.docker.ask(&scope, Some(login)).await?;
        assert_eq!(answer.status(), StatusCode::UNAUTHORIZED, "{login:?}");
        assert!(answer.headers().contains_key("www-authenticate"));
        answers.push(answer.text().await?);
    }
    answers.dedup();
    assert_eq!(answers.len(), 1, "{answers:?} tell which robots there are");
    let other = tenants.docker.ask_for("registry.example.com", &scope, None).await?;
    assert_eq!(other.status(), StatusCode::BAD_REQUEST, "tokens of another registry");
    Ok(())
}

#[tokio::test]
async fn forged_and_expired_tokens_are_refused() -> anyhow::Result<()> {
    let tenants = Tenants::start().await?;
    let docker = &tenants.docker;
    let repository = Repository::provision(tenants.backend.as_ref(), "one/web", Visibility::Private).await?;
    first_push(&tenants, &repository).await?;
    let name = repository.name.as_str();
    let good = docker.token(name, "pull", login(&repository.pull)).await?;
    assert_eq!(docker.pull_with(name, "v1", &good).await?, StatusCode::OK);

    let parts: Vec<&str> = good.split('.').collect();
    let read = |part: &str| -> anyhow::Result<Value> {
        Ok(serde_json::from_slice(&BASE64URL_NOPAD.decode(part.as_bytes())?)?)
    };
    let write = |value: &Value| BASE64URL_NOPAD.encode(value.to_string().as_bytes());
    let (header, claims) = (read(parts[0])?, read(parts[1])?);
    let changed = |field: &str, value: Value| {
        let mut claims = claims.clone();
        claims[field] = value;
        claims
    };
    let now = claims["iat"].as_i64().unwrap_or_default();
    let everything = json!([{ "type": "repository", "name": name, "actions": ["pull", "push", "delete"] }]);
    let stranger = Authority::new("tokens")?;
    let ours = Key::read(&tenants.folder.path().join("key"))?;
    let theirs = Key::of(stranger.cert_pem(), &stranger.key_pem())?;

    let cases = [
        (
            "claims were changed",
            format!("{}.{}.{}", parts[0], write(&changed("access", everything.clone())), parts[2]),
        ),
        ("no signature", format!("{}.{}.", parts[0], parts[1])),
        ("no algorithm", format!("{}.{}.", write(&json!({ "typ": "JWT", "alg": "none" })), parts[1])),
        (
            "a stranger's key",
            theirs.sign(&json!({ "typ": "JWT", "alg": "ES256", "x5c": [theirs.certificate] }), &claims)?,
        ),
        ("a stranger's key and our certificate", theirs.sign(&header, &claims)?),
        ("expired", ours.sign(&header, &changed("exp", json!(now - 3600)))?),
        ("not yet good", ours.sign(&header, &changed("nbf", json!(now + 3600)))?),
        ("of another registry", ours.sign(&header, &changed("aud", json!("registry.example.com")))?),
        ("of another issuer", ours.sign(&header, &changed("iss", json!("somebody")))?),
        (
            "of another repository",
            ours.sign(
                &header,
                &changed(
                    "access",
                    json!([{ "type": "repository", "name": "org/two/web", "actions": ["pull"] }]),
                ),
            )?,
        ),
        ("nothing granted", ours.sign(&header, &changed("access", json!([])))?),
        ("rubbish", "a.b.c".to_owned()),
    ];
    // What is made here is taken when it is right: else the cases prove nothing.
    assert_eq!(docker.pull_with(name, "v1", &ours.sign(&header, &claims)?).await?, StatusCode::OK);
    for (case, token) in cases {
        assert_eq!(docker.pull_with(name, "v1", &token).await?, StatusCode::UNAUTHORIZED, "{case}");
    }
    // A token to pull is none to push.
    assert_eq!(docker.push_with(name, "v2", "x", &good).await?, StatusCode::UNAUTHORIZED);
    Ok(())
}

#[tokio::test]
async fn rights_follow_the_records() -> anyhow::Result<()> {
    let tenants = Tenants::start().await?;
    let (docker, backend) = (&tenants.docker, tenants.backend.as_ref());
    let repository = Repository::provision(backend, "one/web", Visibility::Private).await?;
    first_push(&tenants, &repository).await?;
    let pull = async |login| docker.pull(&repository.name, "v1", login).await;

    // Visibility, both ways.
    assert_eq!(pull(None).await?, StatusCode::UNAUTHORIZED);
    for (visibility, expected) in
        [(Visibility::Public, StatusCode::OK), (Visibility::Private, StatusCode::UNAUTHORIZED)]
    {
        backend.set_visibility("one/web", visibility).await?;
        assert_eq!(backend.find("one/web").await?, Some(visibility));
        eventually(DEADLINE, "the endpoint to know the visibility", async || {
            let status = pull(None).await?;
            anyhow::ensure!(status == expected, "{status}");
            Ok(())
        })
        .await?;
    }

    // The old token is dead, the new one works.
    let rotated = backend.rotate("one_web").await?;
    assert_eq!(rotated.name, repository.push.name);
    assert_ne!(rotated.token, repository.push.token);
    eventually(DEADLINE, "the old password to be refused", async || {
        let scope = format!("repository:{}:pull", repository.name);
        let status = docker.ask(&scope, login(&repository.push)).await?.status();
        anyhow::ensure!(status == StatusCode::UNAUTHORIZED, "{status}");
        Ok(())
    })
    .await?;
    assert_eq!(pull(login(&rotated)).await?, StatusCode::OK);

    // A robot that is made anew under its name has none of its rights.
    backend.delete_robot("one_web").await?;
    let anew = backend.robot("one_web", "again").await?;
    eventually(DEADLINE, "the new robot to be known", async || {
        let status = pull(login(&anew)).await?;
        anyhow::ensure!(status == StatusCode::UNAUTHORIZED, "{status}");
        Ok(())
    })
    .await?;
    backend.grant("one/web", "one_web", Role::Read).await?;
    eventually(DEADLINE, "the right to be known", async || {
        let status = pull(login(&anew)).await?;
        anyhow::ensure!(status == StatusCode::OK, "{status}");
        Ok(())
    })
    .await
}

/// What was known goes on being answered.
#[tokio::test]
async fn answers_while_the_api_server_is_away() -> anyhow::Result<()> {
    let (tenants, proxy) = Tenants::start_behind_a_proxy().await?;
    let repository = Repository::provision(tenants.backend.as_ref(), "one/web", Visibility::Private).await?;
    first_push(&tenants, &repository).await?;
    drop(proxy);
    // The administrator goes on: the endpoint does not hear of it.
    tenants.backend.set_visibility("one/web", Visibility::Public).await?;
    tenants.endpoint_misses_its_api_server().await?;
    let pushed = tenants.docker.push(&repository.name, "v2", "later", login(&repository.push)).await?;
    assert_eq!(pushed, StatusCode::CREATED);
    assert_eq!(tenants.docker.pull(&repository.name, "v2", None).await?, StatusCode::UNAUTHORIZED);
    let ready = reqwest::get(&tenants.health).await?.status();
    assert!(ready.is_success(), "a Service would send nobody there: {ready}");
    Ok(())
}

/// A key with its certificate: signs whatever one likes.
struct Key {
    pair: EcdsaKeyPair,
    /// DER in base64.
    certificate: String,
}

impl Key {
    fn read(folder: &Path) -> anyhow::Result<Self> {
        let read = |name: &str| std::fs::read_to_string(folder.join(name));
        Self::of(&read("tls.crt")?, &read("tls.key")?)
    }

    fn of(certificate: &str, key: &str) -> anyhow::Result<Self> {
        let certificate = CertificateDer::from_pem_slice(certificate.as_bytes())?;
        let key = PrivatePkcs8KeyDer::from_pem_slice(key.as_bytes())?;
        let pair = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, key.secret_pkcs8_der())?;
        Ok(Self { pair, certificate: BASE64.encode(&certificate) })
    }

    fn sign(&self, header: &Value, claims: &Value) -> anyhow::Result<String> {
        let part = |value: &Value| BASE64URL_NOPAD.encode(value.to_string().as_bytes());
        let signed = format!("{}.{}", part(header), part(claims));
        let signature = self.pair.sign(&SystemRandom::new(), signed.as_bytes())?;
        Ok(format!("{signed}.{}", BASE64URL_NOPAD.encode(signature.as_ref())))
    }
}
