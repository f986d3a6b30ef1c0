//! The acceptance scenarios of the specification (section 10): the service's own code, with its own ServiceAccount, against a real
//! API server and a registry that is played. Their numbers are in the names of the tests.

mod crash;
mod deletion;
mod distribution;
mod faults;
mod legacy;
mod many;
mod modes;
mod provision;
mod rights;
mod rotation;
mod service;
mod trouble;
