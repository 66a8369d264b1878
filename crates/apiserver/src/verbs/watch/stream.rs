//! The body of a watch: pulled by the connection, so a client that does not read holds nothing up but itself.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use steersman_apimachinery::status::ApiError;
use steersman_store::{Event, Revision, Versioned, Watch};
use tokio::time::{Instant, MissedTickBehavior};
use tokio_util::sync::CancellationToken;

use super::encode::Encoder;
use super::{Options, Start, selected};
use crate::call::Call;
use crate::object::form::Form;
use crate::routes::Entry;
use crate::selection::Selection;
use crate::wire::body::{self, Body};

/// How often a client that allows it is told how far the watch has come.
const BOOKMARK_EVERY: Duration = Duration::from_secs(60);

/// A watch that is being sent.
pub struct Stream {
    entry: Arc<Entry>,
    selection: Selection,
    encoder: Encoder,
    watch: Watch,
    /// What is still to be sent of the state.
    state: VecDeque<Arc<Form>>,
    /// The bookmark that follows the state, if it is wanted.
    end_of_state: Option<Revision>,
    /// Frames that are ready.
    ready: VecDeque<Bytes>,
    /// Changes up to here are known to the client.
    known: Revision,
    bookmarks: Option<tokio::time::Interval>,
    ends: Instant,
    stop: CancellationToken,
}

impl Stream {
    /// The stream of a watch that has begun.
    pub fn new(
        call: &Call<'_>,
        options: &Options,
        selection: Selection,
        encoder: Encoder,
        start: Start,
    ) -> Result<Self, ApiError> {
        let state = selected(call, &selection, &start.state)?.into();
        let bookmarks = options.bookmarks.then(|| {
            let mut ticks = tokio::time::interval_at(Instant::now() + BOOKMARK_EVERY, BOOKMARK_EVERY);
            ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
            ticks
        });
        Ok(Self {
            entry: call.entry.clone(),
            selection,
            encoder,
            watch: start.watch,
            state,
            end_of_state: options.mark_end_of_state.then_some(start.known),
            ready: VecDeque::new(),
            known: start.known,
            bookmarks,
            ends: Instant::now() + options.lasts,
            stop: call.server.stop.clone(),
        })
    }

    /// The next piece to send; `None` when the watch is over.
    async fn next(&mut self) -> Option<Bytes> {
        loop {
            if let Some(piece) = self.ready.pop_front() {
                return Some(piece);
            }
            let frames = if let Some(form) = self.state.pop_front() {
                self.encoder.change("ADDED", &form, form.revision())
            } else if let Some(revision) = self.end_of_state.take() {
                self.encoder.bookmark(revision, true)
            } else {
                // Nothing is lost when a branch is dropped: the store's queue and the ticks keep what they have.
                tokio::select! {
                    biased;
                    () = self.stop.cancelled() => return None,
                    event = self.watch.next() => match event {
                        Ok(event) => self.frames(&event),
                        Err(end) => {
                            tracing::debug!(%end, resource = %self.entry.resource.plural, "a watch ends");
                            return None;
                        }
                    },
                    // After the events that are there already: the last objects' end is told before the resource's.
                    () = self.entry.gone.cancelled() => return None,
                    () = tick(&mut self.bookmarks) => self.bookmark(),
                    () = tokio::time::sleep_until(self.ends) => return None,
                }
            };
            match frames {
                Ok(frames) => self.ready.extend(frames),
                Err(error) => {
                    // The client cannot be told of this change, so it must not believe that it knows all.
                    self.ready.extend(self.encoder.error(&error).unwrap_or_default());
                    self.stop = CancellationToken::new();
                    self.stop.cancel();
                }
            }
        }
    }

    fn frames(&mut self, event: &Event) -> Result<Vec<Bytes>, ApiError> {
        let revision = event.revision();
        if revision <= self.known {
            return Ok(Vec::new());
        }
        self.known = revision;
        self.change(event)
    }

    /// What an event is to someone who sees selected objects only: one that leaves the selection is deleted to them,
    /// as it last was; one that enters it is added.
    fn change(&self, event: &Event) -> Result<Vec<Bytes>, ApiError> {
        let revision = event.revision();
        let (new, old) = match event {
            Event::Put { record, previous } => (Some(record), previous.as_ref()),
            Event::Delete { previous, .. } => (None, Some(previous)),
        };
        match (self.chosen(new)?, self.was_chosen(old)?) {
            (Some(new), true) => self.encoder.change("MODIFIED", &new, revision),
            (Some(new), false) => self.encoder.change("ADDED", &new, revision),
            (None, true) => {
                let last = old.map(|record| Form::of(record, &self.entry)).transpose()?;
                last.map_or(Ok(Vec::new()), |form| self.encoder.change("DELETED", &form, revision))
            }
            (None, false) => Ok(Vec::new()),
        }
    }

    fn chosen(&self, record: Option<&Versioned>) -> Result<Option<Arc<Form>>, ApiError> {
        let Some(record) = record else { return Ok(None) };
        let form = Form::of(record, &self.entry)?;
        Ok(self.selection.matches(&form, &self.entry).then_some(form))
    }

    /// Like [`Self::chosen`], but old versions are not read where everything is chosen.
    fn was_chosen(&self, record: Option<&Versioned>) -> Result<bool, ApiError> {
        if self.selection.is_everything() {
            return Ok(record.is_some());
        }
        Ok(self.chosen(record)?.is_some())
    }

    fn bookmark(&mut self) -> Result<Vec<Bytes>, ApiError> {
        // Events up to `progress` are queued; what is still in the queue must be sent before a bookmark says so.
        let progress = self.watch.progress();
        while let Some(event) = self.watch.try_next() {
            let frames = self.frames(&event)?;
            self.ready.extend(frames);
        }
        self.known = self.known.max(progress);
        self.encoder.bookmark(self.known, false)
    }
}

async fn tick(ticks: &mut Option<tokio::time::Interval>) {
    match ticks {
        Some(ticks) => drop(ticks.tick().await),
        None => std::future::pending().await,
    }
}

/// The stream as a body.
pub fn streamed(stream: Stream) -> Body {
    body::streamed(futures::stream::unfold(stream, async |mut stream| {
        let piece = stream.next().await?;
        Some((Ok(piece), stream))
    }))
}
