//! Hashes as short texts that are safe in object names.

use serde_json::Value;

/// The letters and digits of generated names: no vowels and nothing that looks like one, so that no word comes out.
const ALPHABET: &[u8; 27] = b"bcdfghjklmnpqrstvwxz2456789";

/// Maps a text into the safe alphabet, letter by letter (`rand.SafeEncodeString` upstream).
pub(crate) fn safe_encode(text: &str) -> String {
    text.bytes().map(|byte| char::from(ALPHABET[usize::from(byte) % ALPHABET.len()])).collect()
}

/// FNV-1a, 32 bit.
pub(crate) fn fnv32a(bytes: impl IntoIterator<Item = u8>) -> u32 {
    bytes.into_iter().fold(0x811c_9dc5, |hash, byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193))
}

/// The hash of a pod template: equal for equal templates, another for each `collisions`.
pub(crate) fn template_hash(template: &Value, collisions: Option<i32>) -> String {
    let text = template.to_string();
    let salt = collisions.map(i32::to_le_bytes);
    let hash = fnv32a(text.bytes().chain(salt.into_iter().flatten()));
    safe_encode(&hash.to_string())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn fnv_has_the_published_values() {
        for (text, hash) in [("", 0x811c_9dc5), ("a", 0xe40c_292c), ("foobar", 0xbf9c_f968)] {
            assert_eq!(fnv32a(text.bytes()), hash, "{text}");
        }
    }

    #[test]
    fn hashes_are_safe_stable_and_move_with_collisions() {
        let template = json!({"spec": {"containers": [{"name": "a"}]}});
        let hash = template_hash(&template, None);
        assert_eq!(hash, template_hash(&template.clone(), None));
        assert_ne!(hash, template_hash(&template, Some(1)));
        assert!(hash.bytes().all(|byte| ALPHABET.contains(&byte)), "{hash}");
        assert_eq!(safe_encode("0123"), "4567", "as upstream maps the digits");
    }
}
