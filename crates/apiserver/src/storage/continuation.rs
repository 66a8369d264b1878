//! Continue tokens of paged lists, as upstream writes them (`meta.k8s.io/v1`): the revision of the list and the key
//! after which the next page begins.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};
use steersman_apimachinery::status::ApiError;
use steersman_store::{Key, Prefix, Revision};

const VERSION: &str = "meta.k8s.io/v1";

/// Where a paged list goes on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Continuation {
    /// The list's revision; `None` goes on at the newest, with gaps and repeats.
    pub revision: Option<Revision>,
    /// The last key that was sent.
    pub after: Key,
}

#[derive(Serialize, Deserialize)]
struct Token {
    #[serde(rename = "v")]
    version: String,
    #[serde(rename = "rv")]
    revision: i64,
    start: String,
}

impl Continuation {
    /// The token; its key is relative to `prefix`.
    pub fn encode(&self, prefix: &Prefix) -> String {
        let relative = self.after.as_str().strip_prefix(prefix.as_str()).unwrap_or(self.after.as_str());
        let token = Token {
            version: VERSION.to_owned(),
            revision: self.revision.map_or(-1, |r| i64::try_from(r.0).unwrap_or(i64::MAX)),
            // Upstream starts at the first key not below this one: the last one sent, with a zero byte.
            start: format!("{relative}\0"),
        };
        URL_SAFE_NO_PAD.encode(serde_json::to_vec(&token).expect("a token has string keys"))
    }

    /// Reads a token; 400 if it is none of ours.
    pub fn decode(text: &str, prefix: &Prefix) -> Result<Self, ApiError> {
        let bytes = URL_SAFE_NO_PAD
            .decode(text.trim_end_matches('='))
            .map_err(|_| invalid("continue key is not valid: illegal base64 data"))?;
        let token: Token = serde_json::from_slice(&bytes)
            .map_err(|e| invalid(&format!("continue key is not valid: {e}")))?;
        if token.version != VERSION {
            return Err(invalid(&format!(
                "continue key is not valid: server does not recognize this encoded version {:?}",
                token.version
            )));
        }
        let relative = token.start.trim_start_matches('/');
        if relative.is_empty() || relative.split('/').any(|part| part == "..") {
            return Err(invalid("continue key is not valid: encoded start key empty or outside the list"));
        }
        let revision = match token.revision {
            -1 => None,
            n => Some(Revision(u64::try_from(n).map_err(|_| {
                invalid("continue key is not valid: incorrect encoded start resourceVersion")
            })?)),
        };
        let after = relative.strip_suffix('\0').unwrap_or(relative);
        Ok(Self { revision, after: Key::new(format!("{}{after}", prefix.as_str())) })
    }
}

fn invalid(why: &str) -> ApiError {
    ApiError::bad_request(why)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_come_back_as_they_went() {
        let prefix = Prefix::new("/registry/pods/");
        for revision in [Some(Revision(7)), None] {
            let sent = Continuation { revision, after: Key::new("/registry/pods/default/web-0") };
            assert_eq!(Continuation::decode(&sent.encode(&prefix), &prefix), Ok(sent));
        }
    }

    #[test]
    fn foreign_tokens_are_refused() {
        let prefix = Prefix::new("/registry/pods/");
        let climb = URL_SAFE_NO_PAD.encode(r#"{"v":"meta.k8s.io/v1","rv":1,"start":"../secrets/x"}"#);
        let old = URL_SAFE_NO_PAD.encode(r#"{"v":"v0","rv":1,"start":"x"}"#);
        for token in ["%%%", "e30", climb.as_str(), old.as_str()] {
            assert_eq!(Continuation::decode(token, &prefix).unwrap_err().code, 400, "{token}");
        }
    }
}
