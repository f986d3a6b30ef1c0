//! Keys of annotations on the kinds of this crate.

use fleet_api::AnnotationKey;

/// Application annotation: failed attempts to clean up on deletion, a decimal number. `0` is written together
/// with the finalizer; at [`FINALIZE_ATTEMPTS`] the clean-up is given up.
pub const FINALIZE_COUNT: AnnotationKey = AnnotationKey::new("finalizeCount");

/// How often cleaning up an Application is tried before it goes without.
pub const FINALIZE_ATTEMPTS: u32 = 5;

/// Component annotation: how often its Application was looked for in vain, a decimal number.
pub const APPLICATION_FAIL_COUNTER: AnnotationKey = AnnotationKey::new("applicationFailCounter");

/// Component annotation: `true` asks for its GitOps resources to be generated now; `false` once that is done.
pub const FORCE_GITOPS_GENERATION: AnnotationKey = AnnotationKey::new("forceGitopsGeneration");

/// `ComponentDetectionQuery` annotation: `true` has it analysed in the service's own process, also where such
/// analyses run as jobs.
pub const RUN_CDQ_ANALYSIS_LOCAL: AnnotationKey = AnnotationKey::new("runCDQAnalysisLocal");
