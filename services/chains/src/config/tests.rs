use rstest::rstest;

use super::*;

fn read(entries: &[(&str, &str)]) -> Result<Config, Vec<Fault>> {
    let data = entries.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
    Config::read(&data)
}

#[test]
fn without_settings_the_defaults_are_in_force() {
    let config = read(&[]).unwrap();
    assert_eq!(config, Config::default());
    assert_eq!(config.task_runs.storage, [Backend::Tekton]);
    assert_eq!(config.pipeline_runs.storage, [Backend::Tekton]);
    assert_eq!(config.images.storage, [Backend::Oci]);
    assert_eq!(config.task_runs.signer, SignerKind::X509);
    assert_eq!(config.transparency, Transparency::Off);
    assert!(!config.builder_id.contains("tekton.dev"), "the original's name is for the original");
    assert_eq!(config.builder_version["chains"], env!("CARGO_PKG_VERSION"));
    assert_eq!((config.keyless, config.repository, config.deep_inspection), (None, None, false));
}

#[rstest]
#[case::several("tekton, oci,,tekton", &[Backend::Oci, Backend::Tekton])]
#[case::none("", &[])]
#[case::spaces(" ", &[])]
#[case::not_ours("gcs,docdb,grafeas,kafka,archivista", &[Backend::Archivista, Backend::Docdb, Backend::Gcs, Backend::Grafeas, Backend::Kafka])]
fn storage_is_a_list(#[case] list: &str, #[case] expected: &[Backend]) {
    assert_eq!(read(&[("artifacts.taskrun.storage", list)]).unwrap().task_runs.storage, expected);
}

#[rstest]
#[case("true", Transparency::On)]
#[case("1", Transparency::On)]
#[case("manual", Transparency::Manual)]
#[case("false", Transparency::Off)]
#[case("on, please", Transparency::Off)]
fn the_log_is_on_by_one_word(#[case] word: &str, #[case] expected: Transparency) {
    assert_eq!(read(&[("transparency.enabled", word)]).unwrap().transparency, expected);
}

#[test]
fn a_boolean_that_cannot_be_read_is_none() {
    let key = "artifacts.pipelinerun.enable-deep-inspection";
    assert!(read(&[(key, "True")]).unwrap().deep_inspection);
    assert!(!read(&[(key, "yes")]).unwrap().deep_inspection);
}

#[rstest]
#[case::format("artifacts.taskrun.format", "slsa/v9")]
#[case::withdrawn_format("artifacts.taskrun.format", "slsa/v2alpha1")]
#[case::format_of_pipeline_runs("artifacts.pipelinerun.format", "tekton")]
#[case::format_of_images("artifacts.oci.format", "notary")]
#[case::storage("artifacts.oci.storage", "oci,s3")]
#[case::signer("artifacts.pipelinerun.signer", "pgp")]
#[case::repository("storage.oci.repository", "https://registry.example/x")]
#[case::plain_http("storage.oci.repository.insecure", "true")]
#[case::encoding("storage.oci.encoding-format", "sigstore-bundle")]
#[case::build_type("builddefinition.buildtype", "https://example.com/mine")]
#[case::log("transparency.url", "rekor")]
#[case::plain_log("transparency.url", "http://rekor.example")]
#[case::fulcio("signers.x509.fulcio.address", "::")]
#[case::provider("signers.x509.fulcio.provider", "postcard")]
fn a_fault_names_its_key(#[case] key: &str, #[case] value: &str) {
    let faults = read(&[(key, value)]).unwrap_err();
    assert_eq!(faults.iter().map(|fault| fault.key.as_str()).collect::<Vec<_>>(), [key], "{faults:?}");
}

#[test]
fn all_faults_are_told_at_once() {
    let faults = read(&[("artifacts.oci.signer", "x"), ("artifacts.taskrun.signer", "y")]).unwrap_err();
    assert_eq!(faults.len(), 2);
}

#[test]
fn nothing_is_signed_where_nothing_is_stored_or_no_signer_is_wanted() {
    assert!(read(&[]).unwrap().images.is_enabled());
    assert!(!read(&[("artifacts.oci.storage", "")]).unwrap().images.is_enabled());
    assert!(!read(&[("artifacts.oci.signer", "none")]).unwrap().images.is_enabled());
    assert!(!read(&[("artifacts.oci.disable-signing", "true")]).unwrap().images.is_enabled());
}

#[test]
fn versions_of_components_are_part_of_the_builder() {
    let config =
        read(&[("builder.version.pipelines-engine", " 1.2 "), ("builder.id", "https://a/b")]).unwrap();
    assert_eq!(config.builder_version["pipelines-engine"], "1.2");
    assert_eq!(config.builder_id, "https://a/b");
}

#[test]
fn keyless_is_by_a_file() {
    let on = ("signers.x509.fulcio.enabled", "true");
    let keyless = read(&[on]).unwrap().keyless.unwrap();
    assert_eq!(keyless.token_file, "/var/run/sigstore/cosign/oidc-token");
    assert!(read(&[on, ("signers.x509.fulcio.provider", "google")]).is_err());
    assert!(read(&[("signers.x509.fulcio.provider", "google")]).is_ok(), "it is off");
}

#[test]
fn the_token_of_a_kms_is_not_shown() {
    let config =
        read(&[("signers.kms.auth.token", "hunter2"), ("signers.kms.kmsref", "hashivault://k")]).unwrap();
    assert_eq!(config.kms.key, "hashivault://k");
    assert!(!format!("{config:?}").contains("hunter2"));
}
