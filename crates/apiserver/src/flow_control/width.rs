//! How many seats a request takes. Pure.
//!
//! A list takes one for each 100 kB that it looks at, up to ten: every list is served from memory, in pieces that are
//! shared. Everything else takes one: a change is encoded once for all its watchers, so that writes of what many watch
//! cost little more than others, unlike upstream's.

use super::queues::Mode;
use crate::wire::info::RequestInfo;
use crate::wire::query::Query;

/// Bytes that one seat stands for.
const BYTES_PER_SEAT: u64 = 100_000;
/// What a list from memory costs at most, in bytes.
const MOST_BYTES: u64 = 1_000_000;
/// The part of its seats that one request of a level may take, in percent.
const MOST_PERCENT: u32 = 15;

/// How much there is of a resource.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Size {
    /// Number of objects.
    pub objects: u64,
    /// Their mean size.
    pub average_bytes: u64,
}

/// Whether the request's width depends on how much there is of its resource: lists, and watches that begin with one.
pub fn depends_on_size(info: &RequestInfo, query: &Query) -> bool {
    let begins_with_list = || {
        query.flag("sendInitialEvents")
            || matches!(query.get("resourceVersion").unwrap_or_default(), "" | "0")
    };
    info.is_resource
        && info.name.is_empty()
        && match info.verb.as_str() {
            "list" => true,
            "watch" => begins_with_list(),
            _ => false,
        }
}

/// The seats that a list takes.
pub fn of_list(size: Size, limit: Option<u64>, most: u32) -> u32 {
    let objects = limit.filter(|limit| *limit > 0).map_or(size.objects, |limit| limit.min(size.objects));
    let bytes = objects.saturating_mul(size.average_bytes).min(MOST_BYTES);
    u32::try_from(bytes.div_ceil(BYTES_PER_SEAT)).unwrap_or(u32::MAX).clamp(1, most)
}

/// The seats that one request of a level may take: so few that several fit, and a hand of flows does, too.
pub fn most(mode: Mode, nominal: u32) -> u32 {
    match mode {
        Mode::Queue { hand_size, .. } => {
            (nominal * MOST_PERCENT).div_ceil(100).min(nominal / hand_size).max(1)
        }
        Mode::Exempt | Mode::Reject => 100,
    }
}

#[cfg(test)]
mod tests {
    use http::Method;

    use super::*;

    #[test]
    fn lists_take_seats_by_their_size() {
        let size = |objects, average_bytes| Size { objects, average_bytes };
        let queue = |hand_size| Mode::Queue { queues: 128, hand_size, length_limit: 50 };
        assert_eq!(most(queue(6), 245), 37);
        assert_eq!(most(queue(6), 49), 8);
        assert_eq!(most(queue(6), 3), 1);
        for (size, limit, most, want) in [
            (size(0, 0), None, 10, 1),
            (size(10, 2_000), None, 10, 1),
            (size(100, 2_000), None, 10, 2),
            (size(100_000, 2_000), None, 37, 10),
            (size(100_000, 2_000), Some(500), 37, 10),
            (size(100_000, 2_000), Some(100), 37, 2),
            (size(100_000, 2_000), None, 8, 8),
        ] {
            assert_eq!(of_list(size, limit, most), want, "{size:?} {limit:?} {most}");
        }
    }

    #[test]
    fn only_what_begins_with_a_list_is_measured() {
        for (uri, want) in [
            ("/api/v1/pods", true),
            ("/api/v1/pods?fieldSelector=metadata.name=x", false),
            ("/api/v1/pods?watch=1", true),
            ("/api/v1/pods?watch=1&resourceVersion=77", false),
            ("/api/v1/pods?watch=1&resourceVersion=77&sendInitialEvents=true", true),
            ("/api/v1/namespaces/a/pods/x", false),
            ("/version", false),
        ] {
            let (path, query) = uri.split_once('?').unwrap_or((uri, ""));
            let query = Query::parse(query);
            let info = RequestInfo::parse(&Method::GET, path, &query);
            assert_eq!(depends_on_size(&info, &query), want, "{uri}");
        }
    }
}
