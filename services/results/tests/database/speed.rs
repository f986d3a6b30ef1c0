//! Lists over many rows use indexes (results.md, scenario 16). The plan is asserted instead of the time, which says little on a
//! shared machine.

use results::store::List;
use sqlx::Row as _;

use crate::fixture::{Fixture, fixture, until};

/// The newest of one namespace among many: a walk along the index, no sort.
#[tokio::test]
async fn the_newest_of_a_namespace_are_read_from_an_index() {
    let Fixture { store, pool, .. } = fixture().await;
    let text = "INSERT INTO results (parent, id, name, created_time) \
                SELECT 'ns' || n % 4, 'r' || n, 'r' || n, now() - n * interval '1 second' \
                FROM generate_series(1, 20000) AS n";
    sqlx::query(text).execute(&pool).await.unwrap();
    let text = "INSERT INTO records (parent, result_id, id, result_name, name, type, data, created_time) \
                SELECT parent, id, id, name, name, 't', '{}', created_time FROM results";
    sqlx::query(text).execute(&pool).await.unwrap();
    until("the index is there", async || {
        let text = "SELECT indisvalid FROM pg_index WHERE indexrelid = to_regclass('records_by_create_time')";
        sqlx::query(text).fetch_optional(&pool).await.unwrap().is_some_and(|row| row.get(0))
    })
    .await;
    sqlx::query("ANALYZE records").execute(&pool).await.unwrap();
    let text = "EXPLAIN SELECT id, data FROM records WHERE (true) AND parent = 'ns1' AND created_time IS NOT NULL \
                AND (created_time, id) < (now(), 'x') ORDER BY created_time DESC, id DESC LIMIT 51";
    let plan: Vec<String> = sqlx::query_scalar(text).fetch_all(&pool).await.unwrap();
    let plan = plan.join("\n");
    assert!(
        plan.contains("Index Scan Backward using records_by_create_time") && !plan.contains("Sort"),
        "{plan}"
    );
    let list = List { parent: "ns1", result: "-", order_by: "create_time desc", ..List::default() };
    assert_eq!(store.list_records(&list).await.unwrap().rows.len(), 50);
}
