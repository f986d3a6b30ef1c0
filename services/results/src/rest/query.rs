//! Parameters of a query, in snake or camel case.

use std::collections::BTreeMap;

use tonic::Status;

/// Those of one request, by their names in snake case. Unknown ones are passed over, as the original does.
#[derive(Debug)]
pub(super) struct Query(BTreeMap<String, Vec<String>>);

impl Query {
    pub(super) fn parse(query: Option<&str>) -> Self {
        let mut found: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for (name, value) in url::form_urlencoded::parse(query.unwrap_or_default().as_bytes()) {
            found.entry(snake(&name)).or_default().push(value.into_owned());
        }
        Self(found)
    }

    /// Empty if absent. Twice is an error: one of the two would be lost.
    pub(super) fn text(&mut self, name: &str) -> Result<String, Status> {
        let mut values = self.0.remove(name).unwrap_or_default();
        if values.len() > 1 {
            return Err(Status::invalid_argument(format!(
                "{name}: given {} times; give it once",
                values.len()
            )));
        }
        Ok(values.pop().unwrap_or_default())
    }

    /// 0 if absent or empty.
    pub(super) fn number(&mut self, name: &str) -> Result<i32, Status> {
        let text = self.text(name)?;
        if text.is_empty() {
            return Ok(0);
        }
        let invalid = || Status::invalid_argument(format!("{name}: `{text}` is no whole number of 32 bits"));
        text.parse().map_err(|_| invalid())
    }
}

fn snake(name: &str) -> String {
    let mut snake = String::with_capacity(name.len() + 2);
    for letter in name.chars() {
        if letter.is_ascii_uppercase() {
            snake.push('_');
        }
        snake.push(letter.to_ascii_lowercase());
    }
    snake
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case::snake("page_size=7&filter=a%20%3D%3D%20b+c")]
    #[case::camel("pageSize=7&filter=a%20==%20b%20c&unknown=1")]
    fn reads_both_spellings(#[case] query: &str) {
        let mut query = Query::parse(Some(query));
        assert_eq!(query.number("page_size").unwrap(), 7);
        assert_eq!(query.text("filter").unwrap(), "a == b c");
        assert_eq!(query.text("order_by").unwrap(), "");
    }

    #[rstest]
    #[case::no_number("page_size=many")]
    #[case::too_large("page_size=3000000000")]
    #[case::twice("page_size=7&pageSize=8")]
    fn refuses(#[case] query: &str) {
        let error = Query::parse(Some(query)).number("page_size").unwrap_err();
        assert!(error.message().starts_with("page_size: "), "{error}");
    }
}
