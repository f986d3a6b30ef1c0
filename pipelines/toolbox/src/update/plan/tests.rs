use rstest::rstest;
use serde_json::{Value, json};

use super::*;
use crate::update::config::Config;
use crate::update::managers::Managers;

fn digest(character: char) -> String {
    format!("sha256:{}", character.to_string().repeat(64))
}

/// What is proposed for these files, when registries know these tags (`image:tag` by digest).
fn proposals(config: &Value, files: &[(&str, &str)], registry: &[(&str, &str, char)]) -> Vec<Proposal> {
    let config = Config::parse(&config.to_string()).unwrap();
    let (managers, rules) = (Managers::new(&config).unwrap(), Rules::new(&config).unwrap());
    let files: Vec<TextFile> = files
        .iter()
        .map(|(path, text)| TextFile { path: (*path).into(), text: (*text).into(), is_executable: false })
        .collect();
    let found: Vec<Dependency> =
        files.iter().flat_map(|file| managers.find(&file.path, &file.text)).collect();
    let mut known = Known::default();
    for (image, tag, content) in registry {
        known.digests.insert(((*image).into(), (*tag).into()), digest(*content));
        known.tags.entry((*image).into()).or_default().push((*tag).into());
    }
    plan(&files, &found, &rules, &known, "main", |_| true)
}

fn nudge(repository: &str, tag: &str) -> Value {
    json!({
        "enabledManagers": ["regex"],
        "customManagers": [{
            "fileMatch": [".*Dockerfile.*", ".*.yaml"], "customType": "regex", "datasourceTemplate": "docker",
            "matchStrings": [format!("{repository}(:.*)?@(?<currentDigest>sha256:[a-f0-9]+)")],
            "currentValueTemplate": tag, "depNameTemplate": repository,
        }],
        "packageRules": [
            {"matchPackagePatterns": ["*"], "enabled": false},
            {"matchPackageNames": [repository], "groupName": "Component Update lib", "branchName": "konflux/component-updates/app-lib",
             "commitMessageTopic": "lib", "prFooter": "To build it comment /ok-to-test", "enabled": true, "followTag": tag,
             "labels": ["konflux-nudge"]},
        ],
    })
}

#[test]
fn a_new_build_becomes_one_proposal() {
    let old = format!("FROM reg.example/lib:b1@{}\n", digest('a'));
    let yaml = format!("image: reg.example/lib@{}\nother: reg.example/other@{}\n", digest('b'), digest('c'));
    let found = proposals(
        &nudge("reg.example/lib", "b7"),
        &[("Dockerfile", &old), ("deploy/app.yaml", &yaml), ("README", &old)],
        &[("reg.example/lib", "b7", 'd')],
    );
    let [proposal] = &found[..] else { panic!("{found:?}") };
    assert_eq!(proposal.branch, "konflux/component-updates/app-lib");
    assert_eq!(proposal.title, "Update lib to ddddddd");
    assert_eq!(proposal.labels, ["konflux-nudge"]);
    assert!(
        proposal.body.contains("/ok-to-test") && proposal.body.contains("`reg.example/lib`"),
        "{}",
        proposal.body
    );
    let texts: Vec<_> = proposal.files.iter().map(|file| (file.path.as_str(), file.text.as_str())).collect();
    let dockerfile = format!("FROM reg.example/lib:b1@{}\n", digest('d'));
    let deployment =
        format!("image: reg.example/lib@{}\nother: reg.example/other@{}\n", digest('d'), digest('c'));
    assert_eq!(texts, [("Dockerfile", dockerfile.as_str()), ("deploy/app.yaml", deployment.as_str())]);
}

#[test]
fn what_is_there_already_is_not_proposed() {
    let text = format!("FROM reg.example/lib@{}\n", digest('d'));
    let found = proposals(
        &nudge("reg.example/lib", "b7"),
        &[("Dockerfile", &text)],
        &[("reg.example/lib", "b7", 'd')],
    );
    assert_eq!(found, []);
}

#[test]
fn without_an_answer_nothing_is_proposed() {
    let text = format!("FROM reg.example/lib@{}\n", digest('a'));
    assert_eq!(proposals(&nudge("reg.example/lib", "b7"), &[("Dockerfile", &text)], &[]), []);
}

#[rstest]
#[case::digest_of_the_same_tag(
    "FROM reg.example/a:1.2@{a}", &[("1.2", 'b')], &[("konflux/a", "FROM reg.example/a:1.2@{b}")])]
#[case::newer_tag_with_its_digest(
    "FROM reg.example/a:1.2@{a}", &[("1.2", 'b'), ("1.3", 'c')], &[("konflux/a", "FROM reg.example/a:1.3@{c}")])]
#[case::newer_tag_alone("FROM reg.example/a:1.2", &[("1.3", 'c')], &[("konflux/a", "FROM reg.example/a:1.3")])]
#[case::a_big_step_by_itself(
    "FROM reg.example/a:1.2@{a}", &[("1.2", 'b'), ("2.0", 'c')],
    &[("konflux/a", "FROM reg.example/a:1.2@{b}"), ("konflux/a-2.x", "FROM reg.example/a:2.0@{c}")])]
#[case::no_tag_without_its_digest("FROM reg.example/a:1.2@{a}", &[], &[])]
#[case::moving_tag("FROM reg.example/a:latest@{a}", &[("latest", 'b')], &[("konflux/a", "FROM reg.example/a:latest@{b}")])]
#[case::nothing_is_pinned_unasked("FROM reg.example/a:latest", &[("latest", 'b')], &[])]
fn dockerfiles(#[case] text: &str, #[case] tags: &[(&'static str, char)], #[case] expected: &[(&str, &str)]) {
    let filled = |text: &str| {
        ['a', 'b', 'c']
            .iter()
            .fold(text.to_owned(), |text, one| text.replace(&format!("{{{one}}}"), &digest(*one)))
    };
    let registry: Vec<_> = tags.iter().map(|(tag, content)| ("reg.example/a", *tag, *content)).collect();
    let found = proposals(&json!({}), &[("Dockerfile", &filled(text))], &registry);
    let found: Vec<_> = found.iter().map(|one| (one.branch.as_str(), one.files[0].text.clone())).collect();
    let expected: Vec<_> = expected.iter().map(|(branch, text)| (*branch, filled(text))).collect();
    assert_eq!(found, expected);
}

#[test]
fn digests_are_pinned_where_that_is_wanted() {
    let found = proposals(
        &json!({"pinDigests": true}),
        &[("Dockerfile", "FROM reg.example/a:latest AS x\n")],
        &[("reg.example/a", "latest", 'b')],
    );
    assert_eq!(found[0].files[0].text, format!("FROM reg.example/a:latest@{} AS x\n", digest('b')));
}

#[test]
fn groups_share_a_branch_and_prefixes_have_the_base() {
    let found = proposals(
        &json!({"branchPrefix": "konflux/references/", "additionalBranchPrefix": "{{baseBranch}}/",
            "semanticCommits": "enabled", "groupName": "RHTAP references", "enabledManagers": ["tekton"]}),
        &[(".tekton/push.yaml", "- image: reg.example/a:1.0\n- image: reg.example/b:1.0\n")],
        &[("reg.example/a", "1.1", 'b'), ("reg.example/b", "1.2", 'b')],
    );
    let [proposal] = &found[..] else { panic!("{found:?}") };
    assert_eq!(proposal.branch, "konflux/references/main/rhtap-references");
    assert_eq!(proposal.title, "chore(deps): update RHTAP references");
    assert_eq!(proposal.files[0].text, "- image: reg.example/a:1.1\n- image: reg.example/b:1.2\n");
}

#[test]
fn a_rule_may_forbid_big_steps() {
    let found = proposals(
        &json!({"packageRules": [{"matchUpdateTypes": ["major"], "enabled": false}]}),
        &[("Dockerfile", "FROM reg.example/a:1.0\n")],
        &[("reg.example/a", "2.0", 'b')],
    );
    assert_eq!(found, []);
}

#[test]
fn names_of_branches_are_known_without_an_update() {
    let config = Config::parse(&nudge("reg.example/lib", "b7").to_string()).unwrap();
    let rules = Rules::new(&config).unwrap();
    assert_eq!(named_branches(&rules, "main"), ["konflux/component-updates/app-lib"]);
}

#[test]
fn what_is_asked_is_what_is_needed() {
    let config = Config::parse("{}").unwrap();
    let (managers, rules) = (Managers::new(&config).unwrap(), Rules::new(&config).unwrap());
    let asked = |line: &str| {
        let found = managers.find("Dockerfile", line);
        question(&found[0], &rules.of(&found[0], "main", None))
    };
    assert_eq!(asked("FROM reg.example/a:1.0"), Some(Question::Tags("reg.example/a".into())));
    assert_eq!(
        asked(&format!("FROM reg.example/a:main@{}", digest('a'))),
        Some(Question::Digest("reg.example/a".into(), "main".into()))
    );
    assert_eq!(asked("FROM reg.example/a:main"), None, "there is nothing that could change");
}
