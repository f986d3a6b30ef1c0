//! YAML and JSON that strangers wrote.

use serde_json::Value;

/// Parses one document: YAML, of which JSON is a part. Aliases are followed within limits, so that a few lines do not
/// become gigabytes. The error is for people, with line and column.
pub fn parse(content: &[u8]) -> Result<Value, String> {
    let text = std::str::from_utf8(content).map_err(|_| "it is not text in UTF-8".to_owned())?;
    // By far the faster way for what is JSON, as most that is large.
    if text.trim_start().starts_with(['{', '['])
        && let Ok(value) = serde_json::from_str(text)
    {
        return Ok(value);
    }
    let parsed: Option<Value> =
        serde_saphyr::from_str_with_options(text, options()).map_err(|error| error.to_string())?;
    Ok(parsed.unwrap_or_default())
}

/// Parses all documents of a file, the empty ones left out.
pub fn documents(content: &[u8]) -> Result<Vec<Value>, String> {
    let text = std::str::from_utf8(content).map_err(|_| "it is not text in UTF-8".to_owned())?;
    if text.trim_start().starts_with(['{', '['])
        && let Ok(value) = serde_json::from_str(text)
    {
        return Ok(vec![value]);
    }
    let parsed: Vec<Value> =
        serde_saphyr::from_multiple_with_options(text, options()).map_err(|error| error.to_string())?;
    Ok(parsed.into_iter().filter(|document| !document.is_null()).collect())
}

fn options() -> serde_saphyr::Options {
    serde_saphyr::options! {
        budget: serde_saphyr::budget! { max_events: 4_000_000, max_nodes: 4_000_000, max_total_scalar_bytes: 64 * 1024 * 1024 },
        alias_limits: serde_saphyr::alias_limits! { max_total_replayed_events: 200_000, max_replay_stack_depth: 16 },
        strict_booleans: true,
    }
}

/// YAML of a value, with a line's end.
pub fn print(value: &Value) -> Result<String, String> {
    let mut text = serde_saphyr::to_string(value).map_err(|error| error.to_string())?;
    if !text.ends_with('\n') {
        text.push('\n');
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn what_is_printed_is_read_again() {
        let value = json!({
            "on": "yes", "number": "012", "float": 1.5, "null": null, "lines": "a\n  b\n\nc: d\n", "empty": {}, "list": [[], "- x", "# y", "a: b"],
            "quoted\"'": "\u{1b}[31m \t", "tilde": "~", "true": "true", "date": "2024-01-01", "deep": [{"a": [{"b": 1}]}]
        });
        assert_eq!(parse(print(&value).unwrap().as_bytes()).unwrap(), value);
    }

    #[test]
    fn a_bomb_of_aliases_does_not_go_off() {
        let mut text = String::from("a: &a [x, x, x, x, x, x, x, x, x, x]\n");
        for (name, before) in "bcdefghij".chars().zip("abcdefghi".chars()) {
            text.extend([
                format!("{name}: &{name} ["),
                vec![format!("*{before}"); 10].join(", "),
                "]\n".to_owned(),
            ]);
        }
        assert!(parse(text.as_bytes()).is_err());
    }

    #[test]
    fn says_where_it_is_wrong() {
        assert!(parse(b"a: 1\nb: [").unwrap_err().contains("line 2"), "{:?}", parse(b"a: 1\nb: ["));
    }
}
