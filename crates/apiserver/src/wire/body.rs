//! Bodies: what comes in, read to its end under a limit, and what goes out, in shared pieces.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use futures::{Stream, StreamExt};
use http_body::{Frame, SizeHint};
use http_body_util::BodyExt;
use http_body_util::combinators::UnsyncBoxBody;
use steersman_apimachinery::status::ApiError;

/// Any error of a body.
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// The body of a request or an answer.
pub type Body = UnsyncBoxBody<Bytes, BoxError>;

/// An answer.
pub type Response = http::Response<Body>;

/// The largest request body that is read, as upstream limits it.
pub const MAX_REQUEST_BYTES: usize = 3 * 1024 * 1024;
/// How much of a body that is too large is read for nothing, so that its sender gets to see the answer.
const MAX_DISCARDED_BYTES: usize = 16 * 1024 * 1024;

/// How long a client may take to send a body, as long as a request may take.
const READ_TIMEOUT: Duration = Duration::from_secs(60);

/// A body of nothing.
pub fn empty() -> Body {
    whole(Bytes::new())
}

/// A body of one piece.
pub fn whole(bytes: impl Into<Bytes>) -> Body {
    boxed(http_body_util::Full::new(bytes.into()))
}

/// A body of several pieces, sent without being copied together.
pub fn pieces(pieces: impl IntoIterator<Item = Bytes>) -> Body {
    boxed(Pieces::new(pieces.into_iter().collect()))
}

/// A body that grows as `stream` gives pieces.
pub fn streamed<S>(stream: S) -> Body
where
    S: Stream<Item = Result<Bytes, BoxError>> + Send + 'static,
{
    UnsyncBoxBody::new(http_body_util::StreamBody::new(stream.map(|piece| piece.map(Frame::data))))
}

fn boxed<B>(body: B) -> Body
where
    B: http_body::Body<Data = Bytes, Error = Infallible> + Send + 'static,
{
    UnsyncBoxBody::new(body.map_err(|never| match never {}))
}

/// Wraps whatever a transport brings.
pub fn incoming<B>(body: B) -> Body
where
    B: http_body::Body<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    UnsyncBoxBody::new(body.map_err(Into::into))
}

/// Reads a request's body to its end; 413 beyond [`MAX_REQUEST_BYTES`], 504 if it takes too long.
pub async fn read(body: Body) -> Result<Bytes, ApiError> {
    let late = |_| ApiError::timeout("the request's body did not arrive within the allotted timeout", 0);
    tokio::time::timeout(READ_TIMEOUT, read_all(body)).await.map_err(late)?
}

async fn read_all(mut body: Body) -> Result<Bytes, ApiError> {
    if usize::try_from(http_body::Body::size_hint(&body).lower()).is_ok_and(|n| n > MAX_REQUEST_BYTES) {
        discard(body).await;
        return Err(too_large());
    }
    let mut first: Option<Bytes> = None;
    let mut more = BytesMut::new();
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|e| ApiError::bad_request(format!("error reading the body: {e}")))?;
        let Ok(data) = frame.into_data() else { continue };
        let so_far = first.as_ref().map_or(0, Bytes::len) + more.len();
        if so_far + data.len() > MAX_REQUEST_BYTES {
            discard(body).await;
            return Err(too_large());
        }
        match first {
            None => first = Some(data),
            Some(_) => more.extend_from_slice(&data),
        }
    }
    let first = first.unwrap_or_default();
    if more.is_empty() {
        return Ok(first);
    }
    Ok([&first[..], &more[..]].concat().into())
}

/// Reads on to the end, up to [`MAX_DISCARDED_BYTES`]: a client that still sends takes the reset of its stream for the
/// answer, and does not see the 413.
async fn discard(mut body: Body) {
    let mut left = MAX_DISCARDED_BYTES;
    while let Some(Ok(frame)) = body.frame().await {
        let size = frame.data_ref().map_or(0, Bytes::len);
        if size > left {
            return;
        }
        left -= size;
    }
}

fn too_large() -> ApiError {
    ApiError::new(
        413,
        "RequestEntityTooLarge",
        format!("Request entity too large: limit is {MAX_REQUEST_BYTES}"),
    )
}

/// Pieces whose number and length are known.
struct Pieces {
    left: VecDeque<Bytes>,
    bytes_left: u64,
}

impl Pieces {
    fn new(pieces: VecDeque<Bytes>) -> Self {
        let bytes_left = pieces.iter().map(|p| p.len() as u64).sum();
        Self { left: pieces, bytes_left }
    }
}

impl http_body::Body for Pieces {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let next = self.left.pop_front();
        if let Some(piece) = &next {
            self.bytes_left -= piece.len() as u64;
        }
        Poll::Ready(next.map(|piece| Ok(Frame::data(piece))))
    }

    fn is_end_stream(&self) -> bool {
        self.left.is_empty()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.bytes_left)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn pieces_arrive_in_order_and_a_large_body_is_refused() {
        let body = pieces(["a", "b", "c"].map(Bytes::from));
        assert_eq!(http_body::Body::size_hint(&body).exact(), Some(3));
        assert_eq!(read(body).await, Ok(Bytes::from_static(b"abc")));
        let large = whole(vec![b' '; MAX_REQUEST_BYTES + 1]);
        assert_eq!(read(large).await.unwrap_err().code, 413);
    }
}
