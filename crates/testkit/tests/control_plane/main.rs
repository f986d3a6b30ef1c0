//! The test kit against the real programs.

mod apply;
mod clients;
mod install;
mod ledger;
mod life;
mod wait;
