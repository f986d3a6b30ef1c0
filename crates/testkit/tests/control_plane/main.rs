//! The test kit against the real programs.

mod apply;
mod clients;
mod engine;
mod install;
mod kubelet;
mod ledger;
mod life;
mod wait;
