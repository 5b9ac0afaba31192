//! Which part of a list a client asks for: how much of it, and from which place on. The place as clients carry it is opaque, so
//! that its form may change, and good for lists of one order only.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use haul_shared::store::{Position, SortBy, Sorting};

use crate::query::Params;

/// Things in a part when a client does not say how many.
const DEFAULT_LIMIT: u64 = 20;

/// What a client asks of a list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Part {
    /// At most so many; 1-100.
    pub limit: usize,
    /// After this place, or from the beginning.
    pub after: Option<Position>,
}

impl Part {
    /// Takes `limit` and `cursor` of a list in this order.
    #[must_use]
    pub fn of(params: &mut Params, sorting: Sorting) -> Self {
        let expected = "the next_cursor of an earlier answer that was sorted the same";
        Self {
            limit: params.number("limit", 1..=100).unwrap_or(DEFAULT_LIMIT) as usize,
            after: params.parsed("cursor", expected, |text| read(sorting, text)),
        }
    }
}

/// Writes a place in a list of this order.
#[must_use]
pub fn write(sorting: Sorting, position: Position) -> String {
    let Position { value, created_ms, ticket } = position;
    let place = format!("{created_ms}.{ticket}");
    let text = if sorting == Sorting::default() {
        // as it was before there were others: APIs of two versions may answer one client
        place
    } else if sorting.by == SortBy::Created {
        format!("{}.{place}", order(sorting))
    } else {
        format!("{}.{}.{place}", order(sorting), value.map_or_else(String::new, |value| value.to_string()))
    };
    URL_SAFE_NO_PAD.encode(text)
}

/// Reads a place back; `None` for what [`write()`] did not make for this order.
#[must_use]
pub fn read(sorting: Sorting, cursor: &str) -> Option<Position> {
    let text = String::from_utf8(URL_SAFE_NO_PAD.decode(cursor).ok()?).ok()?;
    let mut parts = text.rsplit('.');
    let ticket = parts.next()?.parse().ok()?;
    let created_ms = parts.next()?.parse().ok()?;
    let value = match sorting.by {
        SortBy::Created => None,
        SortBy::Size | SortBy::Duration | SortBy::Downloads | SortBy::Rating => parts.next()?.parse().ok(),
    };
    let position = Position { value, created_ms, ticket };
    (write(sorting, position) == cursor).then_some(position)
}

fn order(sorting: Sorting) -> String {
    format!("{}-{}", sorting.by.word(), sorting.order.word())
}

#[cfg(test)]
mod tests {
    use haul_shared::ids::Ticket;
    use haul_shared::store::Order;

    use super::*;

    fn orders() -> impl Iterator<Item = Sorting> {
        SortBy::ALL.into_iter().flat_map(|by| Order::ALL.map(|order| Sorting { by, order }))
    }

    #[test]
    fn a_cursor_is_read_back_and_nothing_else_is_one() {
        let position = Position { value: None, created_ms: 1_795_187_196_318, ticket: Ticket::new() };
        for sorting in orders() {
            let valued = Position { value: Some(7), ..position };
            let positions = if sorting.by == SortBy::Created { vec![position] } else { vec![position, valued] };
            for position in positions {
                let cursor = write(sorting, position);
                assert_eq!(read(sorting, &cursor), Some(position));
                for wrong in ["", "x", "20", &cursor[1..], &format!("{cursor}="), &cursor.to_uppercase()] {
                    assert_eq!(read(sorting, wrong), None, "{wrong}");
                }
                for other in orders().filter(|other| *other != sorting) {
                    assert_eq!(read(other, &cursor), None, "{sorting:?} as {other:?}");
                }
            }
        }
    }
}
