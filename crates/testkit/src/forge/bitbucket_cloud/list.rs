//! Bitbucket Cloud's pages: `values`, and the address of the next page in `next`.

use serde_json::{Value, json};

use crate::forge::exchange::{Answer, Reply, Request};

/// Without `pagelen`.
const USUAL: usize = 10;
const MOST: usize = 100;

/// A list with counted pages.
pub(super) fn list(request: &Request, items: Vec<Value>) -> Answer {
    of_lengths(request, items, USUAL, MOST)
}

/// As [`list`], of a list with other lengths of pages.
pub(super) fn of_lengths(request: &Request, items: Vec<Value>, usual: usize, most: usize) -> Answer {
    let number = |name: &str| request.query(name).and_then(|value| value.parse::<usize>().ok());
    let length = number("pagelen").filter(|length| *length > 0).unwrap_or(usual).min(most);
    let page = number("page").unwrap_or(1).max(1);
    let begin = (page - 1) * length;
    let (size, is_last) = (items.len(), begin + length >= items.len());
    let values: Vec<Value> = items.into_iter().skip(begin).take(length).collect();
    let mut shown = json!({"pagelen": length, "page": page, "size": size, "values": values});
    if !is_last {
        shown["next"] = json!(request.link(&[("page", &(page + 1).to_string())]));
    }
    Reply::ok(&shown)
}

/// A list whose pages have no numbers: what the address of the next one says is nobody's business.
pub(super) fn uncounted(request: &Request, items: &[Value]) -> Answer {
    let length = request.query("pagelen").and_then(|length| length.parse().ok()).unwrap_or(USUAL);
    let length = usize::clamp(length, 1, MOST);
    let begin = request
        .query("page")
        .and_then(|page| page.strip_prefix("after-"))
        .and_then(|begin| usize::from_str_radix(begin, 16).ok())
        .unwrap_or_default()
        .min(items.len());
    let end = (begin + length).min(items.len());
    let mut shown = json!({"pagelen": length, "values": items[begin..end]});
    if end < items.len() {
        shown["next"] = json!(request.link(&[("page", &format!("after-{end:x}"))]));
    }
    Reply::ok(&shown)
}
