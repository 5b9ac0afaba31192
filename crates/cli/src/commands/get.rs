//! `haul get`: orders, follows and saves.

use std::collections::HashSet;
use std::io::Read as _;

use clap::Args;
use uuid::Uuid;

use crate::client::Client;
use crate::download::part::Turns;
use crate::download::save::prepare;
use crate::download::{Order, Saving, Trip};
use crate::error::{Error, Exit};
use crate::name;
use crate::options::Options;
use crate::screen::Screen;

/// Bytes of a list of addresses.
const LARGEST_LIST: u64 = 4 << 20;

/// What to order, and what to do with it.
#[derive(Debug, Args)]
pub struct Get {
    /// Addresses of what to download; - reads them from the standard input, one in each line
    #[arg(value_name = "URL", required_unless_present = "resume")]
    pub urls: Vec<String>,
    /// Go on with a download that was ordered before
    #[arg(long, value_name = "ID")]
    pub resume: Vec<Uuid>,
    /// Wait for nothing: order, and print the ids
    #[arg(long, overrides_with = "wait")]
    pub no_wait: bool,
    /// Wait for the results and save them, as is done anyway
    #[arg(long)]
    pub wait: bool,
    /// What to make of each.
    #[command(flatten)]
    pub options: Options,
    /// Where the files go.
    #[command(flatten)]
    pub saving: Saving,
}

/// Orders all, follows them, and saves what comes.
///
/// # Errors
/// When nothing can be ordered; what becomes of each order is told, and in the exit code.
pub async fn run(client: &Client, screen: &Screen, get: &Get) -> Result<Exit, Error> {
    let mut orders: Vec<Order> = get.resume.iter().copied().map(Order::Known).collect();
    for url in &get.urls {
        let urls = if url == "-" { listed(&read_list()?) } else { vec![url.clone()] };
        orders.extend(urls.into_iter().map(Order::New));
    }
    let (options, saving, turns) = (&get.options, &get.saving, &Turns::default());
    carry_out(Trip { client, screen, options, saving, turns, waits: !get.no_wait }, orders).await
}

/// Carries orders out once it is sure that they can be.
///
/// # Errors
/// When there are none, or they have no place.
pub(super) async fn carry_out(trip: Trip<'_>, mut orders: Vec<Order>) -> Result<Exit, Error> {
    // the same words twice would be one download, told twice
    let mut seen = HashSet::new();
    orders.retain(|order| seen.insert(order.clone()));
    let wrong = |what: &str| Err(Error::Usage(what.to_owned()));
    match &trip.saving.name {
        _ if orders.is_empty() => return wrong("there is nothing to get"),
        Some(_) if orders.len() > 1 => return wrong("--name is for one download; --filename is for all"),
        Some(name) if name::safe(name) != *name => {
            return wrong(&format!("--name {name:?} is no name of a file; --output says in which folder"));
        }
        _ => {}
    }
    if trip.waits {
        prepare(&trip.saving.dir).await?;
    }
    trip.all(orders).await
}

fn read_list() -> Result<String, Error> {
    let mut text = String::new();
    let read = std::io::stdin().lock().take(LARGEST_LIST).read_to_string(&mut text);
    read.map_err(|source| Error::File { what: "can't read the standard input".to_owned(), source })?;
    Ok(text)
}

/// The addresses in a list: lines that are neither empty nor a comment.
fn listed(text: &str) -> Vec<String> {
    let lines = text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
    lines.map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_has_an_address_in_each_line_and_may_say_why() {
        let list = "# talks\nhttps://a.example/1\r\n\n  https://a.example/2#t=5 \n";
        assert_eq!(listed(list), ["https://a.example/1", "https://a.example/2#t=5"]);
    }
}
