//! Is what comes in order as long as its own structure says?
//!
//! The question that `structure` puts to a file, put to bytes that are gone once they were passed on: ffmpeg makes a
//! flawless shorter file of what was cut, and takes one segment's beginning for the rest of the one before.

use std::io::Cursor;

use super::boxes::Boxes;
use super::structure::{HEAD_BYTES, TS_PACKET, segment};
use crate::container::Container;

/// Follows the bytes of one flow.
#[derive(Debug)]
pub struct Whole {
    way: Way,
    length: u64,
}

#[derive(Debug)]
enum Way {
    Boxes(Boxes),
    /// Packets of one length.
    Packets,
    /// The head of the file tells its length.
    Stated(Vec<u8>),
    /// It tells no lengths.
    Open,
}

impl Whole {
    /// Before the first byte; `None`: of such a container only a file tells whether it is whole.
    #[must_use]
    pub fn of(container: Container) -> Option<Self> {
        let way = match container {
            Container::Mp4 | Container::M4a => Way::Boxes(Boxes::new()),
            Container::MpegTs => Way::Packets,
            Container::Webm | Container::Mkv => Way::Stated(Vec::new()),
            Container::Mp3 | Container::Aac => Way::Open,
            Container::Wav | Container::Avi | Container::Ogg | Container::Flac | Container::Flv => return None,
        };
        Some(Self { way, length: 0 })
    }

    /// Takes in the next bytes.
    pub fn take(&mut self, mut bytes: &[u8]) {
        self.length += bytes.len() as u64;
        match &mut self.way {
            Way::Boxes(boxes) => {
                while !bytes.is_empty() {
                    bytes = &bytes[boxes.step(bytes).1..];
                }
            }
            Way::Stated(head) => {
                let more = (HEAD_BYTES - head.len()).min(bytes.len());
                head.extend_from_slice(&bytes[..more]);
            }
            Way::Packets | Way::Open => {}
        }
    }

    /// These were all bytes: do they end before their structure does?
    #[must_use]
    pub fn is_cut(&self) -> bool {
        match &self.way {
            Way::Boxes(boxes) => boxes.is_cut(),
            Way::Packets => !self.length.is_multiple_of(TS_PACKET),
            // what lies in memory can be read
            Way::Stated(head) => segment(Cursor::new(head), self.length).unwrap_or(true),
            Way::Open => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::structure;
    use super::*;

    /// It is one question: bytes that come in order have the answer that a file of them has.
    #[test]
    fn bytes_that_come_in_order_are_judged_as_a_file_of_them() {
        let plain = |kind: &[u8], content: &[u8]| {
            [&u32::try_from(content.len() + 8).unwrap().to_be_bytes()[..], kind, content].concat()
        };
        let large = [&1_u32.to_be_bytes()[..], b"mdat", &20_u64.to_be_bytes(), b"four"].concat();
        let (ftyp, mdat) = (plain(b"ftyp", b"isom"), plain(b"mdat", &[7; 100]));
        let whole = [&ftyp[..], &mdat, &large, &plain(b"free", b"")].concat();
        // the first sound says 16 bytes and has 8; what follows is taken for its rest
        let short = b"\0\0\0\x18mdathalf-so-\0\0\0\x18mdat\0\0\0\0\0\0\0\0sounding";
        let mkv = |size: u8| [b"\x1a\x45\xdf\xa3\x80\x18\x53\x80\x67", &[0x80 | size][..], &[1; 20]].concat();
        for (container, bytes, cut) in [
            (Container::Mp4, whole.clone(), false),
            (Container::Mp4, whole[..whole.len() - 9].to_vec(), true),
            (Container::Mp4, whole[..whole.len() - 8].to_vec(), false),
            (Container::Mp4, [&whole[..], &[0; 100]].concat(), false),
            (Container::Mp4, [&whole[..], &[0; 100], b"!"].concat(), true),
            (Container::Mp4, [&whole[..], &[0; 5]].concat(), true),
            (Container::Mp4, [&ftyp[..], &short[..]].concat(), true),
            (Container::Mp4, [&ftyp[..], b"\0\0\0\0mdat", &[7; 100]].concat(), false),
            (Container::Mp4, [&ftyp[..], b"\0\0\0\x07mdat", &[7; 100]].concat(), true),
            (Container::MpegTs, vec![0x47; 188 * 3], false),
            (Container::MpegTs, vec![0x47; 188 * 3 - 1], true),
            (Container::Mkv, mkv(20), false),
            (Container::Mkv, mkv(21), true),
            (Container::Webm, mkv(0x7f), false),
            (Container::Aac, vec![0xff; 10], false),
        ] {
            let told = bytes.escape_ascii().to_string();
            assert_eq!(structure::is_cut(Cursor::new(&bytes), container).unwrap(), cut, "{container:?} {told}");
            for at_a_time in [1, 7, usize::MAX] {
                let mut whole = Whole::of(container).unwrap();
                bytes.chunks(at_a_time).for_each(|piece| whole.take(piece));
                assert_eq!(whole.is_cut(), cut, "{container:?} {told}, {at_a_time} at a time");
            }
        }
    }
}
