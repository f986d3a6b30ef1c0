//! The trace context of an object: one commit is one trace, from the webhook to the Release.
//!
//! ```text
//! PipelineRun ──annotation──▶ observe ──▶ decide ──annotation──▶ Snapshot ──▶ …
//!                 └──▶ parent of the reconcile's span ──OTLP──▶ collector
//! ```
//! No service calls another, so the context travels in annotations: ours, and in `PipelineRun`s the engine's. A service
//! without `--otlp-endpoint` passes on what came in, so that one such service does not cut the chain.

use std::collections::BTreeMap;
use std::fmt;

use fleet_api::AnnotationKey;
use fleet_api::keys::TRACEPARENT;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::Resource;
use opentelemetry::trace::{SpanContext, TraceContextExt as _, TraceFlags, TraceState};
use serde::Deserialize;
use tracing_opentelemetry::OpenTelemetrySpanExt as _;

/// Read and written by the engine on a `PipelineRun`: a JSON object of propagation headers, `traceparent` among them.
const PIPELINE_RUN_SPAN: AnnotationKey = AnnotationKey::new("tekton.dev/pipelinerunSpanContext");

/// No carrier of one header is longer. Annotations are anybody's to write.
const LONGEST_CARRIER: usize = 1024;

/// A position in a trace: W3C Trace Context, version 00, without `tracestate`.
///
/// An observation carries it, so that `decide` can put it on what it creates without looking at anything else:
///
/// ```ignore
/// let seen = Observed { trace: TraceContext::observed(&*pipeline_run), .. };
/// // in decide:
/// TraceContext::annotate(seen.trace, &mut snapshot.metadata);
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct TraceContext {
    trace: u128,
    span: u64,
    flags: u8,
}

/// The engine's annotation.
#[derive(Deserialize)]
struct Carrier {
    traceparent: String,
}

impl TraceContext {
    /// Reads a `traceparent` header. `None` for what the specification says to ignore.
    pub fn parse(text: &str) -> Option<Self> {
        let mut parts = text.splitn(5, '-');
        let version = hex(parts.next()?, 2)?;
        let trace = hex(parts.next()?, 32)?;
        let span = hex(parts.next()?, 16)?;
        let flags = hex(parts.next()?, 2)?;
        // Later versions may append fields; 00 has none, and ff is no version.
        let is_known = match version {
            0 => parts.next().is_none(),
            version => version != 0xff,
        };
        let context = Self { trace, span: u64::try_from(span).ok()?, flags: u8::try_from(flags).ok()? };
        (is_known && trace != 0 && span != 0).then_some(context)
    }

    /// What the annotations of `object` say: our key, else the engine's. What cannot be read counts as absent.
    pub fn of(object: &impl Resource) -> Option<Self> {
        let annotations = &object.meta().annotations;
        // Nearly all objects of a fleet without tracing: nothing is parsed.
        annotations.as_ref()?;
        TRACEPARENT.of(annotations).and_then(Self::parse).or_else(|| {
            let carrier = PIPELINE_RUN_SPAN.of(annotations).filter(|text| text.len() <= LONGEST_CARRIER)?;
            Self::parse(&serde_json::from_str::<Carrier>(carrier).ok()?.traceparent)
        })
    }

    /// The context to put on what comes of `object`: the present span if it belongs to the object's trace, or if the
    /// object has none; else what the object carries. `None` without telemetry and without an incoming context.
    ///
    /// The span is another in each reconcile: right for what is created, not for a value that is compared.
    pub fn observed(object: &impl Resource) -> Option<Self> {
        match (Self::of(object), Self::current()) {
            (Some(incoming), Some(current)) if incoming.trace != current.trace => Some(incoming),
            (incoming, current) => current.or(incoming),
        }
    }

    /// The present span, if telemetry is on.
    fn current() -> Option<Self> {
        let context = tracing::Span::current().context();
        let span = context.span();
        let span = span.span_context();
        span.is_valid().then(|| Self {
            trace: u128::from_be_bytes(span.trace_id().to_bytes()),
            span: u64::from_be_bytes(span.span_id().to_bytes()),
            flags: span.trace_flags().to_u8(),
        })
    }

    /// Writes our annotation. An existing one stays if there is no context.
    pub fn annotate(context: Option<Self>, metadata: &mut ObjectMeta) {
        if let Some(context) = context {
            let annotations = metadata.annotations.get_or_insert_with(BTreeMap::new);
            annotations.insert(TRACEPARENT.into(), context.to_string());
        }
    }

    /// As [`annotate`](Self::annotate), for a `PipelineRun`: also in the engine's words.
    pub fn annotate_pipeline_run(context: Option<Self>, metadata: &mut ObjectMeta) {
        Self::annotate(context, metadata);
        if let (Some(context), Some(annotations)) = (context, &mut metadata.annotations) {
            let carrier = serde_json::json!({ "traceparent": context.to_string() });
            annotations.insert(PIPELINE_RUN_SPAN.into(), carrier.to_string());
        }
    }

    /// Makes `span` a child of this context. It must not have been entered yet; without telemetry nothing happens.
    pub(crate) fn adopt(self, span: &tracing::Span) {
        let parent = SpanContext::new(
            self.trace.into(),
            self.span.into(),
            TraceFlags::new(self.flags),
            true,
            TraceState::NONE,
        );
        // An error means that nobody exports this span.
        let _ = span.set_parent(opentelemetry::Context::new().with_remote_span_context(parent));
    }
}

impl fmt::Display for TraceContext {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "00-{:032x}-{:016x}-{:02x}", self.trace, self.span, self.flags)
    }
}

impl fmt::Debug for TraceContext {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TraceContext({self})")
    }
}

/// Exactly `digits` lower-case hexadecimal digits.
fn hex(text: &str, digits: usize) -> Option<u128> {
    let is_hex = text.len() == digits && text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
    is_hex.then(|| u128::from_str_radix(text, 16).ok())?
}

#[cfg(test)]
mod tests {
    use k8s_openapi::api::core::v1::ConfigMap;
    use opentelemetry::trace::TracerProvider as _;
    use opentelemetry_sdk::error::OTelSdkResult;
    use opentelemetry_sdk::trace::{SdkTracerProvider, SpanData, SpanExporter};
    use parking_lot::Mutex;
    use proptest::prelude::*;
    use rstest::rstest;
    use std::sync::Arc;
    use tracing_subscriber::layer::SubscriberExt as _;

    use super::*;

    const PARENT: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

    fn object(annotations: &[(AnnotationKey, &str)]) -> ConfigMap {
        let annotations =
            annotations.iter().map(|(key, value)| ((*key).into(), (*value).to_owned())).collect();
        ConfigMap {
            metadata: ObjectMeta { annotations: Some(annotations), ..ObjectMeta::default() },
            ..ConfigMap::default()
        }
    }

    #[rstest]
    #[case::version_00(PARENT, Some(PARENT))]
    #[case::not_sampled(
        "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00",
        Some("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00")
    )]
    #[case::later_version("cc-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-what", Some(PARENT))]
    #[case::forbidden_version("ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01", None)]
    #[case::too_many_fields("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-what", None)]
    #[case::too_few_fields("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7", None)]
    #[case::upper_case("00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01", None)]
    #[case::sign("00-+bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01", None)]
    #[case::short_trace("00-4bf92f3577b34da6a3ce929d0e0e473-00f067aa0ba902b7-01", None)]
    #[case::no_trace("00-00000000000000000000000000000000-00f067aa0ba902b7-01", None)]
    #[case::no_span("00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01", None)]
    #[case::empty("", None)]
    fn parses(#[case] text: &str, #[case] expected: Option<&str>) {
        let parsed = TraceContext::parse(text).map(|context| context.to_string());
        assert_eq!(parsed.as_deref(), expected);
    }

    proptest! {
        #[test]
        fn round_trips(trace in 1_u128.., span in 1_u64.., flags: u8) {
            let context = TraceContext { trace, span, flags };
            prop_assert_eq!(TraceContext::parse(&context.to_string()), Some(context));
        }

        #[test]
        fn never_panics(text in "\\PC{0,80}") {
            let _ = TraceContext::parse(&text);
            let _ = TraceContext::of(&object(&[(PIPELINE_RUN_SPAN, &text)]));
        }
    }

    #[rstest]
    #[case::ours(&[(TRACEPARENT, PARENT)], true)]
    #[case::of_the_engine(&[(PIPELINE_RUN_SPAN, r#"{"traceparent":"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01","tracestate":"x=1"}"#)], true)]
    #[case::ours_is_malformed(&[(TRACEPARENT, "what"), (PIPELINE_RUN_SPAN, r#"{"traceparent":"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"}"#)], true)]
    #[case::of_the_engine_malformed(&[(PIPELINE_RUN_SPAN, r#"{"traceparent":1}"#)], false)]
    #[case::of_the_engine_no_json(&[(PIPELINE_RUN_SPAN, PARENT)], false)]
    #[case::absent(&[], false)]
    fn reads_annotations(#[case] annotations: &[(AnnotationKey, &str)], #[case] found: bool) {
        let expected = if found { TraceContext::parse(PARENT) } else { None };
        assert_eq!(TraceContext::of(&object(annotations)), expected);
    }

    #[test]
    fn without_telemetry_the_chain_is_not_cut() {
        let seen = TraceContext::observed(&object(&[(TRACEPARENT, PARENT)]));
        let mut run = ObjectMeta::default();
        TraceContext::annotate_pipeline_run(seen, &mut run);
        let annotations = run.annotations.clone();
        assert_eq!(TRACEPARENT.of(&annotations), Some(PARENT));
        let carrier = PIPELINE_RUN_SPAN.of(&annotations).unwrap();
        assert_eq!(carrier, format!(r#"{{"traceparent":"{PARENT}"}}"#));

        let mut untraced = ObjectMeta::default();
        TraceContext::annotate_pipeline_run(TraceContext::observed(&object(&[])), &mut untraced);
        assert_eq!(untraced.annotations, None, "nothing is made up");
    }

    /// Keeps what is exported.
    #[derive(Clone, Debug, Default)]
    struct Exported(Arc<Mutex<Vec<SpanData>>>);

    impl SpanExporter for Exported {
        async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
            self.0.lock().extend(batch);
            Ok(())
        }
    }

    /// What `work` exports, with telemetry on.
    fn exported(work: impl FnOnce()) -> Vec<SpanData> {
        let exported = Exported::default();
        let provider = SdkTracerProvider::builder().with_simple_exporter(exported.clone()).build();
        let layer = tracing_opentelemetry::layer().with_tracer(provider.tracer("test"));
        tracing::subscriber::with_default(tracing_subscriber::registry().with(layer), work);
        provider.force_flush().unwrap();
        let spans = exported.0.lock();
        spans.clone()
    }

    #[test]
    fn a_reconcile_continues_the_trace_of_its_object() {
        let incoming = TraceContext::parse(PARENT).unwrap();
        let mut child = None;
        let spans = exported(|| {
            let span = tracing::info_span!("reconcile");
            incoming.adopt(&span);
            let _in_span = span.enter();
            child = TraceContext::observed(&object(&[(TRACEPARENT, PARENT)]));
        });
        let child = child.unwrap();
        assert_eq!(spans.len(), 1);
        assert_eq!(spans[0].parent_span_id.to_string(), "00f067aa0ba902b7");
        assert_eq!(spans[0].span_context.trace_id().to_string(), "4bf92f3577b34da6a3ce929d0e0e4736");
        assert_eq!(child.trace, incoming.trace);
        assert_eq!(format!("{:016x}", child.span), spans[0].span_context.span_id().to_string());
    }

    #[test]
    fn a_trace_begins_where_none_came_in_and_never_swallows_another() {
        let mut seen = [None; 2];
        let spans = exported(|| {
            let _in_span = tracing::info_span!("reconcile").entered();
            seen = [&[][..], &[(TRACEPARENT, PARENT)][..]].map(|of| TraceContext::observed(&object(of)));
        });
        let [begun, foreign] = seen.map(Option::unwrap);
        assert_eq!(begun.trace, u128::from_be_bytes(spans[0].span_context.trace_id().to_bytes()));
        assert_eq!(foreign.to_string(), PARENT);
    }

    /// The whole way: annotation in the store, span of the reconcile, annotation of what it creates.
    #[tokio::test]
    async fn a_controller_puts_its_reconciles_into_the_traces_of_objects() {
        #[derive(Debug, thiserror::Error)]
        #[error("never")]
        struct Never;
        impl crate::Classed for Never {
            fn class(&self) -> crate::Class {
                crate::Class::Retry
            }
            fn label(&self) -> &'static str {
                "never"
            }
        }

        let kept = Exported::default();
        let provider = SdkTracerProvider::builder().with_simple_exporter(kept.clone()).build();
        let layer = tracing_opentelemetry::layer().with_tracer(provider.tracer("test"));
        let _here = tracing::subscriber::set_default(tracing_subscriber::registry().with(layer));

        let registry = prometheus::Registry::new();
        let queue_metrics = crate::queue::QueueMetrics::new(&registry).unwrap();
        let queue = crate::queue::Queue::new("test", crate::queue::Limits::for_workers(2), &queue_metrics);
        let store = crate::Store::<ConfigMap>::new(|_| {}, Vec::new());
        let children = Arc::new(Mutex::new(BTreeMap::new()));
        let stop = tokio_util::sync::CancellationToken::new();
        let runner = crate::Controller::new("test", queue).of(&store).reconcile({
            let (store, children, stop) = (store.clone(), children.clone(), stop.clone());
            move |key: crate::ObjectKey| {
                let (store, children, stop) = (store.clone(), children.clone(), stop.clone());
                async move {
                    let seen = TraceContext::observed(&*store.get(&key).unwrap());
                    let mut children = children.lock();
                    children.insert(key.name.clone(), seen.unwrap());
                    if children.len() == 2 {
                        stop.cancel();
                    }
                    Ok::<_, Never>(crate::Wake::default())
                }
            }
        });
        for (name, annotations) in [("traced", &[(TRACEPARENT, PARENT)][..]), ("untraced", &[])] {
            let mut object = object(annotations);
            object.metadata.namespace = Some("n".to_owned());
            object.metadata.name = Some(name.to_owned());
            object.metadata.resource_version = Some("1".to_owned());
            store.apply(object);
        }
        store.mark_synced();
        let metrics = crate::controller::ControllerMetrics::new(&registry).unwrap();
        let run = runner.run(2, crate::Clock::system(), metrics, std::future::ready(()), stop);
        tokio::time::timeout(std::time::Duration::from_secs(20), run).await.expect("both are reconciled");

        provider.force_flush().unwrap();
        let spans = kept.0.lock();
        let parents: Vec<String> = spans.iter().map(|span| span.parent_span_id.to_string()).collect();
        assert!(parents.contains(&"00f067aa0ba902b7".to_owned()), "{parents:?}");
        assert!(parents.contains(&"0000000000000000".to_owned()), "{parents:?}");
        let children = children.lock();
        assert_eq!(children["traced"].trace, TraceContext::parse(PARENT).unwrap().trace);
        assert_ne!(children["traced"].trace, children["untraced"].trace);
    }
}
