//! What an answer of S3 means for the caller; by its code and status, never by its text.

use std::error::Error;

use aws_sdk_s3::config::http::HttpResponse;
use aws_sdk_s3::error::{ProvideErrorMetadata, SdkError};

use crate::storage::StorageError;

/// The object is not there. A missing bucket is another thing.
pub(super) fn is_absent<E: ProvideErrorMetadata>(error: &SdkError<E, HttpResponse>) -> bool {
    matches!(error.code(), Some("NoSuchKey" | "NotFound"))
}

pub(super) fn told<E>(error: SdkError<E, HttpResponse>) -> StorageError
where
    E: ProvideErrorMetadata + Error + Send + Sync + 'static,
{
    let status = error.raw_response().map(|answer| answer.status().as_u16());
    if let SdkError::ConstructionFailure(_) = error {
        return refuse(error);
    }
    match (error.code(), status) {
        (Some("NoSuchKey" | "NotFound"), _) => StorageError::NotFound,
        (Some("InvalidRange"), _) | (_, Some(416)) => StorageError::RangeOutside,
        (Some("QuotaExceeded" | "XMinioStorageFull"), _) | (_, Some(507)) => StorageError::Full,
        // a client error in status only: the body was sent too slowly, the upload was ended by someone else
        (Some("RequestTimeout" | "NoSuchUpload"), _) | (_, Some(408 | 409 | 429)) => {
            StorageError::Unavailable(error.into())
        }
        (_, Some(300..=499)) => refuse(error),
        _ => StorageError::Unavailable(error.into()),
    }
}

pub(super) fn refuse(error: impl Error + Send + Sync + 'static) -> StorageError {
    StorageError::Refused(error.into())
}
