//! S06: a public site that sends its visitors inside, by every way that HTTP and HTML have for it.

use axum::http::header::{HeaderName, LOCATION, REFRESH};

use super::*;

#[test]
fn no_redirect_leads_inside_and_none_is_tried_again() -> Result<()> {
    world::inside(async || {
        let world = World::open(&[]).await?;
        let _workers = world.worker_of_each_tier().await?;
        let origin = &world.house.origin;
        let mut orders = Vec::new();
        let mut lead = |path: String, status: u16, headers: &[(HeaderName, &str)], body: String| {
            origin.answer(&path, status, headers, body);
            orders.extend(in_each_tier(&world, &path, &json!({})).map(|order| (order, &["egress_denied"][..])));
        };
        for (at, inner) in inside_addresses(&world).iter().enumerate() {
            let target = format!("{inner}/progressive.mp4");
            let status = [301, 302, 303, 307, 308][at % 5];
            // of a file, and of what only yt-dlp follows
            lead(format!("/{at}.mp4"), status, &[(LOCATION, &target)], String::new());
            lead(format!("/{at}.html"), status, &[(LOCATION, &target)], String::new());
        }
        let target = format!("http://{}/progressive.mp4", world::METADATA);
        for status in [301, 302, 303, 307, 308] {
            lead(format!("/status-{status}.mp4"), status, &[(LOCATION, &target)], String::new());
        }
        lead(
            "/refresh.html".to_owned(),
            200,
            &[(REFRESH, &format!("0; url={target}"))],
            "<title>Wait</title>".to_owned(),
        );
        let meta =
            format!("<!doctype html><title>Wait</title><meta http-equiv=\"refresh\" content=\"0; url={target}\">");
        lead("/meta.html".to_owned(), 200, &[(axum::http::header::CONTENT_TYPE, "text/html")], meta);
        let frame = format!("<!doctype html><title>Wait</title><video src=\"{target}\"></video>");
        lead("/video.html".to_owned(), 200, &[(axum::http::header::CONTENT_TYPE, "text/html")], frame);
        // two hops, the second of them by the first one's name
        lead("/again.mp4".to_owned(), 302, &[(LOCATION, "/status-302.mp4")], String::new());
        lead("/elsewhere.mp4".to_owned(), 302, &[(LOCATION, "//localhost/progressive.mp4")], String::new());
        let wrong = ended_so(&world, orders).await?;
        assert!(wrong.is_empty(), "{wrong:#?}");
        assert_eq!(world.house.stored(), 0);
        world.canary.is_silent()
    })
}
