//! Bitbucket Server's pages: 25 entries unless more are asked for, at most 1000, counted from `start`.

use serde_json::{Value, json};

use crate::forge::exchange::{Answer, Reply, Request};

const USUAL: usize = 25;
const MOST: usize = 1000;

pub(super) fn list(request: &Request, items: &[Value]) -> Answer {
    let number = |name: &str| request.query(name).and_then(|value| value.parse::<usize>().ok());
    let limit = number("limit").filter(|limit| *limit > 0).unwrap_or(USUAL).min(MOST);
    let start = number("start").unwrap_or_default().min(items.len());
    let end = (start + limit).min(items.len());
    let is_last = end == items.len();
    Reply::ok(&json!({
        "size": end - start,
        "limit": limit,
        "start": start,
        "isLastPage": is_last,
        "nextPageStart": (!is_last).then_some(end),
        "values": items[start..end],
    }))
}
