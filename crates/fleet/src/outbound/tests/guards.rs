//! Where calls may lead.

use rstest::rstest;

use super::*;

#[rstest]
#[case::network("127.0.0.0/8")]
#[case::name("forge.test")]
#[tokio::test]
async fn calls_what_is_permitted(#[case] allow: &str) {
    let world = World::new();
    let forge = world.serve("127.0.0.1", &["forge.test"], |request| async move {
        ok(request.headers()["user-agent"].to_str().unwrap())
    });
    let client = world.client(allow);
    let response =
        client.fetch(Request::get(forge.url("forge.test", "/x"))).await.unwrap().success().unwrap();
    assert_eq!(response.body(), concat!("test/", env!("CARGO_PKG_VERSION")));
}

#[rstest]
#[case::name_that_leads_inside("forge.test", "")]
#[case::address("127.0.0.1", "")]
#[case::another_name_is_permitted("forge.test", "other.test")]
#[case::another_port_is_permitted("forge.test", "forge.test:1")]
#[case::another_network_is_permitted("forge.test", "127.0.0.2/31,10.0.0.0/8")]
#[tokio::test]
async fn does_not_call_what_is_inside(#[case] host: &str, #[case] allow: &str) {
    let world = World::new();
    let forge = world.says("127.0.0.1", &["forge.test"], 200, &[], "secret");
    let client = world.client(allow);
    let refused = client.fetch(Request::get(forge.url(host, "/x"))).await;
    assert_eq!(refusal(refused), Refusal::Address);
    assert_eq!(forge.asked(), 0);
}

/// A permitted name must not lend its permission to another on the same connection pool.
#[tokio::test]
async fn a_permit_by_name_is_for_that_name() {
    let world = World::new();
    let forge = world.says("127.0.0.1", &["forge.test", "evil.test"], 200, &[], "");
    let client = world.client("forge.test");
    client.fetch(Request::get(forge.url("forge.test", "/"))).await.unwrap();
    assert_eq!(refusal(client.fetch(Request::get(forge.url("evil.test", "/"))).await), Refusal::Address);
    assert_eq!(forge.asked(), 1);
}

/// DNS rebinding: the name leads outside when it is checked, and inside when it is connected to. Here 127.0.0.2 is
/// permitted in place of the internet.
#[tokio::test]
async fn the_address_that_was_checked_is_connected_to() {
    let world = World::new();
    let outside = world.says("127.0.0.2", &["rebind.test"], 200, &[("connection", "close")], "outside");
    let port = outside.address.port();
    let inside = TcpListener::bind(("127.0.0.1", port)).unwrap();
    inside.set_nonblocking(true).unwrap();
    world.name("rebind.test", &[&["127.0.0.2"], &["127.0.0.1"]]);
    let client = world.client("127.0.0.2");

    let first = client.fetch(Request::get(outside.url("rebind.test", "/"))).await.unwrap();
    assert_eq!(first.body(), "outside");
    assert_eq!(world.lookups.load(Ordering::SeqCst), 1, "one lookup for one connection");
    assert_eq!(refusal(client.fetch(Request::get(outside.url("rebind.test", "/"))).await), Refusal::Address);
    let untouched = inside.accept().unwrap_err();
    assert_eq!(untouched.kind(), std::io::ErrorKind::WouldBlock);
}

#[tokio::test]
async fn of_many_addresses_only_the_permitted_are_connected_to() {
    let world = World::new();
    let outside = world.says("127.0.0.2", &["mixed.test"], 200, &[], "outside");
    let inside = TcpListener::bind(("127.0.0.1", outside.address.port())).unwrap();
    inside.set_nonblocking(true).unwrap();
    world.name("mixed.test", &[&["127.0.0.1", "::ffff:127.0.0.1", "127.0.0.2"]]);
    let response =
        world.client("127.0.0.2").fetch(Request::get(outside.url("mixed.test", "/"))).await.unwrap();
    assert_eq!(response.body(), "outside");
    assert_eq!(inside.accept().unwrap_err().kind(), std::io::ErrorKind::WouldBlock);
}

#[tokio::test]
async fn plain_http_only_where_it_is_permitted() {
    let world = World::new();
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(
        async move { axum::serve(listener, Router::new().fallback(any(|| async { "plain" }))).await },
    );
    world.name("forge.test", &[&["127.0.0.1"]]);
    let url = Url::parse(&format!("http://forge.test:{port}/")).unwrap();
    let refused = world.client("forge.test,127.0.0.0/8").fetch(Request::get(url.clone())).await;
    assert_eq!(refusal(refused), Refusal::Scheme("http".into()));
    let client = world.client(&format!("http://forge.test:{port}"));
    assert_eq!(client.fetch(Request::get(url)).await.unwrap().body(), "plain");
}

#[tokio::test]
async fn a_credential_of_another_server_is_not_sent() {
    let world = World::new();
    let forge = world.says("127.0.0.1", &["forge.test", "other.test"], 200, &[], "");
    let credential = Credential::bearer(&forge.url("other.test", "/"), &token("hunter2")).unwrap();
    let request = Request::get(forge.url("forge.test", "/")).credential(&credential);
    let error = world.client("127.0.0.0/8").fetch(request).await.unwrap_err();
    assert!(matches!(&error, Error::Request { .. }), "{error}");
    assert_eq!(forge.asked(), 0);
}

#[tokio::test]
async fn errors_show_no_secrets() {
    let world = World::new();
    let body = "bad token hunter2 in https://u:hunter2@h/\n\u{1b}[31mand ghp_0123456789abcdef";
    let forge = world.says("127.0.0.1", &["forge.test"], 401, &[], body);
    let credential = Credential::bearer(&forge.url("forge.test", "/"), &token("hunter2")).unwrap();
    let client = world.client("127.0.0.0/8");
    let request = Request::get(forge.url("forge.test", "/x?private_token=hunter2")).credential(&credential);
    let error = client.fetch(request).await.unwrap().success().unwrap_err();
    let port = forge.address.port();
    let expected =
        format!("GET forge.test:{port}/x: HTTP 401: bad token <TOKEN> in https://<TOKEN>@h/ [31mand <TOKEN>");
    assert_eq!(error.to_string(), expected);

    let nowhere = Url::parse("https://nowhere.test/x?private_token=hunter2").unwrap();
    let error = client.fetch(Request::get(nowhere)).await.unwrap_err();
    assert!(matches!(&error, Error::Connect { .. }), "{error}");
    assert!(!error.to_string().contains("hunter2"), "{error}");
}
