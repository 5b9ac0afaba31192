//! Which region serves a client that names none: that of its place, if a trusted proxy says where it is.
//!
//! A network in front of us (a CDN, a load balancer) knows where its clients are and says so in a header of its own,
//! such as `CF-IPCountry: DE`. Anybody can send that header, so it is believed only from a trusted proxy, as addresses
//! are (`client_ip`). A place that nothing is said about, and an unreadable one, is no place: the API's own region serves it.

use std::collections::HashMap;

use axum::http::{HeaderMap, HeaderName};
use haul_shared::config::parse::{self, Parsed};
use haul_shared::config::{Reader, Regions, vars};
use haul_shared::ids::Region;

/// From what a proxy says of a client's place to a region.
#[derive(Debug, Clone, Default)]
pub struct Places {
    /// Where the proxy says it; `None`: nobody is asked.
    header: Option<HeaderName>,
    /// By place in lower case. A region is also the name of a place.
    served_by: HashMap<String, Region>,
}

impl Places {
    /// Reads `HAUL_REGION_HEADER` and `HAUL_REGION_MAP`, whose regions have to be of the deployment.
    pub fn read(reader: &mut Reader<'_>, regions: &Regions) -> Self {
        let header = reader.optional(&vars::REGION_HEADER, header_name);
        let pairs = reader.optional(&vars::REGION_MAP, parse::list(pair)).unwrap_or_default();
        let mut named: HashMap<String, Region> = HashMap::new();
        for (place, region) in pairs {
            if !regions.all.contains(&region) {
                reader.fault(&vars::REGION_MAP, format!("{region} (for {place}) is none of HAUL_REGIONS"));
            }
            if named.get(&place).is_some_and(|other| *other != region) {
                reader.fault(&vars::REGION_MAP, format!("{place} has two regions"));
            }
            named.insert(place, region);
        }
        let mut served_by: HashMap<_, _> =
            regions.all.iter().map(|region| (region.as_str().to_owned(), region.clone())).collect();
        served_by.extend(named);
        Self { header, served_by }
    }

    /// The region of a client, by the headers of a request that came from a trusted proxy.
    ///
    /// A proxy that adds its header instead of replacing it lets the client's own pass: of two that differ none is believed.
    #[must_use]
    pub fn region(&self, headers: &HeaderMap) -> Option<&Region> {
        let mut said = headers.get_all(self.header.as_ref()?).iter();
        let place = said.next()?;
        if said.any(|other| other != place) {
            return None;
        }
        self.served_by.get(&place.to_str().ok()?.trim().to_ascii_lowercase())
    }
}

fn header_name(text: &str) -> Parsed<HeaderName> {
    HeaderName::try_from(text).map_err(|_| "the name of an HTTP header".to_owned())
}

/// A place in lower case, and the region that serves it.
fn pair(text: &str) -> Parsed<(String, Region)> {
    let pair = text.split_once('=').map(|(place, region)| (place.trim().to_ascii_lowercase(), region.trim().parse()));
    match pair {
        Some((place, Ok(region))) if !place.is_empty() => Ok((place, region)),
        _ => Err("place=region pairs such as DE=eu".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use haul_shared::config::{Env, Process};

    use super::*;

    fn places(map: &str) -> Result<Places, String> {
        let pairs = [("HAUL_REGIONS", "eu,us"), ("HAUL_REGION", "us"), ("HAUL_REGION_HEADER", "CF-IPCountry")];
        let env = Env::of_pairs(pairs.into_iter().chain([("HAUL_REGION_MAP", map)]));
        let mut reader = Reader::new(&env, Process::Api);
        let regions = Regions::read(&mut reader);
        let places = Places::read(&mut reader, &regions);
        reader.finish(places).map_err(|faults| faults.to_string())
    }

    #[test]
    fn a_place_is_found_in_any_case_and_a_region_is_a_place() {
        let places = places("DE=eu, at = eu,US=us,eu=us").unwrap();
        let table: [(&[&str], Option<&str>); 11] = [
            (&["DE"], Some("eu")),
            (&["de"], Some("eu")),
            (&[" AT "], Some("eu")),
            (&["US"], Some("us")),
            // the map is asked first
            (&["EU"], Some("us")),
            (&["DE", "DE"], Some("eu")),
            (&["DE", "US"], None),
            (&["DE, US"], None),
            (&["XX"], None),
            (&[""], None),
            (&[], None),
        ];
        for (said, expected) in table {
            let mut headers = HeaderMap::new();
            for value in said {
                headers.append("cf-ipcountry", value.parse().unwrap());
            }
            assert_eq!(places.region(&headers).map(Region::as_str), expected, "{said:?}");
        }
    }

    #[test]
    fn a_place_is_served_by_one_region_of_the_deployment() {
        for (map, fault) in [
            ("DE=mars", "HAUL_REGION_MAP: mars (for de) is none of HAUL_REGIONS"),
            ("DE=eu,de=us", "HAUL_REGION_MAP: de has two regions"),
            ("DE", "HAUL_REGION_MAP: expected between commas place=region pairs"),
            ("=eu", "HAUL_REGION_MAP: expected between commas place=region pairs"),
            ("DE=EU!", "HAUL_REGION_MAP: expected between commas place=region pairs"),
        ] {
            let faults = places(map).unwrap_err();
            assert!(faults.contains(fault), "{map}: {faults}");
        }
    }
}
