//! In which order a merged list has its items: those of the patch in the patch's order, those that only the server
//! has in the server's, and where both lists have two items, their order on the server decides who comes first.
//!
//! See the design "Preserve order in strategic merge patch" (community, cli).

use crate::Tree;

/// What tells items apart: the value under the merge key, or the item itself if it is a scalar.
pub(super) fn identity<'a>(item: &'a Tree, merge_key: &str) -> &'a Tree {
    if item.is_object() { item.get(merge_key).unwrap_or(&Tree::Null) } else { item }
}

/// Puts the items of `merged` in order. `asked` is the order that the patch asks for (the items of the patch, or
/// `$setElementOrder`), `server` the list as it was.
pub(super) fn arrange(merged: Vec<Tree>, asked: &[Tree], server: &[Tree], merge_key: &str) -> Vec<Tree> {
    let position = |list: &[Tree], item: &Tree| {
        let wanted = identity(item, merge_key);
        list.iter().position(|other| identity(other, merge_key) == wanted)
    };
    let (mut patched, mut untouched): (Vec<Tree>, Vec<Tree>) =
        merged.into_iter().partition(|item| position(asked, item).is_some());
    patched.sort_by_key(|item| position(asked, item));
    if untouched.iter().all(|item| position(server, item).is_some()) {
        untouched.sort_by_key(|item| position(server, item));
    }
    let goes_first = |left: &Tree, right: &Tree| {
        position(server, left).zip(position(server, right)).is_some_and(|(left, right)| left < right)
    };
    interleave(untouched, patched, goes_first)
}

/// Inserts each of `left` into `right` before the first item that it goes before.
fn interleave(left: Vec<Tree>, right: Vec<Tree>, goes_first: impl Fn(&Tree, &Tree) -> bool) -> Vec<Tree> {
    let mut out = Vec::with_capacity(left.len() + right.len());
    let mut left = left.into_iter().peekable();
    for item in right {
        while let Some(inserted) = left.next_if(|inserted| goes_first(inserted, &item)) {
            out.push(inserted);
        }
        out.push(item);
    }
    out.extend(left);
    out
}
