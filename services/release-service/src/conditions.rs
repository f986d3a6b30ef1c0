//! What conditions say.

use fleet_api::{Condition, ConditionState, Truth};
use release_service_api::Phase;
use release_service_api::conditions::{
    FinalPipelineProcessed, ManagedCollectorsPipelineProcessed, ManagedPipelineProcessed, Processed,
    TenantCollectorsPipelineProcessed, TenantPipelineProcessed,
};

/// Reason of what is under way.
pub(crate) const PROGRESSING: &str = "Progressing";
/// Reason of what failed.
pub(crate) const FAILED: &str = "Failed";
/// Reason of a phase that did not take place.
pub(crate) const SKIPPED: &str = "Skipped";

pub(crate) fn find<C: ConditionState>(conditions: &[Condition]) -> Option<&Condition> {
    of_type(conditions, C::TYPE)
}

pub(crate) fn of_type<'a>(conditions: &'a [Condition], type_: &str) -> Option<&'a Condition> {
    conditions.iter().find(|condition| condition.type_ == type_)
}

/// The condition of a phase. Of the managed one by either of its names.
pub(crate) fn of_phase(conditions: &[Condition], phase: Phase) -> Option<&Condition> {
    match phase {
        Phase::TenantCollectors => find::<TenantCollectorsPipelineProcessed>(conditions),
        Phase::ManagedCollectors => find::<ManagedCollectorsPipelineProcessed>(conditions),
        Phase::Tenant => find::<TenantPipelineProcessed>(conditions),
        Phase::Managed => {
            find::<ManagedPipelineProcessed>(conditions).or_else(|| find::<Processed>(conditions))
        }
        Phase::Final => find::<FinalPipelineProcessed>(conditions),
    }
}

/// It is over: True, or False for another reason than that it is under way (spec, section 3.3).
pub(crate) fn is_finished(condition: &Condition) -> bool {
    is_true(condition) || (condition.status == Truth::False.as_str() && condition.reason != PROGRESSING)
}

pub(crate) fn is_true(condition: &Condition) -> bool {
    condition.status == Truth::True.as_str()
}

pub(crate) fn has_failed(condition: &Condition) -> bool {
    condition.status == Truth::False.as_str() && condition.reason == FAILED
}
