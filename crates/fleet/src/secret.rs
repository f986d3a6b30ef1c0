//! The only holder of keys, tokens and passwords.

use std::fmt;

use zeroize::Zeroize;

/// A value that must not be seen: its memory is zeroed when it goes, `Debug` shows a mask, and it can be neither
/// printed nor serialized. What [`Secret::expose`] lends must not be kept in anything else.
#[derive(Clone)]
pub struct Secret<T: Zeroize>(T);

impl<T: Zeroize> Secret<T> {
    pub fn new(value: T) -> Self {
        Self(value)
    }

    /// The value itself, for the one call that needs it.
    pub fn expose(&self) -> &T {
        &self.0
    }
}

impl<T: Zeroize> Drop for Secret<T> {
    fn drop(&mut self) {
        self.0.zeroize();
    }
}

impl<T: Zeroize> fmt::Debug for Secret<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(***)")
    }
}

/// Takes as long for a near miss as for a wide one, so that a guess cannot be improved by timing it.
impl<T: Zeroize + AsRef<[u8]>> PartialEq for Secret<T> {
    fn eq(&self, other: &Self) -> bool {
        aws_lc_rs::constant_time::verify_slices_are_equal(self.0.as_ref(), other.0.as_ref()).is_ok()
    }
}

impl<T: Zeroize + AsRef<[u8]>> Eq for Secret<T> {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shows_nothing_of_the_value() {
        let secret = Secret::new("hunter2".to_owned());
        assert_eq!(format!("{secret:?} {:#?}", Some(&secret)), "Secret(***) Some(\n    Secret(***),\n)");
    }

    #[test]
    fn compares_by_value() {
        let secret = Secret::new(b"token".to_vec());
        assert_eq!(secret, Secret::new(b"token".to_vec()));
        assert_ne!(secret, Secret::new(b"tokem".to_vec()));
        assert_ne!(secret, Secret::new(b"toke".to_vec()));
    }
}
