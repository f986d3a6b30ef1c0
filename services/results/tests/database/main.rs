//! The store against a real PostgreSQL.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking, in its helpers too")]

mod crud;
mod deployed;
mod etag;
mod filter;
mod fixture;
mod order;
mod outage;
mod paging;
mod retention;
mod speed;
mod summary;
mod upstream;
