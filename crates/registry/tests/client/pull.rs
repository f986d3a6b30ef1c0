//! Pulls from a registry over TLS, by the client that services use.

use crate::world::World;
use registry::{Digest, Document, Error, Keychain, Platform, Reference};

fn on_linux(platform: &Platform) -> bool {
    platform.os == "linux"
}

#[tokio::test]
async fn finds_the_programs_of_each_platform() {
    let world = World::new();
    let platforms: [(&str, &[&str], &[&str]); 4] = [
        ("linux/amd64", &["/app"], &["-x"]),
        ("linux/arm64/v8", &[], &["/bin/sh"]),
        ("windows/amd64", &["app.exe"], &[]),
        ("unknown/unknown", &[], &[]),
    ];
    let digest = world.registry.push_image("org/app", "v1", &platforms);
    let nobody = Keychain::default();
    let manifest = world.client.manifest(&world.reference("org/app:v1"), &nobody).await.unwrap();
    assert_eq!(manifest.digest.as_str(), digest);
    assert_eq!(manifest.reference, world.reference(&format!("org/app@{digest}")));
    let image = world.client.image(&manifest, on_linux, &nobody).await.unwrap();
    let shown: Vec<_> = image
        .platforms
        .iter()
        .map(|(platform, program)| {
            (platform.to_string(), program.entrypoint.join(" "), program.command.join(" "))
        })
        .collect();
    let expected = [("linux/amd64", "/app", "-x"), ("linux/arm64/v8", "", "/bin/sh")];
    let owned = |(a, b, c): (&str, &str, &str)| (a.to_owned(), b.to_owned(), c.to_owned());
    assert_eq!(shown, expected.map(owned));

    world.registry.push_image("org/app", "one", &platforms[..1]);
    let manifest = world.client.manifest(&world.reference("org/app:one"), &nobody).await.unwrap();
    assert!(matches!(manifest.document().unwrap(), Document::Image(_)));
    let image = world.client.image(&manifest, on_linux, &nobody).await.unwrap();
    assert_eq!(image.platforms.len(), 1);
}

#[tokio::test]
async fn shows_the_login_of_the_longest_path_and_then_the_others() {
    let world = World::new();
    world.registry.push_image("org/app", "v1", &[("linux/amd64", &["/app"], &[])]);
    world.registry.lock("org/app", "robot", "secret");
    let reference = world.reference("org/app:v1");

    let error = world.client.manifest(&reference, &Keychain::default()).await.unwrap_err();
    assert!(matches!(error, Error::Unauthorized { logins: 0, .. }), "{error}");
    assert!(error.to_string().contains("pull secret"), "{error}");
    let wrong = world.keychain(&[("", "robot", "guess"), ("/other", "robot", "secret")]);
    let error = world.client.manifest(&reference, &wrong).await.unwrap_err();
    assert!(matches!(error, Error::Unauthorized { logins: 1, .. }), "{error}");
    assert!(!error.to_string().contains("guess"), "{error}");
    for right in [
        &[("/org", "robot", "secret")][..],
        &[("", "robot", "guess"), ("/org/app", "robot", "secret")],
        &[("/org/app", "robot", "guess"), ("", "robot", "secret")],
    ] {
        world.client.manifest(&reference, &world.keychain(right)).await.unwrap();
    }
    // What one login has opened stays closed to the others.
    world.client.manifest(&reference, &Keychain::default()).await.unwrap_err();
}

#[tokio::test]
async fn asks_for_one_token_per_repository() {
    let world = World::new();
    let images: [(&str, &[&str], &[&str]); 2] =
        [("linux/amd64", &["/a"], &[]), ("linux/arm64", &["/a"], &[])];
    world.registry.push_image("app", "v1", &images);
    let nobody = Keychain::default();
    let manifest = world.client.manifest(&world.reference("app:v1"), &nobody).await.unwrap();
    world.client.image(&manifest, on_linux, &nobody).await.unwrap();
    let calls = world.registry.calls();
    assert_eq!(calls.iter().filter(|path| *path == "/token").count(), 1, "{calls:?}");
}

#[tokio::test]
async fn believes_nothing_that_has_another_digest() {
    let world = World::new();
    let nobody = Keychain::default();
    let digest: Digest = world.registry.push_blob("app", b"content").parse().unwrap();
    let reference = world.reference("app:v1");
    assert_eq!(world.client.blob(&reference, &digest, 100, &nobody).await.unwrap(), b"content");
    world.registry.corrupt_blob("app", digest.as_str(), b"another");
    let error = world.client.blob(&reference, &digest, 100, &nobody).await.unwrap_err();
    assert!(matches!(error, Error::Invalid { .. }), "{error}");
    let error = world.client.blob(&reference, &digest, 3, &nobody).await.unwrap_err();
    assert!(matches!(error, Error::TooLarge { limit: 3, .. }), "{error}");

    // Under the name of its digest lies another manifest.
    let asked = world.reference(&format!("app@{digest}"));
    world.registry.push_manifest("app", digest.as_str(), "application/json", b"{}");
    let error = world.client.manifest(&asked, &nobody).await.unwrap_err();
    assert!(matches!(error, Error::Invalid { .. }), "{error}");
}

#[tokio::test]
async fn tells_apart_what_is_missing_what_is_rubbish_and_what_may_not_be_called() {
    let world = World::new();
    let nobody = Keychain::default();
    let error = world.client.manifest(&world.reference("app:v1"), &nobody).await.unwrap_err();
    assert!(matches!(error, Error::NotFound { .. }), "{error}");
    assert!(error.to_string().contains("app:v1"), "{error}");

    // Both an index and an image: readers would not agree on what it is.
    let both = br#"{"manifests": [], "config": {"digest": ""}, "layers": []}"#;
    world.registry.push_manifest("app", "v2", "application/json", both);
    let manifest = world.client.manifest(&world.reference("app:v2"), &nobody).await.unwrap();
    assert!(matches!(manifest.document(), Err(Error::Invalid { .. })));

    let closed: Reference = "127.0.0.1:1/app:v1".parse().unwrap();
    let error = world.client.manifest(&closed, &nobody).await.unwrap_err();
    assert!(error.is_transient(), "{error}");

    let guarded = World::allowing("");
    let error = guarded.client.manifest(&guarded.reference("app:v1"), &nobody).await.unwrap_err();
    assert!(matches!(error, Error::Refused { .. }) && !error.is_transient(), "{error}");
    assert!(guarded.registry.calls().is_empty());
}
