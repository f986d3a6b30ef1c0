//! Whose certificates are believed.

use std::os::unix::fs::symlink;

use super::*;

async fn call(client: &Client, forge: &Place) -> Result<Response, Error> {
    client.fetch(Request::new(http::Method::POST, forge.url("forge.test", "/"))).await
}

#[tokio::test]
async fn an_unknown_authority_is_not_believed_and_the_error_names_the_flag() {
    let world = World::new();
    let forge = world.says("127.0.0.1", &["forge.test"], 200, &[], "");
    std::fs::write(world.bundle(), Authority::new("another").unwrap().cert_pem()).unwrap();
    let error = call(&world.client("forge.test"), &forge).await.unwrap_err();
    assert!(matches!(&error, Error::Connect { .. }), "{error}");
    assert!(error.to_string().contains("--ca-bundle"), "{error}");
    assert_eq!(forge.asked(), 0);
}

#[tokio::test]
async fn a_certificate_is_for_its_name() {
    let world = World::new();
    let forge = world.says("127.0.0.1", &["forge.test"], 200, &[], "");
    world.name("other.test", &[&["127.0.0.1"]]);
    let request = Request::new(http::Method::POST, forge.url("other.test", "/"));
    let error = world.client("127.0.0.0/8").fetch(request).await.unwrap_err();
    assert!(matches!(&error, Error::Connect { .. }), "{error}");
    assert_eq!(forge.asked(), 0);
}

/// As the kubelet does: a new folder, and a link that is swapped to it.
fn mount(root: &std::path::Path, version: &str, content: &str) {
    std::fs::create_dir(root.join(version)).unwrap();
    std::fs::write(root.join(version).join("ca.crt"), content).unwrap();
    symlink(version, root.join("..next")).unwrap();
    std::fs::rename(root.join("..next"), root.join("..data")).unwrap();
}

#[tokio::test]
async fn follows_the_bundle_as_it_is_mounted() {
    let world = World::new();
    let root = world.folder.path();
    std::fs::remove_file(world.bundle()).unwrap();
    let another = Authority::new("another").unwrap();
    let (ours, other) = (world.authority.cert_pem(), another.cert_pem());
    let forge = world.says("127.0.0.1", &["forge.test"], 200, &[], "");

    // The ConfigMap is not there yet.
    let client = world.client("forge.test");
    call(&client, &forge).await.unwrap_err();
    symlink("..data/ca.crt", world.bundle()).unwrap();
    mount(root, "1", ours);
    client.read_bundle_again().await.unwrap();
    call(&client, &forge).await.unwrap();

    // What is no bundle is passed over, also when it is followed by nothing.
    mount(root, "2", "not yet");
    let trouble = client.read_bundle_again().await.unwrap_err();
    assert!(trouble.contains("--ca-bundle"), "{trouble}");
    call(&client, &forge).await.unwrap();
    std::fs::remove_file(root.join("2/ca.crt")).unwrap();
    client.read_bundle_again().await.unwrap();
    call(&client, &forge).await.unwrap();

    // What is not trusted any more is not used any more, open connections included.
    mount(root, "3", other);
    client.read_bundle_again().await.unwrap();
    let refused = call(&client, &forge).await;
    assert!(matches!(refused, Err(Error::Connect { .. })), "{refused:?}");

    // All this happens by itself, too.
    let following = tokio::spawn(client.clone().follow_bundle());
    mount(root, "4", &format!("{other}{ours}"));
    testkit::eventually(DEADLINE, "the new authority to be trusted", async || {
        call(&client, &forge).await?;
        Ok(())
    })
    .await
    .unwrap();
    assert!(!following.is_finished());
}

#[tokio::test]
async fn further_authorities_stand_beside_the_bundle_until_others_are_named() {
    let world = World::new();
    let forge = world.says("127.0.0.1", &["forge.test"], 200, &[], "");
    let another = Authority::new("another").unwrap();
    std::fs::write(world.bundle(), another.cert_pem()).unwrap();
    let client = world.client("forge.test");
    call(&client, &forge).await.unwrap_err();
    client.trust_further(world.authority.cert_pem()).unwrap();
    call(&client, &forge).await.unwrap();

    let error = client.trust_further("no PEM").unwrap_err().to_string();
    assert!(error.contains("holds no certificate"), "{error}");
    call(&client, &forge).await.unwrap();

    // Neither forgets what the other has read.
    std::fs::write(world.bundle(), Authority::new("third").unwrap().cert_pem()).unwrap();
    client.read_bundle_again().await.unwrap();
    call(&client, &forge).await.unwrap();
    std::fs::write(world.bundle(), world.authority.cert_pem()).unwrap();
    client.read_bundle_again().await.unwrap();
    client.trust_further("\n").unwrap();
    call(&client, &forge).await.unwrap();

    std::fs::write(world.bundle(), another.cert_pem()).unwrap();
    client.read_bundle_again().await.unwrap();
    let refused = call(&client, &forge).await;
    assert!(matches!(refused, Err(Error::Connect { .. })), "{refused:?}");
}

#[tokio::test]
async fn a_bundle_that_cannot_be_used_ends_the_start() {
    let world = World::new();
    std::fs::write(world.bundle(), "").unwrap();
    let options = Options { ca_bundle: Some(world.bundle()), ..Options::default() };
    let error = options.check().unwrap_err().to_string();
    assert!(error.contains("--ca-bundle (CA_BUNDLE)") && error.contains("no certificate"), "{error}");
    let error = Client::new("test", options, Clock::system(), &Registry::new()).unwrap_err().to_string();
    assert!(error.contains("--ca-bundle (CA_BUNDLE)"), "{error}");
    std::fs::remove_file(world.bundle()).unwrap();
    let options = Options { ca_bundle: Some(world.bundle()), ..Options::default() };
    options.check().unwrap();
}
