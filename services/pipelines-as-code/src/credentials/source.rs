//! Where Bitbucket Cloud calls from: what it sends is often not signed (spec section 4.2, point 3).

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use fleet::outbound::{self, Request, Url};
use http::HeaderMap;
use ipnet::IpNet;
use serde::Deserialize;
use tokio::sync::Mutex;
use tokio::time::Instant;

/// Where Atlassian publishes its addresses.
const PUBLISHED: &str = "https://ip-ranges.atlassian.com/";

/// They change a few times a year.
const KEPT: Duration = Duration::from_hours(24);

/// How long nobody asks after that failed.
const PAUSE: Duration = Duration::from_secs(30);

const LIMIT: u64 = 4 * 1024 * 1024;

/// The address that a request came from: of a proxy that is trusted, the last one that it tells of.
pub(crate) fn of(peer: IpAddr, headers: &HeaderMap, proxies: &[IpNet]) -> IpAddr {
    let peer = peer.to_canonical();
    if !proxies.iter().any(|proxy| proxy.contains(&peer)) {
        return peer;
    }
    let values = headers.get_all("x-forwarded-for").iter();
    let last = values.filter_map(|value| value.to_str().ok()).flat_map(|value| value.split(',')).next_back();
    last.and_then(|last| last.trim().parse::<IpAddr>().ok()).map_or(peer, |address| address.to_canonical())
}

/// The addresses of Bitbucket Cloud. Cheap to clone.
#[derive(Clone)]
pub(super) struct Ranges {
    outbound: outbound::Client,
    kept: Arc<Mutex<Kept>>,
}

#[derive(Default)]
struct Kept {
    ranges: Vec<IpNet>,
    /// When they are asked for again.
    until: Option<Instant>,
}

#[derive(Deserialize)]
struct Published {
    items: Vec<Item>,
}

#[derive(Deserialize)]
struct Item {
    cidr: String,
    #[serde(default)]
    product: Vec<String>,
}

impl Ranges {
    pub(super) fn new(outbound: outbound::Client) -> Self {
        Self { outbound, kept: Arc::default() }
    }

    /// Whether `source` is one of them. The error is for people.
    pub(super) async fn contain(&self, source: IpAddr) -> Result<bool, String> {
        let mut kept = self.kept.lock().await;
        if kept.until.is_none_or(|until| until <= Instant::now()) {
            let (ranges, pause) = match Box::pin(self.read()).await {
                Ok(ranges) => (Ok(ranges), KEPT),
                Err(error) => (Err(error), PAUSE),
            };
            kept.until = Some(Instant::now() + pause);
            match ranges {
                Ok(ranges) => kept.ranges = ranges,
                // Old ones are still right, mostly.
                Err(error) => tracing::warn!(error, "The addresses of Bitbucket Cloud cannot be read"),
            }
        }
        if kept.ranges.is_empty() {
            return Err(format!(
                "the addresses of Bitbucket Cloud are not known: {PUBLISHED} does not answer"
            ));
        }
        Ok(kept.ranges.iter().any(|range| range.contains(&source)))
    }

    async fn read(&self) -> Result<Vec<IpNet>, String> {
        let url = Url::parse(PUBLISHED).map_err(|error| error.to_string())?;
        let request = Request::get(url).limit(LIMIT).timeout(Duration::from_secs(5));
        let answer = self.outbound.fetch(request).await.and_then(outbound::Response::success);
        let published: Published =
            answer.and_then(|answer| answer.json()).map_err(|error| error.to_string())?;
        Ok(of_bitbucket(&published))
    }
}

fn of_bitbucket(published: &Published) -> Vec<IpNet> {
    let items = published.items.iter();
    let ours = items.filter(|item| item.product.iter().any(|product| product == "bitbucket"));
    ours.filter_map(|item| item.cidr.parse().ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case::told_by_a_proxy("10.0.0.1", &["203.0.113.9"], "203.0.113.9")]
    #[case::the_last_one("10.0.0.1", &["198.51.100.1, 203.0.113.9"], "203.0.113.9")]
    #[case::of_the_last_header("10.0.0.1", &["198.51.100.1", "203.0.113.9"], "203.0.113.9")]
    #[case::told_by_a_stranger("198.51.100.7", &["203.0.113.9"], "198.51.100.7")]
    #[case::told_by_nobody("10.0.0.1", &[], "10.0.0.1")]
    #[case::nonsense("10.0.0.1", &["203.0.113.9, unknown"], "10.0.0.1")]
    #[case::mapped("::ffff:10.0.0.1", &["203.0.113.9"], "203.0.113.9")]
    fn where_it_comes_from(#[case] peer: IpAddr, #[case] told: &[&str], #[case] expected: IpAddr) {
        let mut headers = HeaderMap::new();
        for value in told {
            headers.append("x-forwarded-for", value.parse().unwrap());
        }
        assert_eq!(of(peer, &headers, &["10.0.0.0/8".parse().unwrap()]), expected);
    }

    #[test]
    fn takes_what_is_bitbuckets() {
        let published = serde_json::json!({"items": [
            {"cidr": "192.0.2.0/24", "product": ["jira", "bitbucket"]},
            {"cidr": "198.51.100.0/24", "product": ["jira"]},
            {"cidr": "2001:db8::/32", "product": ["bitbucket"]},
            {"cidr": "nonsense", "product": ["bitbucket"]},
        ]});
        let found = of_bitbucket(&serde_json::from_value(published).unwrap());
        assert_eq!(found, ["192.0.2.0/24", "2001:db8::/32"].map(|range| range.parse::<IpNet>().unwrap()));
    }
}
