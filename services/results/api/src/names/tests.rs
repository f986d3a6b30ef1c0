use proptest::prelude::*;
use rstest::rstest;

use super::*;

#[rstest]
#[case::plain("ns/results/r", true)]
#[case::all_characters("a-b_0/results/-a", true)]
#[case::longest(&format!("ns/results/{}", "r".repeat(63)), true)]
#[case::too_long(&format!("ns/results/{}", "r".repeat(64)), false)]
#[case::upper_case("ns/results/R", false)]
#[case::dot("ns/results/a.b", false)]
#[case::no_parent("/results/r", false)]
#[case::no_result("ns/results/", false)]
#[case::other_word("ns/result/r", false)]
#[case::a_record("ns/results/r/records/c", false)]
#[case::slash_at_the_end("ns/results/r/", false)]
#[case::any_parent("-/results/r", false)]
#[case::any_result("ns/results/-", false)]
#[case::newline("ns/results/r\n", false)]
#[case::empty("", false)]
fn parses_result_names(#[case] text: &str, #[case] valid: bool) {
    match text.parse::<ResultName>() {
        Ok(name) => assert_eq!((name.to_string().as_str(), valid), (text, true)),
        Err(error) => assert!(!valid, "{error}"),
    }
}

#[rstest]
#[case::record("ns/results/r/records/c", true, false)]
#[case::log("ns/results/r/logs/c", false, true)]
#[case::result("ns/results/r", false, false)]
#[case::deeper("ns/results/r/records/c/logs/l", false, false)]
#[case::any("ns/results/r/records/-", false, false)]
fn tells_records_from_logs(#[case] text: &str, #[case] record: bool, #[case] log: bool) {
    assert_eq!(
        text.parse::<RecordName>().map(|name| name.to_string()).ok().as_deref(),
        record.then_some(text)
    );
    assert_eq!(text.parse::<LogName>().map(|name| name.to_string()).ok().as_deref(), log.then_some(text));
}

#[rstest]
#[case("-/results/-", Some((None, None)))]
#[case("ns/results/-", Some((Some("ns"), None)))]
#[case("-/results/r", Some((None, Some("r"))))]
#[case("ns/results/r", Some((Some("ns"), Some("r"))))]
#[case("ns", None)]
#[case("--/results/..", None)]
fn lists_of_records_take_a_dash_for_any(
    #[case] text: &str,
    #[case] expected: Option<(Option<&str>, Option<&str>)>,
) {
    let found = ListParent::of_records(text).ok();
    let found = found.as_ref().map(|list| (list.parent.as_deref(), list.result.as_deref()));
    assert_eq!(found, expected);
}

#[rstest]
#[case("-", None)]
#[case("ns", Some("ns"))]
fn lists_of_results_take_a_dash_for_any(#[case] text: &str, #[case] expected: Option<&str>) {
    assert_eq!(ListParent::of_results(text).unwrap().parent.as_deref(), expected);
}

#[rstest]
#[case("ns/results/r")]
#[case("")]
fn lists_of_results_have_a_namespace_and_nothing_behind_it(#[case] text: &str) {
    assert!(ListParent::of_results(text).is_err());
}

#[test]
fn an_error_quotes_the_pattern_and_what_was_given() {
    let error = "ns/Results/r".parse::<ResultName>().unwrap_err().to_string();
    assert_eq!(
        error,
        "name `ns/Results/r` must look like `<parent>/results/<result>`, with parts that match \
         [a-z0-9_-]{1,63}; `-` alone is for lists only"
    );
    let error = ListParent::of_results(&"x".repeat(5000)).unwrap_err().to_string();
    assert!(error.len() < 500 && error.contains('…'), "{error}");
    assert!("a\n\u{1b}b".parse::<Parent>().unwrap_err().to_string().contains(r"a\n\u{1b}b"));
}

#[test]
fn names_lead_to_each_other() {
    let result = ResultName::new("ns", "r").unwrap();
    let record = result.record("c").unwrap();
    let log = result.log("c").unwrap();
    assert_eq!(record.result_name(), result);
    assert_eq!(log.result_name(), result);
    assert_eq!(log.record_name(), record);
    assert!(result.record("c/logs/x").is_err());
    assert!(ResultName::new("ns/results/r", "x").is_err());
}

proptest! {
    #[test]
    fn never_panics_and_gives_back_what_it_took(text in "\\PC*|([a-z0-9_-]{0,65}|[/-]|/results/|/records/|/logs/){0,7}") {
        if let Ok(name) = text.parse::<Parent>() {
            prop_assert_eq!(name.to_string(), text.clone());
        }
        if let Ok(name) = text.parse::<ResultName>() {
            prop_assert_eq!(name.to_string(), text.clone());
        }
        if let Ok(name) = text.parse::<RecordName>() {
            prop_assert_eq!(name.to_string(), text.clone());
        }
        if let Ok(name) = text.parse::<LogName>() {
            prop_assert_eq!(name.to_string(), text.clone());
        }
        if let Ok(list) = ListParent::of_records(&text) {
            prop_assert_eq!(format!("{}/results/{}", list.parent_text(), list.result_text()), text);
        }
    }
}
