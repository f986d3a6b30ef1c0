//! docs/reference/services.md.
use std::fmt::Write as _;

use super::{kinds, markdown};
use crate::services;

pub(super) fn page() -> String {
    let mut text = format!(
        "{}# Services\n\nEach is one program, one image (`konflux/<service>`), one base below deploy/kustomize/base, and can \
         be installed without the others. Programs that a service has beside it are indented: they have images of their \
         own, and belong to its base.\n\n| service | what it is for | kinds that it owns |\n|---|---|---|\n",
        markdown::GENERATED
    );
    for service in services::ALL {
        let kinds: Vec<String> = (service.crds)()
            .iter()
            .map(|crd| format!("[{}](crds/{})", crd.spec.names.kind, kinds::file(crd)))
            .collect();
        let name = match service.program {
            Some(_) => format!("[{name}](../../services/{name}/README.md)", name = service.name),
            None => format!("{} (its kinds only)", service.name),
        };
        let _ = writeln!(text, "| {name} | {} | {} |", markdown::cell(service.purpose), kinds.join(", "));
        for further in services::FURTHER.iter().filter(|further| further.service == service.name) {
            let _ = writeln!(text, "| &emsp;{} | {} | |", further.name, markdown::cell(further.purpose));
        }
    }
    text
}
