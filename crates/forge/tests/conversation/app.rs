//! The GitHub App and its tokens.

use fleet::{Clock, Secret};
use forge::{Error, InvalidApp, Provider, Scope};
use jiff::SignedDuration;
use testkit::forge::{AppKey, GitHub, Model, Visibility};

use crate::world::{World, fails, repository, url, world};

struct Fixture {
    world: World,
    github: GitHub,
    key: AppKey,
    installation: u64,
}

/// The App 7 in `acme`, which has the private `acme/app` and `acme/secret`.
fn fixture() -> Fixture {
    let world = world("localhost");
    let github = GitHub::start(&world.authority).unwrap();
    let key = AppKey::generate().unwrap();
    let installation = github.edit(|model| {
        for name in ["acme/app", "acme/secret"] {
            model.repository(name).unwrap().visibility = Visibility::Private;
        }
        model.add_app(testkit::forge::App {
            id: 7,
            slug: "konflux".to_owned(),
            name: "Konflux".to_owned(),
            owner: "acme".to_owned(),
            public_key: key.public_der(),
        });
        model.install(7, "acme", &[("contents", "read")])
    });
    Fixture { world, github, key, installation }
}

fn app(id: &str, key: &AppKey) -> forge::App {
    let key = Secret::new(key.private_pem().as_bytes().to_vec());
    forge::App::new(id, &key, Clock::system()).unwrap()
}

impl Fixture {
    async fn token(&self, scope: &Scope) -> Result<forge::InstallationToken, Error> {
        let app = app("7", &self.key);
        app.token(&url(self.github.url()), self.installation, scope, &self.world.outbound).await
    }

    /// Whether a token of this scope shows the repository.
    async fn shows(&self, scope: &Scope, full_name: &str) -> bool {
        let token = self.token(scope).await.unwrap();
        let forge = self.world.converse(Provider::GitHub, self.github.url(), token.token.expose());
        let found = forge.commit(&repository(full_name), "main").await;
        assert!(matches!(found, Ok(_) | Err(Error::NotFound { .. })), "{found:?}");
        found.is_ok()
    }

    fn id_of(&self, full_name: &str) -> u64 {
        self.github.edit(|model: &mut Model| model.repo(full_name).unwrap().id)
    }
}

#[tokio::test]
async fn a_token_reaches_what_its_scope_says() {
    let world = fixture();
    let (all, by_id, by_both) = (
        Scope::default(),
        Scope { ids: vec![world.id_of("acme/app")], ..Scope::default() },
        Scope { ids: vec![world.id_of("acme/app")], names: vec!["secret".to_owned()], ..Scope::default() },
    );
    assert!(world.shows(&all, "acme/app").await && world.shows(&all, "acme/secret").await);
    assert!(world.shows(&by_id, "acme/app").await && !world.shows(&by_id, "acme/secret").await);
    assert!(world.shows(&by_both, "acme/secret").await);
    let unknown = Scope { names: vec!["none".to_owned()], ..Scope::default() };
    let text = fails!(world.token(&unknown).await, Error::Invalid { .. });
    assert!(text.contains("does not exist or is not accessible"), "{text}");
}

#[tokio::test]
async fn a_token_ends_after_an_hour() {
    let world = fixture();
    let made = world.token(&Scope::default()).await.unwrap();
    let lasts = made.expires_at.duration_since(Clock::system().now()).as_mins();
    assert!((58..=60).contains(&lasts), "{lasts}");
    let forge = world.world.converse(Provider::GitHub, world.github.url(), made.token.expose());
    forge.commit(&repository("acme/app"), "main").await.unwrap();
    world.github.edit(|model| model.advance(SignedDuration::from_mins(61)));
    fails!(forge.commit(&repository("acme/app"), "main").await, Error::Unauthorized { .. });
}

#[tokio::test]
async fn finds_the_installation_of_a_repository() {
    let world = fixture();
    let (app, server) = (app("7", &world.key), url(world.github.url()));
    let found = app.installation_of(&server, &repository("acme/app"), &world.world.outbound).await.unwrap();
    assert_eq!((found.id, found.is_suspended), (world.installation, false));
    assert_eq!(found.permissions["contents"], "read");
    world.github.edit(|model| model.repository("other/app").map(drop).unwrap());
    let missing = app.installation_of(&server, &repository("other/app"), &world.world.outbound).await;
    fails!(missing, Error::NotFound { .. });
}

#[tokio::test]
async fn another_key_or_an_old_signature_is_not_taken() {
    let world = fixture();
    let other = AppKey::generate().unwrap();
    let ask = async |app: &forge::App| {
        let server = url(world.github.url());
        app.token(&server, world.installation, &Scope::default(), &world.world.outbound).await.map(drop)
    };
    let text = fails!(ask(&app("7", &other)).await, Error::Unauthorized { .. });
    assert!(text.contains("could not be decoded"), "{text}");
    ask(&app("7", &world.key)).await.unwrap();
    // GitHub's clock is ten minutes ahead: what was signed for five is over.
    world.github.edit(|model| model.advance(SignedDuration::from_mins(10)));
    let text = fails!(ask(&app("7", &world.key)).await, Error::Unauthorized { .. });
    assert!(text.contains("exp"), "{text}");
}

#[test]
fn an_app_has_a_number_and_a_key() {
    let key = |text: &str| Secret::new(text.as_bytes().to_vec());
    let pem = AppKey::generate().unwrap().private_pem().to_owned();
    let made = |id: &str, pem: &str| forge::App::new(id, &key(pem), Clock::system()).map(|app| app.id());
    assert_eq!(made(" 7\n", &pem), Ok(7));
    assert_eq!(made("Konflux", &pem), Err(InvalidApp::Id));
    assert_eq!(made("7", "no key"), Err(InvalidApp::Key));
}

#[tokio::test]
async fn tells_what_it_is_and_where() {
    let world = fixture();
    let (app, server) = (app("7", &world.key), url(world.github.url()));
    let info = app.info(&server, &world.world.outbound).await.unwrap();
    assert_eq!((info.id, info.slug.as_str(), info.name.as_str()), (7, "konflux", "Konflux"));
    let suspended = world.github.edit(|model| {
        let (installation, now) = (model.install(7, "other", &[("contents", "read")]), model.now());
        model.installation_mut(installation).unwrap().suspended_at = Some(now);
        for number in 0..150 {
            model.install(7, &format!("org{number}"), &[]);
        }
        model.repository("other/app").unwrap();
        installation
    });
    let found = app.installations(&server, 1000, &world.world.outbound).await.unwrap();
    assert_eq!(found.len(), 152);
    assert_eq!(app.installations(&server, 20, &world.world.outbound).await.unwrap().len(), 20);
    let resting: Vec<u64> = found.iter().filter(|one| one.is_suspended).map(|one| one.id).collect();
    assert_eq!(resting, [suspended]);
    let of_other =
        app.installation_of(&server, &repository("other/app"), &world.world.outbound).await.unwrap();
    assert!(of_other.is_suspended);
    let token = app.token(&server, suspended, &Scope::default(), &world.world.outbound).await;
    fails!(token, Error::Forbidden { .. });
    // Of an App that there is not GitHub says the same as of one that is not installed.
    let unknown = self::app("8", &world.key);
    fails!(unknown.info(&server, &world.world.outbound).await, Error::NotFound { .. });
}

#[tokio::test]
async fn a_token_may_do_what_its_scope_says() {
    let world = fixture();
    world.github.edit(|model| {
        let permissions = &mut model.installation_mut(world.installation).unwrap().permissions;
        permissions.insert("contents".to_owned(), "write".to_owned());
        permissions.insert("repository_hooks".to_owned(), "write".to_owned());
    });
    let scope =
        Scope { permissions: [("contents".to_owned(), "read".to_owned())].into(), ..Scope::default() };
    for (scope, is_enough) in [(Scope::default(), true), (scope, false)] {
        let token = world.token(&scope).await.unwrap();
        let forge = world.world.change(Provider::GitHub, world.github.url(), token.token.expose());
        assert!(forge.commit(&repository("acme/app"), "main").await.is_ok());
        let deleted = forge.delete_hook(&repository("acme/app"), "https://none.test").await;
        if is_enough {
            assert!(!deleted.unwrap());
        } else {
            fails!(deleted, Error::Forbidden { .. });
        }
    }
}
