//! The store in a bucket: what is asked of it is tried right by right, and each refusal gets the remedy of its own.

use std::time::Duration;

use url::Url;

use super::redis::clock_is;
use super::{Check, Finding};
use crate::config::StorageConfig;
use crate::storage::{Deed, Refusal, Role, S3Store, Storage, Tried, UploadsRule};

/// For all calls, each of which has a limit of its own.
const WITHIN: Duration = Duration::from_secs(60);
const LIFECYCLE: &str = "store.lifecycle";

/// Whether the bucket is there and lets this process do what it has to.
pub(super) fn check(config: StorageConfig, role: Role, public_endpoint: Option<Url>, sweeps: bool) -> Check {
    let is_worker = matches!(role, Role::Worker);
    Check::new("store.bucket", WITHIN, async move {
        let store = match Storage::connect(&config, role).await {
            Ok(Storage::S3(store)) => store,
            Ok(Storage::Disk(_)) | Err(_) => return Vec::new(),
        };
        let (tried, off) = tokio::join!(store.try_out(), store.clock_off());
        let is_there = matches!(tried.get(1), Some((Deed::Bucket, Ok(()))));
        let are_listed = tried.contains(&(Deed::ListUploads, Ok(())));
        let subject = Subject { bucket: store.bucket(), is_worker, public_endpoint: public_endpoint.as_ref() };
        let mut findings: Vec<_> = tried.iter().map(|tried| subject.finding(tried)).collect();
        if is_worker && is_there {
            findings.push(lifecycle(&store, sweeps && are_listed).await);
        }
        findings.extend(off.map(|off| clock_is("clock.store", "the store", off)));
        findings
    })
}

struct Subject<'a> {
    bucket: &'a str,
    is_worker: bool,
    public_endpoint: Option<&'a Url>,
}

impl Subject<'_> {
    fn finding(&self, (deed, outcome): &Tried) -> Finding {
        let name = name(*deed);
        let refusal = match outcome {
            Ok(()) => return Finding::ok(name, self.done(*deed)),
            Err(refusal) => refusal,
        };
        let (found, remedy) = (self.refused(*deed, refusal), self.remedy(*deed, refusal));
        match (deed, refusal) {
            // what a worker does not do itself; and without a list, what was left behind stays
            (Deed::Get | Deed::Link, _) if self.is_worker => Finding::warn(name, found, remedy),
            (Deed::List | Deed::ListUploads | Deed::Abort, _) => Finding::warn(name, found, remedy),
            // clients may see more of the net than we do
            (Deed::Link, Refusal::Unreachable(_) | Refusal::Silent) if self.public_endpoint.is_some() => {
                Finding::warn(name, found, remedy)
            }
            _ => Finding::fail(name, found, remedy),
        }
    }

    fn done(&self, deed: Deed) -> String {
        let done = match deed {
            Deed::Credentials => "there are credentials",
            Deed::Bucket => return format!("the bucket {} answers", self.bucket),
            Deed::Put => "an object was stored",
            Deed::Head => "its size was told",
            Deed::Get => "objects can be read",
            Deed::Link => "a signed link was followed from here",
            Deed::List if !self.is_worker => "of an object that is missing it is told so",
            Deed::List => "objects can be listed",
            Deed::Multipart => "a part of an object was stored",
            Deed::Abort => "an object in parts was given up",
            Deed::ListUploads => "unfinished objects can be listed",
            Deed::Delete => "the object was removed again",
        };
        done.to_owned()
    }

    fn refused(&self, deed: Deed, refusal: &Refusal) -> String {
        let why = match refusal {
            Refusal::NoCredentials => return "no credentials are found".to_owned(),
            Refusal::Unreachable(why) => format!("the server cannot be reached: {why}"),
            Refusal::Silent => "no answer in time".to_owned(),
            Refusal::NoBucket => return format!("there is no bucket {}", self.bucket),
            Refusal::OtherRegion(Some(region)) => format!("the bucket is in the region {region}"),
            Refusal::OtherRegion(None) => "the bucket is in another region".to_owned(),
            Refusal::UnknownKey => "nobody has this access key".to_owned(),
            Refusal::Signature => "the signature is not the one expected".to_owned(),
            Refusal::Clock => "the clock of this machine is wrong".to_owned(),
            Refusal::Denied => "it is not allowed".to_owned(),
            Refusal::Full => "there is no room".to_owned(),
            Refusal::Unknown => "the server does not know such a call".to_owned(),
            Refusal::Other(said) => said.clone(),
        };
        let what = match deed {
            Deed::Credentials => "credentials cannot be had",
            Deed::Bucket => "the bucket does not answer",
            Deed::Put => "objects cannot be stored",
            Deed::Head => "the size of an object is not told",
            Deed::Get => "objects cannot be read",
            Deed::Link => "a signed link does not lead to its object",
            // then orders go on being given it
            Deed::List if !self.is_worker => "a result that is lost is not told from one that may not be read",
            Deed::List => "objects cannot be listed",
            Deed::Multipart => "large objects cannot be stored",
            Deed::Abort => "what was sent of a broken upload cannot be removed",
            Deed::ListUploads => "unfinished uploads cannot be listed",
            Deed::Delete => "objects cannot be removed",
        };
        format!("{what}: {why}")
    }

    fn remedy(&self, deed: Deed, refusal: &Refusal) -> String {
        let bucket = self.bucket;
        match refusal {
            Refusal::NoCredentials => {
                "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or give this machine a role of the provider".to_owned()
            }
            Refusal::Unreachable(_) | Refusal::Silent if deed == Deed::Link && self.public_endpoint.is_some() => {
                "set HAUL_S3_PUBLIC_ENDPOINT to an address that clients reach, and try a link from where they are".to_owned()
            }
            Refusal::Unreachable(_) | Refusal::Silent => {
                "set HAUL_S3_ENDPOINT to where the server answers: curl -sS -o /dev/null -w '%{http_code}' ENDPOINT; where HTTP_PROXY or HTTPS_PROXY is set, see that its proxy leads there, or name the server in NO_PROXY".to_owned()
            }
            Refusal::NoBucket => {
                format!("make it (aws s3 mb s3://{bucket}), set HAUL_S3_BUCKET to one that is there, or HAUL_S3_PATH_STYLE otherwise")
            }
            Refusal::OtherRegion(Some(region)) => format!("set HAUL_S3_REGION={region}"),
            Refusal::OtherRegion(None) => "set HAUL_S3_REGION to that of the bucket, HAUL_S3_ENDPOINT to its server".to_owned(),
            Refusal::UnknownKey => "set AWS_ACCESS_KEY_ID to one that the server knows".to_owned(),
            Refusal::Signature => {
                "set AWS_SECRET_ACCESS_KEY to the secret of the access key, and let no proxy change host or path of requests".to_owned()
            }
            Refusal::Clock => "let the clock be set by NTP: apt-get install chrony; chronyc tracking".to_owned(),
            // of what is not there yet, who may not list is told the same as who may not read
            Refusal::Denied if !self.is_worker && matches!(deed, Deed::Get | Deed::Link) => format!(
                "allow {}; where that is allowed and no worker has run yet, start one, or allow {}",
                right(deed, bucket),
                right(Deed::List, bucket)
            ),
            Refusal::Denied => format!("allow {}", right(deed, bucket)),
            Refusal::Full => "raise the quota of the bucket, or lower HAUL_RESULT_TTL".to_owned(),
            Refusal::Unknown => "use a server that knows it, or see whether a proxy in front of it forbids the call".to_owned(),
            Refusal::Other(_) => format!("see the log of the server; what is needed is {}", right(deed, bucket)),
        }
    }
}

/// The action of a policy, and on what.
fn right(deed: Deed, bucket: &str) -> String {
    let (action, place) = match deed {
        Deed::Credentials | Deed::Bucket | Deed::List => ("s3:ListBucket", ""),
        Deed::ListUploads => ("s3:ListBucketMultipartUploads", ""),
        Deed::Put | Deed::Multipart => ("s3:PutObject", "/m/*"),
        Deed::Head | Deed::Get | Deed::Link => ("s3:GetObject", "/m/*"),
        Deed::Abort => ("s3:AbortMultipartUpload", "/m/*"),
        Deed::Delete => ("s3:DeleteObject", "/m/*"),
    };
    format!("{action} on arn:aws:s3:::{bucket}{place}")
}

fn name(deed: Deed) -> &'static str {
    match deed {
        Deed::Credentials => "store.credentials",
        Deed::Bucket => "store.bucket",
        Deed::Put => "store.put",
        Deed::Head => "store.head",
        Deed::Get => "store.get",
        Deed::Link => "store.link",
        Deed::List => "store.list",
        Deed::Multipart => "store.multipart",
        Deed::Abort => "store.abort",
        Deed::ListUploads => "store.uploads",
        Deed::Delete => "store.delete",
    }
}

/// What a killed worker has sent of an object stays, and is paid for, until somebody removes it: the bucket by a rule, or a
/// worker that looks.
async fn lifecycle(store: &S3Store, workers_look: bool) -> Finding {
    let remedy = "let the bucket remove incomplete uploads after two days: a lifecycle rule with AbortIncompleteMultipartUpload, DaysAfterInitiation 2";
    match store.rule_for_uploads().await {
        UploadsRule::Days(days) => {
            Finding::ok(LIFECYCLE, format_args!("unfinished uploads are removed after {days} days"))
        }
        UploadsRule::Unknown if workers_look => {
            Finding::ok(LIFECYCLE, "the server has no such rules: workers remove unfinished uploads")
        }
        UploadsRule::None => Finding::warn(LIFECYCLE, "no rule that is enabled removes unfinished uploads", remedy),
        UploadsRule::Unknown => Finding::warn(
            LIFECYCLE,
            "the server has no rules for unfinished uploads, and no worker removes them",
            "set HAUL_ORPHAN_SWEEP=24h on a worker, and use a server that lists uploads",
        ),
        UploadsRule::Hidden => Finding::warn(
            LIFECYCLE,
            "whether a rule removes unfinished uploads cannot be read",
            format_args!(
                "allow s3:GetLifecycleConfiguration on arn:aws:s3:::{}; if there is no rule, {remedy}",
                store.bucket()
            ),
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::Status;

    #[test]
    fn each_right_that_is_missing_is_named() {
        let told = |is_worker, deed| {
            let subject = Subject { bucket: "media", is_worker, public_endpoint: None };
            let finding = subject.finding(&(deed, Err(Refusal::Denied)));
            format!("{} {} {}\n", finding.name, finding.status.word(), finding.remedy.unwrap_or_default())
        };
        let deeds = [
            Deed::Put,
            Deed::Head,
            Deed::Get,
            Deed::List,
            Deed::Multipart,
            Deed::Abort,
            Deed::ListUploads,
            Deed::Delete,
        ];
        let of_worker: String = deeds.into_iter().map(|deed| told(true, deed)).collect();
        expect_test::expect![[r#"
            store.put fail allow s3:PutObject on arn:aws:s3:::media/m/*
            store.head fail allow s3:GetObject on arn:aws:s3:::media/m/*
            store.get warn allow s3:GetObject on arn:aws:s3:::media/m/*
            store.list warn allow s3:ListBucket on arn:aws:s3:::media
            store.multipart fail allow s3:PutObject on arn:aws:s3:::media/m/*
            store.abort warn allow s3:AbortMultipartUpload on arn:aws:s3:::media/m/*
            store.uploads warn allow s3:ListBucketMultipartUploads on arn:aws:s3:::media
            store.delete fail allow s3:DeleteObject on arn:aws:s3:::media/m/*
        "#]]
        .assert_eq(&of_worker);
        // Fault: the right to read was asked for where it was there, and nothing yet to be read.
        let of_api: String = [Deed::Get, Deed::Link].into_iter().map(|deed| told(false, deed)).collect();
        expect_test::expect![[r#"
            store.get fail allow s3:GetObject on arn:aws:s3:::media/m/*; where that is allowed and no worker has run yet, start one, or allow s3:ListBucket on arn:aws:s3:::media
            store.link fail allow s3:GetObject on arn:aws:s3:::media/m/*; where that is allowed and no worker has run yet, start one, or allow s3:ListBucket on arn:aws:s3:::media
        "#]]
        .assert_eq(&of_api);
    }

    #[test]
    fn a_public_endpoint_may_be_out_of_reach_from_here_but_not_refuse_a_link() {
        let endpoint: Url = "https://media.example".parse().unwrap();
        let subject = Subject { bucket: "media", is_worker: false, public_endpoint: Some(&endpoint) };
        let status = |refusal| subject.finding(&(Deed::Link, Err(refusal))).status;
        assert_eq!([status(Refusal::Silent), status(Refusal::Denied)], [Status::Warn, Status::Fail]);
    }
}
