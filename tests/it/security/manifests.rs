//! S07 to S09, S15: playlists, manifests and pages of a public site whose parts are inside.

use super::*;

const ENDS: &str = "#EXT-X-ENDLIST\n";

/// A playlist of HLS with this line where one of its parts is.
fn hls(line: &str) -> String {
    format!("#EXTM3U\n#EXT-X-VERSION:7\n#EXT-X-TARGETDURATION:2\n#EXT-X-PLAYLIST-TYPE:VOD\n{line}\n{ENDS}")
}

/// A manifest of DASH: its attributes, and what is in its one set.
fn dash(before: &str, set: &str) -> String {
    format!(
        "<?xml version=\"1.0\"?><MPD xmlns=\"urn:mpeg:dash:schema:mpd:2011\" xmlns:xlink=\"http://www.w3.org/1999/xlink\" \
         type=\"static\" mediaPresentationDuration=\"PT8S\" profiles=\"urn:mpeg:dash:profile:isoff-live:2011\">{before}\
         <Period><AdaptationSet mimeType=\"video/mp4\" contentType=\"video\">{set}</AdaptationSet></Period></MPD>"
    )
}

#[test]
fn no_part_of_a_playlist_or_manifest_is_fetched_from_inside() -> Result<()> {
    world::inside(async || {
        let world = World::open(&[]).await?;
        let _workers = world.worker_of_each_tier().await?;
        let mut files = Vec::new();
        for (at, inner) in inside_addresses(&world).iter().enumerate() {
            let segment = format!("{inner}/hls-ts/360p-0.ts");
            let representation =
                "<Representation id=\"1\" bandwidth=\"500000\" codecs=\"avc1.42c01e\" width=\"640\" height=\"360\">";
            let template = "<SegmentTemplate initialization=\"init-1.m4s\" media=\"seg-1-$Number$.m4s\" duration=\"2\" startNumber=\"1\"/>";
            let whole = format!("{representation}{template}</Representation>");
            files.extend([
                (format!("/{at}-segment.m3u8"), hls(&format!("#EXTINF:2,\n{segment}"))),
                (format!("/{at}-later.m3u8"), hls(&format!("#EXTINF:2,\n/hls-ts/360p-0.ts\n#EXTINF:2,\n{segment}"))),
                (format!("/{at}-range.m3u8"), hls(&format!("#EXTINF:2,\n#EXT-X-BYTERANGE:500@0\n{segment}"))),
                (format!("/{at}-key.m3u8"), hls(&format!("#EXT-X-KEY:METHOD=AES-128,URI=\"{inner}/hls-ts/360p-0.ts\"\n#EXTINF:2,\n/hls-ts/360p-0.ts"))),
                (format!("/{at}-map.m3u8"), hls(&format!("#EXT-X-MAP:URI=\"{inner}/hls-fmp4/init-360p.mp4\"\n#EXTINF:2,\n/hls-fmp4/360p-0.m4s"))),
                (format!("/{at}-variant.m3u8"), format!("#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=600000,RESOLUTION=640x360\n{inner}/hls-ts/360p.m3u8\n")),
                (
                    format!("/{at}-sound.m3u8"),
                    format!(
                        "#EXTM3U\n#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID=\"s\",NAME=\"s\",DEFAULT=YES,URI=\"{inner}/hls-fmp4/sound.m3u8\"\n\
                         #EXT-X-STREAM-INF:BANDWIDTH=600000,RESOLUTION=640x360,CODECS=\"avc1.42c01e,mp4a.40.2\",AUDIO=\"s\"\n/hls-fmp4/360p.m3u8\n"
                    ),
                ),
                (format!("/{at}-base.mpd"), dash(&format!("<BaseURL>{inner}/dash/</BaseURL>"), &whole)),
                (
                    format!("/{at}-init.mpd"),
                    dash("", &format!(
                        "{representation}<SegmentTemplate initialization=\"{inner}/dash/init-1.m4s\" media=\"/dash/seg-1-$Number$.m4s\" duration=\"2\" startNumber=\"1\"/></Representation>"
                    )),
                ),
                (
                    format!("/{at}-list.mpd"),
                    dash("", &format!(
                        "{representation}<SegmentList duration=\"8\"><Initialization sourceURL=\"/dash/init-1.m4s\"/><SegmentURL media=\"{inner}/dash/seg-1-1.m4s\"/></SegmentList></Representation>"
                    )),
                ),
            ]);
        }
        let mut orders = Vec::new();
        for (path, text) in files {
            world.house.origin.put(&path, text);
            orders.extend(in_each_tier(&world, &path, &json!({})).map(|order| (order, &["egress_denied"][..])));
        }
        let wrong = ended_so(&world, orders).await?;
        assert!(wrong.is_empty(), "{wrong:#?}");
        assert_eq!(world.house.stored(), 0);
        world.canary.is_silent()
    })
}

/// What nobody needs may be missing: the download is made without it, or refused, and nothing is sent.
#[test]
fn what_lies_beside_a_medium_is_not_fetched_from_inside() -> Result<()> {
    world::inside(async || {
        let world = World::open(&[]).await?;
        let worker = world.house.worker(&[("HAUL_SLOTS", "4")]).await?;
        let (mut orders, any) = (Vec::new(), &["completed"][..]);
        for (at, inner) in inside_addresses(&world).iter().enumerate() {
            let page = format!(
                "<!doctype html><title>A talk</title><video src=/progressive.mp4 poster=\"{inner}/poster.png\">\
                 <track kind=subtitles srclang=en src=\"{inner}/whole.vtt\"></video>"
            );
            world.house.origin.put(&format!("/{at}.html"), page);
            let url = world.url(&format!("/{at}.html"));
            orders.push((request(&url, json!({"embed_thumbnail": true})), any));
            orders.push((request(&url, json!({"format": "mkv"})), &["completed"]));
            let texts = json!({"subtitles": {"languages": ["en"], "mode": "sidecar"}});
            orders.push((request(&url, texts), any));

            let master = format!(
                "#EXTM3U\n#EXT-X-MEDIA:TYPE=SUBTITLES,GROUP-ID=\"t\",NAME=\"English\",LANGUAGE=\"en\",URI=\"{inner}/hls-ts/360p.m3u8\"\n\
                 #EXT-X-STREAM-INF:BANDWIDTH=600000,RESOLUTION=640x360,CODECS=\"avc1.42c01e,mp4a.40.2\",SUBTITLES=\"t\"\n/hls-ts/360p.m3u8\n"
            );
            world.house.origin.put(&format!("/{at}-texts.m3u8"), master);
            let url = world.url(&format!("/{at}-texts.m3u8"));
            orders.push((request(&url, json!({"subtitles": {"languages": ["en"], "mode": "embed"}})), any));
        }
        let wrong = ended_so(&world, std::mem::take(&mut orders)).await?;
        assert!(wrong.is_empty(), "{wrong:#?}");
        // it was asked for, of each of them
        let denied = world.house.metric(&worker, "haul_egress_denied_total").await?;
        assert!(denied >= inside_addresses(&world).len() as f64, "{denied}");

        // remote elements, also of a manifest that names itself
        for (path, target) in
            [("/xlink.mpd", "http://169.254.169.254/dash/manifest.mpd"), ("/circular.mpd", "/circular.mpd")]
        {
            let text = dash("", "").replace(
                "<AdaptationSet ",
                &format!("<AdaptationSet xlink:href=\"{target}\" xlink:actuate=\"onLoad\" "),
            );
            world.house.origin.put(path, text);
            orders.push((
                request(&world.url(path), json!({})),
                &["egress_denied", "unavailable", "unsupported_url", "extractor_error", "format_unavailable"],
            ));
        }
        let wrong = ended_so(&world, orders).await?;
        assert!(wrong.is_empty(), "{wrong:#?}");
        world.canary.is_silent()
    })
}

#[test]
fn addresses_of_other_protocols_in_a_page_or_playlist_open_no_socket() -> Result<()> {
    world::inside(async || {
        let world = World::open(&[]).await?;
        let _workers = world.worker_of_each_tier().await?;
        world.names.set("live.example.com", &["93.184.215.77".parse()?]);
        let mut orders = Vec::new();
        for host in ["live.example.com", "127.0.0.1"] {
            for scheme in ["rtmp", "rtsp", "tcp", "udp", "mms", "ftp"] {
                let page =
                    format!("<!doctype html><title>A talk</title><video src=\"{scheme}://{host}:8080/a.mp4\"></video>");
                world.house.origin.put(&format!("/{scheme}-{host}.html"), page);
                let list = hls(&format!("#EXTINF:2,\n{scheme}://{host}:8080/a.ts"));
                world.house.origin.put(&format!("/{scheme}-{host}.m3u8"), list);
                for end in ["html", "m3u8"] {
                    // yt-dlp would speak ftp, and asks its guard for it, which does not
                    let expected =
                        if scheme == "ftp" { &["unsupported_url"][..] } else { &["unsupported_url", "egress_denied"] };
                    let orders_of_it = in_each_tier(&world, &format!("/{scheme}-{host}.{end}"), &json!({}));
                    orders.extend(orders_of_it.map(|order| (order, expected)));
                }
            }
            let smil = format!(
                "<smil><head><meta base=\"rtmp://{host}/x\"/></head><body><video src=\"mp4:a\"/></body></smil>"
            );
            world.house.origin.answer(
                &format!("/{host}.smil"),
                200,
                &[(axum::http::header::CONTENT_TYPE, "application/smil+xml")],
                smil,
            );
            let orders_of_it = in_each_tier(&world, &format!("/{host}.smil"), &json!({}));
            orders.extend(orders_of_it.map(|order| (order, &["unsupported_url", "egress_denied"][..])));
        }
        let wrong = ended_so(&world, orders).await?;
        world.canary.is_silent()?;
        assert!(wrong.is_empty(), "{wrong:#?}");
        assert_eq!(world.canary.connections_to("93.184.215.77".parse()?)?, 0);
        world.canary.is_silent()
    })
}
