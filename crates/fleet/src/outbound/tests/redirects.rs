//! Where servers send us.

use http::{HeaderName, HeaderValue, Method, StatusCode};
use rstest::rstest;

use super::*;

const PRIVATE: HeaderName = HeaderName::from_static("private-token");

/// Says which of its headers could be secret, how it was asked, and with what.
async fn shown(request: Received) -> Answer {
    let (parts, body) = request.into_parts();
    let header = |name: &str| parts.headers.get(name).map_or("-", |value| value.to_str().unwrap()).to_owned();
    let body = axum::body::to_bytes(body, 1024).await.unwrap();
    let body = String::from_utf8(body.to_vec()).unwrap();
    ok(&format!(
        "{} {} {} {} {body}",
        parts.method,
        header("authorization"),
        header("private-token"),
        header("accept"),
    ))
}

/// A forge that redirects `/` and answers everything else.
fn forge(world: &World, status: u16, to: &str) -> Place {
    let location = vec![("location".to_owned(), to.to_owned())];
    world.serve("127.0.0.1", &["forge.test"], move |request| {
        let location = location.clone();
        async move {
            if request.uri().path() == "/" { answer(status, &location, "") } else { shown(request).await }
        }
    })
}

fn asked(forge: &Place, method: Method) -> Request {
    let url = forge.url("forge.test", "/");
    let credential = Credential::bearer(&url, &token("hunter2")).unwrap();
    Request::new(method, url)
        .credential(&credential)
        .header(PRIVATE, HeaderValue::from_static("hunter3"))
        .header(http::header::ACCEPT, HeaderValue::from_static("text/plain"))
}

#[rstest]
#[case::relative("/there")]
#[tokio::test]
async fn the_same_server_keeps_credentials(#[case] to: &str) {
    let world = World::new();
    let forge = forge(&world, 302, to);
    let response = world.client("127.0.0.0/8").fetch(asked(&forge, Method::GET)).await.unwrap();
    assert_eq!(response.body(), "GET Bearer hunter2 hunter3 text/plain ");
}

#[rstest]
#[case::other_host("other.test", "127.0.0.2")]
#[case::other_port_of_the_same_host("forge.test", "127.0.0.1")]
#[tokio::test]
async fn another_server_gets_no_credentials(#[case] host: &str, #[case] ip: &str) {
    let world = World::new();
    let other = world.serve(ip, &[host], shown);
    let forge = forge(&world, 302, other.url(host, "/there").as_str());
    let response = world.client("127.0.0.0/8").fetch(asked(&forge, Method::GET)).await.unwrap();
    assert_eq!(response.body(), "GET - - text/plain ");
}

#[tokio::test]
async fn credentials_do_not_come_back_after_a_detour() {
    let world = World::new();
    let back = Arc::new(Mutex::new(String::new()));
    let to = back.clone();
    let other = world.serve("127.0.0.2", &["other.test"], move |_| {
        std::future::ready(answer(302, &[("location".to_owned(), to.lock().clone())], ""))
    });
    let forge = forge(&world, 302, other.url("other.test", "/").as_str());
    *back.lock() = forge.url("forge.test", "/there").to_string();
    let response = world.client("127.0.0.0/8").fetch(asked(&forge, Method::GET)).await.unwrap();
    assert_eq!(response.body(), "GET - - text/plain ");
}

#[rstest]
#[case::address("https://127.0.0.9/")]
#[case::name("https://inside.test/")]
#[case::metadata("https://169.254.169.254/latest/meta-data/")]
#[tokio::test]
async fn a_redirect_leads_no_further_inside_than_a_call(#[case] to: &str) {
    let world = World::new();
    world.name("inside.test", &[&["127.0.0.9"]]);
    let forge = forge(&world, 302, to);
    let refused = world.client("forge.test").fetch(asked(&forge, Method::GET)).await;
    assert_eq!(refusal(refused), Refusal::Address);
}

#[rstest]
#[case::downgrade("http://forge.test/", Refusal::Downgrade)]
#[case::other_scheme("file:///etc/passwd", Refusal::NoHost)]
#[case::userinfo("https://u:p@forge.test/", Refusal::Userinfo)]
#[case::no_address("https://", Refusal::BadRedirect)]
#[tokio::test]
async fn refuses_to_go(#[case] to: &str, #[case] expected: Refusal) {
    let world = World::new();
    let forge = forge(&world, 302, to);
    let refused = world.client("http://forge.test").fetch(asked(&forge, Method::GET)).await;
    assert_eq!(refusal(refused), expected);
    assert_eq!(forge.asked(), 1);
}

/// `/3` redirects to `/2`, and so on to `/0`.
fn chain(world: &World) -> Place {
    world.serve("127.0.0.1", &["forge.test"], |request| {
        let left: u32 = request.uri().path().trim_start_matches('/').parse().unwrap();
        let to = || format!("/{}", left - 1);
        std::future::ready(if left == 0 {
            ok("arrived")
        } else {
            answer(307, &[("location".to_owned(), to())], "")
        })
    })
}

#[tokio::test]
async fn follows_five_redirects_at_most() {
    let world = World::new();
    let forge = chain(&world);
    let client = world.client("forge.test");
    let get = |path| Request::get(forge.url("forge.test", path));
    assert_eq!(client.fetch(get("/5")).await.unwrap().body(), "arrived");
    assert_eq!(refusal(client.fetch(get("/6")).await), Refusal::TooManyRedirects);
    assert_eq!(refusal(client.fetch(get("/6").redirects(100)).await), Refusal::TooManyRedirects);
    let unfollowed = client.fetch(get("/6").redirects(0)).await.unwrap();
    assert_eq!(
        (unfollowed.status(), &unfollowed.headers()["location"]),
        (StatusCode::TEMPORARY_REDIRECT, &HeaderValue::from_static("/5"))
    );
}

#[rstest]
#[case::see_other(303, Method::POST, "GET Bearer hunter2 hunter3 text/plain ")]
#[case::found(302, Method::POST, "GET Bearer hunter2 hunter3 text/plain ")]
#[case::temporary(307, Method::POST, "POST Bearer hunter2 hunter3 text/plain content")]
#[case::found_after_put(302, Method::PUT, "PUT Bearer hunter2 hunter3 text/plain content")]
#[tokio::test]
async fn changes_the_method_as_http_says(
    #[case] status: u16,
    #[case] method: Method,
    #[case] expected: &str,
) {
    let world = World::new();
    let forge = forge(&world, status, "/there");
    let request = asked(&forge, method).body(HeaderValue::from_static("text/plain"), "content");
    assert_eq!(world.client("forge.test").fetch(request).await.unwrap().body(), expected);
}

#[tokio::test]
async fn content_goes_to_no_other_server() {
    let world = World::new();
    let other = world.serve("127.0.0.2", &["other.test"], shown);
    let forge = forge(&world, 307, other.url("other.test", "/").as_str());
    let request = asked(&forge, Method::PUT).body(HeaderValue::from_static("text/plain"), "content");
    let refused = world.client("127.0.0.0/8").fetch(request).await;
    assert_eq!(refusal(refused), Refusal::RedirectWithBody);
    assert_eq!(other.asked(), 0);
}
