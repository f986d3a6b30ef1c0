//! The program against a real API server. The kubelet and the archive are played.

mod logs;
mod program;
mod results;
mod world;
