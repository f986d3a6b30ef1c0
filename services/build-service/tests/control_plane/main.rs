//! The acceptance scenarios of the specification (section 10): the service's own code, with its own ServiceAccount, against a
//! real API server. Their numbers are in the names of the tests.

mod accounts;
mod clean_up;
mod configure;
mod crash;
mod faults;
mod gitea;
mod gitlab;
mod many;
mod mintmaker;
mod nudge;
mod nudge_crash;
mod renovater;
mod rights;
mod service;
mod simple;
mod trigger;
mod unconfigure;
