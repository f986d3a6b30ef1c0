//! GitLab's pages: 20 items unless more are asked for, at most 100.

use http::StatusCode;
use serde_json::Value;

use crate::forge::exchange::{Answer, Reply, Request};

const USUAL: usize = 20;

/// Counted pages: `X-Next-Page` is empty on the last.
pub(super) fn list(request: &Request, items: Vec<Value>) -> Answer {
    let page = request.page(items, USUAL);
    let next = if page.number < page.last { (page.number + 1).to_string() } else { String::new() };
    let before = if page.number > 1 { (page.number - 1).to_string() } else { String::new() };
    let links = page.links(request, true).unwrap_or_default();
    Ok(Reply::json(StatusCode::OK, &Value::Array(page.items))
        .with("x-page", page.number)
        .with("x-per-page", page.size)
        .with("x-next-page", next)
        .with("x-prev-page", before)
        .with("x-total", page.total)
        .with("x-total-pages", page.last)
        .with("link", links))
}

/// Pages after an item, if `pagination=keyset` asks for them: only a link to the next, under `parameter`, which names
/// the last item that was given by the value of its `key`.
pub(super) fn keyset(request: &Request, items: Vec<Value>, parameter: &str, key: &str) -> Answer {
    if request.query("pagination") != Some("keyset") {
        return list(request, items);
    }
    let text = |item: &Value| item[key].as_str().map_or_else(|| item[key].to_string(), str::to_owned);
    let begin = match request.query(parameter) {
        Some(after) => items.iter().position(|item| text(item) == after).map_or(items.len(), |at| at + 1),
        None => 0,
    };
    let size = request.query("per_page").and_then(|size| size.parse().ok()).unwrap_or(USUAL).clamp(1, 100);
    let rest = &items[begin..];
    let page = &rest[..size.min(rest.len())];
    let reply = Reply::json(StatusCode::OK, &Value::Array(page.to_vec())).with("x-per-page", size);
    Ok(match page.last().filter(|_| rest.len() > size) {
        Some(last) => {
            let next = request.link(&[(parameter, &text(last))]);
            reply.with("link", format!("<{next}>; rel=\"next\""))
        }
        None => reply,
    })
}
