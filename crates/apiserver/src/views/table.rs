//! `meta.k8s.io/v1` `Table`: what `kubectl get` prints, for every kind from its columns in the resource table.

use std::sync::Arc;

use jiff::Timestamp;
use serde_json::{Value, json};
use steersman_apimachinery::Tree;
use steersman_apimachinery::status::ApiError;

use super::partial;
use crate::routes::Entry;
use crate::row::Column;
use crate::wire::query::Query;

/// What each row carries beside its cells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Include {
    /// Nothing.
    None,
    /// The object's metadata.
    Metadata,
    /// The object.
    Object,
}

impl Include {
    /// `includeObject`; 400 if it is unknown.
    pub fn parse(query: &Query) -> Result<Self, ApiError> {
        match query.get("includeObject").unwrap_or_default() {
            "" | "Metadata" => Ok(Self::Metadata),
            "None" => Ok(Self::None),
            "Object" => Ok(Self::Object),
            other => Err(ApiError::bad_request(format!("unrecognized includeObject value: {other:?}"))),
        }
    }
}

/// A table of `objects`, without list metadata.
pub fn of(entry: &Entry, objects: &[Arc<Tree>], now: Timestamp, include: Include) -> Tree {
    let rows: Vec<Value> = objects.iter().map(|object| row(entry, object, now, include)).collect();
    json!({
        "kind": "Table",
        "apiVersion": "meta.k8s.io/v1",
        "metadata": {},
        "columnDefinitions": entry.resource.columns.iter().map(definition).collect::<Vec<_>>(),
        "rows": rows,
    })
}

fn row(entry: &Entry, object: &Tree, now: Timestamp, include: Include) -> Value {
    let cells: Vec<Value> = entry.resource.columns.iter().map(|column| (column.cell)(object, now)).collect();
    let shown = match include {
        Include::None => Value::Null,
        Include::Metadata => partial(object),
        Include::Object => object.clone(),
    };
    json!({ "cells": cells, "object": shown })
}

fn definition(column: &Column) -> Value {
    json!({
        "name": column.name, "type": column.kind, "format": column.format,
        "description": column.description, "priority": column.priority,
    })
}
