//! Namespaces, and what a request can name.

use std::{borrow::Borrow, fmt, str::FromStr, sync::Arc};

use thiserror::Error;

/// What peers register under: 1 to 255 bytes of UTF-8. Cheap to clone.
///
/// The upper bound is the one that the specification recommends
/// (<https://github.com/libp2p/specs/blob/master/rendezvous/README.md>). Bytes are counted, as the
/// strictest implementations do.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Namespace(Arc<str>);

impl Namespace {
    /// The longest namespace, in bytes.
    pub const BYTES_MAX: usize = 255;

    /// The namespace of that name.
    ///
    /// # Errors
    ///
    /// If the name is empty or longer than [`Namespace::BYTES_MAX`].
    pub fn new(name: impl AsRef<str>) -> Result<Self, NamespaceError> {
        let name = name.as_ref();
        check_len(name.len())?;
        Ok(Self(Arc::from(name)))
    }

    /// The namespace of the name that stands in a message.
    ///
    /// # Errors
    ///
    /// If the name is empty, longer than [`Namespace::BYTES_MAX`], or not UTF-8.
    pub fn from_bytes(name: &[u8]) -> Result<Self, NamespaceError> {
        check_len(name.len())?;
        let name = str::from_utf8(name).map_err(|_| NamespaceError::NotUtf8)?;
        Ok(Self(Arc::from(name)))
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

const fn check_len(bytes: usize) -> Result<(), NamespaceError> {
    match bytes {
        0 => Err(NamespaceError::Empty),
        1..=Namespace::BYTES_MAX => Ok(()),
        _ => Err(NamespaceError::TooLong { bytes }),
    }
}

impl fmt::Debug for Namespace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&*self.0, f)
    }
}

impl fmt::Display for Namespace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl AsRef<str> for Namespace {
    fn as_ref(&self) -> &str {
        &self.0
    }
}

impl Borrow<str> for Namespace {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl FromStr for Namespace {
    type Err = NamespaceError;

    fn from_str(name: &str) -> Result<Self, NamespaceError> {
        Self::new(name)
    }
}

impl TryFrom<&str> for Namespace {
    type Error = NamespaceError;

    fn try_from(name: &str) -> Result<Self, NamespaceError> {
        Self::new(name)
    }
}

/// Why some bytes are no namespace.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
pub enum NamespaceError {
    /// A registration needs a name.
    #[error("namespace is empty")]
    Empty,
    /// The bytes are not text.
    #[error("namespace is not UTF-8")]
    NotUtf8,
    /// Longer than [`Namespace::BYTES_MAX`].
    #[error("namespace of {bytes} bytes is too long")]
    TooLong {
        /// The length of what was given.
        bytes: usize,
    },
}

/// What DISCOVER and UNREGISTER name: one namespace, or with an empty name all of them.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Scope {
    /// Every namespace.
    All,
    /// This one.
    Namespace(Namespace),
}

impl Scope {
    /// The name as it stands in messages and cookies: empty for [`Scope::All`].
    pub fn namespace_bytes(&self) -> &[u8] {
        match self {
            Self::All => &[],
            Self::Namespace(namespace) => namespace.as_str().as_bytes(),
        }
    }
}

impl From<Namespace> for Scope {
    fn from(namespace: Namespace) -> Self {
        Self::Namespace(namespace)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_namespace_has_1_to_255_bytes() {
        assert_eq!(Namespace::new(""), Err(NamespaceError::Empty));
        assert!(Namespace::new("a").is_ok());
        assert!(Namespace::new("a".repeat(255)).is_ok());
        assert_eq!(
            Namespace::new("a".repeat(256)),
            Err(NamespaceError::TooLong { bytes: 256 })
        );
    }

    #[test]
    fn bytes_are_counted_and_not_characters() {
        let name = "\u{e9}".repeat(128);
        assert_eq!(
            Namespace::new(&name),
            Err(NamespaceError::TooLong { bytes: 256 })
        );
    }

    #[test]
    fn bytes_that_are_not_text_are_no_namespace() {
        assert_eq!(Namespace::from_bytes(b"\xff"), Err(NamespaceError::NotUtf8));
        assert_eq!(Namespace::from_bytes(b""), Err(NamespaceError::Empty));
        assert_eq!(Namespace::from_bytes(b"chat"), Namespace::new("chat"));
    }

    #[test]
    fn everything_is_named_by_nothing() {
        assert_eq!(Scope::All.namespace_bytes(), b"");
        let chat = Namespace::new("chat").expect("short enough");
        assert_eq!(Scope::from(chat).namespace_bytes(), b"chat");
    }
}
