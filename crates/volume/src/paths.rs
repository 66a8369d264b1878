//! Which relative paths a volume may hold.

/// A path that a volume must not hold.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidPath {
    /// The path has no characters.
    #[error("invalid path: must not be empty: {0:?}")]
    Empty(String),
    /// The path starts at the root.
    #[error("invalid path: must be relative path: {0}")]
    Absolute(String),
    /// A component is `..`.
    #[error("invalid path: must not contain '..': {0}")]
    Escapes(String),
    /// The first component starts with `..`, which is where the writer keeps its own entries.
    #[error("invalid path: must not start with '..': {0}")]
    Reserved(String),
    /// The path or a component is longer than the kernel allows.
    #[error("invalid path: must be less than or equal to {limit} characters")]
    TooLong {
        /// Allowed length in bytes.
        limit: usize,
    },
}

const MAX_PATH: usize = 4096;
const MAX_COMPONENT: usize = 255;

/// Accepts relative paths that stay inside the volume and leave the writer's own names alone.
pub(crate) fn check(path: &str) -> Result<(), InvalidPath> {
    if path.is_empty() {
        return Err(InvalidPath::Empty(path.to_owned()));
    }
    if path.starts_with('/') {
        return Err(InvalidPath::Absolute(path.to_owned()));
    }
    if path.len() > MAX_PATH {
        return Err(InvalidPath::TooLong { limit: MAX_PATH });
    }
    for component in path.split('/') {
        if component == ".." {
            return Err(InvalidPath::Escapes(path.to_owned()));
        }
        if component.len() > MAX_COMPONENT {
            return Err(InvalidPath::TooLong { limit: MAX_COMPONENT });
        }
    }
    if path.starts_with("..") {
        return Err(InvalidPath::Reserved(path.to_owned()));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_paths_inside_the_volume_pass() {
        for good in ["a", "a/b", ".hidden", "a..b", "dir/..file"] {
            assert_eq!(check(good), Ok(()), "{good}");
        }
        let long = "x".repeat(256);
        let cases = [
            ("", InvalidPath::Empty(String::new())),
            ("/etc", InvalidPath::Absolute("/etc".into())),
            ("a/../b", InvalidPath::Escapes("a/../b".into())),
            ("..", InvalidPath::Escapes("..".into())),
            ("..data", InvalidPath::Reserved("..data".into())),
            (long.as_str(), InvalidPath::TooLong { limit: 255 }),
        ];
        for (path, error) in cases {
            assert_eq!(check(path), Err(error), "{path}");
        }
    }
}
