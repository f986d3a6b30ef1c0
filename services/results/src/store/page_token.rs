//! The word that leads to the next page: where the last one ended, signed by us.

use aws_lc_rs::hmac;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jiff::Timestamp;
use prost::Message as _;
use results_api::lister::{Item, Order as OrderMessage, PageToken, order};
use sqlx::PgPool;

use super::error::Error;
use super::order::{Direction, Order};

/// Bytes of the signature in a token.
const TAG_LENGTH: usize = 16;

/// What makes tokens ours. It lies in the database, so that every replica takes the tokens of the others, also after a
/// restart.
pub(super) struct Key(hmac::Key);

impl std::fmt::Debug for Key {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Key(***)")
    }
}

impl Key {
    pub(super) fn new(bytes: &[u8]) -> Self {
        Self(hmac::Key::new(hmac::HMAC_SHA256, bytes))
    }

    /// Reads the key, or makes it if this is the first replica ever.
    pub(super) async fn load(pool: &PgPool) -> Result<Self, Error> {
        let mut fresh = [0_u8; 32];
        aws_lc_rs::rand::fill(&mut fresh)
            .map_err(|_| Error::Setup("the system gives no random numbers".to_owned()))?;
        sqlx::query(
            "INSERT INTO results_keys (name, value) VALUES ('page_token', $1) ON CONFLICT (name) DO NOTHING",
        )
        .bind(&fresh[..])
        .execute(pool)
        .await?;
        let bytes: Vec<u8> = sqlx::query_scalar("SELECT value FROM results_keys WHERE name = 'page_token'")
            .fetch_one(pool)
            .await?;
        Ok(Self::new(&bytes))
    }
}

/// The list that a token belongs to. It is good for no other.
#[derive(Clone, Copy, Debug)]
pub(super) struct Scope<'a> {
    /// Which kind of list: `results`, `records` or `logs`.
    pub(super) route: &'static str,
    /// As the client gave it.
    pub(super) parent: &'a str,
    pub(super) filter: &'a str,
    pub(super) order: Option<Order>,
}

/// Where a page ended: the last row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Position {
    pub(super) uid: String,
    /// Value of the order's column. `None` where that is null, and where there is no order.
    pub(super) value: Option<Timestamp>,
}

/// The token of the page after `position`.
pub(super) fn write(key: &Key, scope: Scope<'_>, position: Position) -> String {
    let order_by = scope.order.map(|order| OrderMessage {
        field_name: order.field.name.to_owned(),
        value: position.value.map(results_api::timestamp::Timestamp::from),
        direction: direction(order.direction).into(),
    });
    let mut token = PageToken {
        parent: scope.parent.to_owned(),
        filter: scope.filter.to_owned(),
        last_item: Some(Item { uid: position.uid, order_by }),
        ..PageToken::default()
    };
    token.authentication = tag(key, scope.route, &token).as_ref()[..TAG_LENGTH].to_vec().into();
    URL_SAFE_NO_PAD.encode(token.encode_to_vec())
}

/// Where the page begins; `None` for the first.
pub(super) fn read(key: &Key, scope: Scope<'_>, text: &str) -> Result<Option<Position>, Error> {
    if text.is_empty() {
        return Ok(None);
    }
    let invalid =
        || Error::invalid("page_token", "is not a token that a list gave out; begin at the first page");
    let bytes = URL_SAFE_NO_PAD.decode(text).map_err(|_| invalid())?;
    let mut token = PageToken::decode(&bytes[..]).map_err(|_| invalid())?;
    let signature = std::mem::take(&mut token.authentication);
    let expected = tag(key, scope.route, &token);
    aws_lc_rs::constant_time::verify_slices_are_equal(&signature, &expected.as_ref()[..TAG_LENGTH])
        .map_err(|_| invalid())?;
    let differs = |what| {
        Error::invalid(
            "page_token",
            format!("belongs to a list with another {what}; begin at the first page"),
        )
    };
    if token.parent != scope.parent {
        return Err(differs("parent"));
    }
    if token.filter != scope.filter {
        return Err(differs("filter"));
    }
    let item = token.last_item.filter(|item| !item.uid.is_empty()).ok_or_else(invalid)?;
    let value = match (item.order_by, scope.order) {
        (None, None) => None,
        (Some(given), Some(order))
            if given.field_name == order.field.name
                && given.direction == i32::from(direction(order.direction)) =>
        {
            given.value.map(Timestamp::try_from).transpose().map_err(|_| invalid())?
        }
        _ => return Err(differs("order_by")),
    };
    Ok(Some(Position { uid: item.uid, value }))
}

/// Signature of a token whose own field for it is empty.
fn tag(key: &Key, route: &str, token: &PageToken) -> hmac::Tag {
    let mut context = hmac::Context::with_key(&key.0);
    context.update(route.as_bytes());
    // Ends the word, which holds none.
    context.update(&[0]);
    context.update(&token.encode_to_vec());
    context.sign()
}

fn direction(direction: Direction) -> order::Direction {
    match direction {
        Direction::Ascending => order::Direction::Asc,
        Direction::Descending => order::Direction::Desc,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::store::order::RECORD_FIELDS;

    fn order(text: &str) -> Option<Order> {
        Order::parse(text, RECORD_FIELDS).unwrap()
    }

    fn scope<'a>(parent: &'a str, filter: &'a str, order_by: &str) -> Scope<'a> {
        Scope { route: "records", parent, filter, order: order(order_by) }
    }

    fn position() -> Position {
        Position { uid: "u1".into(), value: Some("2024-05-01T10:00:00.123456Z".parse().unwrap()) }
    }

    #[test]
    fn leads_to_where_the_page_ended() {
        let key = Key::new(b"a key of some length");
        let token = write(&key, scope("a", "f", "create_time desc"), position());
        assert_eq!(read(&key, scope("a", "f", "create_time desc"), &token).unwrap(), Some(position()));
        assert_eq!(read(&key, scope("a", "f", ""), "").unwrap(), None);
        let null = Position { value: None, ..position() };
        let token = write(&key, scope("a", "f", "create_time"), null.clone());
        assert_eq!(read(&key, scope("a", "f", "create_time"), &token).unwrap(), Some(null));
    }

    #[rstest::rstest]
    #[case::parent(scope("b", "f", "create_time"), "another parent")]
    #[case::filter(scope("a", "g", "create_time"), "another filter")]
    #[case::field(scope("a", "f", "update_time"), "another order_by")]
    #[case::direction(scope("a", "f", "create_time desc"), "another order_by")]
    #[case::dropped_order(scope("a", "f", ""), "another order_by")]
    #[case::route(Scope { route: "logs", ..scope("a", "f", "create_time") }, "not a token")]
    fn is_good_for_its_own_list_only(#[case] other: Scope<'_>, #[case] message: &str) {
        let key = Key::new(b"a key of some length");
        let token = write(&key, scope("a", "f", "create_time"), position());
        let error = read(&key, other, &token).unwrap_err().to_string();
        assert!(error.contains(message), "{error}");
    }

    #[test]
    fn is_ours() {
        let (ours, theirs) = (Key::new(b"a key of some length"), Key::new(b"another key"));
        let token = write(&theirs, scope("a", "f", ""), Position { value: None, ..position() });
        assert!(read(&ours, scope("a", "f", ""), &token).is_err());
        // As upstream's: without a signature.
        let item = Item { uid: "u1".into(), order_by: None };
        let bare = PageToken { parent: "a".into(), last_item: Some(item), ..PageToken::default() };
        assert!(read(&ours, scope("a", "", ""), &URL_SAFE_NO_PAD.encode(bare.encode_to_vec())).is_err());
    }

    mod fuzz {
        use super::*;

        #[test]
        fn never_panics_on_tokens() {
            let key = Key::new(b"a key of some length");
            let bytes = prop::collection::vec(any::<u8>(), 0..80);
            testkit::fuzz(file!(), &bytes, |bytes| {
                let _ = read(&key, scope("a", "f", "create_time"), &URL_SAFE_NO_PAD.encode(&bytes));
                let _ = read(&key, scope("a", "f", "create_time"), &String::from_utf8_lossy(&bytes));
                Ok(())
            });
        }
    }
}
