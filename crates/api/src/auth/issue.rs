//! A new key: drawn at random, shown once, and its entry for the keys file. Nothing is written anywhere, nor logged.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use rand::TryRng as _;
use rand::rngs::{SysError, SysRng};
use sha2::{Digest as _, Sha256};
use uuid::Builder;

use super::keys::check_name;

/// What a key of our own form begins with, so that one that leaked is recognised for what it is.
const PREFIX: &str = "haul_";

/// How a key is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeyForm {
    /// 256 random bits behind `haul_`, in letters that a URL may have.
    Own,
    /// A UUID of version 4 in lower case, of which 122 bits are random: cobalt's page takes no other key.
    Uuid,
}

impl KeyForm {
    fn draw(self) -> Result<String, SysError> {
        Ok(match self {
            Self::Own => format!("{PREFIX}{}", URL_SAFE_NO_PAD.encode(random::<32>()?)),
            Self::Uuid => Builder::from_random_bytes(random()?).into_uuid().to_string(),
        })
    }
}

/// A key that nobody has yet.
pub struct Issued {
    /// As its holder sends it.
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
pub fn issue(name: &str, form: KeyForm) -> Result<Issued, NotIssued> {
    check_name(name).map_err(NotIssued::Name)?;
    let key = form.draw()?;
    let sha256: String = Sha256::digest(&key).iter().map(|byte| format!("{byte:02x}")).collect();
    let name = toml::Value::String(name.to_owned());
    let entry = format!("\n[[keys]]\nname = {name}\nsha256 = \"{sha256}\"\n");
    Ok(Issued { key, entry })
}

fn random<const BYTES: usize>() -> Result<[u8; BYTES], SysError> {
    let mut random = [0; BYTES];
    SysRng.try_fill_bytes(&mut random)?;
    Ok(random)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::keys::parse;
    use super::*;

    proptest! {
        #[test]
        fn an_entry_is_read_back_under_its_name_whatever_that_is_and_refused_names_have_none(name in "[^\\PC\"'\\\\#]{0,66}|.{1,64}|\\PC{1,64}") {
            let issued = issue(&name, KeyForm::Own);
            let fits = check_name(&name).is_ok();
            prop_assert_eq!(issued.is_ok(), fits);
            if let Ok(Issued { key, entry }) = issued {
                let before = issue("before", KeyForm::Uuid).unwrap().entry;
                let keys = parse(&(before + &entry)).unwrap();
                prop_assert_eq!(&keys[1].name, &name);
                let digest: [u8; 32] = Sha256::digest(&key).into();
                prop_assert_eq!(keys[1].sha256, digest);
            }
        }
    }

    #[test]
    fn each_key_is_another_and_none_is_in_its_entry() {
        let issued = |form| issue("studio", form).unwrap();
        for form in [KeyForm::Own, KeyForm::Uuid] {
            let (one, other) = (issued(form), issued(form));
            assert_ne!(one.key, other.key);
            assert!(!one.entry.contains(&one.key), "{}", one.entry);
        }
        let one = issued(KeyForm::Own);
        let secret = one.key.strip_prefix(PREFIX).unwrap();
        assert_eq!(URL_SAFE_NO_PAD.decode(secret).unwrap().len(), 32);
        assert!(!one.entry.contains(secret), "{}", one.entry);
    }
}
