//! `junit`: a suite for each image, a case for each finding.

use std::fmt::Write as _;
use std::io::Cursor;

use jiff::Timestamp;
use quick_xml::Writer;
use quick_xml::events::{BytesDecl, BytesEnd, BytesStart, BytesText, Event};
use serde_json::Value;

use super::plain;
use crate::report::{ComponentReport, Finding, Report};

type Xml = Writer<Cursor<Vec<u8>>>;

pub(super) fn render(report: &Report, now: Timestamp) -> Result<String, String> {
    let mut xml = Writer::new_with_indent(Cursor::new(Vec::new()), b' ', 2);
    write(&mut xml, report, now).map_err(|error| error.to_string())?;
    let mut text = String::from_utf8(xml.into_inner().into_inner()).map_err(|error| error.to_string())?;
    text.push('\n');
    Ok(text)
}

fn write(xml: &mut Xml, report: &Report, now: Timestamp) -> std::io::Result<()> {
    xml.write_event(Event::Decl(BytesDecl::new("1.0", Some("UTF-8"), None)))?;
    xml.write_event(Event::Start(BytesStart::new("testsuites")))?;
    for component in &report.components {
        suite(xml, report, component, now)?;
    }
    xml.write_event(Event::End(BytesEnd::new("testsuites")))
}

fn suite(xml: &mut Xml, report: &Report, component: &ComponentReport, now: Timestamp) -> std::io::Result<()> {
    let ComponentReport { violations, warnings, successes, .. } = component;
    let tests = violations.len() + warnings.len() + successes.len();
    let counts =
        [("tests", tests), ("errors", 0), ("failures", violations.len()), ("skipped", warnings.len())];
    let mut start = BytesStart::new("testsuite");
    start.push_attribute(("name", &*clean(&format!("{} ({})", component.name, component.container_image))));
    start.push_attribute(("timestamp", &*now.to_string()));
    for (name, count) in counts {
        start.push_attribute((name, &*count.to_string()));
    }
    xml.write_event(Event::Start(start))?;
    properties(xml, report, component)?;
    for finding in successes {
        case(xml, finding, None)?;
    }
    for finding in violations {
        case(xml, finding, Some("failure"))?;
    }
    for finding in warnings {
        case(xml, finding, Some("skipped"))?;
    }
    xml.write_event(Event::End(BytesEnd::new("testsuite")))
}

fn properties(xml: &mut Xml, report: &Report, component: &ComponentReport) -> std::io::Result<()> {
    let mut all = vec![
        ("image".to_owned(), component.container_image.clone()),
        ("key".to_owned(), report.key.clone()),
        ("success".to_owned(), component.success.to_string()),
    ];
    for signature in &component.signatures {
        let text = |key: &str| signature.get(key).map(plain).unwrap_or_default();
        all.push(("keyId".to_owned(), text("keyid")));
        all.push(("signature".to_owned(), text("sig")));
        let metadata = signature.get("metadata").and_then(Value::as_object);
        let metadata = metadata.into_iter().flatten();
        all.extend(metadata.map(|(key, value)| (format!("metadata.{key}"), plain(value))));
    }
    xml.write_event(Event::Start(BytesStart::new("properties")))?;
    for (name, value) in all {
        let mut property = BytesStart::new("property");
        property.push_attribute(("name", &*clean(&name)));
        property.push_attribute(("value", &*clean(&value)));
        xml.write_event(Event::Empty(property))?;
    }
    xml.write_event(Event::End(BytesEnd::new("properties")))
}

/// `element` is what says that it is no success.
fn case(xml: &mut Xml, finding: &Finding, element: Option<&str>) -> std::io::Result<()> {
    let mut start = BytesStart::new("testcase");
    start.push_attribute(("name", &*clean(&name(finding))));
    let Some(element) = element else { return xml.write_event(Event::Empty(start)) };
    xml.write_event(Event::Start(start))?;
    let mut why = BytesStart::new(element);
    why.push_attribute(("message", &*clean(&finding.msg)));
    if finding.outputs.is_empty() {
        xml.write_event(Event::Empty(why))?;
    } else {
        xml.write_event(Event::Start(why))?;
        xml.write_event(Event::Text(BytesText::new(&clean(&finding.outputs.join("\n")))))?;
        xml.write_event(Event::End(BytesEnd::new(element)))?;
    }
    xml.write_event(Event::End(BytesEnd::new("testcase")))
}

/// `code: msg [key=value, …]`
fn name(finding: &Finding) -> String {
    let mut name = match finding.code() {
        Some(code) => format!("{code}: {}", finding.msg),
        None => finding.msg.clone(),
    };
    let others = finding.metadata.iter().filter(|(key, _)| *key != "code");
    let mut others: Vec<_> = others.map(|(key, value)| format!("{key}={}", plain(value))).collect();
    others.sort();
    if !others.is_empty() {
        // Writing to a String never fails.
        let _ = write!(name, " [{}]", others.join(", "));
    }
    name
}

/// Without the characters that XML 1.0 cannot say at all (section 2.2 there): what strangers wrote may have them.
fn clean(text: &str) -> String {
    let is_said = |c: char| matches!(c, '\t' | '\n' | '\r' | ' '..='\u{fffd}' | '\u{10000}'..);
    text.chars().map(|c| if is_said(c) { c } else { '\u{fffd}' }).collect()
}
