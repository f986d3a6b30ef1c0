//! GitHub's pages: 30 items unless more are asked for, at most 100, and a `Link` header to the others.

use serde_json::{Value, json};

use crate::forge::exchange::{Answer, Reply, Request};

const USUAL: usize = 30;

/// A list.
pub(super) fn list(request: &Request, items: Vec<Value>) -> Answer {
    let page = request.page(items, USUAL);
    let links = page.links(request, false);
    linked(&Value::Array(page.items), links)
}

/// A list in a field of an object that counts it.
pub(super) fn counted(request: &Request, field: &str, items: Vec<Value>) -> Answer {
    let page = request.page(items, USUAL);
    let links = page.links(request, false);
    linked(&json!({"total_count": page.total, field: page.items}), links)
}

/// An object of which one field is cut into pages.
pub(super) fn within(request: &Request, mut object: Value, field: &str, items: Vec<Value>) -> Answer {
    let page = request.page(items, USUAL);
    let links = page.links(request, false);
    object[field] = Value::Array(page.items);
    linked(&object, links)
}

fn linked(body: &Value, links: Option<String>) -> Answer {
    let reply = Reply::json(http::StatusCode::OK, body);
    Ok(match links {
        Some(links) => reply.with("link", links),
        None => reply,
    })
}
