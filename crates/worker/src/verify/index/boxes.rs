//! Boxes in boxes (ISO 14496-12, 4.2), and numbers in them. Whatever does not fit is `None`.

/// In one box; more is not plain.
const MOST_BOXES: usize = 256;

/// The kind of the box that begins here, the bytes of its head, and of all of it, where so many are left.
pub(super) fn head(bytes: &[u8], left: u64) -> Option<([u8; 4], u64, u64)> {
    let mut head = Bytes(bytes);
    let (size, kind) = (head.u32()?, head.take(4)?.try_into().ok()?);
    let (head_bytes, size) = match size {
        // up to the end
        0 => (8, left),
        1 => (16, head.u64()?),
        size => (8, size.into()),
    };
    (head_bytes..=left).contains(&size).then_some((kind, head_bytes, size))
}

/// The boxes in a box, which they fill.
pub(super) struct Boxes<'a>(Vec<([u8; 4], &'a [u8])>);

impl<'a> Boxes<'a> {
    pub(super) fn of(mut body: &'a [u8]) -> Option<Self> {
        let mut all = Vec::new();
        while !body.is_empty() {
            let (kind, head_bytes, size) = head(body, body.len() as u64)?;
            let (this, rest) = body.split_at_checked(usize::try_from(size).ok()?)?;
            all.push((kind, &this[usize::try_from(head_bytes).ok()?..]));
            if all.len() > MOST_BOXES {
                return None;
            }
            body = rest;
        }
        Some(Self(all))
    }

    pub(super) fn all(&self, kind: &'static [u8; 4]) -> impl Iterator<Item = &'a [u8]> {
        self.0.iter().filter(move |(found, _)| found == kind).map(|(_, body)| *body)
    }

    pub(super) fn has(&self, kind: &'static [u8; 4]) -> bool {
        self.all(kind).next().is_some()
    }

    /// The one that must be there.
    pub(super) fn only(&self, kind: &'static [u8; 4]) -> Option<&'a [u8]> {
        self.at_most_one(kind)?
    }

    /// The one that may be there; `None`: there are several.
    pub(super) fn at_most_one(&self, kind: &'static [u8; 4]) -> Option<Option<&'a [u8]>> {
        let mut all = self.all(kind);
        let first = all.next();
        all.next().is_none().then_some(first)
    }
}

/// Bytes from front to back.
#[derive(Clone, Copy)]
pub(super) struct Bytes<'a>(pub(super) &'a [u8]);

impl<'a> Bytes<'a> {
    pub(super) fn take(&mut self, bytes: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(bytes)?;
        self.0 = rest;
        Some(taken)
    }

    pub(super) fn skip(&mut self, bytes: usize) -> Option<()> {
        self.take(bytes).map(|_| ())
    }

    pub(super) fn u8(&mut self) -> Option<u8> {
        self.take(1).map(|byte| byte[0])
    }

    pub(super) fn u16(&mut self) -> Option<u16> {
        Some(u16::from_be_bytes(self.take(2)?.try_into().ok()?))
    }

    pub(super) fn u32(&mut self) -> Option<u32> {
        Some(u32::from_be_bytes(self.take(4)?.try_into().ok()?))
    }

    pub(super) fn u64(&mut self) -> Option<u64> {
        Some(u64::from_be_bytes(self.take(8)?.try_into().ok()?))
    }

    /// The version of a full box, up to the newest that is known; its flags are passed over.
    pub(super) fn version(&mut self, newest: u8) -> Option<u8> {
        let version = self.u8().filter(|version| *version <= newest)?;
        self.skip(3)?;
        Some(version)
    }

    /// The rows of a table, so many bytes each: a number of them, and then they.
    pub(super) fn rows(&mut self, bytes: usize) -> Option<std::slice::ChunksExact<'a, u8>> {
        let rows = usize::try_from(self.u32()?).ok()?;
        Some(self.take(rows.checked_mul(bytes)?)?.chunks_exact(bytes))
    }
}
