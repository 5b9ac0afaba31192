//! The boxes of an mp4 whose bytes come in order (ISO 14496-12, 4.2): what each byte belongs to, and whether the last box
//! was whole.
//!
//! Pure. Not here: which bytes are kept (`outline`), what it means that one is cut (`whole`).

/// What some bytes belong to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Part {
    /// The head of a box.
    Head,
    /// Media data.
    Media,
    /// Any other box.
    Other,
    /// Something behind which no box can be found.
    Rest,
}

/// Follows the boxes of a file.
#[derive(Debug)]
pub(super) struct Boxes(Place);

#[derive(Debug)]
enum Place {
    /// In the head of a box, of which so many bytes are there.
    Head([u8; 16], usize),
    /// In a box, with so many bytes of it to come.
    Within { is_media: bool, left: u64 },
    /// In a box that goes up to the end of the file.
    Open { is_media: bool },
    /// Among zeros, which are no box.
    Padding,
    /// In something that is no box.
    Lost,
}

impl Boxes {
    /// Before the first byte.
    pub(super) fn new() -> Self {
        Self(Place::Head([0; 16], 0))
    }

    /// What the first of these bytes belong to, and how many of them do: at least one of those that come next.
    pub(super) fn step(&mut self, bytes: &[u8]) -> (Part, usize) {
        let kind = |is_media: bool| if is_media { Part::Media } else { Part::Other };
        match &mut self.0 {
            Place::Head(head, filled) => {
                let taken = bytes.len().min(1);
                head[*filled..*filled + taken].copy_from_slice(&bytes[..taken]);
                *filled += taken;
                if let Some(place) = behind(&head[..*filled]) {
                    self.0 = place;
                }
                (Part::Head, taken)
            }
            Place::Within { is_media, left } => {
                let taken = bytes.len().min(usize::try_from(*left).unwrap_or(usize::MAX));
                let part = kind(*is_media);
                *left -= taken as u64;
                if *left == 0 {
                    *self = Self::new();
                }
                (part, taken)
            }
            Place::Open { is_media } => (kind(*is_media), bytes.len()),
            Place::Padding => {
                if bytes.iter().any(|byte| *byte != 0) {
                    self.0 = Place::Lost;
                }
                (Part::Rest, bytes.len())
            }
            Place::Lost => (Part::Rest, bytes.len()),
        }
    }

    /// If these were all bytes: does the file end before its structure does? What follows a box that came short is taken
    /// for its rest, and no box begins behind that.
    pub(super) fn is_cut(&self) -> bool {
        match self.0 {
            Place::Head(_, filled) => filled > 0,
            Place::Within { .. } | Place::Lost => true,
            Place::Open { .. } | Place::Padding => false,
        }
    }
}

/// Where the head of a box leads; `None`: it is not whole.
fn behind(head: &[u8]) -> Option<Place> {
    let (size, kind) = (head.get(..4)?, head.get(4..8)?);
    if kind.iter().any(|byte| !(b' '..=b'~').contains(byte)) {
        return Some(if head.iter().all(|byte| *byte == 0) { Place::Padding } else { Place::Lost });
    }
    let is_media = kind == b"mdat";
    let (size, length) = match number(size) {
        0 => return Some(Place::Open { is_media }),
        1 => (number(head.get(8..16)?), 16),
        size => (size, 8),
    };
    Some(match size.checked_sub(length) {
        None => Place::Lost,
        Some(0) => Place::Head([0; 16], 0),
        Some(left) => Place::Within { is_media, left },
    })
}

fn number(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0, |number, byte| (number << 8) | u64::from(*byte))
}
