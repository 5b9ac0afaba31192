//! S14, S17: what a machine and its Redis say behind the operator's back.

use super::*;

#[test]
fn no_proxy_of_the_machine_is_used_or_passed_on() -> Result<()> {
    world::inside(async || {
        let world = World::open(&[]).await?;
        let proxy = format!("http://{}:3128", world::METADATA);
        let names = ["http_proxy", "https_proxy", "all_proxy", "ftp_proxy", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"];
        let mut hostile: Vec<(&str, &str)> = names.iter().map(|name| (*name, proxy.as_str())).collect();
        hostile.extend([("no_proxy", "*"), ("NO_PROXY", "*"), ("PYTHONPATH", "/tmp"), ("LD_PRELOAD", "")]);
        let target = format!("http://{}/progressive.mp4", world::METADATA);
        world.house.origin.answer("/inside.html", 302, &[(axum::http::header::LOCATION, &target)], "");
        for (warm, tier) in [("1", "a"), ("0", "a"), ("1", "b"), ("0", "b")] {
            hostile.extend([("HAUL_WARM_EXTRACTORS", warm), ("HAUL_SANDBOX", tier)]);
            let _worker = world.house.worker(&hostile).await?;
            // a file, segments, and what only yt-dlp fetches; each with words of its own, or it would be done already
            let of = |path: &str| world.url(&format!("{path}?{tier}{warm}"));
            let wrong = ended_so(
                &world,
                vec![
                    (request(&of("/progressive.mp4"), json!({})), &["completed"][..]),
                    (request(&of("/hls-ts/master.m3u8"), json!({})), &["completed"]),
                    (request(&of("/page.html"), json!({})), &["unsupported_url"]),
                    (request(&of("/inside.html"), json!({})), &["egress_denied"]),
                ],
            )
            .await?;
            assert!(wrong.is_empty(), "{wrong:#?}");
        }
        world.canary.is_silent()
    })
}

/// Metadata is kept for display. Should somebody write there, no program is told of it.
#[test]
fn what_is_kept_in_redis_is_shown_and_never_fetched() -> Result<()> {
    world::inside(async || {
        let world = World::open(&[]).await?;
        let _worker = world.house.worker(&[]).await?;
        let url = world.url("/hls-ts/master.m3u8");
        let asked = json!({ "url": url });
        let look = async || world.house.ask(Method::POST, "/api/v1/metadata", &asked).await;
        assert_eq!(look().await?.status, 200);
        let mut redis = world.redis().await?;
        let keys: Vec<String> = ::redis::cmd("KEYS").arg("*").query_async(&mut redis).await?;
        let inside = format!("http://{}", world::METADATA);
        let forged = json!({"_type": "video", "id": "1", "url": format!("{inside}/progressive.mp4"), "protocol": "rtmp_ffmpeg",
            "http_headers": {"Ytdl-Request-Proxy": "__noproxy__"}, "formats": [{"format_id": "0", "url": "file:///etc/passwd", "protocol": "m3u8"}]});
        let mut changed = 0;
        for key in keys {
            let kind: String = ::redis::cmd("TYPE").arg(&key).query_async(&mut redis).await?;
            let life: i64 = ::redis::cmd("PTTL").arg(&key).query_async(&mut redis).await?;
            if kind == "string" && life > 60_000 {
                let set = ::redis::cmd("SET").arg(&key).arg(forged.to_string()).arg("KEEPTTL").to_owned();
                set.query_async::<()>(&mut redis).await?;
                changed += 1;
            }
        }
        assert!(changed > 0, "nothing is kept");
        let job = world.house.order(&request(&url, json!({}))).await?;
        assert_eq!(world.house.outcome(&job).await?, "completed");
        let shown = look().await?;
        assert!(!String::from_utf8_lossy(&shown.body).contains("passwd"), "{}", shown.json());
        world.canary.is_silent()
    })
}
