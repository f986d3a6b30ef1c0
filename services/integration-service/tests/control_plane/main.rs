//! The acceptance scenarios of the specification (section 10): the service's own code, with its own ServiceAccount, against a real
//! API server. Their numbers are in the names of the tests. Runs of tests are played, those of builds are made by the tests.

mod build;
mod component;
mod crash;
mod environments;
mod faults;
mod gc;
mod group;
mod many;
mod promotion;
mod release;
mod report;
mod reruns;
mod rights;
mod runner;
mod runs;
mod scenarios;
mod service;
mod supersede;
