//! What a definition says of its objects' fields beside their schema: which are printed, which can be selected.

use std::sync::Arc;

use steersman_apiextensions::{PrinterColumn, SelectableField, printer_columns};
use steersman_apimachinery::Tree;
use steersman_apimachinery::meta::Object;

use crate::row::{Column, ReadField, Text};

/// The columns of a version.
pub fn of(version: &Tree) -> Vec<Column> {
    let (columns, invalid) = printer_columns(version.items_at("additionalPrinterColumns"));
    if let Some(why) = invalid {
        tracing::warn!(%why, "the columns of a custom resource are cut short");
    }
    columns.into_iter().map(column).collect()
}

fn column(column: PrinterColumn) -> Column {
    Column {
        name: column.name.clone().into(),
        kind: column.kind.clone().into(),
        format: column.format.clone().into(),
        priority: column.priority,
        description: column.description.clone().into(),
        cell: Arc::new(move |object, now| column.cell(object, now)),
    }
}

/// The field labels that a version offers, each with how its value is read. Without those whose path cannot be read:
/// asking for them is refused.
pub fn selectable_fields(version: &Tree) -> Vec<(Text, ReadField)> {
    let paths = version.items_at("selectableFields").iter().map(|field| field.str_at("jsonPath"));
    let fields = paths.filter_map(|path| match SelectableField::parse(path) {
        Ok(field) => Some(field),
        Err(why) => {
            tracing::warn!(path, %why, "a selectable field of a custom resource cannot be read");
            None
        }
    });
    let readable = fields.map(|field| {
        let name = Text::Owned(field.name().to_owned());
        (name, Arc::new(move |object: &Tree| field.value(object)) as ReadField)
    });
    readable.collect()
}
