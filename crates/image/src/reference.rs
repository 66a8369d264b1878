//! Image names as users write them, in their full form.

use std::fmt;
use std::str::FromStr;

use oci_client::Reference;

/// A parsed image name: `nginx` is `docker.io/library/nginx:latest`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ImageName(Reference);

/// Not an image name.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("couldn't parse image reference {name:?}: invalid reference format")]
pub struct InvalidImageName {
    /// What was given.
    pub name: String,
}

impl ImageName {
    /// For the registry client.
    pub(crate) fn reference(&self) -> &Reference {
        &self.0
    }

    /// Host and port of the registry that the name stands for.
    pub fn registry(&self) -> &str {
        self.0.registry()
    }

    /// Registry and repository, without tag and digest.
    pub fn repository(&self) -> String {
        format!("{}/{}", self.0.registry(), self.0.repository())
    }

    /// The tag, where there is one.
    pub fn tag(&self) -> Option<&str> {
        self.0.tag()
    }

    /// The digest, where the name pins one.
    pub fn digest(&self) -> Option<&str> {
        self.0.digest()
    }
}

impl FromStr for ImageName {
    type Err = InvalidImageName;

    fn from_str(name: &str) -> Result<Self, InvalidImageName> {
        name.parse().map(Self).map_err(|_| InvalidImageName { name: name.to_owned() })
    }
}

impl fmt::Display for ImageName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.whole().fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn short_names_are_completed() {
        let cases = [
            ("nginx", "docker.io/library/nginx:latest"),
            ("me/app:1", "docker.io/me/app:1"),
            ("localhost:5000/app", "localhost:5000/app:latest"),
            ("127.0.0.1:5000/a/b:2.0", "127.0.0.1:5000/a/b:2.0"),
        ];
        for (name, full) in cases {
            assert_eq!(name.parse::<ImageName>().expect(name).to_string(), full);
        }
        for bad in ["", "UPPER", "a b", "nginx:", "http://x/y"] {
            assert!(bad.parse::<ImageName>().is_err(), "{bad}");
        }
    }
}
