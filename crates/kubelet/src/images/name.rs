//! Image names: `[registry[:port]/]path[:tag][@digest]`.

/// The text is no image name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("couldn't parse image name {0:?}: invalid reference format")]
pub struct InvalidName(pub String);

/// `image` with the tag `latest` where it has neither tag nor digest.
pub fn with_default_tag(image: &str) -> Result<String, InvalidName> {
    let invalid = || InvalidName(image.to_owned());
    let (name, digest) = match image.split_once('@') {
        Some((name, digest)) => (name, Some(digest)),
        None => (image, None),
    };
    let path_start = name.rfind('/').map_or(0, |slash| slash + 1);
    let (path, tag) = match name[path_start..].find(':') {
        Some(colon) => (&name[..path_start + colon], Some(&name[path_start + colon + 1..])),
        None => (name, None),
    };
    let valid = digest.is_none_or(is_digest) && tag.is_none_or(is_tag) && is_path(path);
    match (valid, digest, tag) {
        (false, ..) => Err(invalid()),
        (true, None, None) => Ok(format!("{image}:latest")),
        (true, ..) => Ok(image.to_owned()),
    }
}

/// Registry and path, as credentials are matched against: Docker Hub's names in full.
pub fn registry_and_path(image: &str) -> (String, String) {
    let name = image.split('@').next().unwrap_or(image);
    let path_start = name.rfind('/').map_or(0, |slash| slash + 1);
    let end = name[path_start..].find(':').map_or(name.len(), |colon| path_start + colon);
    let name = &name[..end];
    match name.split_once('/') {
        Some((registry, path)) if is_registry(registry) => (registry.to_owned(), path.to_owned()),
        Some(_) => ("docker.io".to_owned(), name.to_owned()),
        None => ("docker.io".to_owned(), format!("library/{name}")),
    }
}

fn is_registry(part: &str) -> bool {
    part.contains(['.', ':']) || part == "localhost" || part.chars().any(|c| c.is_ascii_uppercase())
}

fn is_path(path: &str) -> bool {
    let path = match path.split_once('/') {
        Some((registry, rest)) if is_registry(registry) => rest,
        _ => path,
    };
    let component = |part: &str| {
        let edge = |c: Option<char>| c.is_some_and(|c| c.is_ascii_lowercase() || c.is_ascii_digit());
        let inner = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '.' | '_' | '-');
        edge(part.chars().next()) && edge(part.chars().last()) && part.chars().all(inner)
    };
    path.len() <= 255 && path.split('/').all(component)
}

fn is_tag(tag: &str) -> bool {
    let word = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let first = tag.chars().next().is_some_and(word);
    first && tag.len() <= 128 && tag.chars().all(|c| word(c) || matches!(c, '.' | '-'))
}

fn is_digest(digest: &str) -> bool {
    digest.split_once(':').is_some_and(|(algorithm, hex)| {
        !algorithm.is_empty() && hex.len() >= 32 && hex.chars().all(|c| c.is_ascii_hexdigit())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_get_the_default_tag_or_are_refused() {
        let digest = format!("a@sha256:{}", "0".repeat(64));
        let cases = [
            ("nginx", Some("nginx:latest")),
            ("nginx:1", Some("nginx:1")),
            ("localhost:5000/a/b", Some("localhost:5000/a/b:latest")),
            ("localhost:5000/a:v1", Some("localhost:5000/a:v1")),
            (digest.as_str(), Some(digest.as_str())),
            ("Nginx", None),
            ("nginx:", None),
            ("a//b", None),
            ("", None),
            ("a b", None),
            ("a@sha256:xyz", None),
        ];
        for (image, want) in cases {
            assert_eq!(with_default_tag(image).ok().as_deref(), want, "{image}");
        }
        let error = with_default_tag("Nginx").unwrap_err().to_string();
        assert_eq!(error, "couldn't parse image name \"Nginx\": invalid reference format");
    }

    #[test]
    fn registries_are_told_from_paths() {
        let cases = [
            ("nginx:1", "docker.io", "library/nginx"),
            ("me/app", "docker.io", "me/app"),
            ("localhost:5000/a/b:v1", "localhost:5000", "a/b"),
            ("ghcr.io/x/y@sha256:00", "ghcr.io", "x/y"),
        ];
        for (image, registry, path) in cases {
            assert_eq!(registry_and_path(image), (registry.to_owned(), path.to_owned()), "{image}");
        }
    }
}
