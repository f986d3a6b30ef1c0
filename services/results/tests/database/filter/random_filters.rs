//! Filters whose types are right.

use rand::Rng as _;
use rand::rngs::StdRng;
use rand::seq::IndexedRandom as _;
use results_filter::Target;
use serde_json::Value;

use super::random_rows::TEXTS;

const COMPARISONS: [&str; 6] = ["==", "!=", "<", "<=", ">", ">="];

const PATHS: [&str; 14] = [
    "data.kind",
    "data.kind",
    "data.kind",
    "data.nested.k",
    "data.nested[\"k\"]",
    "data[\"list\"][0]",
    "data.list[1].k[0]",
    "data.list[2]",
    "data.nested",
    "data.metadata.name",
    "data.metadata.labels.x",
    "data.metadata.labels[\"x\"]",
    "data.metadata.labels[\"0\"]",
    "data.absent[\"it's\"]",
];

const TIMES: [&str; 5] = [
    "timestamp(\"2024-02-29T21:30:00Z\")",
    "timestamp(\"2024-05-01T10:00:00.1234565Z\")",
    "timestamp(\"2025-01-01T00:00:00Z\")",
    "timestamp(\"1999-12-31T23:59:59.999999Z\")",
    "timestamp(\"2024-03-01T01:00:00+01:00\")",
];

/// For values that are texts in the rows as well.
fn quoted(random: &mut StdRng) -> String {
    Value::from(one(&TEXTS, random)).to_string()
}

fn one<'a>(of: &[&'a str], random: &mut StdRng) -> &'a str {
    of.choose(random).copied().unwrap_or_default()
}

pub(super) fn filter(target: Target, random: &mut StdRng) -> String {
    Writer { target, random }.test(3)
}

struct Writer<'r> {
    target: Target,
    random: &'r mut StdRng,
}

impl Writer<'_> {
    fn one<'a>(&mut self, of: &[&'a str]) -> &'a str {
        one(of, self.random)
    }

    fn test(&mut self, depth: u32) -> String {
        let chosen =
            if depth == 0 { self.random.random_range(4..14) } else { self.random.random_range(0..14) };
        match chosen {
            0 => format!("({} && {})", self.test(depth - 1), self.test(depth - 1)),
            1 => format!("({} || {})", self.test(depth - 1), self.test(depth - 1)),
            2 => format!("!({})", self.test(depth - 1)),
            3 => {
                format!("(({}) {} ({}))", self.test(depth - 1), self.one(&COMPARISONS), self.test(depth - 1))
            }
            4 | 5 => format!("{} {} {}", self.text(), self.one(&COMPARISONS), self.text_of_some_kind()),
            6 => format!("{} {} {}", self.number(2), self.one(&COMPARISONS), self.number_of_some_kind()),
            7 => format!("{} {} {}", self.time(), self.one(&COMPARISONS), self.time_of_some_kind()),
            8 => format!("{} in [{}, {}]", self.text_of_some_kind(), self.text(), self.text()),
            9 => format!("{} in [{}, {}, 2]", self.number_of_some_kind(), self.number(1), self.number(1)),
            10 => self.key(),
            11 => {
                let function = self.one(&["contains", "startsWith", "endsWith"]);
                format!("({}).{function}({})", self.text_of_some_kind(), self.text())
            }
            12 => format!("{}.matches({})", self.text(), Value::from(valid_pattern(self.random))),
            _ if self.target == Target::Records => {
                format!(
                    "{} {} {}",
                    self.one(&PATHS),
                    self.one(&["==", "!="]),
                    self.one(&["true", "12", "1.5"])
                )
            }
            _ => format!("{} == {}", self.text(), self.text()),
        }
    }

    fn key(&mut self) -> String {
        let key = if self.random.random_bool(0.5) { "\"k\"".to_owned() } else { self.text() };
        match self.target {
            Target::Results => format!("{key} in {}", self.one(&["annotations", "summary.annotations"])),
            Target::Records => {
                format!("{key} in {}", self.one(&["data", "data.list", "data.nested", "data.kind"]))
            }
        }
    }

    /// Certainly one.
    fn text(&mut self) -> String {
        match (self.random.random_range(0..5), self.target) {
            (0 | 1, _) => quoted(self.random),
            (2, _) => format!("({} + {})", quoted(self.random), self.text_of_some_kind()),
            (_, Target::Results) => self
                .one(&[
                    "parent",
                    "uid",
                    "summary.record",
                    "summary.type",
                    "annotations[\"k\"]",
                    "summary.annotations.k",
                ])
                .to_owned(),
            (_, Target::Records) => self
                .one(&["parent", "result_name", "name", "data_type", "data_type", "PIPELINE_RUN"])
                .to_owned(),
        }
    }

    /// A value of data, or what is like it.
    fn text_of_some_kind(&mut self) -> String {
        if self.target == Target::Records { self.one(&PATHS).to_owned() } else { self.text() }
    }

    fn number(&mut self, depth: u32) -> String {
        match self.random.random_range(0..6) {
            0 => self.random.random_range(-4..13).to_string(),
            1 => self.one(&["0.5", "1.5", "12.0", "-0.25", "1e20"]).to_owned(),
            2 | 3 if depth > 0 => {
                let operator = self.one(&["+", "-", "*", "/"]);
                format!("({} {operator} {})", self.number(depth - 1), self.number_of_some_kind())
            }
            4 if self.target == Target::Records => format!("({} % 5)", self.one(&PATHS)),
            _ => format!(
                "{}.{}()",
                self.time_of_some_kind(),
                self.one(&["getDate", "getDayOfMonth", "getDayOfWeek", "getDayOfYear", "getFullYear",])
            ),
        }
    }

    fn number_of_some_kind(&mut self) -> String {
        match self.target {
            Target::Records => self.one(&PATHS).to_owned(),
            Target::Results => self.one(&["summary.status", "SUCCESS", "3", "-2", "0"]).to_owned(),
        }
    }

    fn time(&mut self) -> String {
        let columns = ["create_time", "update_time", "summary.start_time", "summary.end_time"];
        if self.target == Target::Results && self.random.random_bool(0.5) {
            self.one(&columns).to_owned()
        } else {
            self.one(&TIMES).to_owned()
        }
    }

    fn time_of_some_kind(&mut self) -> String {
        if self.target == Target::Records { self.one(&PATHS).to_owned() } else { self.time() }
    }
}

/// A regular expression, or what is almost one.
pub(super) fn pattern(random: &mut StdRng) -> String {
    let pieces = [
        "a",
        "b",
        "A",
        "ä",
        "o",
        "1",
        "0",
        "2",
        "'",
        "%",
        "_",
        "\\\\",
        "\\.",
        "-",
        ":",
        " ",
        "\n",
        "\\d",
        "\\D",
        "\\w",
        "\\W",
        "\\s",
        "\\S",
        "[^a-c]",
        "[\\d_]",
        "[[:alpha:]&&[^b]]",
        "[äz]",
        ".",
        "(?i)",
        "(?s:.)",
        "(?m)^",
        "(?m:$)",
        "$",
        "\\b",
        "\\B",
        "\\z",
        "\\A",
        "*",
        "+",
        "?",
        "*?",
        "{2,3}",
        "{0}",
        "{1,}",
        "(",
        ")",
        "(?:",
        "|",
        "()",
        "^",
    ];
    let count = random.random_range(1..7);
    (0..count).map(|_| one(&pieces, random)).collect()
}

fn valid_pattern(random: &mut StdRng) -> String {
    loop {
        let pattern = pattern(random);
        let filter = format!("parent.matches({})", Value::from(pattern.as_str()));
        if results_filter::compile(&filter, Target::Results).is_ok() {
            return pattern;
        }
    }
}
