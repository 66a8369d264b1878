//! A request's query parameters.

use std::collections::BTreeMap;
use std::time::Duration;

use steersman_apimachinery::status::ApiError;

use super::info::decode;

/// Query parameters, decoded; a name may occur more than once.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Query(BTreeMap<String, Vec<String>>);

impl Query {
    /// Reads what follows the `?`.
    pub fn parse(text: &str) -> Self {
        let mut values: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for pair in text.split('&').filter(|pair| !pair.is_empty()) {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            values.entry(unescape(name)).or_default().push(unescape(value));
        }
        Self(values)
    }

    /// The first value of `name`.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name)?.first().map(String::as_str)
    }

    /// All values of `name`.
    pub fn all(&self, name: &str) -> &[String] {
        self.0.get(name).map_or(&[], Vec::as_slice)
    }

    /// The first value of `name`; `None` if it is absent or empty.
    pub fn non_empty(&self, name: &str) -> Option<&str> {
        self.get(name).filter(|value| !value.is_empty())
    }

    /// A boolean as upstream converts query parameters: present means true unless it says `false` or `0`.
    pub fn flag(&self, name: &str) -> bool {
        self.get(name).is_some_and(|value| !matches!(value.to_ascii_lowercase().as_str(), "false" | "0"))
    }

    /// [`Self::flag`], `None` if `name` is absent.
    pub fn optional_flag(&self, name: &str) -> Option<bool> {
        self.get(name).map(|_| self.flag(name))
    }

    /// An integer; 400 if it is none.
    pub fn integer(&self, name: &str) -> Result<Option<i64>, ApiError> {
        let Some(text) = self.non_empty(name) else { return Ok(None) };
        text.parse()
            .map(Some)
            .map_err(|_| ApiError::bad_request(format!("strconv.ParseInt: parsing {text:?}: invalid syntax")))
    }

    /// `timeoutSeconds`, if it is given and positive.
    pub fn timeout(&self) -> Result<Option<Duration>, ApiError> {
        let seconds = self.integer("timeoutSeconds")?.and_then(|s| u64::try_from(s).ok());
        Ok(seconds.filter(|s| *s > 0).map(Duration::from_secs))
    }
}

fn unescape(text: &str) -> String {
    decode(&text.replace('+', " "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_are_decoded_and_may_repeat() {
        let query = Query::parse("command=sh&command=-c&labelSelector=a%3Db%2Cc+in+%28d%29&watch&tty=false");
        assert_eq!(query.all("command"), ["sh", "-c"]);
        assert_eq!(query.get("labelSelector"), Some("a=b,c in (d)"));
        assert!(query.flag("watch"));
        assert!(!query.flag("tty"));
        assert_eq!(query.optional_flag("stdin"), None);
    }

    #[test]
    fn numbers_are_checked() {
        assert_eq!(Query::parse("limit=5").integer("limit"), Ok(Some(5)));
        assert_eq!(Query::parse("limit=").integer("limit"), Ok(None));
        assert_eq!(Query::parse("limit=x").integer("limit").unwrap_err().code, 400);
    }
}
