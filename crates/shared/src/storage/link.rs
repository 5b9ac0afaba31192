//! Links of the disk store: who made them, what they promise, until when.
//!
//! A link is `<public url>/files/<key>?exp=..&name=..&type=..&inline=..&sig=..`; the signature is an HMAC-SHA256 over
//! the key and all other parameters, so that a link gives one object under one name and type, and nothing else.
//!
//! Not here: how the bytes are sent (the API's route).

use std::io;
use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, KeyInit as _, Mac as _};
use jiff::Timestamp;
use secrecy::{ExposeSecret as _, SecretSlice, SecretString};
use sha2::Sha256;
use url::{Url, form_urlencoded};

use super::ObjectKey;

/// What a link of the disk store promises.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignedLink {
    /// Which object.
    pub key: ObjectKey,
    /// From this second on it is refused; Unix time in seconds.
    pub expires_at: i64,
    /// Under which name the client saves the file.
    pub filename: String,
    /// As which type it is sent.
    pub content_type: String,
    /// To be played rather than saved.
    pub inline: bool,
}

/// Why a link is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum LinkError {
    /// We made it, but its time is over.
    #[error("link has expired")]
    Expired,
    /// We did not make it like this: a part is missing, changed, or signed with another key.
    #[error("link was not made here")]
    Forged,
}

impl SignedLink {
    /// The link, below the address where clients reach the API.
    ///
    /// # Panics
    /// When `public_url` cannot have a path, such as `mailto:`; the configuration allows http and https only.
    #[must_use]
    pub fn sign(&self, public_url: &Url, key: &SigningKey) -> Url {
        let mut url = public_url.clone();
        url.set_fragment(None);
        url.path_segments_mut()
            .expect("an http address has a path")
            .pop_if_empty()
            .push("files")
            .extend(self.key.as_str().split('/'));
        let signature = URL_SAFE_NO_PAD.encode(self.mac(key).finalize().into_bytes());
        url.set_query(None);
        url.query_pairs_mut()
            .append_pair("exp", &self.expires_at.to_string())
            .append_pair("name", &self.filename)
            .append_pair("type", &self.content_type)
            .append_pair("inline", if self.inline { "true" } else { "false" })
            .append_pair("sig", &signature);
        url
    }

    /// Reads a link back: `object` and `query` are what follows `/files/` and `?`. A signature is compared in
    /// constant time, and before anything is said about the age of the link.
    ///
    /// # Errors
    /// [`LinkError`].
    pub fn verify(object: &str, query: &str, key: &SigningKey, now: Timestamp) -> Result<Self, LinkError> {
        let (link, signature) = Self::parse(object, query).ok_or(LinkError::Forged)?;
        link.mac(key).verify_slice(&signature).map_err(|_| LinkError::Forged)?;
        if now.as_second() < link.expires_at { Ok(link) } else { Err(LinkError::Expired) }
    }

    /// The parts of a link, each present once and no other, with its unchecked signature.
    fn parse(object: &str, query: &str) -> Option<(Self, Vec<u8>)> {
        let [mut exp, mut name, mut content_type, mut inline, mut sig] = [const { None }; 5];
        for (part, value) in form_urlencoded::parse(query.as_bytes()) {
            let place = match &*part {
                "exp" => &mut exp,
                "name" => &mut name,
                "type" => &mut content_type,
                "inline" => &mut inline,
                "sig" => &mut sig,
                _ => return None,
            };
            if place.replace(value).is_some() {
                return None;
            }
        }
        let link = Self {
            key: ObjectKey::parse(object).ok()?,
            expires_at: exp?.parse().ok()?,
            filename: name?.into_owned(),
            content_type: content_type?.into_owned(),
            inline: inline?.parse().ok()?,
        };
        Some((link, URL_SAFE_NO_PAD.decode(sig?.as_bytes()).ok()?))
    }

    fn mac(&self, key: &SigningKey) -> Hmac<Sha256> {
        let mut mac = Hmac::<Sha256>::new_from_slice(key.0.expose_secret()).expect("a key of any length is fine");
        let inline = if self.inline { "true" } else { "false" };
        let expires_at = self.expires_at.to_string();
        // each part with its length: no text can move from one part into the next
        for part in ["haul-link-1", self.key.as_str(), &expires_at, &self.filename, &self.content_type, inline] {
            mac.update(&(part.len() as u64).to_be_bytes());
            mac.update(part.as_bytes());
        }
        mac
    }
}

/// The secret that signs links; the same in every API.
#[derive(Debug, Clone)]
pub struct SigningKey(SecretSlice<u8>);

const KEY_BYTES: usize = 32;

impl SigningKey {
    /// The key that the operator set.
    #[must_use]
    pub fn from_secret(secret: &SecretString) -> Self {
        Self(secret.expose_secret().as_bytes().to_vec().into())
    }

    /// The key kept in `file`, mode 0600; made at random when there is none. Processes that start at once get the
    /// same one: the first to place its file wins and the others read it.
    ///
    /// # Errors
    /// What the file system says, and `InvalidData` when the file is not a key.
    pub fn load_or_create(file: &Path) -> io::Result<Self> {
        match Self::load(file) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Self::create(file)?,
            loaded => return loaded,
        }
        Self::load(file)
    }

    /// The key kept in `file`.
    ///
    /// # Errors
    /// What the file system says, and `InvalidData` when the file is not a key.
    pub fn load(file: &Path) -> io::Result<Self> {
        let bytes = std::fs::read(file)?;
        if bytes.len() != KEY_BYTES {
            let fault = format!("{} does not hold a key of {KEY_BYTES} bytes", file.display());
            return Err(io::Error::new(io::ErrorKind::InvalidData, fault));
        }
        Ok(Self(bytes.into()))
    }

    fn create(file: &Path) -> io::Result<()> {
        let directory = file.parent().expect("a file in the data directory");
        let mut fresh = tempfile::Builder::new().prefix(".signing.key.").tempfile_in(directory)?;
        io::Write::write_all(&mut fresh, &rand::random::<[u8; KEY_BYTES]>())?;
        fresh.as_file().sync_all()?;
        match fresh.persist_noclobber(file) {
            Err(lost) if lost.error.kind() != io::ErrorKind::AlreadyExists => Err(lost.error),
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::{Fence, JobId};

    const NOW: Timestamp = Timestamp::UNIX_EPOCH;

    fn link() -> SignedLink {
        SignedLink {
            key: ObjectKey::new(JobId::new(), Fence(7), "mp4"),
            expires_at: 60,
            filename: "naïve & \"東\"=1.mp4".to_owned(),
            content_type: "video/mp4".to_owned(),
            inline: false,
        }
    }

    fn key(text: &str) -> SigningKey {
        SigningKey::from_secret(&text.into())
    }

    fn check(url: &Url, key: &SigningKey) -> Result<SignedLink, LinkError> {
        let object = url.path().split_once("/files/").expect("a link").1;
        SignedLink::verify(object, url.query().expect("a query"), key, NOW)
    }

    #[test]
    fn a_link_gives_back_what_was_signed() {
        for base in ["http://127.0.0.1:8080", "https://media.example/haul/", "https://media.example/haul?x=1#y"] {
            let url = link_at(base);
            assert_eq!(check(&url.1, &key("k")), Ok(url.0));
        }
        let (link, url) = link_at("https://media.example/haul/");
        assert!(url.as_str().starts_with(&format!("https://media.example/haul/files/{}?exp=60&", link.key)));
    }

    fn link_at(base: &str) -> (SignedLink, Url) {
        let link = link();
        let url = link.sign(&base.parse().expect("an address"), &key("k"));
        (link, url)
    }

    #[test]
    fn no_part_of_a_link_can_be_changed() {
        let (link, url) = link_at("http://127.0.0.1:8080");
        let other = ObjectKey::new(JobId::new(), Fence(7), "mp4");
        let query = url.query().expect("a query");
        for (object, query) in [
            (other.as_str(), query.to_owned()),
            (link.key.as_str(), query.replace("exp=60", "exp=61")),
            (link.key.as_str(), query.replace("name=na", "name=ma")),
            (link.key.as_str(), query.replace("video%2Fmp4", "text%2Fhtml")),
            (link.key.as_str(), query.replace("inline=false", "inline=true")),
            (link.key.as_str(), query.replace("&sig=", "&sig=AAAA")),
            (link.key.as_str(), query.replace("inline=false&", "")),
            (link.key.as_str(), format!("{query}&inline=true")),
            (link.key.as_str(), format!("{query}&more=1")),
            (link.key.as_str(), String::new()),
            ("../signing.key", query.to_owned()),
        ] {
            let answer = SignedLink::verify(object, &query, &key("k"), NOW);
            assert_eq!(answer, Err(LinkError::Forged), "{object} {query}");
        }
        assert_eq!(check(&url, &key("another")), Err(LinkError::Forged));
    }

    #[test]
    fn a_link_ends_at_its_second_and_only_a_true_one_is_called_expired() {
        let (link, url) = link_at("http://127.0.0.1:8080");
        let query = url.query().expect("a query");
        let at = |second, query| {
            let now = Timestamp::from_second(second).expect("a time");
            SignedLink::verify(link.key.as_str(), query, &key("k"), now)
        };
        assert!(at(59, query).is_ok());
        assert_eq!(at(60, query), Err(LinkError::Expired));
        assert_eq!(at(60, &query.replace("exp=60", "exp=59")), Err(LinkError::Forged));
    }

    #[test]
    fn all_who_start_at_once_share_one_key_that_only_they_can_read() {
        use std::os::unix::fs::PermissionsExt as _;
        let directory = tempfile::tempdir().expect("a directory");
        let file = directory.path().join("signing.key");
        let keys: Vec<SigningKey> = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..8).map(|_| scope.spawn(|| SigningKey::load_or_create(&file))).collect();
            threads.into_iter().map(|t| t.join().expect("no panic").expect("a key")).collect()
        });
        assert!(keys.iter().all(|key| key.0.expose_secret() == keys[0].0.expose_secret()));
        assert_eq!(std::fs::metadata(&file).expect("there").permissions().mode() & 0o777, 0o600);
        assert_eq!(std::fs::read_dir(directory.path()).expect("there").count(), 1, "nothing else is left");

        std::fs::write(&file, "short").expect("writable");
        let fault = SigningKey::load_or_create(&file).expect_err("not a key");
        assert_eq!(fault.kind(), io::ErrorKind::InvalidData);
    }
}
