//! One result, and what lies beside it, in the folder that was asked for.

use std::path::{Path, PathBuf};

use reqwest::Method;
use sha2::{Digest as _, Sha256};

use super::fetch::{Fetch, Way};
use super::part::Part;
use super::place::Place;
use super::{Trip, blocking};
use crate::error::Error;
use crate::name;
use crate::patience::Patience;
use crate::screen::Row;
use crate::wire::{Artifact, Digest, Job};

/// Saves the result of a job, unless the folder has it already, and says where it is.
///
/// # Errors
/// When it can't be fetched, is not what was promised, or can't be written.
pub async fn save(
    trip: Trip<'_>,
    job: &Job,
    result: &Artifact,
    patience: &mut Patience,
    row: &mut Row<'_>,
) -> Result<PathBuf, Error> {
    let saving = trip.saving;
    let name = saving.name.clone().unwrap_or_else(|| name::safe(&result.filename));
    let place = Place::new(&saving.dir, name, saving.force);
    let turn = trip.turns.take(&place, &result.sha256).await;
    let path = match held(&place, result.size_bytes, &result.sha256).await? {
        Some(path) => {
            trip.screen.note(&format!("{} is there already", path.display()));
            path
        }
        None => {
            let mut part = Part::open(&place, result.size_bytes, &result.sha256).await?;
            let way = if saving.via_api { Way::Api } else { Way::Link };
            let fetch = Fetch { client: trip.client, screen: trip.screen, job: job.id, result, way, validator: None };
            fetch.all(&mut part, patience, row).await?;
            part.finish(place).await?
        }
    };
    drop(turn);
    save_subtitles(trip, job, result, &path, patience).await?;
    // in the folder where the command was typed a name says enough
    Ok(path.strip_prefix(".").map_or_else(|_| path.clone(), Path::to_owned))
}

/// Can files be written to the folder? Asked before anything is ordered that would have no place. Makes the folder.
///
/// # Errors
/// When they can't.
pub async fn prepare(dir: &Path) -> Result<(), Error> {
    let dir = dir.to_owned();
    blocking(move || {
        let tried = std::fs::create_dir_all(&dir).and_then(|()| tempfile::tempfile_in(&dir));
        tried.map(drop).map_err(|error| Error::file(&dir, error))
    })
    .await
}

/// Subtitles that lie beside the result go beside the file.
async fn save_subtitles(
    trip: Trip<'_>,
    job: &Job,
    result: &Artifact,
    path: &Path,
    patience: &mut Patience,
) -> Result<(), Error> {
    let of_file = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    for subtitles in result.subtitles.iter().flatten().filter(|it| it.link.is_some()) {
        let Some(language) = &subtitles.language else { continue };
        let route = ["downloads", &job.id.to_string(), "subtitles", language];
        let text = patience.insist(async || trip.client.call(Method::GET, &route).send().await).await?;
        let place = Place::new(&trip.saving.dir, name::beside(of_file, language), trip.saving.force);
        let (size_bytes, digest) = (text.bytes().len() as u64, Digest::of(Sha256::new_with_prefix(text.bytes())));
        let _turn = trip.turns.take(&place, &digest).await;
        if held(&place, size_bytes, &digest).await?.is_some() {
            continue;
        }
        let mut part = Part::open(&place, size_bytes, &digest).await?;
        part.restart().await?;
        part.add(text.bytes()).await?;
        let path = part.finish(place).await?;
        trip.screen.note(&format!("subtitles: {}", path.display()));
    }
    Ok(())
}

async fn held(place: &Place, size_bytes: u64, digest: &Digest) -> Result<Option<PathBuf>, Error> {
    let (place, digest) = (place.clone(), digest.clone());
    blocking(move || place.holds(size_bytes, &digest)).await
}
