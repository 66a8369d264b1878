//! The embedded durable store: a write-ahead log behind the store trait.
