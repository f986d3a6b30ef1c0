//! Runs Tekton Pipelines: PipelineRuns become TaskRuns, TaskRuns become pods, and pods become results.

pub mod background;
pub mod catalog;
pub mod cel;
pub mod condition;
pub mod config;
pub mod defaults;
pub mod family;
pub mod guard;
pub mod image;
pub mod live;
pub mod metrics;
pub mod names;
pub mod params;
pub mod pipeline_run;
pub mod pod_template;
mod recent;
pub mod report;
pub mod resolution;
pub mod resolvers;
pub mod service;
pub mod size;
pub mod stores;
pub mod substitution;
pub mod task_run;
pub mod timeouts;
pub mod validation;
pub mod webhook;

pub use service::{Args, run};
