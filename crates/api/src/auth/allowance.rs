//! What a key may order: the formats and sites that its entry names.
//!
//! It is the address of an order that is judged, not where its site leads to: media lie on other hosts than their pages.
//! Not here: how much it may order (`store` counts), what everybody may not reach (`shared::egress`).

use haul_shared::media::Format;
use haul_shared::site::SiteName;
use haul_shared::source::SourceUrl;

use crate::error::{ApiError, ApiResult, Code, Fault};

/// What may be ordered; `None` is everything.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Allowance {
    /// What results may be.
    pub formats: Option<Vec<Format>>,
    /// Of which sites, and what is below them.
    pub sites: Option<Vec<SiteName>>,
}

impl Allowance {
    /// May a download of this address be ordered in this format?
    ///
    /// # Errors
    /// `forbidden`, with everything that is.
    pub fn permits(&self, source: &SourceUrl, format: Format) -> ApiResult<()> {
        let faults = [self.site_fault(source), self.format_fault("/format", format)];
        none_of(faults.into_iter().flatten().collect())
    }

    /// May a playlist be ordered, in this format? Each of its entries is judged by itself.
    ///
    /// # Errors
    /// `forbidden`, with everything that is.
    pub fn permits_list(&self, list: &SourceUrl, format: Format) -> ApiResult<()> {
        let faults = [self.site_fault(list), self.format_fault("/options/format", format)];
        none_of(faults.into_iter().flatten().collect())
    }

    /// May this address be looked at?
    ///
    /// # Errors
    /// `forbidden`.
    pub fn permits_site(&self, source: &SourceUrl) -> ApiResult<()> {
        none_of(self.site_fault(source).into_iter().collect())
    }

    fn site_fault(&self, source: &SourceUrl) -> Option<Fault> {
        let sites = self.sites.as_ref()?;
        let is_one = sites.iter().any(|site| site.covers(&source.host()));
        (!is_one).then(|| Fault::new("/url", "is of a site that this API key may not fetch from"))
    }

    fn format_fault(&self, pointer: &'static str, format: Format) -> Option<Fault> {
        let formats = self.formats.as_ref()?;
        let words = || formats.iter().map(|format| format.word()).collect::<Vec<_>>().join(", ");
        let what = || format!("is {}, and this API key may order only {}", format.word(), words());
        (!formats.contains(&format)).then(|| Fault::new(pointer, what()))
    }
}

fn none_of(faults: Vec<Fault>) -> ApiResult<()> {
    if faults.is_empty() {
        return Ok(());
    }
    let told: Vec<String> = faults.iter().map(|fault| format!("{} {}", &fault.pointer[1..], fault.detail)).collect();
    let detail = format!("Not allowed to this API key: {}.", told.join("; "));
    Err(ApiError::new(Code::Forbidden).detail(detail).faults(faults))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_may_order_what_its_entry_names_and_anything_where_it_names_nothing() {
        let source = |url: &str| SourceUrl::read(url).unwrap();
        let anything = Allowance::default();
        anything.permits(&source("http://127.0.0.1/"), Format::Mp4).unwrap();
        let some = Allowance {
            formats: Some(vec![Format::Mp3, Format::Original]),
            sites: Some(vec!["video.example".parse().unwrap(), "192.0.2.1".parse().unwrap()]),
        };
        for (url, format, refused) in [
            ("https://video.example/1", Format::Mp3, ""),
            ("https://a.b.VIDEO.example:8443/1", Format::Original, ""),
            ("http://192.0.2.1/", Format::Mp3, ""),
            ("https://video.example/1", Format::Mp4, " /format"),
            ("https://evilvideo.example/1", Format::Mp3, " /url"),
            ("https://video.example./1", Format::Mp3, " /url"),
            ("http://[2001:db8::1]/", Format::M4a, " /url /format"),
        ] {
            let told = some.permits(&source(url), format).err().map_or_else(String::new, |error| error.summary());
            assert_eq!(told.trim_start_matches("forbidden"), refused, "{url} {format:?}");
            assert_eq!(some.permits_site(&source(url)).is_err(), refused.contains("/url"), "{url}");
        }
    }
}
