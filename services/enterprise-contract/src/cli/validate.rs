//! `ec validate`

mod arguments;

use std::num::NonZeroUsize;
use std::process::ExitCode;

use clap::ArgAction;

use self::arguments::{files, rule_data};
use super::{Context, Outcome};
use crate::effective_time::EffectiveTime;
use crate::judge::{self, InputRequest, Request};
use crate::output::{self, Format};
use crate::policy::{self, Expected};
use crate::snapshot::Asked;

#[derive(Clone, Debug, clap::Subcommand)]
#[expect(clippy::large_enum_variant, reason = "there is one in a process")]
pub(super) enum Command {
    /// Judge images: are they signed and attested by whom they should be, and does what is attested meet the policy?
    Image(ImageArgs),
    /// Judge files as they are.
    Input(InputArgs),
    /// Check that a policy has the shape of one.
    Policy(PolicyArgs),
    /// Deprecated: judge definitions of pipelines or tasks. Use `ec validate input`.
    Definition(InputArgs),
}

/// What all judgements have in common.
#[derive(Clone, Debug, clap::Args)]
struct Common {
    /// Policy: its text in JSON or YAML, a file, the URL of a Git repository, or [NAMESPACE/]NAME in the cluster.
    #[arg(short, long, default_value = "", hide_default_value = true, value_name = "POLICY")]
    policy: String,
    /// By which time rules are judged: now, attestation (when each image was built), 2024-03-01T12:00:00Z, or 2024-03-01.
    #[arg(long, default_value = "now", value_name = "TIME")]
    effective_time: EffectiveTime,
    /// Data that is added to `ruleData` of every source, as KEY=VALUE. A value that is the path of a JSON or YAML file, or a
    /// URL of one, stands for its content. May be repeated, or separated by commas.
    #[arg(long, value_name = "KEY=VALUE")]
    extra_rule_data: Vec<String>,
    /// Keep all that is known of a rule in what it says.
    #[arg(long, num_args = 0..=1, require_equals = true, default_missing_value = "true", default_value_t = false, action = ArgAction::Set, value_name = "BOOL")]
    info: bool,
    /// End with exit code 1 if something is violated.
    #[arg(short, long, num_args = 0..=1, require_equals = true, default_missing_value = "true", default_value_t = true, action = ArgAction::Set, value_name = "BOOL")]
    strict: bool,
    /// What is written, and where to, as FORMAT[=PATH][?show-successes=BOOL]; without a path to standard output. May be
    /// repeated. json if absent. Formats: json, yaml, appstudio, junit, summary, summary-markdown, text, data, attestation,
    /// policy-input, vsa.
    #[arg(short, long, value_name = "TARGET")]
    output: Vec<String>,
}

#[derive(Clone, Debug, clap::Args)]
pub(super) struct ImageArgs {
    /// One image.
    #[arg(short, long, value_name = "IMAGE")]
    image: Option<String>,
    /// Snapshot's spec: path of a file, or the text itself in JSON or YAML.
    #[arg(long, value_name = "SNAPSHOT")]
    images: Option<String>,
    /// Deprecated: file of a Snapshot's spec. Use --images.
    #[arg(short, long, value_name = "FILE")]
    file_path: Option<String>,
    /// Deprecated: text of a Snapshot's spec. Use --images.
    #[arg(short, long, value_name = "JSON")]
    json_input: Option<String>,
    /// Snapshot of the cluster, as [NAMESPACE/]NAME.
    #[arg(long, value_name = "NAME")]
    snapshot: Option<String>,
    /// Key that signatures are checked with, in place of the policy's: PEM, a file, k8s://NAMESPACE/SECRET, or the URI of a
    /// key management service.
    #[arg(short = 'k', long, value_name = "KEY")]
    public_key: Option<String>,
    /// Transparency log, in place of the policy's.
    #[arg(short, long, value_name = "URL")]
    rekor_url: Option<String>,
    /// Do not look whether signatures are in the transparency log.
    #[arg(long, num_args = 0..=1, require_equals = true, default_missing_value = "true", default_value_t = false, action = ArgAction::Set, value_name = "BOOL")]
    ignore_rekor: bool,
    /// Whose certificate counts, without a key.
    #[arg(long, value_name = "SUBJECT")]
    certificate_identity: Option<String>,
    #[arg(long, value_name = "REGEXP", help = "The same as a regular expression")]
    certificate_identity_regexp: Option<String>,
    /// Who issued the token that the certificate was given for.
    #[arg(long, value_name = "ISSUER")]
    certificate_oidc_issuer: Option<String>,
    #[arg(long, value_name = "REGEXP", help = "The same as a regular expression")]
    certificate_oidc_issuer_regexp: Option<String>,
    /// How many images are judged at once.
    #[arg(long, default_value = "5", value_name = "COUNT")]
    workers: NonZeroUsize,
    /// How many indexes of images are looked into at once.
    #[arg(long, env = "IMAGE_INDEX_WORKERS", default_value = "5", value_name = "COUNT")]
    index_workers: NonZeroUsize,
    #[command(flatten)]
    common: Common,
}

#[derive(Clone, Debug, clap::Args)]
pub(super) struct InputArgs {
    /// Files or folders, or the text itself in JSON or YAML. A folder's files are judged together. May be repeated, or
    /// separated by commas.
    #[arg(short, long, required = true, value_name = "FILE")]
    file: Vec<String>,
    #[command(flatten)]
    common: Common,
}

#[derive(Clone, Debug, clap::Args)]
pub(super) struct PolicyArgs {
    /// As for `ec validate image`.
    #[arg(short, long, value_name = "POLICY")]
    policy: String,
}

pub(super) async fn run(command: Command, context: &Context) -> Outcome {
    match command {
        Command::Image(args) => images(args, context).await,
        Command::Input(args) => inputs(args, context).await,
        Command::Policy(args) => {
            policy::load(&args.policy, &context.environment.sources, &context.environment.cluster).await?;
            Ok(ExitCode::SUCCESS)
        }
        Command::Definition(args) => {
            tracing::warn!("`ec validate definition` is deprecated; use `ec validate input`");
            inputs(args, context).await
        }
    }
}

async fn images(args: ImageArgs, context: &Context) -> Outcome {
    let given = |text: Option<String>| text.filter(|text| !text.is_empty());
    let or_empty = Option::unwrap_or_default;
    let Common { policy, effective_time, extra_rule_data, info, strict, output } = args.common;
    let keeps =
        |target: &String| ["policy-input", "attestation"].iter().any(|format| target.starts_with(format));
    let request = Request {
        images: Asked {
            file: given(args.file_path),
            text: given(args.json_input),
            images: given(args.images),
            snapshot: given(args.snapshot),
            image: given(args.image),
        },
        policy,
        extra_rule_data: rule_data(&extra_rule_data, &context.environment.sources).await?,
        signers: Expected {
            certificate_identity: or_empty(args.certificate_identity),
            certificate_identity_regexp: or_empty(args.certificate_identity_regexp),
            certificate_oidc_issuer: or_empty(args.certificate_oidc_issuer),
            certificate_oidc_issuer_regexp: or_empty(args.certificate_oidc_issuer_regexp),
            ignore_rekor: args.ignore_rekor,
            public_key: or_empty(args.public_key),
            rekor_url: or_empty(args.rekor_url),
        },
        effective_time,
        info,
        workers: args.workers,
        index_workers: args.index_workers,
        timeout: context.timeout,
        keep_inputs: output.iter().any(keeps),
    };
    let report = judge::validate_images(&request, &context.environment).await?;
    let now = context.environment.clock.now();
    let written =
        output::write(&output, context.style, |format, style| output::render(&report, format, style, now));
    end(written, &report.errors, report.success || !strict)
}

async fn inputs(args: InputArgs, context: &Context) -> Outcome {
    let Common { policy, effective_time, extra_rule_data, info, strict, output } = args.common;
    let request = InputRequest {
        files: files(&args.file),
        policy,
        extra_rule_data: rule_data(&extra_rule_data, &context.environment.sources).await?,
        effective_time,
        info,
        timeout: context.timeout,
    };
    let report = judge::validate_inputs(&request, &context.environment).await?;
    let now = context.environment.clock.now();
    let render = |format: Format, style| output::render_input(&report, format, style, now);
    let written = output::write(&output, context.style, render);
    end(written, &report.errors, report.success || !strict)
}

/// What a judgement comes to, once it is written: whatever was in the way of it is told, and is never a success.
fn end(written: Result<(), output::Unwritten>, errors: &[String], is_good: bool) -> Outcome {
    for error in errors {
        eprintln!("Error: {error}");
    }
    written?;
    if !is_good {
        eprintln!("Error: the policy is violated; the report says where");
    }
    let is_success = is_good && errors.is_empty();
    Ok(if is_success { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
