use enterprise_contract_api::policy::{SourceConfiguration, VolatileConfiguration};
use rstest::rstest;

use super::*;

const SCAN: Subject<'static> =
    Subject { code: "test.no_failed_tests", terms: Vec::new(), collections: Vec::new() };
const DIGEST: &str = "sha256:aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";

fn texts(items: &[&str]) -> Vec<String> {
    items.iter().map(ToString::to_string).collect()
}

fn selection(include: &[&str], exclude: &[&str]) -> Selection {
    let config = SourceConfiguration { include: texts(include), exclude: texts(exclude) };
    Selection::new(&Source { config: Some(config), ..Source::default() }, None)
}

fn criteria(include: &[&str], exclude: &[&str]) -> Criteria {
    selection(include, exclude).at(now(), None)
}

fn now() -> Timestamp {
    "2024-03-01T00:00:00Z".parse().unwrap()
}

fn with(terms: &[&'static str], collections: &[&'static str]) -> Subject<'static> {
    Subject { terms: terms.to_vec(), collections: collections.to_vec(), ..SCAN }
}

#[rstest]
#[case::all_by_default(&[], &[], SCAN, true)]
#[case::package(&["test"], &[], SCAN, true)]
#[case::other_package(&["tasks"], &[], SCAN, false)]
#[case::all_of_the_package(&["test.*"], &[], SCAN, true)]
#[case::rule(&["test.no_failed_tests"], &[], SCAN, true)]
#[case::other_rule(&["test.test_data_found"], &[], SCAN, false)]
#[case::prefix_of_a_package_is_none(&["tes"], &[], SCAN, false)]
#[case::collection(&["@minimal"], &[], with(&[], &["minimal"]), true)]
#[case::other_collection(&["@slsa3"], &[], with(&[], &["minimal"]), false)]
#[case::package_beats_all(&["*"], &["test"], SCAN, false)]
#[case::equally_exact_is_excluded(&["test"], &["test.*"], SCAN, false)]
#[case::all_beats_nothing(&["*"], &["tasks"], SCAN, true)]
#[case::rule_beats_package(&["test.no_failed_tests"], &["test"], SCAN, true)]
#[case::excluded_rule_beats_package(&["test"], &["test.no_failed_tests"], SCAN, false)]
#[case::package_and_collection_beat_package(&["test", "@minimal"], &["test"], with(&[], &["minimal"]), true)]
#[case::term_of_the_rule(&["@minimal", "test"], &["test.no_failed_tests:scan-x"], with(&["scan-x"], &["minimal"]), false)]
#[case::other_term_of_the_rule(&["@minimal", "test"], &["test.no_failed_tests:scan-x"], with(&["scan-y"], &[]), true)]
#[case::term_of_the_package(&[], &["test:scan-x"], with(&["scan-x"], &[]), false)]
#[case::term_of_all_of_the_package(&[], &["test.*:scan-x"], with(&["scan-x"], &[]), false)]
#[case::package_with_term_beats_its_exclusion_too(&["test:scan-x"], &["test"], with(&["scan-x"], &[]), true)]
#[case::any_of_several_terms(&[], &["test:b"], with(&["a", "b"], &[]), false)]
#[case::term_of_everything_is_no_item(&[], &["*:scan-x"], with(&["scan-x"], &[]), true)]
#[case::nested_by_its_own_name(&["pkg"], &[], Subject { code: "a.b.pkg.rule", ..SCAN }, true)]
#[case::nested_by_its_whole_name(&["a.b.pkg"], &["pkg"], Subject { code: "a.b.pkg.rule", ..SCAN }, true)]
#[case::nested_by_the_rule(&["pkg.rule"], &["a.b.pkg"], Subject { code: "a.b.pkg.rule", ..SCAN }, true)]
#[case::without_package_only_all(&["name"], &[], Subject { code: "name", ..SCAN }, false)]
#[case::without_package_in_all(&["*"], &[], Subject { code: "name", ..SCAN }, true)]
#[case::without_code_by_collection(&["@minimal"], &[], Subject { code: "", ..with(&[], &["minimal"]) }, true)]
fn selects(
    #[case] include: &[&str],
    #[case] exclude: &[&str],
    #[case] subject: Subject<'_>,
    #[case] expected: bool,
) {
    assert_eq!(criteria(include, exclude).selects(&subject), expected);
}

#[rstest]
#[case::star("*", 1)]
#[case::collection("@minimal", 10)]
#[case::package("test", 10)]
#[case::rule("test.no_failed_tests", 110)]
#[case::package_and_term("test:x", 110)]
#[case::rule_and_term("test.no_failed_tests:x", 210)]
#[case::nothing("tasks", 0)]
fn scores(#[case] item: &str, #[case] expected: u32) {
    let subject = with(&["x"], &["minimal"]);
    assert_eq!(score(&texts(&[item]), &subject.matchers()), expected);
}

fn volatile(item: VolatileCriterion) -> Selection {
    let volatile = VolatileConfiguration { exclude: vec![item], ..VolatileConfiguration::default() };
    Selection::new(&Source { volatile_config: Some(volatile), ..Source::default() }, None)
}

fn excluded(from: Option<&str>, until: Option<&str>) -> VolatileCriterion {
    VolatileCriterion {
        value: "test".to_owned(),
        effective_on: from.map(str::to_owned),
        effective_until: until.map(str::to_owned),
        ..VolatileCriterion::default()
    }
}

#[rstest]
#[case::for_ever(None, None, false)]
#[case::not_yet(Some("2024-03-02T00:00:00Z"), None, true)]
#[case::from_this_moment(Some("2024-03-01T00:00:00Z"), None, false)]
#[case::until_yesterday(None, Some("2024-02-29T00:00:00Z"), true)]
#[case::until_this_moment(None, Some("2024-03-01T00:00:00Z"), false)]
#[case::meanwhile(Some("2024-02-01T00:00:00Z"), Some("2024-04-01T00:00:00Z"), false)]
fn excludes_for_some_time(#[case] from: Option<&str>, #[case] until: Option<&str>, #[case] selects: bool) {
    assert_eq!(volatile(excluded(from, until)).at(now(), None).selects(&SCAN), selects);
}

#[test]
fn an_unreadable_end_excludes_nothing_and_says_so() {
    let criteria = volatile(excluded(None, Some("soon"))).at(now(), None);
    assert!(criteria.selects(&SCAN));
    assert!(criteria.warnings[0].contains("effectiveUntil \"soon\""), "{:?}", criteria.warnings);
}

#[rstest]
#[case::digest(VolatileCriterion { image_digest: Some(DIGEST.to_owned()), ..excluded(None, None) }, false)]
#[case::digest_in_capitals(VolatileCriterion { image_digest: Some(DIGEST.replace('a', "A").replace("shA", "sha")), ..excluded(None, None) }, false)]
#[case::older_name(VolatileCriterion { image_ref: Some(DIGEST.to_owned()), ..excluded(None, None) }, false)]
#[case::other_digest(VolatileCriterion { image_digest: Some(DIGEST.replace('a', "b")), ..excluded(None, None) }, true)]
#[case::repository(VolatileCriterion { image_url: Some("registry.example/org/app".to_owned()), ..excluded(None, None) }, false)]
#[case::other_repository(VolatileCriterion { image_url: Some("registry.example/org/ap".to_owned()), ..excluded(None, None) }, true)]
#[case::both_have_to_be_right(VolatileCriterion { image_url: Some("registry.example/org/other".to_owned()), image_digest: Some(DIGEST.to_owned()), ..excluded(None, None) }, true)]
fn excludes_for_some_images(#[case] item: VolatileCriterion, #[case] selects: bool) {
    let image: Reference = format!("registry.example/org/app@{DIGEST}").parse().unwrap();
    assert_eq!(volatile(item.clone()).at(now(), Some(&image)).selects(&SCAN), selects);
    let is_for_all = item.image_digest.is_none() && item.image_ref.is_none() && item.image_url.is_none();
    assert_eq!(volatile(item).at(now(), None).selects(&SCAN), !is_for_all);
}

#[test]
fn the_policys_configuration_counts_only_where_the_source_has_none() {
    let global = PolicyConfiguration {
        include: texts(&["tasks"]),
        collections: texts(&["minimal"]),
        ..PolicyConfiguration::default()
    };
    let of = |source: &Source| Selection::new(source, Some(&global)).at(now(), None);
    let silent = of(&Source::default());
    assert!(silent.selects(&with(&[], &["minimal"])) && !silent.selects(&SCAN));

    let config = SourceConfiguration { exclude: texts(&["tasks"]), ..SourceConfiguration::default() };
    assert!(of(&Source { config: Some(config), ..Source::default() }).selects(&SCAN));

    // What is over counts as if it were not there.
    let over = VolatileConfiguration {
        exclude: vec![excluded(None, Some("2024-02-01T00:00:00Z"))],
        ..VolatileConfiguration::default()
    };
    assert!(!of(&Source { volatile_config: Some(over), ..Source::default() }).selects(&SCAN));
}

#[test]
fn names_items_that_mean_nothing() {
    let criteria = criteria(&["*", "test", "@gone", "tests.none"], &[]);
    assert_eq!(criteria.without_rule([SCAN]), ["@gone", "tests.none"]);
}
