//! The acceptance scenarios of the specification (section 10): the service's own code, with its own ServiceAccount, against a real
//! API server. Their numbers are in the names of the tests. Runs are played by a stand-in for the engine.

mod author;
mod burst;
mod cleanup;
mod crash;
mod creation;
mod expiry;
mod faults;
mod phases;
mod plans;
mod release;
mod retries;
mod rights;
mod run;
mod serialize;
mod service;
mod track;
mod validation;
mod webhooks;
