//! When a run that has ended and is archived is deleted (specification, section 4.4).

use fleet::{Wake, Write};
use jiff::SignedDuration;
use kube::core::SelectorExt as _;

use crate::decide::{Children, Hold, Next, Observed};
use crate::run::Kind;
use crate::waits;

/// `is_archived`: the archive has said so to this process.
pub(crate) fn prune<K: Kind>(seen: &Observed<'_, K>, is_archived: bool) -> Next {
    let (run, settings) = (seen.run, seen.settings);
    let rest = |hold| Next::Rest(hold, Wake::OnChange);
    let Some(grace) = settings.grace else { return rest(Hold::KeptForEver) };
    if run.owning_run().is_some() {
        return rest(Hold::LeftToPipelineRun);
    }
    if settings.check_owner && run.metadata.owner_references.as_ref().is_some_and(|owners| !owners.is_empty())
    {
        return rest(Hold::Owned);
    }
    // Whoever writes the condition writes it, too: a change is on its way.
    let Some(completed) = run.facts.completed else { return rest(Hold::NoCompletionTime) };
    let due = completed + grace.max(SignedDuration::ZERO);
    if seen.now < due {
        return Next::Rest(Hold::NotDue, Wake::At(due));
    }
    let no_labels = std::collections::BTreeMap::new();
    if !settings.selector.matches(run.metadata.labels.as_ref().unwrap_or(&no_labels)) {
        return rest(Hold::NotSelected);
    }
    let patience = completed + waits::LIMIT;
    if seen.now < patience && settings.waits.iter().any(|wait| wait.lacks(run)) {
        return Next::Rest(Hold::AwaitsAnnotation, Wake::At(patience));
    }
    if let Children::Waits(_) = seen.children {
        return rest(Hold::TaskRunsFirst);
    }
    if is_archived { Next::Delete(Write::delete(run)) } else { Next::Archive }
}
