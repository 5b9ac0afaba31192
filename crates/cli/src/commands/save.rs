//! `haul save`: the results of jobs that exist, of this program or another.

use clap::Args;
use uuid::Uuid;

use super::get::carry_out;
use crate::client::Client;
use crate::download::part::Turns;
use crate::download::{Order, Saving, Trip};
use crate::error::{Error, Exit};
use crate::options::Options;
use crate::screen::Screen;

/// Which results, and where they go.
#[derive(Debug, Args)]
pub struct Save {
    /// The ids of downloads
    #[arg(value_name = "ID", required = true)]
    pub ids: Vec<Uuid>,
    /// Where the files go.
    #[command(flatten)]
    pub saving: Saving,
}

/// Waits for what is not finished, and saves all.
///
/// # Errors
/// When nothing can be saved; what becomes of each is told, and in the exit code.
pub async fn run(client: &Client, screen: &Screen, save: &Save) -> Result<Exit, Error> {
    let orders = save.ids.iter().copied().map(Order::Known).collect();
    let (options, saving, turns) = (&Options::default(), &save.saving, &Turns::default());
    carry_out(Trip { client, screen, options, saving, turns, waits: true }, orders).await
}
