//! Order of lists (results.md, section 2.5).

use std::collections::BTreeSet;

use jiff::Timestamp;
use results::store::{Error, List, NewResult, ResultRow, Store, Summary};
use rstest::rstest;

use crate::fixture::{Fixture, fixture, result};

/// 40 Results: few different times, and none at all for every fourth.
async fn many(store: &Store) {
    for number in 0..40_i64 {
        let time = |of: i64| Some(Timestamp::from_second(1_700_000_000 + of).unwrap());
        let summary = (number % 4 != 0).then(|| Summary {
            record: format!("ns/results/r{number}/records/x"),
            kind: "t".into(),
            start_time: time(number % 3),
            end_time: time(-(number % 5)),
            ..Summary::default()
        });
        let new = NewResult { summary, ..result("ns", &format!("r{number}")) };
        store.create_result(new).await.unwrap();
    }
}

async fn all(store: &Store, order_by: &str, page_size: i32) -> Vec<ResultRow> {
    let (mut rows, mut token) = (Vec::new(), String::new());
    loop {
        let list = List { parent: "ns", order_by, page_size, page_token: &token, ..List::default() };
        let page = store.list_results(&list).await.unwrap();
        assert!(page.rows.len() <= usize::try_from(page_size).unwrap());
        rows.extend(page.rows);
        token = page.next_page_token;
        if token.is_empty() {
            return rows;
        }
    }
}

#[rstest]
#[case::created("create_time", |row: &ResultRow| Some(row.create_time))]
#[case::updated("update_time", |row: &ResultRow| Some(row.update_time))]
#[case::started("summary.start_time", |row: &ResultRow| row.summary.as_ref()?.start_time)]
#[case::ended("summary.end_time", |row: &ResultRow| row.summary.as_ref()?.end_time)]
#[tokio::test]
async fn rows_come_in_order_with_those_without_a_value_last(
    #[case] field: &str,
    #[case] value: fn(&ResultRow) -> Option<Timestamp>,
) {
    let Fixture { store, pool, .. } = fixture().await;
    many(&store).await;
    sqlx::query("UPDATE results SET created_time = date_trunc('day', created_time)")
        .execute(&pool)
        .await
        .unwrap();
    for (direction, is_rising) in [("", true), (" asc", true), (" DESC", false)] {
        let rows = all(&store, &format!("{field}{direction}"), 7).await;
        assert_eq!(rows.iter().map(|row| &row.uid).collect::<BTreeSet<_>>().len(), 40);
        for pair in rows.windows(2) {
            let (first, second) = ((value(&pair[0]), &pair[0].uid), (value(&pair[1]), &pair[1].uid));
            let is_right = match (first.0, second.0) {
                (None, Some(_)) => false,
                (Some(_), None) => true,
                _ if is_rising => first < second,
                _ => first > second,
            };
            assert!(is_right, "{field}{direction}: {first:?} before {second:?}");
        }
        assert_eq!(rows, all(&store, &format!("{field}{direction}"), 11).await);
    }
}

#[tokio::test]
async fn the_default_is_by_uid() {
    let Fixture { store, .. } = fixture().await;
    many(&store).await;
    let rows = all(&store, "", 9).await;
    assert_eq!(rows.len(), 40);
    assert!(rows.windows(2).all(|pair| pair[0].uid < pair[1].uid));
}

#[tokio::test]
async fn unknown_fields_are_refused() {
    let Fixture { store, .. } = fixture().await;
    let list = List { parent: "ns", order_by: "name; DROP TABLE results", ..List::default() };
    assert!(matches!(store.list_results(&list).await, Err(Error::Invalid { field: "order_by", .. })));
}
