//! What a job will take besides its bytes, as far as that is known before the first of them.

use std::time::Duration;

use super::download::Run;
use crate::part;
use crate::select::Selection;

/// Seconds for each second of sound, or of picture at 1080p, that is coded anew; measured on two processors.
const SOUND: f64 = 0.01;
const PICTURE: f64 = 1.5;

impl Run<'_> {
    /// Tells the job's progress what will be coded anew.
    pub(super) fn foresee(&self, selection: &Selection, seconds: Option<f64>) {
        let clip = self.spec.clip;
        let Some(plays) = part::seconds(clip, seconds) else { return };
        let sound = if selection.transcodes { SOUND } else { 0.0 };
        let is_cut_exactly = !self.spec.format.is_audio() && clip.is_some_and(part::may_be_coded_anew);
        let picture = if is_cut_exactly { PICTURE } else { 0.0 };
        let takes = Duration::try_from_secs_f64(plays * (sound + picture)).unwrap_or_default();
        if !takes.is_zero() {
            self.job.foresee_coding(takes);
        }
    }
}
