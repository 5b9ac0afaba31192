//! S18, S19: media that are something else, and name a file of the machine.

use std::path::Path;

use super::*;

/// A film of another client, where the worker could read it, by every name that a player would take.
fn victims(folder: &Path) -> Result<Vec<std::path::PathBuf>> {
    std::fs::create_dir_all(folder)?;
    let copy = |name: &str| {
        let path = folder.join(name);
        std::fs::copy(media::file(if name.ends_with(".ts") { "progressive.ts" } else { "progressive.mp4" }), &path)?;
        anyhow::Ok(path)
    };
    ["1.ts", "media.mp4", "key.ts"].into_iter().map(copy).collect()
}

/// What poses as a medium: the end of its name, and its bytes, which name this file.
fn poses(victim: &Path) -> Vec<(&'static str, Vec<u8>)> {
    let file = victim.display();
    let playlist = format!("#EXTM3U\n#EXT-X-TARGETDURATION:8\n#EXTINF:8,\n{file}\n#EXT-X-ENDLIST\n");
    let texts = [
        ("playlist", playlist.clone()),
        ("playlist-by-url", playlist.replace(&file.to_string(), &format!("file://{file}"))),
        (
            "key",
            format!(
                "#EXTM3U\n#EXT-X-TARGETDURATION:8\n#EXT-X-KEY:METHOD=AES-128,URI=\"{file}\"\n#EXTINF:8,\n{file}\n#EXT-X-ENDLIST\n"
            ),
        ),
        ("concat", format!("ffconcat version 1.0\nfile '{file}'\nfile 'media.mp4'\nfile '1.mp4'\n")),
        (
            "manifest",
            format!(
                "<?xml version=\"1.0\"?><MPD xmlns=\"urn:mpeg:dash:schema:mpd:2011\" type=\"static\" mediaPresentationDuration=\"PT8S\"><Period>\
                 <AdaptationSet mimeType=\"video/mp4\"><Representation id=\"1\" bandwidth=\"1\"><BaseURL>{file}</BaseURL></Representation></AdaptationSet></Period></MPD>"
            ),
        ),
        (
            "session",
            format!(
                "v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nt=0 0\nm=video 9200 RTP/AVP 96\na=control:{file}\n"
            ),
        ),
        (
            "drawing",
            format!(
                "<svg xmlns=\"http://www.w3.org/2000/svg\" xmlns:xlink=\"http://www.w3.org/1999/xlink\"><image xlink:href=\"file://{file}\" width=\"9\" height=\"9\"/></svg>"
            ),
        ),
    ];
    let texts = texts.into_iter().map(|(kind, text)| (kind, text.into_bytes()));
    texts.chain([("subtitles", media::avi_with_subtitles(playlist.as_bytes()))]).collect()
}

#[test]
fn nothing_that_poses_as_a_medium_brings_a_file_of_the_machine_out() -> Result<()> {
    world::inside(async || {
        let world = World::open(&[]).await?;
        let _workers = world.worker_of_each_tier().await?;
        let objects = world.house.objects();
        let data = objects.ancestors().nth(2).context("a data directory")?;
        // as another job's scratch, and where anybody may read
        let elsewhere = tempfile::tempdir()?;
        let mut all = victims(&data.join("work/another-job"))?;
        all.extend(victims(elsewhere.path())?);
        let refused = &[
            "invalid_media",
            "unsupported_url",
            "corrupt_media",
            "egress_denied",
            "unavailable",
            "format_unavailable",
        ][..];
        let mut orders = Vec::new();
        for (at, victim) in all.iter().enumerate() {
            for (kind, body) in poses(victim) {
                // as a file by its name, and as what a page says that it is
                let path = format!("/{at}-{kind}.mp4");
                world.house.origin.put(&path, body);
                let url = world.url(&path);
                // each in both tiers, with a film of each folder
                for (more, format) in ["mp4", "mkv", "mp3", "original"].into_iter().enumerate() {
                    orders.push((in_tier(request(&url, json!({ "format": format })), at + more), refused));
                }
                let page = format!("<!doctype html><title>A talk</title><video src=\"{path}\"></video>");
                world.house.origin.put(&format!("/{at}-{kind}.html"), page);
                let order = request(&world.url(&format!("/{at}-{kind}.html")), json!({"format": "webm"}));
                orders.push((in_tier(order, at), refused));
            }
        }
        let wrong = ended_so(&world, orders).await?;
        assert!(wrong.is_empty(), "{wrong:#?}");
        assert_eq!(world.house.stored(), 0);

        // as the picture of a medium, and as its sound: what comes has nothing of it
        let mut jobs = Vec::new();
        for (kind, body) in poses(&all[0]) {
            world.house.origin.put(&format!("/{kind}.png"), body.clone());
            world.house.origin.put(&format!("/{kind}.vtt"), body);
            let page = format!(
                "<!doctype html><title>A talk</title><video src=/silent.mp4 poster=/{kind}.png><track kind=subtitles srclang=en src=/{kind}.vtt></video>"
            );
            world.house.origin.put(&format!("/{kind}-beside.html"), page);
            let order = json!({"subtitles": {"languages": ["en"], "mode": "sidecar"}, "embed_thumbnail": true});
            for order in in_each_tier(&world, &format!("/{kind}-beside.html"), &order) {
                jobs.push(world.house.order(&order).await?);
            }
        }
        let pictures = async |job: &str| anyhow::Ok(media::md5(world.house.fetch(job).await?.file.path(), "-map 0"));
        world.house.origin.put("/alone.html", "<!doctype html><title>A talk</title><video src=/silent.mp4></video>");
        let order = request(&world.url("/alone.html"), json!({ "embed_thumbnail": true }));
        let alone = world.house.order(&order).await?;
        world.house.end(&alone).await?;
        let (without, named) = (pictures(&alone).await?, all[0].display().to_string());
        for job in jobs {
            let view = world.house.end(&job).await?;
            assert_eq!(view["status"], "completed", "{view}");
            // to the picture what it is without them, its cover included, and nothing beside it
            assert_eq!(pictures(&job).await?, without, "{view}");
            let texts = view["result"]["subtitles"].as_array().context("what became of the texts")?;
            assert!(texts.iter().all(|text| text["language"].is_null() && text["link"].is_null()), "{view}");
            assert!(!view.to_string().contains(&named), "{view}");
            let picture = world.house.thumbnail(&job).await?;
            assert_eq!((picture.status.as_u16(), picture.header("content-type")), (200, "image/jpeg"), "{view}");
        }
        world.canary.is_silent()
    })
}
