//! docs/reference/metrics.md: the metrics that each service has of its own.
use std::fmt::Write as _;

use anyhow::Context as _;
use prometheus::{Registry, proto::MetricFamily};

use super::markdown::{self, cell, code};
use crate::services;

pub(super) fn page() -> anyhow::Result<String> {
    let mut text = format!(
        "{}# Metrics\n\nServed as `/metrics` on port 8080. All services also have those of the kit, which dashboards for \
         controllers know: `controller_runtime_*`, `workqueue_*`, `rest_client_requests_total`.\n",
        markdown::GENERATED
    );
    for (name, program) in services::programs() {
        let registry = Registry::new();
        (program.metrics)(&registry).with_context(|| format!("register the metrics of {name}"))?;
        let _ = write!(text, "\n## {name}\n\n{}", table(&registry.gather()));
    }
    Ok(text)
}

fn table(families: &[MetricFamily]) -> String {
    let mut text = "| metric | type | meaning |\n|---|---|---|\n".to_owned();
    for family in families {
        let kind = format!("{:?}", family.get_field_type()).to_lowercase();
        let _ = writeln!(text, "| {} | {kind} | {} |", code(family.name()), cell(family.help()));
    }
    text
}

#[cfg(test)]
mod tests {
    use prometheus::IntCounter;

    use super::*;

    #[test]
    fn row_of_a_counter() -> anyhow::Result<()> {
        let registry = Registry::new();
        registry.register(Box::new(IntCounter::new("x_total", "Things that happened.")?))?;
        assert!(table(&registry.gather()).ends_with("| `x_total` | counter | Things that happened. |\n"));
        Ok(())
    }
}
