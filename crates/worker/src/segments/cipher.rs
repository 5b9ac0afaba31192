//! AES-128 in CBC, undone while the bytes arrive.

use aws_lc_rs::cipher::{AES_128, DecryptionContext, StreamingDecryptingKey, UnboundCipherKey};
use aws_lc_rs::error::Unspecified;
use aws_lc_rs::iv::FixedLength;

const BLOCK: usize = 16;

/// One segment.
pub(super) struct Decipher {
    key: StreamingDecryptingKey,
    clear: Vec<u8>,
}

impl Decipher {
    pub(super) fn new(key: &[u8; BLOCK], iv: [u8; BLOCK]) -> Result<Self, Unspecified> {
        let key = UnboundCipherKey::new(&AES_128, key)?;
        let key = StreamingDecryptingKey::cbc_pkcs7(key, DecryptionContext::Iv128(FixedLength::from(iv)))?;
        Ok(Self { key, clear: Vec::new() })
    }

    /// What these bytes were, as far as their blocks are whole.
    pub(super) fn next(&mut self, bytes: &[u8]) -> Result<&[u8], Unspecified> {
        self.clear.resize(bytes.len() + BLOCK, 0);
        let length = self.key.update(bytes, &mut self.clear)?.written().len();
        Ok(&self.clear[..length])
    }

    /// The rest, without the padding. Refused: it was not this key, or something else was encrypted.
    pub(super) fn end(self) -> Result<Vec<u8>, Unspecified> {
        let mut rest = vec![0; BLOCK];
        let length = self.key.finish(&mut rest)?.written().len();
        rest.truncate(length);
        Ok(rest)
    }
}
