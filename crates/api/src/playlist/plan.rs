//! What a playlist is to have: which of the entries become downloads, and which are refused.
//!
//! It is made once, from what is known of the list, and kept with the playlist, so that whoever finishes what was left by half
//! submits the same downloads under the same tickets. Not here: how they stand (`standing`).

use haul_shared::ids::{Region, Ticket};
use haul_shared::job::JobSpec;
use haul_shared::view::DownloadRequest;
use serde::{Deserialize, Serialize};

use crate::app::App;
use crate::auth::Caller;
use crate::error::{ApiError, ApiResult, Code, Fault};
use crate::metadata::List;
use crate::request::{ListOrder, Order, check_address};

/// A plan as it is kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Plan {
    /// Where the list is, as it was sent.
    pub url: String,
    /// What it is called.
    pub title: Option<String>,
    /// Where its downloads are done.
    pub region: Region,
    /// What becomes a download, in the order of the list.
    pub children: Vec<Child>,
    /// What does not.
    pub refused: Vec<Refused>,
}

/// An entry that becomes a download.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Child {
    /// Its number in the list, from 1.
    pub index: u32,
    /// Under which ticket.
    #[serde(with = "as_text")]
    pub ticket: Ticket,
    /// Its own address; an entry without one is a `playlist_index` of the list. Forgotten once it was submitted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
}

/// An entry that may not become a download.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refused {
    /// Its number in the list, from 1.
    pub index: u32,
    /// What it is called.
    pub title: Option<String>,
    /// Why: `egress_denied`, `unsupported_url` or `forbidden`.
    pub code: String,
    /// The same, for people.
    pub message: String,
}

impl Plan {
    /// What an order makes of a list, of which the entries from `first` on are known.
    ///
    /// # Errors
    /// `invalid_request`: there is no such entry.
    pub fn of(app: &App, caller: &Caller, order: &ListOrder, (list, first): (&List, u32)) -> ApiResult<Self> {
        let region = order.options.region.as_ref().unwrap_or(&caller.region).clone();
        let mut plan = Self {
            url: order.url.clone(),
            title: list.title.clone(),
            region,
            children: Vec::new(),
            refused: Vec::new(),
        };
        for entry in entries(list, order, first) {
            let judged = plan.order(app, (entry.index, entry.url.as_deref()), &order.options).and_then(|order| {
                caller.allowance.permits(&order.source, order.request.format)?;
                Ok(app.jobs.draw(&JobSpec::Download(order.spec(&caller.jars)), &plan.region))
            });
            match judged {
                Ok(ticket) => plan.children.push(Child { index: entry.index, ticket, url: entry.url }),
                Err(refusal) => {
                    app.count_refusal(&refusal);
                    plan.refused.push(Refused::of(entry.index, entry.title, refusal));
                }
            }
        }
        if plan.children.is_empty() && plan.refused.is_empty() {
            let pointer = if order.is_range { "/range" } else { "/url" };
            return Err(ApiError::invalid(vec![Fault::new(pointer, "has no entries")]));
        }
        Ok(plan)
    }

    /// The order of an entry: of its own address, or of its number in the list.
    ///
    /// # Errors
    /// `egress_denied`, `unsupported_url`.
    pub fn order(&self, app: &App, (index, url): (u32, Option<&str>), options: &DownloadRequest) -> ApiResult<Order> {
        let (url, playlist_index) = url.map_or((self.url.as_str(), index), |own| (own, 1));
        let source = check_address(url, &app.rules.egress).map_err(|refusal| {
            // it was no client that sent what is none
            if refusal.is(Code::InvalidRequest) { ApiError::new(Code::UnsupportedUrl) } else { refusal }
        })?;
        let region = Some(self.region.clone());
        let request = DownloadRequest { url: url.to_owned(), playlist_index, region, ..options.clone() };
        Ok(Order { request, source })
    }

    /// Without what is not needed once all of it was submitted: each download knows its own address.
    #[must_use]
    pub fn sealed(mut self) -> Self {
        self.children.iter_mut().for_each(|child| child.url = None);
        self
    }

    /// Are its downloads those of this one?
    #[must_use]
    pub fn has_tickets_of(&self, other: &Self) -> bool {
        let tickets = |plan: &Self| plan.children.iter().map(|child| child.ticket).collect::<Vec<_>>();
        tickets(self) == tickets(other)
    }

    /// As it is kept.
    #[must_use]
    pub fn stored(&self) -> Vec<u8> {
        serde_json::to_vec(self).expect("a plan has only plain fields")
    }

    /// Reads what was kept.
    ///
    /// # Errors
    /// `internal`: this version can't.
    pub fn read(stored: &[u8]) -> ApiResult<Self> {
        serde_json::from_slice(stored).map_err(|error| ApiError::new(Code::Internal).because(&error))
    }
}

impl Refused {
    fn of(index: u32, title: Option<String>, refusal: ApiError) -> Self {
        Self { index, title, code: refusal.code().to_owned(), message: refusal.sentence().to_owned() }
    }
}

/// An entry that was asked for.
#[derive(Debug, PartialEq)]
struct Wanted {
    index: u32,
    title: Option<String>,
    url: Option<String>,
}

/// Those that were asked for. A medium is a list of itself.
fn entries(list: &List, order: &ListOrder, first: u32) -> Vec<Wanted> {
    if list.is_medium() {
        let itself = Wanted { index: 1, title: list.title.clone(), url: None };
        return order.entries.contains(&1).then_some(itself).into_iter().collect();
    }
    let numbered = (first..).zip(&list.entries).filter(|(index, _)| order.entries.contains(index));
    numbered
        .map(|(index, entry)| {
            let url = entry.url.clone().filter(|url| is_own(url, list, order));
            Wanted { index, title: entry.title.clone(), url }
        })
        .collect()
}

/// Does an address lead to one entry? That of the list leads to all, and so does one that several have: that of a page which
/// is elsewhere by now, and has many media on it.
fn is_own(url: &str, list: &List, order: &ListOrder) -> bool {
    let page = |url: &str| url.split('#').next().unwrap_or_default().to_owned();
    let is_lists = |url: &str| {
        let of_list = [Some(order.url.as_str()), Some(order.source.expose()), list.webpage_url.as_deref()];
        of_list.into_iter().flatten().any(|of_list| page(of_list) == page(url))
    };
    let same = list.entries.iter().filter(|entry| entry.url.as_deref().is_some_and(|other| other == url)).count();
    same == 1 && !is_lists(url)
}

/// A ticket as clients have it.
mod as_text {
    use haul_shared::ids::Ticket;
    use serde::{Deserialize as _, Deserializer, Serializer, de};

    pub(super) fn serialize<S: Serializer>(ticket: &Ticket, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(ticket)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Ticket, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use haul_shared::source::SourceUrl;

    use super::*;

    const LIST: &str = "https://a.example/list";

    fn list(entries: &[Option<&str>]) -> List {
        let entries: Vec<_> = entries.iter().map(|url| serde_json::json!({ "url": url })).collect();
        let found = serde_json::json!({ "webpage_url": "https://a.example/moved", "entries": entries, "formats": [] });
        serde_json::from_value(found).unwrap()
    }

    /// Numbers, and addresses of their own.
    fn wanted(list: &List, asked: std::ops::RangeInclusive<u32>, first: u32) -> Vec<(u32, Option<String>)> {
        let order = ListOrder {
            url: format!("{LIST}#there"),
            source: SourceUrl::read(LIST).unwrap(),
            entries: asked,
            is_range: false,
            options: DownloadRequest::of_url(String::new()),
        };
        entries(list, &order, first).into_iter().map(|entry| (entry.index, entry.url)).collect()
    }

    #[test]
    fn an_entry_is_known_by_its_own_address_or_by_its_number() {
        let own = "https://a.example/1";
        let of_page = "https://b.example/page";
        let list = list(&[
            Some(own),
            None,
            Some(LIST),
            Some("https://a.example/list#7"),
            Some("https://a.example/moved"),
            Some(of_page),
            Some(of_page),
        ]);
        let all = wanted(&list, 1..=100, 1);
        assert_eq!(all[0], (1, Some(own.to_owned())));
        assert!(all[1..].iter().all(|(_, url)| url.is_none()), "{all:?}");
        assert_eq!(all.iter().map(|(index, _)| *index).collect::<Vec<_>>(), [1, 2, 3, 4, 5, 6, 7]);
        assert_eq!(wanted(&list, 7..=7, 1), [(7, None)], "what it shares an address with is not asked for");
        assert_eq!(wanted(&list, 102..=103, 101), [(102, None), (103, None)]);
        assert_eq!(wanted(&list, 8..=9, 1), []);
    }

    #[test]
    fn a_plan_is_read_back_and_forgets_addresses_once_it_is_sealed() {
        let child = Child { index: 2, ticket: Ticket::new(), url: Some("https://a.example/1".to_owned()) };
        let refused = Refused { index: 1, title: None, code: "forbidden".into(), message: "No.".into() };
        let plan = Plan {
            url: LIST.to_owned(),
            title: Some("A list".to_owned()),
            region: "eu".parse().unwrap(),
            children: vec![child.clone()],
            refused: vec![refused],
        };
        assert_eq!(Plan::read(&plan.stored()).unwrap(), plan);
        let sealed = Plan::read(&plan.clone().sealed().stored()).unwrap();
        assert_eq!(sealed, Plan { children: vec![Child { url: None, ..child }], ..plan });
        assert!(Plan::read(b"{}").is_err());
    }
}
