//! What every service of the fleet is started with.
//!
//! ```text
//! main ─▶ Fleet ─┬─ Store per kind  ◀─ watch ─ API server
//!                │     │ Change
//!                │     ▼
//!                ├─ Queue ─▶ Controller: observe ─▶ decide ─▶ Writer ─▶ API server
//!                ├─ Webhooks   (TLS, certificate issued and renewed by the leader)
//!                ├─ Election   (one replica writes)
//!                └─ health, metrics, logs, traces
//! ```
//! A service names its stores, controllers and webhooks; everything else is here and is the same in all. The parts are
//! explained in docs/explanation/kit.md.

pub mod access;
mod args;
pub mod certificate;
mod class;
pub mod client;
mod clock;
pub mod controller;
mod decision;
#[cfg(test)]
mod documented;
mod events;
pub mod health;
pub mod http;
mod inert;
mod key;
pub mod leader;
pub mod migration;
pub mod names;
pub mod outbound;
pub mod patience;
pub mod queue;
mod redact;
pub mod remote;
mod runtime;
mod secret;
mod shard;
mod start;
pub mod store;
pub mod telemetry;
mod trace;
pub mod webhook;
pub mod write;
mod writer;

pub use args::{Args, LogFormat};
pub use class::{Class, Classed, classify, is_permanent, is_too_large};
pub use clock::Clock;
pub use controller::{Controller, Runner};
pub use decision::{Decision, Hold, NeverHolds, Wake};
pub use events::{Event, EventType};
pub use inert::is_inert;
pub use key::ObjectKey;
pub use redact::redact;
pub use remote::Remote;
pub use runtime::{Error, Fleet, StoreBuilder};
pub use secret::Secret;
pub use shard::{InvalidShard, Shard};
pub use start::{ServiceArgs, main, main_once, main_serving, stop_on_signal};
pub use store::{Index, Presence, Scope, Store, Stored};
pub use trace::TraceContext;
pub use write::{FieldManager, MetadataPatch, StatusPatch, Write};
pub use writer::{Error as WriteError, Writer};

// Not in this crate's own unit tests: they link the crate a second time, through testkit.
#[cfg(not(test))]
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;
