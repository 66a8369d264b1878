//! Elements that several service ports may want: their cluster address, an outside address that two services name, a
//! pod behind several services. The kernel has each key once; whoever came first has it, the next one after it.

use std::collections::{BTreeMap, HashMap};

use steersman_network::nft::{Element, ElementData};

/// A set, and a key in it.
type Place = (&'static str, Vec<u8>);

/// Who wants which element.
#[derive(Debug, Default)]
pub(crate) struct Claims(HashMap<Place, Vec<(u32, ElementData)>>);

/// What changes in the kernel.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Difference {
    pub removed: Vec<(&'static str, Element)>,
    pub added: Vec<(&'static str, Element)>,
}

impl Claims {
    /// The port `id` wanted `old` and wants `new`; `before` collects what the kernel had at the places this touches.
    pub fn change(
        &mut self,
        id: u32,
        old: &[(&'static str, Element)],
        new: &[(&'static str, Element)],
        before: &mut BTreeMap<Place, Option<ElementData>>,
    ) {
        let (old, new) = (places(old), places(new));
        for place in old.keys().filter(|place| !new.contains_key(*place)) {
            self.touch(place, before).retain(|(owner, _)| *owner != id);
        }
        for (place, data) in new {
            let claims = self.touch(&place, before);
            match claims.iter_mut().find(|(owner, _)| *owner == id) {
                Some((_, known)) => *known = data,
                None => claims.push((id, data)),
            }
        }
        before.keys().for_each(|place| self.forget_unclaimed(place));
    }

    /// What must change in the kernel, which has `before`.
    pub fn since(&self, before: BTreeMap<Place, Option<ElementData>>) -> Difference {
        let mut difference = Difference::default();
        for (place, had) in before {
            let has = self.winner(&place);
            if had.as_ref() == has {
                continue;
            }
            let element =
                |data: &ElementData| (place.0, Element { key: place.1.clone(), data: data.clone() });
            difference.removed.extend(had.as_ref().map(element));
            difference.added.extend(has.map(element));
        }
        difference
    }

    /// All that the kernel should have.
    pub fn all(&self) -> impl Iterator<Item = (&'static str, Element)> {
        self.0.iter().filter_map(|((set, key), claims)| {
            let (_, data) = claims.first()?;
            Some((*set, Element { key: key.clone(), data: data.clone() }))
        })
    }

    fn winner(&self, place: &Place) -> Option<&ElementData> {
        self.0.get(place).and_then(|claims| claims.first()).map(|(_, data)| data)
    }

    fn touch(
        &mut self,
        place: &Place,
        before: &mut BTreeMap<Place, Option<ElementData>>,
    ) -> &mut Vec<(u32, ElementData)> {
        let had = self.winner(place).cloned();
        before.entry(place.clone()).or_insert(had);
        self.0.entry(place.clone()).or_default()
    }

    fn forget_unclaimed(&mut self, place: &Place) {
        if self.0.get(place).is_some_and(Vec::is_empty) {
            self.0.remove(place);
        }
    }
}

/// By place; of two elements of one place the first counts.
fn places(elements: &[(&'static str, Element)]) -> BTreeMap<Place, ElementData> {
    let mut places = BTreeMap::new();
    for (set, element) in elements {
        places.entry((*set, element.key.clone())).or_insert_with(|| element.data.clone());
    }
    places
}

#[cfg(test)]
mod tests {
    use super::*;

    fn element(key: u8, value: u8) -> (&'static str, Element) {
        ("s", Element { key: vec![key], data: ElementData::Value(vec![value]) })
    }

    fn change(claims: &mut Claims, id: u32, old: &[(u8, u8)], new: &[(u8, u8)]) -> Difference {
        let elements = |pairs: &[(u8, u8)]| pairs.iter().map(|(k, v)| element(*k, *v)).collect::<Vec<_>>();
        let mut before = BTreeMap::new();
        claims.change(id, &elements(old), &elements(new), &mut before);
        claims.since(before)
    }

    fn difference(removed: &[(u8, u8)], added: &[(u8, u8)]) -> Difference {
        let elements = |pairs: &[(u8, u8)]| pairs.iter().map(|(k, v)| element(*k, *v)).collect();
        Difference { removed: elements(removed), added: elements(added) }
    }

    #[test]
    fn the_first_claim_counts_and_the_next_follows() {
        let mut claims = Claims::default();
        assert_eq!(change(&mut claims, 1, &[], &[(7, 1), (8, 1)]), difference(&[], &[(7, 1), (8, 1)]));
        assert_eq!(change(&mut claims, 2, &[], &[(7, 2)]), difference(&[], &[]), "taken");
        assert_eq!(
            change(&mut claims, 1, &[(7, 1), (8, 1)], &[(7, 3)]),
            difference(&[(7, 1), (8, 1)], &[(7, 3)])
        );
        assert_eq!(change(&mut claims, 1, &[(7, 3)], &[]), difference(&[(7, 3)], &[(7, 2)]), "handed over");
        assert_eq!(change(&mut claims, 2, &[(7, 2)], &[]), difference(&[(7, 2)], &[]));
        assert!(claims.0.is_empty());
    }

    #[test]
    fn what_two_want_alike_goes_with_the_last() {
        let mut claims = Claims::default();
        assert_eq!(change(&mut claims, 1, &[], &[(7, 1), (7, 9)]), difference(&[], &[(7, 1)]));
        assert_eq!(change(&mut claims, 2, &[], &[(7, 1)]), difference(&[], &[]));
        assert_eq!(change(&mut claims, 1, &[(7, 1)], &[]), difference(&[], &[]));
        assert_eq!(claims.all().collect::<Vec<_>>(), [element(7, 1)]);
        assert_eq!(change(&mut claims, 2, &[(7, 1)], &[]), difference(&[(7, 1)], &[]));
    }

    proptest::proptest! {
        /// A kernel that takes only what it can: keys once, and removals of what is there.
        #[test]
        fn every_difference_can_be_applied(
            steps in proptest::collection::vec((0_u32..4, proptest::collection::btree_map(0_u8..6, 0_u8..3, 0..5)), 1..40),
        ) {
            let (mut claims, mut kernel) = (Claims::default(), BTreeMap::new());
            let mut wanted: BTreeMap<u32, BTreeMap<u8, u8>> = BTreeMap::new();
            for (id, want) in steps {
                let old: Vec<(u8, u8)> = wanted.insert(id, want.clone()).unwrap_or_default().into_iter().collect();
                let new: Vec<(u8, u8)> = want.into_iter().collect();
                let difference = change(&mut claims, id, &old, &new);
                for (_, element) in difference.removed {
                    assert_eq!(kernel.remove(&element.key), Some(element.data));
                }
                for (_, element) in difference.added {
                    assert_eq!(kernel.insert(element.key, element.data), None);
                }
                let all: BTreeMap<_, _> = claims.all().map(|(_, element)| (element.key, element.data)).collect();
                assert_eq!(kernel, all, "a replaced table is the same");
                for key in 0..6 {
                    let of_some = wanted.values().any(|want| {
                        let data = want.get(&key).map(|value| ElementData::Value(vec![*value]));
                        data.is_some() && kernel.get(&vec![key]) == data.as_ref()
                    });
                    assert_eq!(of_some, kernel.contains_key(&vec![key]), "what is there, somebody wants");
                    let wanted_at_all = wanted.values().any(|want| want.contains_key(&key));
                    assert_eq!(wanted_at_all, kernel.contains_key(&vec![key]), "what somebody wants is there");
                }
            }
        }
    }
}
