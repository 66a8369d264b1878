//! The descriptions of types and fields: upstream's own texts, compressed in the binary (`cargo xtask descriptions`).

use std::collections::HashMap;
use std::io::Read as _;

use flate2::read::ZlibDecoder;

/// As they are in the binary.
pub(super) const PACKED: &[u8] = include_bytes!("descriptions.z");

/// All descriptions, unpacked while a document is made.
pub(super) struct Descriptions {
    text: String,
    /// Byte ranges in `text` by definition and field; the definition's own has an empty field.
    at: HashMap<(u32, u32), (u32, u32)>,
    names: HashMap<String, u32>,
}

/// Where fields that a type lacks are described: every list has its metadata, every object its kind.
const SHARED: &str = "io.k8s.api.core.v1.Pod";

impl Descriptions {
    /// Unpacks them.
    pub(super) fn load() -> Self {
        let mut text = String::new();
        ZlibDecoder::new(PACKED)
            .read_to_string(&mut text)
            .expect("the embedded descriptions are well-formed");
        let mut out = Self { text: String::new(), at: HashMap::new(), names: HashMap::new() };
        let mut owner = 0;
        let mut start = 0;
        for line in text.split_inclusive('\n') {
            let (name, description) = line.trim_end_matches('\n').split_once('\t').unwrap_or((line, ""));
            let from = start + name.len() + 1;
            let range = (from as u32, (from + description.len()) as u32);
            let key = match name.strip_prefix('=') {
                Some(definition) => {
                    owner = out.intern(definition);
                    (owner, 0)
                }
                None => (owner, out.intern(name)),
            };
            out.at.insert(key, range);
            start += line.len();
        }
        out.text = text;
        out
    }

    fn intern(&mut self, name: &str) -> u32 {
        let next = self.names.len() as u32 + 1;
        *self.names.entry(name.to_owned()).or_insert(next)
    }

    /// What a type is.
    pub(super) fn of_type(&self, definition: &str) -> Option<String> {
        let own = self.names.get(definition).and_then(|owner| self.at((*owner, 0)));
        own.or_else(|| list_description(definition))
    }

    /// What a field is.
    pub(super) fn of_field(&self, definition: &str, field: &str) -> Option<String> {
        let name = *self.names.get(field)?;
        let own = self.names.get(definition).and_then(|owner| self.at((*owner, name)));
        own.or_else(|| match field {
            "apiVersion" | "kind" => self.at((*self.names.get(SHARED)?, name)),
            "metadata" => Some("Standard list metadata.".to_owned()),
            "items" => Some("The objects of the list.".to_owned()),
            _ => None,
        })
    }

    fn at(&self, key: (u32, u32)) -> Option<String> {
        let (from, to) = *self.at.get(&key)?;
        let text = &self.text[from as usize..to as usize];
        (!text.is_empty()).then(|| unescape(text))
    }
}

fn list_description(definition: &str) -> Option<String> {
    let kind = definition.rsplit('.').next()?;
    kind.strip_suffix("List").map(|item| format!("{kind} is a list of {item} objects."))
}

fn unescape(text: &str) -> String {
    if !text.contains('\\') {
        return text.to_owned();
    }
    let mut out = String::with_capacity(text.len());
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        match c {
            '\\' => out.extend(chars.next().map(|c| if c == 'n' { '\n' } else { c })),
            c => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn upstreams_texts_are_found() {
        let all = Descriptions::load();
        let pod = all.of_type("io.k8s.api.core.v1.Pod").unwrap();
        assert!(pod.starts_with("Pod is a collection of containers"), "{pod}");
        let image = all.of_field("io.k8s.api.core.v1.Container", "image").unwrap();
        assert!(image.starts_with("Container image name."), "{image}");
        assert!(
            all.of_field("io.k8s.api.core.v1.PodList", "kind").unwrap().starts_with("Kind is a string value")
        );
        assert_eq!(all.of_field("io.k8s.api.core.v1.Container", "nothing"), None);
    }
}
