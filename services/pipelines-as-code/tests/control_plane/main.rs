//! The service against a real API server, with a GitHub that is played. Numbers in the names of tests are those of the
//! acceptance scenarios of the specification (section 10).

mod bursts;
mod comments;
mod crash;
mod faults;
mod gitea;
mod gitlab;
mod incoming;
mod logs;
mod lookup;
mod push;
mod queue;
mod rights;
mod service;
