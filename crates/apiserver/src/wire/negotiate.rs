//! Content negotiation: which encoding and which form (`as=Table`, `as=PartialObjectMetadata`, …) a client wants,
//! and in which encoding it sends.

use http::HeaderMap;
use http::header::{ACCEPT, ACCEPT_ENCODING, CONTENT_TYPE, USER_AGENT};
use steersman_apimachinery::status::ApiError;

use super::query::Query;

/// How bytes are made from a tree.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Encoding {
    /// `application/json`.
    Json,
    /// `application/yaml`.
    Yaml,
    /// `application/vnd.kubernetes.protobuf`.
    Protobuf,
}

impl Encoding {
    /// The response's `Content-Type`.
    pub fn content_type(self) -> &'static str {
        match self {
            Self::Json => "application/json",
            Self::Yaml => "application/yaml",
            Self::Protobuf => "application/vnd.kubernetes.protobuf",
        }
    }

    /// The `Content-Type` of a watch.
    pub fn stream_content_type(self) -> &'static str {
        match self {
            Self::Protobuf => "application/vnd.kubernetes.protobuf;stream=watch",
            other => other.content_type(),
        }
    }

    fn of_media_type(media: &str) -> Option<Self> {
        match media {
            "application/json" | "application/*" | "*/*" => Some(Self::Json),
            "application/yaml" => Some(Self::Yaml),
            "application/vnd.kubernetes.protobuf" => Some(Self::Protobuf),
            _ => None,
        }
    }
}

/// Which form of an object or a list is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum View {
    /// The object itself.
    Whole,
    /// `meta.k8s.io/v1` `Table`.
    Table,
    /// `meta.k8s.io/v1` `PartialObjectMetadata`, or its list for a list.
    Partial,
}

/// The forms in which an answer exists.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Offers {
    /// A document: whole, in every encoding.
    Documents,
    /// An object or a list, in every form and encoding.
    Objects,
    /// An object or a list of a custom kind, which has no protobuf form. Its metadata alone has.
    Custom,
}

/// What the client wants to get.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Wanted {
    /// Encoding.
    pub encoding: Encoding,
    /// Form.
    pub view: View,
    /// Whether JSON is indented for people.
    pub pretty: bool,
    /// Whether a large body may be gzipped.
    pub gzip: bool,
}

impl Wanted {
    /// Plain JSON: what errors fall back to.
    pub const JSON: Self = Self { encoding: Encoding::Json, view: View::Whole, pretty: false, gzip: false };

    /// What `headers` accept of what there is; 406 if that is nothing.
    pub fn negotiate(headers: &HeaderMap, query: &Query, offers: Offers) -> Result<Self, ApiError> {
        let base = Self { pretty: wants_pretty(headers, query), gzip: takes_gzip(headers), ..Self::JSON };
        let accept = header(headers, ACCEPT);
        if accept.trim().is_empty() {
            return Ok(base);
        }
        for clause in by_preference(accept) {
            if let Some((encoding, view)) = acceptable(&clause, offers) {
                return Ok(Self { encoding, view, ..base });
            }
        }
        Err(not_acceptable(offers))
    }
}

/// One clause of an Accept header, such as `application/json;as=Table;g=meta.k8s.io;v=v1`.
#[derive(Clone, Debug)]
pub struct MediaClause {
    /// Type and subtype, in lower case.
    pub media: String,
    /// Parameters but `q`.
    pub parameters: Vec<(String, String)>,
    quality: f32,
}

impl MediaClause {
    /// A parameter's value; empty if it is absent.
    pub fn parameter(&self, name: &str) -> &str {
        self.parameters.iter().find(|(n, _)| n == name).map_or("", |(_, value)| value.as_str())
    }

    fn parse(text: &str) -> Option<Self> {
        let mut pieces = text.split(';').map(str::trim);
        let media = pieces.next()?.to_ascii_lowercase();
        let mut clause = Self { media, parameters: Vec::new(), quality: 1.0 };
        for (name, value) in pieces.filter_map(|p| p.split_once('=')) {
            let value = value.trim().trim_matches('"');
            match name.trim() {
                "q" => clause.quality = value.parse().unwrap_or(0.0),
                name => clause.parameters.push((name.to_owned(), value.to_owned())),
            }
        }
        (clause.media.contains('/') && clause.quality > 0.0).then_some(clause)
    }
}

/// The clauses of an Accept header, the most wanted first; equals keep their order.
pub fn by_preference(accept: &str) -> Vec<MediaClause> {
    let mut clauses: Vec<MediaClause> = accept.split(',').filter_map(MediaClause::parse).collect();
    clauses.sort_by(|a, b| b.quality.total_cmp(&a.quality));
    clauses
}

fn acceptable(clause: &MediaClause, offers: Offers) -> Option<(Encoding, View)> {
    let encoding = Encoding::of_media_type(&clause.media)?;
    let view = match clause.parameter("as") {
        "" => View::Whole,
        _ if offers == Offers::Documents => return None,
        _ if clause.parameter("g") != "meta.k8s.io" || clause.parameter("v") != "v1" => return None,
        "Table" => View::Table,
        "PartialObjectMetadata" | "PartialObjectMetadataList" => View::Partial,
        _ => return None,
    };
    if view == View::Table && encoding == Encoding::Protobuf {
        return None; // A table has no protobuf form.
    }
    if offers == Offers::Custom && view == View::Whole && encoding == Encoding::Protobuf {
        return None;
    }
    let stream = clause.parameter("stream");
    (stream.is_empty() || stream == "watch").then_some((encoding, view))
}

fn not_acceptable(offers: Offers) -> ApiError {
    let protobuf = if offers == Offers::Custom { "" } else { ", application/vnd.kubernetes.protobuf" };
    ApiError::new(
        406,
        "NotAcceptable",
        format!("only the following media types are accepted: application/json, application/yaml{protobuf}"),
    )
}

/// The encoding of a request's body: by `Content-Type`, JSON where there is none; 415 if it is unknown.
pub fn body_encoding(headers: &HeaderMap) -> Result<Encoding, ApiError> {
    let media = media_type(headers);
    if media.is_empty() {
        return Ok(Encoding::Json);
    }
    match media.as_str() {
        "*/*" | "application/*" => None,
        known => Encoding::of_media_type(known),
    }
    .ok_or_else(|| {
        unsupported_media_type(&[
            "application/json",
            "application/yaml",
            "application/vnd.kubernetes.protobuf",
        ])
    })
}

/// The request's media type in lower case, without parameters; empty if there is none.
pub fn media_type(headers: &HeaderMap) -> String {
    let text = header(headers, CONTENT_TYPE);
    text.split(';').next().unwrap_or_default().trim().to_ascii_lowercase()
}

/// 415 with upstream's words.
pub fn unsupported_media_type(accepted: &[&str]) -> ApiError {
    ApiError::new(
        415,
        "UnsupportedMediaType",
        format!(
            "the body of the request was in an unknown format - accepted media types include: {}",
            accepted.join(", ")
        ),
    )
}

fn wants_pretty(headers: &HeaderMap, query: &Query) -> bool {
    query.optional_flag("pretty").unwrap_or_else(|| {
        let agent = header(headers, USER_AGENT);
        ["curl", "Wget", "Mozilla/5.0"].iter().any(|people| agent.starts_with(people))
    })
}

fn takes_gzip(headers: &HeaderMap) -> bool {
    header(headers, ACCEPT_ENCODING)
        .split(',')
        .any(|coding| coding.split(';').next().unwrap_or_default().trim() == "gzip")
}

fn header(headers: &HeaderMap, name: http::HeaderName) -> &str {
    headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wanted(accept: &str) -> Result<(Encoding, View), u16> {
        let mut headers = HeaderMap::new();
        headers.insert(ACCEPT, accept.parse().expect("a header"));
        Wanted::negotiate(&headers, &Query::default(), Offers::Objects)
            .map(|w| (w.encoding, w.view))
            .map_err(|e| e.code)
    }

    #[test]
    fn the_first_clause_that_the_server_has_wins() {
        let cases = [
            ("", Ok((Encoding::Json, View::Whole))),
            ("*/*", Ok((Encoding::Json, View::Whole))),
            ("application/vnd.kubernetes.protobuf,application/json", Ok((Encoding::Protobuf, View::Whole))),
            (
                "application/json;as=Table;v=v1;g=meta.k8s.io,application/json",
                Ok((Encoding::Json, View::Table)),
            ),
            (
                "application/json;as=Table;v=v9;g=meta.k8s.io,application/json",
                Ok((Encoding::Json, View::Whole)),
            ),
            (
                "application/vnd.kubernetes.protobuf;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1",
                Ok((Encoding::Protobuf, View::Partial)),
            ),
            ("application/json;q=0.5,application/yaml", Ok((Encoding::Yaml, View::Whole))),
            ("text/html", Err(406)),
        ];
        for (accept, want) in cases {
            assert_eq!(wanted(accept), want, "{accept}");
        }
    }

    #[test]
    fn a_body_of_an_unknown_type_is_refused() {
        let mut headers = HeaderMap::new();
        assert_eq!(body_encoding(&headers), Ok(Encoding::Json));
        headers.insert(CONTENT_TYPE, "application/yaml; charset=utf-8".parse().expect("a header"));
        assert_eq!(body_encoding(&headers), Ok(Encoding::Yaml));
        headers.insert(CONTENT_TYPE, "text/plain".parse().expect("a header"));
        assert_eq!(body_encoding(&headers).unwrap_err().code, 415);
    }
}
