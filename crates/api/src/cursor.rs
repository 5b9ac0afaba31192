//! The place in a list as clients carry it: opaque, so that its form may change.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use haul_shared::store::Position;

/// Writes a place.
#[must_use]
pub fn write(position: Position) -> String {
    URL_SAFE_NO_PAD.encode(format!("{}.{}", position.created_ms, position.ticket))
}

/// Reads a place back; `None` for what [`write()`] did not make.
#[must_use]
pub fn read(cursor: &str) -> Option<Position> {
    let text = String::from_utf8(URL_SAFE_NO_PAD.decode(cursor).ok()?).ok()?;
    let (created_ms, ticket) = text.split_once('.')?;
    let position = Position { created_ms: created_ms.parse().ok()?, ticket: ticket.parse().ok()? };
    (write(position) == cursor).then_some(position)
}

#[cfg(test)]
mod tests {
    use haul_shared::ids::Ticket;

    use super::*;

    #[test]
    fn a_cursor_is_read_back_and_nothing_else_is_one() {
        let position = Position { created_ms: 1_795_187_196_318, ticket: Ticket::new() };
        let cursor = write(position);
        assert_eq!(read(&cursor), Some(position));
        for wrong in ["", "x", "20", &cursor[1..], &format!("{cursor}="), &cursor.to_uppercase()] {
            assert_eq!(read(wrong), None, "{wrong}");
        }
    }
}
