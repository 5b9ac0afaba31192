//! The picture that metadata names, made small by a worker: from the cache, or once it is made.
//!
//! It is asked for by the address of the medium and with the caller's cookies, as the metadata are, and so it is shown to
//! nobody who may not see those. Whoever waits in vain has not waited for nothing: it goes on being made, for the next time.
//!
//! Not here: how a picture is fetched and made (the worker), how long it is kept (`shared::metadata`).

use std::time::Duration;

use haul_shared::job::{JobSpec, PictureSpec};
use haul_shared::metadata::{KeptPicture, Look};
use haul_shared::source::SourceUrl;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use super::{MetadataService, Recalled};
use crate::auth::Caller;
use crate::error::{ApiError, ApiResult, Code};
use crate::shares::Share;

/// Of one answer.
const LONGEST_WAIT: Duration = Duration::from_secs(10);
/// For whoever has waited in vain.
const ASK_AGAIN: Duration = Duration::from_secs(2);

impl MetadataService {
    /// The picture of an address, if somebody has made it, or tried to.
    ///
    /// # Errors
    /// `service_unavailable`.
    pub async fn kept_picture(&self, what: &Look) -> ApiResult<Option<KeptPicture>> {
        Ok(self.redis.picture(what).await?)
    }

    /// Is anything known of an address, so that its picture takes no look?
    pub async fn is_known(&self, what: &Look) -> bool {
        self.recall(what).await.is_some()
    }

    /// A place to have a picture made.
    ///
    /// # Errors
    /// `not_ready`: as many are being made, for this caller or for all together, as may be at once.
    pub fn place_for_picture(&self, caller: &Caller) -> ApiResult<Share> {
        self.making.take(&caller.client).map_err(|_| not_ready("Too many pictures are being made."))
    }

    /// Has a worker make the picture of an address, and waits for it.
    ///
    /// # Errors
    /// Why nothing is known of the address; `not_found`: it has no picture; `not_ready`: it does not come in time, or the
    /// API stops.
    pub async fn make_picture(
        &self,
        what: &Look,
        caller: &Caller,
        place: Share,
        shutdown: &CancellationToken,
    ) -> ApiResult<KeptPicture> {
        let late = || not_ready("The picture is still being made.");
        let (service, what, caller, stop) = (self.clone(), what.clone(), caller.clone(), shutdown.clone());
        let making = self.tasks.spawn(async move {
            let _place = place;
            stop.run_until_cancelled(service.picture_made(&what, &caller)).await
        });
        match timeout(LONGEST_WAIT, making).await {
            Ok(Ok(Some(made))) => made?.ok_or_else(late),
            Ok(Ok(None)) | Err(_) => Err(late()),
            Ok(Err(panic)) => Err(ApiError::new(Code::Internal).because(&panic)),
        }
    }

    /// `None`: it was made, and is not kept, for what was known of its address is not known any more.
    async fn picture_made(&self, what: &Look, caller: &Caller) -> ApiResult<Option<KeptPicture>> {
        let url = self.named_picture(what, caller).await?.ok_or_else(|| ApiError::new(Code::NotFound))?;
        let order = PictureSpec { url, medium: what.url.clone(), cookies: what.cookies.clone() };
        self.done(JobSpec::Picture(order), &caller.region, caller).await?;
        let kept = self.kept_picture(what).await?;
        if kept.is_none() {
            // or it would be made in vain again, for as long as memory is believed
            self.memory.invalidate(what).await;
        }
        Ok(kept)
    }

    /// Which picture the metadata name.
    async fn named_picture(&self, what: &Look, caller: &Caller) -> ApiResult<Option<SourceUrl>> {
        match self.recall(what).await {
            Some(Recalled::Found(known)) => Ok(known.picture),
            Some(Recalled::Refused(refusal, _)) => Err(refusal),
            None => Ok(self.looked(what, caller).await?.picture),
        }
    }
}

fn not_ready(why: &'static str) -> ApiError {
    ApiError::new(Code::NotReady).detail(why).retry_after(ASK_AGAIN)
}
