//! What a bucket does by itself with uploads that nobody finished.

use aws_sdk_s3::error::ProvideErrorMetadata as _;
use aws_sdk_s3::types::{AbortIncompleteMultipartUpload, ExpirationStatus, LifecycleRule};
use tokio::time::timeout;

use super::S3Store;
use super::pages::OURS;
use super::trial::{ANSWERED_WITHIN, Refusal, refusal};

/// The rule of a bucket for objects in parts that nobody finished.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UploadsRule {
    /// They are removed after so many days.
    Days(i32),
    /// They stay.
    None,
    /// Nobody tells us.
    Hidden,
    /// The server has no such rules.
    Unknown,
}

impl S3Store {
    /// What becomes of objects in parts that nobody finished.
    pub async fn rule_for_uploads(&self) -> UploadsRule {
        let asked = self.client.get_bucket_lifecycle_configuration().bucket(&self.bucket);
        match timeout(ANSWERED_WITHIN, asked.send()).await {
            Ok(Ok(rules)) => in_force(rules.rules()),
            Ok(Err(error)) if error.code() == Some("NoSuchLifecycleConfiguration") => UploadsRule::None,
            Ok(Err(error)) if refusal(&error) == Refusal::Unknown => UploadsRule::Unknown,
            Ok(Err(_)) | Err(_) => UploadsRule::Hidden,
        }
    }
}

/// Of a bucket's rules, what becomes of uploads of ours. One that is switched off, or for other names, does nothing to them.
fn in_force(rules: &[LifecycleRule]) -> UploadsRule {
    let ours = rules.iter().filter(|rule| rule.status == ExpirationStatus::Enabled && is_for_all_of_ours(rule));
    let aborts = ours.filter_map(LifecycleRule::abort_incomplete_multipart_upload);
    let days = aborts.filter_map(AbortIncompleteMultipartUpload::days_after_initiation);
    days.min().map_or(UploadsRule::None, UploadsRule::Days)
}

#[expect(deprecated, reason = "rules that were made before there were filters hold all the same")]
fn is_for_all_of_ours(rule: &LifecycleRule) -> bool {
    let Some(filter) = rule.filter() else { return OURS.starts_with(rule.prefix().unwrap_or_default()) };
    let by_size = [filter.object_size_greater_than(), filter.object_size_less_than()];
    let is_by_name_alone = filter.tag().is_none() && filter.and().is_none() && by_size == [None; 2];
    is_by_name_alone && OURS.starts_with(filter.prefix().unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use aws_sdk_s3::types::LifecycleRuleFilter;
    use aws_sdk_s3::types::builders::LifecycleRuleBuilder;

    use super::*;

    #[test]
    #[expect(deprecated, reason = "rules that were made before there were filters hold all the same")]
    fn a_rule_that_is_switched_off_or_for_other_names_removes_nothing_of_ours() {
        let rule = |days| {
            let abort = AbortIncompleteMultipartUpload::builder().days_after_initiation(days).build();
            LifecycleRule::builder().status(ExpirationStatus::Enabled).abort_incomplete_multipart_upload(abort)
        };
        let filter = LifecycleRuleFilter::builder;
        let told = |rule: LifecycleRuleBuilder| in_force(&[rule.build().unwrap()]);
        for (rule, told_of) in [
            (rule(2), UploadsRule::Days(2)),
            (rule(2).filter(filter().build()), UploadsRule::Days(2)),
            (rule(2).filter(filter().prefix("m/").build()), UploadsRule::Days(2)),
            (rule(2).prefix("m"), UploadsRule::Days(2)),
            (rule(2).status(ExpirationStatus::Disabled), UploadsRule::None),
            (rule(2).prefix("logs/"), UploadsRule::None),
            (rule(2).filter(filter().prefix("logs/").build()), UploadsRule::None),
            (rule(2).filter(filter().prefix("m/0").build()), UploadsRule::None),
            (rule(2).filter(filter().object_size_greater_than(1).build()), UploadsRule::None),
            (LifecycleRule::builder().status(ExpirationStatus::Enabled), UploadsRule::None),
        ] {
            assert_eq!(told(rule.clone()), told_of, "{rule:?}");
        }
        let rules = [rule(7), rule(3), rule(1).status(ExpirationStatus::Disabled)].map(|rule| rule.build().unwrap());
        assert_eq!(in_force(&rules), UploadsRule::Days(3));
    }
}
