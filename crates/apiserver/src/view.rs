//! Single fields of shared trees; what is absent or of another type reads as empty.

use steersman_apimachinery::Tree;

/// The string at a JSON pointer.
pub(crate) fn text<'a>(tree: &'a Tree, pointer: &str) -> &'a str {
    tree.pointer(pointer).and_then(Tree::as_str).unwrap_or_default()
}

/// The list at a JSON pointer.
pub(crate) fn items<'a>(tree: &'a Tree, pointer: &str) -> &'a [Tree] {
    tree.pointer(pointer).and_then(Tree::as_array).map(Vec::as_slice).unwrap_or_default()
}

/// The strings of the list at a JSON pointer.
pub(crate) fn strings(tree: &Tree, pointer: &str) -> Vec<String> {
    items(tree, pointer).iter().filter_map(Tree::as_str).map(str::to_owned).collect()
}
