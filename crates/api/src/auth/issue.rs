//! A new key: drawn at random, shown once, and its entry for the keys file. Nothing is written anywhere, nor logged.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use rand::TryRng as _;
use rand::rngs::{SysError, SysRng};
use sha2::{Digest as _, Sha256};

use super::keys::check_name;

/// What every key begins with, so that one that leaked is recognised for what it is.
const PREFIX: &str = "haul_";

/// A key that nobody has yet.
pub struct Issued {
    /// As its holder sends it: the prefix, and 256 bits in letters that a URL may have.
    pub key: String,
    /// Its entry, to be added to the keys file, with an empty line in front.
    pub entry: String,
}

/// Why there is no new key.
#[derive(Debug, thiserror::Error)]
pub enum NotIssued {
    /// The keys file would refuse its name.
    #[error("{0}")]
    Name(&'static str),
    /// The system has no randomness.
    #[error("the system gives no random bytes")]
    Random(#[from] SysError),
}

/// Draws a key and says how its entry looks.
///
/// # Errors
/// [`NotIssued`].
pub fn issue(name: &str) -> Result<Issued, NotIssued> {
    check_name(name).map_err(NotIssued::Name)?;
    let mut secret = [0; 32];
    SysRng.try_fill_bytes(&mut secret)?;
    let key = format!("{PREFIX}{}", URL_SAFE_NO_PAD.encode(secret));
    let sha256: String = Sha256::digest(&key).iter().map(|byte| format!("{byte:02x}")).collect();
    let name = toml::Value::String(name.to_owned());
    let entry = format!("\n[[keys]]\nname = {name}\nsha256 = \"{sha256}\"\n");
    Ok(Issued { key, entry })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::keys::parse;
    use super::*;

    proptest! {
        #[test]
        fn an_entry_is_read_back_under_its_name_whatever_that_is_and_refused_names_have_none(name in "[^\\PC\"'\\\\#]{0,66}|.{1,64}|\\PC{1,64}") {
            let issued = issue(&name);
            let fits = check_name(&name).is_ok();
            prop_assert_eq!(issued.is_ok(), fits);
            if let Ok(Issued { key, entry }) = issued {
                let before = issue("before").unwrap().entry;
                let keys = parse(&(before + &entry)).unwrap();
                prop_assert_eq!(&keys[1].name, &name);
                let digest: [u8; 32] = Sha256::digest(&key).into();
                prop_assert_eq!(keys[1].sha256, digest);
            }
        }
    }

    #[test]
    fn each_key_is_another_and_none_is_in_its_entry() {
        let (one, other) = (issue("studio").unwrap(), issue("studio").unwrap());
        assert_ne!(one.key, other.key);
        let secret = one.key.strip_prefix(PREFIX).unwrap();
        assert_eq!(URL_SAFE_NO_PAD.decode(secret).unwrap().len(), 32);
        assert!(!one.entry.contains(secret), "{}", one.entry);
    }
}
